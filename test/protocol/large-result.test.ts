import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decoder } from '../../native/index.js';
import { Flag, Method, ScanStatus } from '../../native/layout.js';
import { Spans } from '../../native/spans.js';
import { Composer } from '../../src/protocol/composer.js';
import { LargeResult } from '../../src/protocol/large-result.js';
import { Era } from '../../src/protocol/revisions.js';
import { Exchange } from '../../src/request/exchange/index.js';
import { rewriteOf } from '../../src/request/write/large.js';
import { translateResponse } from '../../src/request/write/translate.js';

const SERVER_INFO = Buffer.from('"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"gw","version":"1"}}');

interface Case {
  readonly era: Era;
  readonly upstreamEra: Era;
  readonly method: Method;
}

function exchangeOf({ era, upstreamEra, method }: Case): Exchange {
  const exchange = new Exchange(0);
  exchange.client.era = era;
  exchange.call.era = upstreamEra;
  exchange.call.upstreamId = 65_537;
  exchange.message.spans.method = method;
  exchange.client.idLength = exchange.client.id.write('"client"', 0);
  return exchange;
}

/** What is passed on, and whether it counts as an error of the tool. */
interface Passed {
  readonly text: string;
  readonly isError: boolean;
}

/** The whole document through the translation of small answers. */
function whole(text: string, at: Case): Passed | null {
  const bytes = Buffer.from(text);
  const spans = new Spans();
  if (decoder.scan(bytes, bytes.length, spans.words, 512) !== ScanStatus.ok) return null;
  const composer = new Composer();
  translateResponse(composer, exchangeOf(at), bytes, bytes.length, spans, SERVER_INFO);
  return { text: composer.take().toString(), isError: (spans.flags & Flag.isError) !== 0 };
}

/** The same in pieces; null when it cannot be passed on. */
function pieces(text: string, at: Case, cuts: readonly number[]): Passed | null {
  const bytes = Buffer.from(text);
  const composer = new Composer();
  const large = new LargeResult(rewriteOf(exchangeOf(at), SERVER_INFO));
  const places = [...new Set(cuts.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  let from = 0;
  for (const place of [...places, bytes.length]) {
    const piece = Buffer.from(bytes.subarray(from, place));
    if (!large.feed(piece, 0, piece.length, composer)) return null;
    // A piece is invalid after the call.
    piece.fill(0x58);
    from = place;
  }
  return large.complete ? { text: composer.take().toString(), isError: large.isError } : null;
}

const everywhere = (text: string): number[] => Array.from({ length: Buffer.byteLength(text) }, (_, at) => at);

const CASES: readonly Case[] = [
  { era: Era.legacy, upstreamEra: Era.legacy, method: Method.toolsCall },
  { era: Era.modern, upstreamEra: Era.modern, method: Method.resourcesRead },
  { era: Era.legacy, upstreamEra: Era.modern, method: Method.toolsCall },
  { era: Era.legacy, upstreamEra: Era.modern, method: Method.resourcesRead },
  { era: Era.modern, upstreamEra: Era.legacy, method: Method.toolsCall },
  { era: Era.modern, upstreamEra: Era.legacy, method: Method.resourcesRead },
];

/** The same bytes, or where members are added the same members: whole documents have them first, these last. */
function agree(text: string, at: Case, cuts: readonly number[]): void {
  const expected = whole(text, at);
  const actual = pieces(text, at, cuts);
  assert.notEqual(expected, null, text);
  assert.notEqual(actual, null, text);
  if (expected === null || actual === null) return;
  assert.equal(actual.isError, expected.isError, text);
  if (at.era === Era.modern && at.upstreamEra === Era.legacy) {
    assert.deepEqual(JSON.parse(actual.text), JSON.parse(expected.text), text);
    assert.equal(Buffer.byteLength(actual.text), Buffer.byteLength(expected.text), text);
  } else {
    assert.equal(actual.text, expected.text);
  }
}

const space = fc.constantFrom('', '', ' ', '\n', ' \r\n\t ');
const scalar = fc.oneof(
  fc.constantFrom('null', 'true', 'false', '0', '-1.5e+3', '9007199254740993'),
  fc.string({ unit: 'binary' }).map((value) => JSON.stringify(value)),
  fc.constantFrom('"\\u0022\\\\"', '"}],{"', '"\\""'),
);
const value = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    scalar,
    fc.tuple(space, fc.array(tie('value'), { maxLength: 3 })).map(([gap, items]) => `[${gap}${items.join(`,${gap}`)}]`),
    fc
      .tuple(
        space,
        fc.uniqueArray(fc.tuple(fc.constantFrom('"a"', '"id"', '"result"', '"ttlMs"'), tie('value')), {
          maxLength: 3,
          selector: ([key]) => key,
        }),
      )
      .map(([gap, members]) => `{${members.map(([key, item]) => `${gap}${key}${gap}:${item}`).join(`${gap},`)}${gap}}`),
  ),
})).value;

/** A result with some of the members that matter, in any order, none twice. */
const result = fc
  .record(
    {
      '"resultType"': fc.constantFrom('"complete"', '"task"'),
      '"ttlMs"': fc.constantFrom('0', ' 5 '),
      '"cacheScope"': fc.constantFrom('"public"'),
      '"_meta"': fc.constantFrom('{}', '{"x":[1]}'),
      '"structuredContent"': value,
      '"isError"': fc.constantFrom('true', 'false', '"true"', '{"isError":true}'),
      '"content"': value,
      '"x-unknown"': value,
      '"r\\u0061t"': value,
    },
    { requiredKeys: [] },
  )
  .chain((members) => fc.shuffledSubarray(Object.entries(members), { minLength: Object.keys(members).length }))
  .chain((members) =>
    fc
      .tuple(space, space, space)
      .map(([a, b, c]) => `{${a}${members.map(([key, item]) => `${key}${b}:${c}${item}`).join(`${c},${a}`)}${b}}`),
  );

