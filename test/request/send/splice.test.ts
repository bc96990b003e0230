import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decoder } from '../../../native/index.js';
import { Flag, ScanStatus } from '../../../native/layout.js';
import { Era } from '../../../src/protocol/revisions.js';
import type { Exchange } from '../../../src/request/exchange/index.js';
import { ExchangeTable } from '../../../src/request/exchange/table.js';
import { Envelope, sessionEnvelope } from '../../../src/request/send/envelope.js';
import { type SpliceTarget, spliceRequest } from '../../../src/request/send/splice.js';

const ENVELOPE = sessionEnvelope(Buffer.from('{"name":"n","version":"1"}'), { roots: {} }, 'info');

function scanned(text: string, era: Era): { exchange: Exchange; bytes: Buffer } {
  const exchange = new ExchangeTable(1).acquire()!;
  const bytes = Buffer.from(text);
  assert.equal(decoder.scan(bytes, bytes.length, exchange.message.spans.words, 64), ScanStatus.ok, text);
  exchange.client.era = era;
  exchange.call.upstreamId = 65_536;
  return { exchange, bytes };
}

function splice(text: string, era: Era, target: Partial<SpliceTarget>): string {
  const { exchange, bytes } = scanned(text, era);
  return spliceRequest(exchange, bytes, bytes.length, {
    era,
    name: null,
    stripBytes: 0,
    envelope: null,
    ...target,
  }).toString();
}

const rows: readonly [what: string, from: Era, text: string, target: Partial<SpliceTarget>, expected: string][] = [
  [
    'the id and a prefix',
    Era.legacy,
    '{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"files__read","arguments":{"n":1.0}}}',
    { stripBytes: 7 },
    '{"jsonrpc":"2.0","id":65536,"method":"tools/call","params":{"name":"read","arguments":{"n":1.0}}}',
  ],
  [
    'a name that is replaced, before the id',
    Era.legacy,
    '{"params":{"name":"short_x"},"method":"tools/call","id":1,"jsonrpc":"2.0"}',
    { name: Buffer.from('a \\"long\\" name') },
    '{"params":{"name":"a \\"long\\" name"},"method":"tools/call","id":65536,"jsonrpc":"2.0"}',
  ],
  [
    'the progress token',
    Era.legacy,
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":"t","x":1},"name":"n"}}',
    {},
    '{"jsonrpc":"2.0","id":65536,"method":"tools/call","params":{"_meta":{"progressToken":65536,"x":1},"name":"n"}}',
  ],
  [
    'the name of a completion reference',
    Era.legacy,
    '{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p__greet"},"argument":{"name":"city","value":""}}}',
    { stripBytes: 3 },
    '{"jsonrpc":"2.0","id":65536,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"greet"},"argument":{"name":"city","value":""}}}',
  ],
  [
    'an envelope into params without _meta',
    Era.legacy,
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"n"}}',
    { era: Era.modern, envelope: new Envelope('"e":1') },
    '{"jsonrpc":"2.0","id":65536,"method":"tools/call","params":{"_meta":{"e":1},"name":"n"}}',
  ],
  [
    'an envelope into empty params',
    Era.legacy,
    '{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{ }}',
    { era: Era.modern, envelope: new Envelope('"e":1') },
    '{"jsonrpc":"2.0","id":65536,"method":"tools/list","params":{"_meta":{"e":1} }}',
  ],
  [
    'an envelope where there are no params',
    Era.legacy,
    '{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
    { era: Era.modern, envelope: new Envelope('"e":1') },
    '{"jsonrpc":"2.0","id":65536,"params":{"_meta":{"e":1}},"method":"tools/list"}',
  ],
  [
    'an envelope into a _meta with members',
    Era.legacy,
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"n","_meta":{ "progressToken" : 7}}}',
    { era: Era.modern, envelope: new Envelope('"e":1') },
    '{"jsonrpc":"2.0","id":65536,"method":"tools/call","params":{"name":"n","_meta":{"e":1, "progressToken" : 65536}}}',
  ],
  [
    'an envelope into an empty _meta',
    Era.legacy,
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"n","_meta":{}}}',
    { era: Era.modern, envelope: new Envelope('"e":1') },
    '{"jsonrpc":"2.0","id":65536,"method":"tools/call","params":{"name":"n","_meta":{"e":1}}}',
  ],
  [
    'no envelope towards a legacy upstream, nor continuation members',
    Era.modern,
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"requestState":"s","name":"n","inputResponses":{"k":{}},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","keep":[1],"io.modelcontextprotocol/clientCapabilities":{},"progressToken":1}}}',
    { era: Era.legacy },
    '{"jsonrpc":"2.0","id":65536,"method":"tools/call","params":{"name":"n","_meta":{"keep":[1],"progressToken":65536}}}',
  ],
  [
    'an envelope that was all of _meta',
    Era.modern,
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"n","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}',
    { era: Era.legacy },
    '{"jsonrpc":"2.0","id":65536,"method":"tools/call","params":{"name":"n","_meta":{}}}',
  ],
];

