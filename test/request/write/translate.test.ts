import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decoder } from '../../../native/index.js';
import { Method, ScanStatus } from '../../../native/layout.js';
import { Spans } from '../../../native/spans.js';
import { ERRORS } from '../../../src/errors.js';
import { Composer } from '../../../src/protocol/composer.js';
import { Era } from '../../../src/protocol/revisions.js';
import { ExchangeTable } from '../../../src/request/exchange/table.js';
import { errorBody } from '../../../src/request/write/error-body.js';
import { translateResponse } from '../../../src/request/write/translate.js';

const SERVER_INFO = Buffer.from('"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"g","version":"1"}}');

function translate(text: string, upstreamEra: Era, era: Era, id = '"mine"', method: Method = Method.toolsCall): string {
  const exchange = new ExchangeTable(1).acquire()!;
  exchange.client.id = Buffer.from(id);
  exchange.client.idLength = exchange.client.id.length;
  exchange.client.era = era;
  exchange.call.era = upstreamEra;
  exchange.message.spans.method = method;
  const spans = new Spans();
  const bytes = Buffer.from(text);
  assert.equal(decoder.scan(bytes, bytes.length, spans.words, 64), ScanStatus.ok, text);
  const composer = new Composer();
  translateResponse(composer, exchange, bytes, bytes.length, spans, SERVER_INFO);
  return composer.take().toString();
}

const { legacy: LEGACY, modern: MODERN } = Era;
const META = SERVER_INFO.toString();

const rows: readonly [what: string, text: string, from: Era, to: Era, expected: string][] = [
  [
    'the id only, within a family',
    '{"jsonrpc":"2.0","id":7,"result":{"n":1.0}}',
    Era.legacy,
    Era.legacy,
    '{"jsonrpc":"2.0","id":"mine","result":{"n":1.0}}',
  ],
  [
    'the id only, when it comes last',
    '{"result":{"id":7},"jsonrpc":"2.0","id":7}',
    Era.modern,
    Era.modern,
    '{"result":{"id":7},"jsonrpc":"2.0","id":"mine"}',
  ],
  [
    'an error within a family',
    '{"jsonrpc":"2.0","id":7,"error":{"code":-32002,"message":"m"}}',
    Era.legacy,
    Era.legacy,
    '{"jsonrpc":"2.0","id":"mine","error":{"code":-32002,"message":"m"}}',
  ],
  [
    'a legacy result for a modern client',
    '{"jsonrpc":"2.0","id":7,"result":{"content":[]}}',
    LEGACY,
    MODERN,
    `{"jsonrpc":"2.0","id":"mine","result":{"resultType":"complete",${META},"content":[]}}`,
  ],
  [
    'an empty legacy result',
    '{"jsonrpc":"2.0","id":7,"result":{ }}',
    LEGACY,
    MODERN,
    `{"jsonrpc":"2.0","id":"mine","result":{"resultType":"complete",${META} }}`,
  ],
  [
    'a legacy result with _meta, id last',
    '{"result":{"_meta":{"a":1},"content":[]},"id":7,"jsonrpc":"2.0"}',
    LEGACY,
    MODERN,
    '{"result":{"resultType":"complete","_meta":{"a":1},"content":[]},"id":"mine","jsonrpc":"2.0"}',
  ],
  [
    'a modern result for a legacy client',
    '{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete","content":[],"ttlMs":1, "x":1.0,"cacheScope":"public"}}',
    MODERN,
    LEGACY,
    '{"jsonrpc":"2.0","id":"mine","result":{"content":[], "x":1.0}}',
  ],
  [
    'structured content that is no object',
    '{"jsonrpc":"2.0","id":7,"result":{"structuredContent":[1],"content":[],"resultType":"complete"}}',
    MODERN,
    LEGACY,
    '{"jsonrpc":"2.0","id":"mine","result":{"structuredContent":{"result":[1]},"content":[]}}',
  ],
  [
    'a legacy not-found for a modern client',
    '{"jsonrpc":"2.0","id":7,"error":{"message":"m","code":-32002,"data":{"uri":"u"}}}',
    LEGACY,
    MODERN,
    '{"jsonrpc":"2.0","id":"mine","error":{"message":"m","code":-32602,"data":{"uri":"u"}}}',
  ],
  [
    'a legacy not-found, id last',
    '{"error":{"code":-32002,"message":"m"},"id":7,"jsonrpc":"2.0"}',
    LEGACY,
    MODERN,
    '{"error":{"code":-32602,"message":"m"},"id":"mine","jsonrpc":"2.0"}',
  ],
];

