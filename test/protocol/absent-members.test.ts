import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Spans } from '../../native/spans.js';
import { blankAbsentMembers, blankOfServer, hasAbsentMembers } from '../../src/protocol/absent-members.js';
import { decoders } from '../native/both.js';

const SEED = 20_26;

/** The message without what counts as absent in a client's message; null = the bytes are left alone. */
function read(text: string): unknown {
  const results = decoders.map((decoder) => {
    const bytes = Buffer.from(text);
    const spans = new Spans();
    const status = decoder.scan(bytes, bytes.length, spans.words, 64);
    if (!hasAbsentMembers(bytes, spans, status)) return null;
    blankAbsentMembers(bytes, spans);
    assert.equal(bytes.length, Buffer.byteLength(text));
    assert.equal(decoder.scan(bytes, bytes.length, spans.words, 64), 0, bytes.toString());
    assert.ok(!hasAbsentMembers(bytes, spans, 0), bytes.toString());
    return JSON.parse(bytes.toString()) as unknown;
  });
  for (const result of results) assert.deepEqual(result, results[0]);
  return results[0];
}

const message = (method: string, params: string): string => `{"jsonrpc":"2.0","id":1,"method":"${method}"${params}}`;
const plain = (method: string, params?: unknown): object => ({
  jsonrpc: '2.0',
  id: 1,
  method,
  ...(params === undefined ? {} : { params }),
});

test('optional members of a client that are null are taken away, wherever they stand', () => {
  for (const [text, expected] of [
    [message('ping', ',"params":null'), plain('ping')],
    ['{"params" : null , "jsonrpc":"2.0","id":1,"method":"ping"}', plain('ping')],
    ['{"jsonrpc":"2.0",\n"params":\tnull\n,"id":1,"method":"ping"}', plain('ping')],
    [message('tools/list', ',"params":{"cursor":null}'), plain('tools/list', {})],
    [message('tools/list', ',"params":{"cursor":""}'), plain('tools/list', {})],
    [message('tools/list', ',"params":{ "cursor" : null , "_meta" : null }'), plain('tools/list', {})],
    [message('tasks/list', ',"params":{"_meta":null,"x":1,"cursor":null}'), plain('tasks/list', { x: 1 })],
    [message('tools/call', ',"params":{"arguments":null,"name":"n","_meta":null}'), plain('tools/call', { name: 'n' })],
    [
      message('tools/call', ',"params":{"name":"n","arguments":{"a":null},"_meta":{"progressToken":null,"b":null}}'),
      plain('tools/call', { name: 'n', arguments: { a: null }, _meta: { b: null } }),
    ],
    [
      message('tools/call', ',"params":{"name":"n","inputResponses":null,"requestState":null}'),
      plain('tools/call', { name: 'n' }),
    ],
    [message('x/y', ',"params":{"cursor":null,"own":null}'), plain('x/y', { own: null })],
  ] as const) {
    assert.deepEqual(read(text), expected, text);
  }
});

test('other values are left alone', () => {
  for (const params of ['', ',"params":{}', ',"params":[]', ',"params":{"cursor":"a","x":null}', ',"params":"null"']) {
    assert.equal(read(message('tools/list', params)), null, params);
  }
  assert.equal(
    read('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"n","arguments":{"x":null}}}'),
    null,
  );
});

test('any message with nulls means the same as the message without them', () => {
  const value = fc.option(fc.oneof(fc.constant({}), fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 2 })));
  const params = fc.option(
    fc.record(
      {
        name: fc.constant('n'),
        arguments: value,
        _meta: fc.option(
          fc.record({ progressToken: fc.option(fc.nat()), traceparent: fc.option(fc.string()), own: fc.jsonValue() }),
        ),
        cursor: fc.option(fc.string()),
        requestState: fc.option(fc.string()),
        own: fc.jsonValue(),
      },
      { requiredKeys: [] },
    ),
  );
  const space = fc.constantFrom(undefined, ' ', '\t');
  fc.assert(
    fc.property(params, space, fc.boolean(), (given, indent, paramsFirst) => {
      const rest = { jsonrpc: '2.0', id: 7, method: 'tools/call' };
      const text = JSON.stringify(paramsFirst ? { params: given, ...rest } : { ...rest, params: given }, null, indent);
      const expected: Record<string, unknown> = { ...rest };
      let changed = given === null;
      if (given !== null) {
        const kept = (from: object, keys: readonly string[]): object =>
          Object.fromEntries(
            Object.entries(from).filter(([key, each]) => {
              const absent = keys.includes(key) && (each === null || (key === 'cursor' && each === ''));
              changed ||= absent;
              return !absent;
            }),
          );
        const clean = kept(given, ['arguments', '_meta', 'cursor', 'requestState']) as { _meta?: object };
        if (clean._meta !== undefined) clean._meta = kept(clean._meta, ['progressToken', 'traceparent']);
        expected['params'] = clean;
      }
      const found = read(text);
      // Through JSON, as the message is: a `__proto__` or -0 is no matter of this test.
      assert.deepEqual(found, changed ? JSON.parse(JSON.stringify(expected)) : null);
    }),
    { seed: SEED, numRuns: 500 },
  );
});

test('params and _meta of a server that are null or an empty array count as absent', () => {
  for (const [text, expected] of [
    ['{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":null}', undefined],
    ['{"jsonrpc":"2.0","params":[ ],"method":"notifications/tools/list_changed"}', undefined],
    ['{"jsonrpc":"2.0","id":4,"method":"ping","params":[]}', undefined],
    ['{"jsonrpc":"2.0","id":4,"method":"ping","params":{"_meta":[]}}', {}],
    ['{"jsonrpc":"2.0","id":4,"method":"roots/list","params":{"_meta":{"progressToken":null}}}', { _meta: {} }],
    ['{"jsonrpc":"2.0","id":4,"result":{"_meta":null,"content":[]}}', { content: [] }],
    ['{"jsonrpc":"2.0","id":4,"result":{"content":[],"_meta":[]}}', { content: [] }],
  ] as const) {
    for (const decoder of decoders) {
      const bytes = Buffer.from(text);
      const spans = new Spans();
      assert.ok(blankOfServer(bytes, spans, decoder.scan(bytes, bytes.length, spans.words, 64)), text);
      assert.equal(decoder.scan(bytes, bytes.length, spans.words, 64), 0, bytes.toString());
      const { params, result } = JSON.parse(bytes.toString()) as { params?: unknown; result?: unknown };
      assert.deepEqual(params ?? result, expected, text);
    }
  }
  for (const text of [
    '{"jsonrpc":"2.0","method":"x","params":[1]}',
    '{"jsonrpc":"2.0","method":"x","params":"[]"}',
    '{"jsonrpc":"2.0","id":4,"result":{"_meta":{}}}',
    '{"jsonrpc":"2.0","id":4,"result":null}',
  ]) {
    for (const decoder of decoders) {
      const bytes = Buffer.from(text);
      const spans = new Spans();
      assert.ok(!blankOfServer(bytes, spans, decoder.scan(bytes, bytes.length, spans.words, 64)), text);
      assert.equal(bytes.toString(), text);
    }
  }
});
