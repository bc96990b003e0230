import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Reopening } from '../../../src/upstream/balance/reopening.js';

test('a stream that the server closes three times in a row right after it was opened is not opened again', () => {
  const reopening = new Reopening();
  assert.deepEqual(
    [0, 4_999, 100].map((openMs) => reopening.ended(openMs, true)),
    [true, true, false],
  );
});

test('broken connections do not count against the server, and a long life starts the count anew', () => {
  const reopening = new Reopening();
  for (let count = 0; count < 10; count += 1) assert.equal(reopening.ended(0, false), true);
  assert.deepEqual(
    [0, 0, 5_001, 0, 0, 0].map((openMs) => reopening.ended(openMs, true)),
    [true, true, true, true, true, false],
  );
});

test('pauses grow from the first one, and start over after a long life', () => {
  const reopening = new Reopening(100);
  const pauses = Array.from({ length: 3 }, () => reopening.pause());
  for (const [attempt, pause] of pauses.entries()) {
    const full = 100 * 2 ** attempt;
    assert.ok(pause >= full / 2 && pause <= full, `${pause}`);
  }
  reopening.ended(5_001, false);
  assert.ok(reopening.pause() <= 100);
});