describe('translateResponse', () => {
  for (const [what, text, from, to, expected] of rows) {
    it(`writes ${what}`, () => assert.equal(translate(text, from, to), expected));
  }

  it('adds cache hints to a resource read for a modern client, unless the upstream has given them', () => {
    const plain = JSON.parse(
      translate('{"jsonrpc":"2.0","id":7,"result":{"contents":[]}}', Era.legacy, Era.modern, '1', Method.resourcesRead),
    );
    assert.equal(plain.result.ttlMs, 0);
    assert.equal(plain.result.cacheScope, 'private');
    const given = '{"jsonrpc":"2.0","id":7,"result":{"contents":[],"ttlMs":9,"cacheScope":"public"}}';
    assert.equal(JSON.parse(translate(given, Era.legacy, Era.modern, '1', Method.resourcesRead)).result.ttlMs, 9);
  });

  for (const id of ['1', '"1"', '9007199254740993', '-0', '1e2', '"\\ud83d\\ude00"', `"${'y'.repeat(250)}"`]) {
    it(`gives the id ${id.slice(0, 20)} back byte for byte`, () => {
      assert.equal(
        translate('{"jsonrpc":"2.0","id":1,"result":{}}', Era.legacy, Era.legacy, id),
        `{"jsonrpc":"2.0","id":${id},"result":{}}`,
      );
    });
  }
});

describe('errorBody', () => {
  it('is valid JSON-RPC with the table’s code, the upstream, and a correlation id', () => {
    const exchange = new ExchangeTable(1).acquire()!;
    exchange.client.id = Buffer.from('"é"');
    exchange.client.idLength = exchange.client.id.length;
    const composer = new Composer();
    errorBody(composer, exchange, 'GW_UPSTREAM_DOWN', {
      upstream: Buffer.from('"files"'),
      reason: null,
      retryAfterMs: 1500,
      limit: '',
    });
    const { id, error } = JSON.parse(composer.take().toString());
    assert.equal(id, 'é');
    assert.equal(error.code, -32603);
    assert.equal(error.data.code, 'GW_UPSTREAM_DOWN');
    assert.equal(error.data.upstream, 'files');
    assert.equal(error.data.retryable, true);
    assert.equal(error.data.retryAfterMs, 1500);
    assert.match(error.data.correlationId, /^[0-9a-f]{8}-[0-9a-f]{16}$/);
  });

  it('adds the detail of the attempt to the sentence, and none after the next attempt', () => {
    const exchange = new ExchangeTable(1).acquire()!;
    const messageOf = (): string => {
      const composer = new Composer();
      errorBody(composer, exchange, 'GW_RESPONSE_TOO_LARGE', {
        upstream: null,
        reason: null,
        retryAfterMs: 0,
        limit: '',
      });
      return JSON.parse(composer.take().toString()).error.message;
    };
    exchange.call.detail = 'It has "9" bytes.';
    const { sentence } = ERRORS.GW_RESPONSE_TOO_LARGE;
    assert.equal(messageOf(), `${sentence} It has "9" bytes.`);
    exchange.call.reset();
    assert.equal(messageOf(), sentence);
  });

  it('says null where no id could be read, and quotes the version asked for', () => {
    const exchange = new ExchangeTable(1).acquire()!;
    exchange.message.detail = 'a"b';
    const composer = new Composer();
    errorBody(composer, exchange, 'GW_UNSUPPORTED_VERSION', {
      upstream: null,
      reason: null,
      retryAfterMs: 0,
      limit: '',
    });
    const { id, error } = JSON.parse(composer.take().toString());
    assert.equal(id, null);
    assert.deepEqual(error.data.supported, ['2026-07-28']);
    assert.equal(error.data.requested, 'a"b');
  });
});
