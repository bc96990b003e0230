import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Exchange } from '../../../src/request/exchange/index.js';
import { ExchangeTable } from '../../../src/request/exchange/table.js';

test('visits by turns see everything in use once a round, whatever comes and goes meanwhile', () => {
  const table = new ExchangeTable(100);
  const all = Array.from({ length: 25 }, () => table.acquire()!);
  for (const exchange of all.slice(5, 10)) table.release(exchange);
  const stay = [...all.slice(0, 5), ...all.slice(10)];
  for (const count of [1, 7, 25, 1000]) {
    const seen: Exchange[] = [];
    let from = 0;
    do {
      from = table.visitSome(from, count, (exchange) => void seen.push(exchange));
      const passing = table.acquire()!;
      table.release(passing);
    } while (from !== 0);
    assert.deepEqual(seen, stay, `${count} at once`);
  }
  assert.equal(
    new ExchangeTable(1).visitSome(0, 10, () => assert.fail('it is empty')),
    0,
  );
});
