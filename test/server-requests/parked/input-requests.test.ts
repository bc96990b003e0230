/** What of a server's request reaches the client, whatever the request looks like. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decoder } from '../../../native/index.js';
import { Spans } from '../../../native/spans.js';
import {
  answerTo,
  inputRequired,
  readInputRequest,
  refusal,
} from '../../../src/server-requests/parked/input-requests.js';

const NO_INFO = Buffer.from('"_meta":{}');

function scan(text: string): { bytes: Buffer; spans: Spans } {
  const bytes = Buffer.from(text);
  const spans = new Spans();
  assert.equal(decoder.scan(bytes, bytes.length, spans.words, 64), 0);
  return { bytes, spans };
}

// As it comes out of a text: JSON has no -0.
const json = fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.parse(JSON.stringify(value)) as unknown);
const keys = fc.oneof(fc.string(), fc.constantFrom('message', 'mode', 'url', 'list', 'elicitationId', '😀', '"\\'));
const record = (name: fc.Arbitrary<string>) => fc.dictionary(name, json, { maxKeys: 5, noNullPrototype: true });
const indents = fc.constantFrom(0, 1, '\t', '\n');

test('everything is passed on except members of the request alone', () => {
  const metaKeys = fc.oneof(keys, fc.constantFrom('progressToken', 'switchyard/inputKey', 'a/b'));
  const params = fc.tuple(record(keys), fc.option(fc.oneof(record(metaKeys), json), { nil: undefined }));
  fc.assert(
    fc.property(params, indents, fc.boolean(), ([members, meta], indent, elicit) => {
      // A key that the scan reads may not be spelled twice, and a token has to be one.
      if (isObject(meta) && !['string', 'undefined'].includes(typeof meta['progressToken'])) return;
      const { _meta: _, ...rest } = members;
      const sent = meta === undefined ? rest : { ...rest, _meta: meta };
      const method = elicit ? 'elicitation/create' : 'sampling/createMessage';
      const { bytes, spans } = scan(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: sent }, null, indent));
      const request = readInputRequest(bytes, bytes.length, spans, 0, () => false);
      const wanted: Record<string, unknown> = { ...sent };
      if (elicit) delete wanted['elicitationId'];
      if (isObject(meta)) {
        const { progressToken, 'switchyard/inputKey': key, ...kept } = meta;
        const cut = progressToken !== undefined || key !== undefined;
        if (cut && Object.keys(kept).length === 0) delete wanted['_meta'];
        else wanted['_meta'] = kept;
        const named = typeof key === 'string' && /^[\w.-]{1,64}$/.test(key);
        assert.equal(request.key, named ? key : 'q1');
      }
      assert.deepEqual(JSON.parse(request.entry.toString()), { method, params: wanted });
      const result = JSON.parse(inputRequired([request], 'state', NO_INFO).toString());
      assert.deepEqual(result.inputRequests[request.key], { method, params: wanted });
    }),
  );
});

test('numbers and escapes are unchanged in both directions', () => {
  const params = '{"big":9007199254740993,"one":1.0,"text":"\\u0041","elicitationId":1}';
  const scanned = scan(`{"jsonrpc":"2.0","id":"\\u0041","method":"elicitation/create","params":${params}}`);
  const request = readInputRequest(scanned.bytes, scanned.bytes.length, scanned.spans, 0, () => false);
  assert.equal(
    request.entry.toString(),
    '{"method":"elicitation/create","params":{"big":9007199254740993,"one":1.0,"text":"\\u0041"}}',
  );
  const answered = scan(
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","inputResponses":{"q1":{"n":9007199254740993,\r\n"x":"\\n"}}}}',
  );
  assert.equal(
    answerTo(request, answered.bytes, answered.spans)?.toString(),
    '{"jsonrpc":"2.0","id":"\\u0041","result":{"n":9007199254740993,  "x":"\\n"}}',
  );
});

test('every response is one line with the id of its request', () => {
  fc.assert(
    fc.property(keys, json, indents, (key, answer, indent) => {
      const params = { name: 't', inputResponses: { other: {}, [key]: answer } };
      const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params };
      const { bytes, spans } = scan(JSON.stringify(message, null, indent));
      const request = { key, id: '"$&"', method: 0, needed: 0, entry: Buffer.alloc(0) };
      const reply = answerTo(request, bytes, spans)?.toString();
      if (!isObject(answer)) {
        assert.equal(reply, undefined);
        return;
      }
      assert.doesNotMatch(reply!, /[\r\n]/);
      assert.deepEqual(JSON.parse(reply!), { jsonrpc: '2.0', id: '$&', result: answer });
    }),
  );
  assert.deepEqual(JSON.parse(refusal('"$&"', -1, 'no "quotes"').toString()).error, {
    code: -1,
    message: 'no "quotes"',
  });
});

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