const response = fc.tuple(fc.oneof(result, value), space, space, value).chain(([content, a, b, extra]) =>
  fc
    .shuffledSubarray(
      [
        ['"jsonrpc"', '"2.0"'],
        ['"id"', '65537'],
        ['"result"', content],
        ['"more"', extra],
      ] as const,
      { minLength: 4 },
    )
    .map((members) => `${a}{${b}${members.map(([key, item]) => `${key}${a}:${b}${item}`).join(`${b},${a}`)}${a}}${b}`),
);

test('pieces become what the whole document becomes, however it is cut', () => {
  fc.assert(
    fc.property(
      response,
      fc.constantFrom(...CASES),
      fc.array(fc.nat({ max: 4_000 }), { maxLength: 12 }),
      (text, at, cuts) => agree(text, at, cuts),
    ),
    { numRuns: 2_000 },
  );
});

test('every single cut and every byte on its own', () => {
  const text =
    ' {"result" : { "ttlMs" : 1 , "content":[{"type":"text","text":"a\\n\\"}"}], "structuredContent":[1,{"resultType":2}] ,"resultType":"complete" } , "id":"65537","jsonrpc":"2.0"}\n';
  for (const at of CASES) {
    for (let place = 0; place <= text.length; place += 1) agree(text, at, [place]);
    agree(text, at, everywhere(text));
    for (const empty of ['{}', '{ }', '[]', '""', '1', '{"ttlMs":1}', '{ "ttlMs":1 , "cacheScope":"x"}']) {
      const small = `{"jsonrpc":"2.0","id":65537,"result":${empty}}`;
      agree(small, at, everywhere(small));
    }
  }
});

test('what is no response to this call is not passed on', () => {
  const [same, , toLegacy] = CASES as [Case, Case, Case];
  const rows: readonly (readonly [Case, string])[] = [
    [same, '{"jsonrpc":"2.0","id":65538,"result":{}}'],
    [same, '{"jsonrpc":"2.0","id":"x","result":{}}'],
    [same, '{"jsonrpc":"2.0","id":[65537],"result":{}}'],
    [same, '{"jsonrpc":"2.0","id":655370,"result":{}}'],
    [same, '{"jsonrpc":"2.0","result":{}}'],
    [same, '{"jsonrpc":"2.0","id":65537}'],
    [same, '{"id":65537,"result":{}}'],
    [same, '{"jsonrpc":"2.0","id":65537,"error":{"code":1,"message":""}}'],
    [same, '{"jsonrpc":"2.0","id":65537,"result":{},"error":{"code":1,"message":""}}'],
    [same, '{"jsonrpc":"2.0","id":65537,"method":"ping"}'],
    [same, '{"jsonrpc":"2.0","id":65537,"id":65537,"result":{}}'],
    [same, '{"jsonrpc":"2.0","id":65537,"result":{},"result":{}}'],
    [same, '{"jsonrpc":"2.0","\\u0069d":65537,"result":{}}'],
    [same, '{"jsonrpc":"2.0","id":65537,"result":{"a":[}]}'],
    [same, '{"jsonrpc":"2.0","id":65537,"result":{"a":"\n"}}'],
    [same, '{"jsonrpc":"2.0","id":65537,"result":{}}}'],
    [same, '{"jsonrpc":"2.0","id":65537,"result":{}}{}'],
    [same, '{"jsonrpc":"2.0","id":65537,"result":{}'],
    [same, '{"jsonrpc":"2.0","id":65537,,"result":{}}'],
    [same, '{"jsonrpc":"2.0" "id":65537,"result":{}}'],
    [same, '{"jsonrpc":"2.0","id":65537,"result":}'],
    [same, '{"jsonrpc":"2.0","id":65537,"result":{},}'],
    [same, '[{"jsonrpc":"2.0","id":65537,"result":{}}]'],
    [same, ''],
    [same, `{"jsonrpc":"2.0","id":65537,"result":${'['.repeat(600)}${']'.repeat(600)}}`],
    [same, `{"jsonrpc":"2.0"${' '.repeat(70_000)},"id":65537,"result":{}}`],
    [toLegacy, '{"jsonrpc":"2.0","id":65537,"result":{"inputRequests":{},"resultType":"input_required"}}'],
    [toLegacy, '{"jsonrpc":"2.0","id":65537,"result":{"resultType":"a","resultType":"b"}}'],
    [same, '{"jsonrpc":"2.0","id":65537,"result":{"isError":true,"isError":false}}'],
  ];
  for (const [at, text] of rows) {
    assert.equal(pieces(text, at, []), null, text.slice(0, 100));
    assert.equal(pieces(text, at, everywhere(text)), null, text.slice(0, 100));
  }
});

test('nothing that is fed makes it throw, and what it accepts has its brackets in order', () => {
  const byte = fc.constantFrom(...'{}[]",:\\ \n1tn'.split(''), '"id":65537', '"result":', '"jsonrpc":"2.0"');
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 40 }), fc.constantFrom(...CASES), (parts, at) => {
      const text = parts.join('');
      const passed = pieces(text, at, [3, 7, 11]);
      if (passed === null) return;
      const bare = passed.text.replaceAll(/"(?:[^"\\]|\\.)*"/g, '');
      const count = (character: string): number => bare.split(character).length;
      assert.equal(count('{'), count('}'), text);
      assert.equal(count('['), count(']'), text);
    }),
    { numRuns: 5_000 },
  );
});