describe('spliceRequest', () => {
  for (const [what, from, text, target, expected] of rows) {
    it(`changes ${what}`, () => {
      assert.equal(splice(text, from, { era: from, ...target }), expected);
    });
  }

  it('declares a session to modern upstreams with its name, its level and what it can be asked for', () => {
    const meta = JSON.parse(ENVELOPE.object.toString());
    assert.deepEqual(meta, {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': { roots: {} },
      'io.modelcontextprotocol/clientInfo': { name: 'n', version: '1' },
      'io.modelcontextprotocol/logLevel': 'info',
    });
  });

  it('means the same call for any message, between all families', () => {
    const key = fc.stringMatching(/^[a-z]{1,6}$/);
    const metaKeys = fc.constantFrom('progressToken', 'traceparent', 'vendor/x', 'io.modelcontextprotocol/later');
    const meta = fc.dictionary(metaKeys, fc.oneof(fc.integer(), fc.string()), { maxKeys: 4 });
    const message = fc.record({
      args: fc.dictionary(key, fc.jsonValue({ maxDepth: 2 }), { maxKeys: 4 }),
      meta: fc.option(meta, { nil: undefined }),
      from: fc.constantFrom(Era.legacy, Era.modern),
      to: fc.constantFrom(Era.legacy, Era.modern),
      pretty: fc.boolean(),
    });
    fc.assert(
      fc.property(message, ({ args, meta: given, from, to, pretty }) => {
        const own =
          from === Era.modern
            ? {
                'io.modelcontextprotocol/protocolVersion': '2026-07-28',
                'io.modelcontextprotocol/clientCapabilities': {},
              }
            : {};
        const sentMeta = from === Era.modern || given !== undefined ? { ...own, ...given } : undefined;
        const params = { name: 'a__tool', arguments: args, ...(sentMeta ? { _meta: sentMeta } : {}) };
        const text = JSON.stringify({ jsonrpc: '2.0', id: 'x', method: 'tools/call', params }, null, pretty ? 2 : 0);
        const result = JSON.parse(splice(text, from, { era: to, stripBytes: 3, envelope: ENVELOPE }));
        assert.equal(result.id, 65_536);
        assert.equal(result.params.name, 'tool');
        assert.deepEqual(result.params.arguments, JSON.parse(JSON.stringify(args)));
        const expected: Record<string, unknown> = { ...sentMeta };
        if ('progressToken' in expected) expected['progressToken'] = 65_536;
        if (from === Era.modern && to === 0) {
          for (const name of Object.keys(expected)) {
            if (name.startsWith('io.modelcontextprotocol/')) delete expected[name];
          }
        }
        if (from === 0 && to === 1) {
          for (const [name, value] of Object.entries(JSON.parse(ENVELOPE.object.toString()))) expected[name] = value;
        }
        assert.deepEqual(result.params._meta ?? {}, expected);
      }),
      { numRuns: 300 },
    );
  });

  it('drops any number of keys under the prefix of the envelope', () => {
    for (const keys of [23, 24, 25, 5000, 30]) {
      const meta = Array.from(
        { length: keys },
        (_, index) => `"io.modelcontextprotocol/x${index}":${index},"k${index}":0`,
      );
      const params = `{"name":"n","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",${meta.join()}}}`;
      const text = `{"jsonrpc":"2.0","method":"tools/call","params":${params},"id":1}`;
      const result = JSON.parse(splice(text, Era.modern, { era: Era.legacy }));
      assert.deepEqual(
        Object.keys(result.params._meta),
        Array.from({ length: keys }, (_, index) => `k${index}`),
      );
      assert.equal(result.id, 65_536);
    }
  });

  it('keeps the flags it relies on', () => {
    const { exchange } = scanned(
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"n","_meta":{}}}',
      Era.legacy,
    );
    assert.notEqual(exchange.message.spans.flags & Flag.metaIsEmpty, 0);
    assert.equal(exchange.message.spans.flags & Flag.paramsIsEmpty, 0);
  });
});
