import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { IndexSet } from '../../src/shared/index-set.js';

const MAX = 200;

test('property: an index set holds what a Set of numbers holds', () => {
  const index = fc.oneof(fc.nat(MAX - 1), fc.constantFrom(0, 30, 31, 32, 33, 63, 64, 95, 96));
  const step = fc.oneof(
    fc.record({ do: fc.constant('add' as const), index }),
    fc.record({ do: fc.constant('clear' as const) }),
    fc.record({ do: fc.constant('assign' as const), members: fc.array(index, { maxLength: 5 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const set = new IndexSet();
      const model = new Set<number>();
      for (const each of steps) {
        if (each.do === 'add') {
          set.add(each.index);
          model.add(each.index);
        } else {
          const other = new IndexSet();
          const members = each.do === 'assign' ? each.members : [];
          for (const member of members) other.add(member);
          if (each.do === 'assign') set.assign(other);
          else set.clear();
          model.clear();
          for (const member of members) model.add(member);
          // Later changes of the other set are not seen.
          other.add(7);
          other.add(77);
        }
        assert.equal(set.isEmpty, model.size === 0);
        for (let candidate = 0; candidate < MAX; candidate += 1) {
          assert.equal(set.has(candidate), model.has(candidate), `${candidate}`);
        }
      }
    }),
    { numRuns: 300 },
  );
});
