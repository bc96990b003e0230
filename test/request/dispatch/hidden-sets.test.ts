import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HiddenSets } from '../../../src/request/dispatch/hidden-sets.js';
import { VerdictRecord } from '../../../src/shared/ring/verdict-record.js';

function verdictOf(low: number, high: number, catalogVersion = 1): VerdictRecord {
  return Object.assign(new VerdictRecord(), { hiddenLow: low, hiddenHigh: high, catalogVersion });
}

test('a verdict that hides something counts only while it is known what', () => {
  const sets = new HiddenSets();
  assert.ok(sets.covers(verdictOf(0, 0)), 'nothing is hidden');
  const verdict = verdictOf(7, 1);
  assert.equal(sets.covers(verdict), false);
  sets.learn(verdict, Uint8Array.of(0b101), 2);
  assert.deepEqual(
    [0, 1, 2, 3, 99].map((entry) => sets.find(verdict)?.hides(entry)),
    [true, false, true, false, false],
  );
  assert.equal(sets.covers(verdictOf(7, 2)), false, 'another digest with the same lower half');
  assert.equal(sets.covers(verdictOf(7, 1, 2)), false, 'another catalog, whose entries have other numbers');
});

test('the sets that were learned first are forgotten beyond the limit, and then they count as unknown', () => {
  const sets = new HiddenSets();
  const verdicts = [1, 3, 5].map((low) => verdictOf(low, 0));
  for (const verdict of verdicts) sets.learn(verdict, Uint8Array.of(1), 2);
  assert.deepEqual(
    verdicts.map((verdict) => sets.covers(verdict)),
    [false, true, true],
  );
});
