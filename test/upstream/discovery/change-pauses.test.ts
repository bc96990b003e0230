import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChangePauses } from '../../../src/upstream/discovery/change-pauses.js';

/** How often a list is read within `forMs` when there is a notice `afterMs` after each reading. */
function readings(forMs: number, afterMs: number, changed: boolean): number {
  const pauses = new ChangePauses();
  let now = 0;
  let count = 0;
  while (now < forMs) {
    count += 1;
    pauses.ended(now, changed);
    now += afterMs;
    now += pauses.pause(now);
  }
  return count;
}

test('a server that says after each list that it has changed is read less and less often', () => {
  assert.ok(readings(5_000, 0, false) <= 8);
  assert.ok(readings(600_000, 0, false) <= 32);
  assert.ok(readings(5_000, 20, false) <= 8);
});

test('lists that do change are read every second', () => {
  const count = readings(60_000, 0, true);
  assert.ok(count >= 60 && count <= 66, String(count));
});

test('a notice after a quiet time is followed at once', () => {
  const pauses = new ChangePauses();
  assert.equal(pauses.pause(0), 50);
  for (let at = 0; at < 10; at += 1) pauses.ended(at, false);
  assert.equal(pauses.pause(10), 30_000);
  assert.equal(pauses.pause(60_100), 50);
});
