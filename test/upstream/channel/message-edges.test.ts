import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readEdges, valueEnd } from '../../../src/upstream/channel/message-edges.js';
import { SkippedMessage } from '../../../src/upstream/channel/skipped-message.js';

const edgesOf = (text: string, head = 4_096, tail = 1_024) => {
  const bytes = Buffer.from(text);
  const { id, kind } = readEdges(bytes.subarray(0, head), bytes.subarray(Math.max(0, bytes.length - tail)));
  return { id, kind };
};

test('property: the ends of a message tell its id and kind, whatever the members before and after hold', () => {
  const id = fc.oneof(
    fc.nat().map(String),
    fc.stringMatching(/^[\w -]{0,20}$/).map((text) => JSON.stringify(text)),
  );
  const blank = fc.constantFrom('', ' ', '\t', '  ');
  const value = fc.jsonValue().map((each) => JSON.stringify({ id: 7, method: 'x', each, more: 'y'.repeat(200) }));
  fc.assert(
    fc.property(
      id,
      blank,
      value,
      fc.boolean(),
      fc.constantFrom('result', 'error', 'params'),
      (id, blank, value, first, key) => {
        const large = `"${key}"${blank}:${blank}${value}`;
        const small = `"jsonrpc":"2.0",${blank}"id"${blank}:${blank}${id}${key === 'params' ? ',"method":"m"' : ''}`;
        const text = `${blank}{${first ? `${small},${large}` : `${large}${blank},${blank}${small}`}${blank}}${blank}`;
        // Ends that reach into the large member, but not over it.
        assert.deepEqual(edgesOf(text, 120, 120), { id, kind: key === 'params' ? 'request' : 'response' });
      },
    ),
    { numRuns: 1_000 },
  );
});

test('what is within the large member, or no id, is none', () => {
  const filler = 'x'.repeat(500);
  assert.deepEqual(edgesOf(`{"result":{"id":5,"x":"${filler}`, 100, 0), { id: '', kind: 'response' });
  assert.deepEqual(edgesOf(`{"result":{"x":"${filler}","id":5}}`, 100, 100), { id: '', kind: 'response' });
  assert.deepEqual(edgesOf(`{"result":"${filler}\\",\\"id\\":5}","jsonrpc":"2.0"}`, 100, 100), {
    id: '',
    kind: 'response',
  });
  assert.deepEqual(edgesOf(`["${filler}","id":5}`, 100, 100), { id: '5', kind: null });
  for (const id of ['null', '5.0', '1e3', '{}', '"\\u0041"', '1234567890123456'])
    assert.equal(edgesOf(`{"id":${id},"result":"${filler}"}`, 100, 100).id, '', id);
  for (const text of ['', '{', '}', '[', '{"', '{"id"', '{"id":', '{"id":5', ',"id":5}', '"id":5}', ':5}', '5}', '"}'])
    assert.equal(edgesOf(text).kind, null, text);
});

test('property: the end of a value is where JSON ends it', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.string(), (value, rest) => {
      const text = JSON.stringify({ value });
      const length = Buffer.byteLength(text);
      assert.equal(valueEnd(Buffer.from(`${text}${rest}`), 0), length);
      assert.equal(valueEnd(Buffer.from(text).subarray(0, length - 1), 0), -1);
    }),
    { numRuns: 500 },
  );
});

test('property: a skipped message keeps its size, start and end, however it arrives', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(5_000), { maxLength: 8 }), (lengths) => {
      const whole = Buffer.from(Array.from({ length: lengths.reduce((a, b) => a + b, 0) }, (_, index) => index % 251));
      const message = new SkippedMessage('GW_RESPONSE_TOO_LARGE');
      let at = 0;
      for (const length of lengths) {
        message.add(whole, at, at + length);
        at += length;
      }
      assert.equal(message.size, whole.length);
      assert.deepEqual(message.head, whole.subarray(0, 4_096));
      assert.deepEqual(message.tail, whole.subarray(Math.max(0, whole.length - 1_024)));
    }),
  );
});
