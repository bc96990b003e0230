/** Messages of servers that strict readers refuse although they have one meaning. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Kind, ScanStatus } from '../../native/layout.js';
import { Spans } from '../../native/spans.js';
import { parseId } from '../../src/upstream/core/control.js';
import { scanServerMessage } from '../../src/upstream/core/server-scan.js';
import { decoders } from '../native/both.js';

/** The message as both decoders leave it; they must agree. */
function scanned(text: string): { status: number; kind: number; id: number; message: unknown } {
  const results = decoders.map((decoder) => {
    const bytes = Buffer.from(text);
    const spans = new Spans();
    const status = scanServerMessage(decoder, bytes, bytes.length, spans);
    const id = parseId(bytes, spans.idStart, spans.idEnd);
    return { status, kind: spans.kind, id, message: status === ScanStatus.ok ? JSON.parse(bytes.toString()) : null };
  });
  for (const result of results) assert.deepEqual(result, results[0]);
  return results[0]!;
}

test('members without a value, byte order marks and ids that are doubles are read', () => {
  const rows: readonly [text: string, kind: number, message: object][] = [
    ['{"jsonrpc":"2.0","id":5,"result":{},"error":null}', Kind.response, { jsonrpc: '2.0', id: 5, result: {} }],
    ['{"error" : null,"jsonrpc":"2.0","id":5,"result":{}}', Kind.response, { jsonrpc: '2.0', id: 5, result: {} }],
    ['{"jsonrpc":"2.0","id":5,"result":null,"error":null}', Kind.response, { jsonrpc: '2.0', id: 5, result: null }],
    [
      '{"jsonrpc":"2.0","result":null,"id":5,"error":{"code":1}}',
      Kind.response,
      { jsonrpc: '2.0', id: 5, error: { code: 1 } },
    ],
    [
      '{"jsonrpc":"2.0","id":5,"method":null,"params":null,"result":{},"error":null}',
      Kind.response,
      { jsonrpc: '2.0', id: 5, params: null, result: {} },
    ],
    [
      '{"jsonrpc":"2.0","id":null,"method":"x","params":{},"result":null,"error":null}',
      Kind.notification,
      { jsonrpc: '2.0', method: 'x', params: {} },
    ],
    ['{"jsonrpc":"2.0","id":"a","method":"x","error":null}', Kind.request, { jsonrpc: '2.0', id: 'a', method: 'x' }],
    ['\ufeff \n{"jsonrpc":"2.0","id":5,"result":{}}', Kind.response, { jsonrpc: '2.0', id: 5, result: {} }],
    ['\ufeff{"jsonrpc":"2.0","id":5.0,"result":{},"error":null}', Kind.response, { jsonrpc: '2.0', id: 5, result: {} }],
  ];
  for (const [text, kind, message] of rows) {
    const { status, kind: read, message: left, id } = scanned(text);
    assert.deepEqual([status, read, left], [ScanStatus.ok, kind, message], text);
    if (kind === Kind.response) assert.equal(id, 5);
  }
});

test('what has no meaning, or two, stays refused', () => {
  for (const text of [
    '{"jsonrpc":"2.0","id":5,"result":{},"error":{"code":1}}',
    '{"jsonrpc":"2.0","id":5,"error":null}',
    '{"jsonrpc":"2.0","id":5,"error":null,"error":null,"result":{}}',
    '{"jsonrpc":"2.0","id":5.5,"result":{}}',
    '{"jsonrpc":"2.0","id":5,"method":"x","result":{}}',
    '{"jsonrpc":"2.0","id":5,"\\u0065rror":null,"result":{}}',
    '\ufeff',
    '\ufeff\ufeff{}',
    '{"error":null}',
    '[null]x',
  ]) {
    assert.notEqual(scanned(text).status, ScanStatus.ok, text);
  }
});

test('numbers that are the id are the id, however they are written', () => {
  const idOf = (text: string): number => parseId(Buffer.from(text), 0, text.length);
  for (const text of ['65537', '65537.0', '65537.000', '6553.7e1', '655370e-1', '6.5537E4', '"65537"']) {
    assert.equal(idOf(text), 65_537, text);
  }
  for (const text of ['65537.5', '-65537', '"65537.0"', 'null', '""', '1e400', '1e15'])
    assert.ok(idOf(text) !== 65_537);
});

test('repairs keep every other byte, and end', () => {
  const member = fc.constantFrom(
    '"id":1',
    '"id":null',
    '"method":"x"',
    '"method":null',
    '"result":{}',
    '"result":null',
  );
  const more = fc.constantFrom('"error":null', '"error":{"code":1}', '"params":null', '"x":[1,{"error":null}]');
  const space = fc.constantFrom('', ' ', '\n\t');
  const document = fc
    .tuple(fc.array(fc.oneof(member, more), { maxLength: 6 }), space, fc.boolean())
    .map(([members, white, mark]) => {
      const text = ['"jsonrpc":"2.0"', ...members].join(`${white},${white}`);
      return `${mark ? '\ufeff' : ''}{${white}${text}${white}}`;
    });
  fc.assert(
    fc.property(document, (text) => {
      const { status } = scanned(text);
      const bytes = Buffer.from(text);
      const before = Buffer.from(text);
      scanServerMessage(decoders[0]!, bytes, bytes.length, new Spans());
      assert.equal(bytes.length, before.length);
      for (const [index, byte] of bytes.entries()) assert.ok(byte === before[index] || byte === 0x20);
      if (status !== ScanStatus.ok) return;
      const left = JSON.parse(bytes.toString()) as object;
      const given = JSON.parse(text.replace('\ufeff', '')) as object;
      // Only members without a value are gone.
      for (const [name, value] of Object.entries(given)) {
        if (value !== null) assert.deepEqual((left as Record<string, unknown>)[name], value);
      }
    }),
    { seed: 1, numRuns: 3_000 },
  );
});
