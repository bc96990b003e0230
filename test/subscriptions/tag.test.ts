import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SUBSCRIPTION_ID, tagged, untagged } from '../../src/subscriptions/tag.js';

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');
const id = Buffer.from('"listen:0"');

test('the subscription id is added to _meta, and all other bytes are unchanged', () => {
  const mark = `"${SUBSCRIPTION_ID}":"listen:0"`;
  const rows: [string, string][] = [
    ['{"method":"m"}', `{"params":{"_meta":{${mark}}},"method":"m"}`],
    ['{"params":{}}', `{"params":{"_meta":{${mark}}}}`],
    [' {"params":{"uri":"a","n":1.50}}\n', ` {"params":{"_meta":{${mark}},"uri":"a","n":1.50}}\n`],
    ['{"params":{"_meta":{"x/y":[1]}}}', `{"params":{"_meta":{${mark},"x/y":[1]}}}`],
    ['{"params":{"_meta":{}}}', `{"params":{"_meta":{${mark}}}}`],
    ['{"params":{"_meta":null}}', `{"params":{"_meta":{${mark}}}}`],
    ['{"params":[1]}', '{"params":[1]}'],
  ];
  for (const [before, after] of rows) assert.equal(text(tagged(Buffer.from(before), id)), after);
});

test('the id is that of the client, byte by byte', () => {
  for (const token of ['0', '""', '-7', '"ü\\u00fc\\""', '12345678901234567890']) {
    const marked = text(tagged(Buffer.from('{"params":{"uri":"a"}}'), Buffer.from(token)));
    assert.equal(marked, `{"params":{"_meta":{"${SUBSCRIPTION_ID}":${token}},"uri":"a"}}`);
  }
});

test('the id of the gateway’s own subscription is removed', () => {
  const rows: [string, string][] = [
    [`{"params":{"_meta":{"${SUBSCRIPTION_ID}":4,"x/y":1},"uri":"a"}}`, '{"params":{"_meta":{"x/y":1},"uri":"a"}}'],
    [`{"params":{"_meta":{"x/y":1 , "${SUBSCRIPTION_ID}" : "s"}}}`, '{"params":{"_meta":{"x/y":1}}}'],
    [`{"params":{"_meta":{"${SUBSCRIPTION_ID}":"s"}}}`, '{"params":{"_meta":{}}}'],
    ['{"params":{"_meta":{"x/y":1}}}', '{"params":{"_meta":{"x/y":1}}}'],
    ['{"params":{"_meta":7}}', '{"params":{"_meta":7}}'],
    ['{}', '{}'],
  ];
  for (const [before, after] of rows) assert.equal(text(untagged(Buffer.from(before))), after);
});

test('property: removing an id and adding one changes nothing else of any notification', () => {
  const value = fc.jsonValue();
  const meta = fc.dictionary(fc.string(), value);
  const params = fc.record({ uri: fc.string(), _meta: meta, other: value }, { requiredKeys: [] });
  const message = fc.record({ jsonrpc: fc.constant('2.0'), method: fc.string(), params }, { requiredKeys: ['method'] });
  fc.assert(
    fc.property(message, fc.boolean(), fc.constantFrom(0, 2), (notification, wasMarked, spaces) => {
      // biome-ignore lint/suspicious/noExplicitAny: any notification
      const sent = structuredClone(notification) as any;
      const expected = structuredClone(sent);
      if (wasMarked && sent.params?._meta !== undefined) sent.params._meta[SUBSCRIPTION_ID] = 'upstream';
      delete expected.params?._meta?.[SUBSCRIPTION_ID];
      const bytes = Buffer.from(JSON.stringify(sent, null, spaces));
      const bare = untagged(bytes);
      assert.deepEqual(JSON.parse(text(bare)), JSON.parse(JSON.stringify(expected)));
      const marked = JSON.parse(text(tagged(bare, id)));
      assert.equal(marked.params._meta[SUBSCRIPTION_ID], 'listen:0');
      delete marked.params._meta[SUBSCRIPTION_ID];
      assert.deepEqual(JSON.parse(text(untagged(tagged(bare, id)))), marked);
    }),
  );
});
