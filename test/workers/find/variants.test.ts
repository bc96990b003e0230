import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { VariantsSnapshot } from '../../../src/config/snapshot/match.js';
import { ANONYMOUS, NEVER, principal } from '../../../workers/authenticate/principal.js';
import { VariantChoice } from '../../../workers/find/variants.js';
import { route, snapshot } from '../fixture.js';
import { recordOf } from './record.js';

function variants(changes: Partial<VariantsSnapshot>): VariantsSnapshot {
  return {
    by: { type: 'header', attribute: 0 },
    otherwise: 'random',
    responseHeader: null,
    salt: 'test',
    groups: [],
    ...changes,
  };
}

const groupsOf = (weights: Readonly<Record<string, number>>) =>
  Object.entries(weights).map(([name, weight]) => ({ name, weight, servers: [0] }));

function chooser(rule: VariantsSnapshot, random?: () => number): VariantChoice {
  return new VariantChoice(snapshot({ routes: [route('r', { variants: rule })], attributes: ['x-user-id'] }), random);
}

/** The groups of `count` users. */
function groupsOfUsers(rule: VariantsSnapshot, count: number): string[] {
  const choice = chooser(rule);
  return Array.from({ length: count }, (_, i) => {
    const group = choice.choose(0, recordOf({ attributes: [`user-${i}`] }), ANONYMOUS);
    return rule.groups[group]?.name ?? '';
  });
}

const USERS = 4_000;
const weight = fc.integer({ min: 0, max: 100 });

test('users are spread over the groups by weight', () => {
  const weights = fc.tuple(weight, weight, weight, fc.integer({ min: 1, max: 100 }));
  fc.assert(
    fc.property(weights, fc.string(), ([a, b, c, d], salt) => {
      const rule = variants({ salt, groups: groupsOf({ a, b, c, d }) });
      const found = groupsOfUsers(rule, USERS);
      const whole = a + b + c + d;
      for (const group of rule.groups) {
        const share = group.weight / whole;
        // Six standard deviations of a binomial distribution.
        const most = 6 * Math.sqrt(USERS * share * (1 - share)) + 1;
        const count = found.filter((name) => name === group.name).length;
        assert.ok(Math.abs(count - USERS * share) <= most, `${group.name}: ${count} of ${USERS * share}`);
      }
    }),
    { numRuns: 20 },
  );
});

test('a user changes the group only to or from one whose weight changed', () => {
  fc.assert(
    fc.property(weight, weight, fc.integer({ min: 1, max: 100 }), weight, (a, b, c, changed) => {
      const before = groupsOfUsers(variants({ groups: groupsOf({ a, b, c }) }), 500);
      const after = groupsOfUsers(variants({ groups: groupsOf({ a: changed, b, c }) }), 500);
      const moved = before.flatMap((group, i) => (group === after[i] ? [] : [[group, after[i]!]]));
      for (const [from, to] of moved) assert.equal(changed > a ? to : from, 'a');
    }),
    { numRuns: 30 },
  );
});

test('the order of the groups does not matter, their names and the name of the route do', () => {
  const rule = variants({ groups: groupsOf({ a: 1, b: 1 }) });
  const found = groupsOfUsers(rule, 200);
  assert.deepEqual(groupsOfUsers({ ...rule, groups: rule.groups.toReversed() }, 200), found);
  assert.notDeepEqual(groupsOfUsers({ ...rule, salt: 'other' }, 200), found);
  // The assignment is part of what users see: it must not change with a version.
  assert.equal(found.slice(0, 16).join(''), 'bbbbbabbbbaaaaab');
});

test('each key is what the rule names, and calls without it are spread at random or by address', () => {
  const groups = groupsOf({ a: 1, b: 1 });
  const ann = principal('', 'bearer', 'issuer', { subject: 'ann', scopes: [], permissions: [] }, NEVER);
  const draw = (rule: Partial<VariantsSnapshot>, record = recordOf({}), who = ANONYMOUS) => {
    const choice = chooser(variants({ groups, ...rule }), () => 0.3);
    return [choice.choose(0, record, who), choice.isRandom, choice.needsArguments];
  };
  const same = draw({ by: { type: 'principal' } }, recordOf({}), ann);
  assert.deepEqual(draw({ by: { type: 'principal' } }, recordOf({ address: '10.0.0.1' }), ann), same);
  assert.equal(same[1], false);
  assert.equal(draw({ by: { type: 'principal' } })[1], true, 'anonymous clients: at random');
  assert.equal(draw({ by: { type: 'principal' }, otherwise: 'address' })[1], false);
  assert.equal(draw({ by: { type: 'address' } }, recordOf({}), ann)[1], true, 'not remembered under a token');
  assert.equal(draw({ by: { type: 'random' } }, recordOf({}), ann)[1], true);
  const byArgument = { by: { type: 'argument', pointer: ['u'] } } as const;
  assert.equal(draw(byArgument)[2], true);
  const one = draw(byArgument, recordOf({ arguments: '{"u":"x1"}' }));
  assert.deepEqual(draw(byArgument, recordOf({ arguments: '{ "v": 1, "u": "\\u00781" }' })), one);
  assert.deepEqual(one.slice(1), [false, false]);
  assert.equal(draw(byArgument, recordOf({ arguments: '{}' }))[1], true);
});
