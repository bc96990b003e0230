/** The id of a request that is too large to be held, found while it passes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RequestId } from '../../src/protocol/request-id.js';

function idOf(text: string | Uint8Array, sizes: readonly number[] = [1 << 20]): string {
  const bytes = Buffer.from(text);
  const found = new RequestId();
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length]!;
    found.feed(bytes, at, Math.min(bytes.length, at + size));
    at += size;
  }
  return Buffer.from(found.token).toString();
}

test('the id of a request is found wherever it stands, and however the bytes are split', () => {
  const json = fc.jsonValue();
  const id = fc.oneof(fc.integer(), fc.string({ unit: 'grapheme', maxLength: 20 }));
  const members = fc.shuffledSubarray(['id', 'method', 'params', 'jsonrpc', 'other'], { minLength: 5 });
  const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(
      id,
      json,
      json,
      members,
      sizes,
      fc.constantFrom(0, 1, '\t'),
      (value, params, other, order, pieces, gap) => {
        const all: Record<string, unknown> = { id: value, method: 'a"b\\', params, jsonrpc: '2.0', other };
        const text = JSON.stringify(Object.fromEntries(order.map((name) => [name, all[name]])), null, gap);
        assert.equal(idOf(text, pieces), JSON.stringify(value));
      },
    ),
    { seed: 9, numRuns: 500 },
  );
});

test('only the id of a request counts, in the spelling of the client', () => {
  const rows: readonly (readonly [string, string])[] = [
    ['{"id":9007199254740993,"method":"m"}', '9007199254740993'],
    ['{"id":"\\u0041","method":"m","params":{"id":2}}', '"\\u0041"'],
    ['{"params":{"id":2,"x":["}","\\""]},"method":"m","id":3}', '3'],
    ['{"id":4,"method":"m","params":{"x":"never ends', '4'],
    // A notification, responses, a batch, and ids that no decoder takes.
    ['{"method":"m","params":{"id":1}}', ''],
    ['{"id":1,"result":{"method":"m"}}', ''],
    ['{"id":1,"error":{}}', ''],
    ['[{"id":1,"method":"m"}]', ''],
    ['{"id":null,"method":"m"}', ''],
    ['{"id":1.5,"method":"m"}', ''],
    ['{"id":01,"method":"m"}', ''],
    ['{"id":{"id":1},"method":"m"}', ''],
    ['{"id":[1],"method":"m"}', ''],
    ['{"id":"a\nb","method":"m"}', ''],
    [`{"id":"${'x'.repeat(300)}","method":"m"}`, ''],
    ['{"i\\u0064":1,"method":"m"}', ''],
    ['{"id":1,"method":2}', ''],
    ['"id"', ''],
    ['', ''],
  ];
  for (const [text, id] of rows) {
    for (const sizes of [[1], [3], [1000]]) assert.equal(idOf(text, sizes), id, text);
  }
  const file = `"${'\\\\x\\"'.repeat(100_000)}"`;
  assert.equal(idOf(`{"method":"m","params":{"file":${file}},"id":5}`), '5', 'behind a long text');
  assert.equal(idOf(`{"method":"m","params":[${'1,'.repeat(1_000_000)}1],"id":5}`), '', 'the search is bounded');
  const invalid = Buffer.from('{"id":"a\xff","method":"m"}', 'latin1');
  assert.equal(idOf(invalid), '', 'bytes that are no UTF-8');
});
