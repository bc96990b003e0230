import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Coding } from '../../../../src/upstream/core/http/answer.js';
import { ResponseParser } from '../../../../src/upstream/http/wire/response-parser.js';

interface Read {
  readonly status: number;
  readonly isEventStream: boolean;
  readonly coding: number;
  readonly redirect: string;
  readonly body: string;
  readonly complete: boolean;
  readonly keepAlive: boolean;
  readonly keepAliveSeconds: number;
  /** What the last call of `feed` said. */
  readonly holds: boolean;
}

/** Feeds one response in pieces, closes the connection if asked, and tells what was read. */
function read(pieces: readonly (string | Buffer)[], close = false): Read {
  let body = '';
  let complete = false;
  let heads = 0;
  const parser: ResponseParser = new ResponseParser({
    head: () => {
      heads += 1;
    },
    body: (bytes, start, end) => {
      assert.equal(heads, 1, 'the head comes first');
      assert.equal(complete, false, 'no body after the end');
      body += bytes.toString('latin1', start, end);
      return end;
    },
    complete: () => {
      assert.equal(complete, false, 'one end only');
      complete = true;
    },
  });
  parser.expect();
  let holds = true;
  for (const piece of pieces) {
    const bytes = Buffer.isBuffer(piece) ? piece : Buffer.from(piece, 'latin1');
    // The parser is given a part of a larger buffer that changes afterwards, as a shared read buffer does.
    const shared = Buffer.concat([Buffer.from('HTTP/1.1 '), bytes, Buffer.from('\r\n\r\n0\r\n')]);
    holds = parser.feed(shared, 9, 9 + bytes.length);
    shared.fill(0x58);
    if (!holds) break;
  }
  if (close && holds && !complete) parser.end();
  const { status, isEventStream, coding, redirect, keepAlive, keepAliveSeconds } = parser;
  return { status, isEventStream, coding, redirect, body, complete, keepAlive, keepAliveSeconds, holds };
}

const ok = 'HTTP/1.1 200 OK\r\n';

describe('responses', () => {
  const rows: readonly [string, string, Partial<Read>][] = [
    [
      'a fixed body',
      `${ok}Content-Length: 2\r\nContent-Type: application/json\r\n\r\n{}`,
      { body: '{}', complete: true, isEventStream: false, keepAlive: true },
    ],
    [
      'names in any case and odd space',
      `${ok}cOnTeNt-LeNgTh:\t 2 \t\r\nCONTENT-TYPE: Application/JSON;charset=utf-8\r\n\r\n{}`,
      { body: '{}', complete: true, isEventStream: false },
    ],
    [
      'an event stream in chunks',
      `${ok}transfer-encoding: Chunked\r\ncontent-type: text/event-stream\r\n\r\n3\r\nabc\r\n0a;x="y"\r\n0123456789\r\n0\r\n\r\n`,
      { body: 'abc0123456789', complete: true, isEventStream: true },
    ],
    [
      'trailers',
      `${ok}transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Trailer: 1\r\n\r\n`,
      { body: 'a', complete: true },
    ],
    ['no body with 204', 'HTTP/1.1 204 No Content\r\n\r\n', { body: '', complete: true, keepAlive: true, status: 204 }],
    ['an empty body', 'HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n', { complete: true, status: 202 }],
    ['no reason phrase', 'HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n', { complete: true }],
    ['no reason phrase and no space', 'HTTP/1.1 404\r\ncontent-length: 0\r\n\r\n', { complete: true, status: 404 }],
    [
      'an interim response first',
      `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n${ok}content-length: 1\r\n\r\na`,
      { body: 'a', complete: true, status: 200 },
    ],
    [
      'connection: close',
      `${ok}connection: x, Close\r\ncontent-length: 1\r\n\r\na`,
      { complete: true, keepAlive: false },
    ],
    ['HTTP/1.0', 'HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\na', { complete: true, keepAlive: false }],
    [
      'HTTP/1.0 with keep-alive',
      'HTTP/1.0 200 OK\r\nconnection: keep-alive\r\nkeep-alive: max=9, timeout=7\r\ncontent-length: 1\r\n\r\na',
      { complete: true, keepAlive: true, keepAliveSeconds: 7 },
    ],
    [
      'a content coding',
      `${ok}content-encoding: gzip\r\ncontent-length: 1\r\n\r\na`,
      { coding: Coding.gzip, complete: true },
    ],
    [
      'the identity coding',
      `${ok}content-encoding: identity\r\ncontent-length: 1\r\n\r\na`,
      { coding: Coding.identity, complete: true },
    ],
    [
      'two codings',
      `${ok}content-encoding: gzip\r\ncontent-encoding: BR\r\ncontent-length: 1\r\n\r\na`,
      { coding: Coding.unknown, complete: true },
    ],
    [
      'a redirect',
      'HTTP/1.1 308 Permanent Redirect\r\nLocation: /mcp/\r\ncontent-length: 0\r\n\r\n',
      { redirect: '/mcp/', complete: true, status: 308 },
    ],
    [
      'a location without a redirect',
      'HTTP/1.1 201 Created\r\nlocation: /mcp/\r\ncontent-length: 0\r\n\r\n',
      { redirect: '', complete: true },
    ],
    [
      'another media type',
      `${ok}content-type: text/event-streams\r\ncontent-length: 1\r\n\r\na`,
      { isEventStream: false, complete: true },
    ],
    [
      'a body up to the close',
      `${ok}content-type: text/event-stream\r\n\r\nabc`,
      { body: 'abc', complete: true, keepAlive: false },
    ],
    ['a body that is cut', `${ok}content-length: 5\r\n\r\nabc`, { body: 'abc', complete: false }],
    ['chunks that are cut', `${ok}transfer-encoding: chunked\r\n\r\n5\r\nabc`, { body: 'abc', complete: false }],
    [
      'bytes behind the response',
      `${ok}content-length: 1\r\n\r\naHTTP/1.1 200 OK\r\n`,
      { body: 'a', complete: true, keepAlive: false, holds: false },
    ],
  ];
  for (const [what, text, expected] of rows) {
    it(`with ${what} are read`, () => {
      const whole = read([text], true);
      for (const [name, value] of Object.entries(expected)) assert.equal(whole[name as keyof Read], value, name);
      if (expected.holds === false) return;
      // Byte by byte it means the same.
      assert.deepEqual(read(text.split(''), true), whole);
    });
  }

  const refused: readonly [string, string][] = [
    ['another protocol', 'HTTQ/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'],
    ['HTTP/2 in the clear', 'HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n'],
    ['HTTP/1.2', 'HTTP/1.2 200 OK\r\ncontent-length: 0\r\n\r\n'],
    ['a status of two digits', 'HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n'],
    ['a status of four digits', 'HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n'],
    ['a status below 100', 'HTTP/1.1 099 OK\r\ncontent-length: 0\r\n\r\n'],
    ['a status above 599', 'HTTP/1.1 600 OK\r\ncontent-length: 0\r\n\r\n'],
    ['an empty first line', '\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'],
    ['bare line feeds', 'HTTP/1.1 200 OK\ncontent-length: 0\n\n'],
    ['a carriage return within a line', `${ok}x: a\rb\r\ncontent-length: 0\r\n\r\n`],
    ['a NUL in a value', `${ok}x: a\0b\r\ncontent-length: 0\r\n\r\n`],
    ['a folded line', `${ok}x: a\r\n b\r\ncontent-length: 0\r\n\r\n`],
    ['a space before the colon', `${ok}content-length : 0\r\n\r\n`],
    ['a line without a colon', `${ok}content-length\r\n\r\n`],
    ['an empty name', `${ok}: 1\r\ncontent-length: 0\r\n\r\n`],
    ['two lengths', `${ok}content-length: 1\r\ncontent-length: 2\r\n\r\nab`],
    ['the same length twice', `${ok}content-length: 1\r\ncontent-length: 1\r\n\r\na`],
    ['a list of lengths', `${ok}content-length: 1, 1\r\n\r\na`],
    ['a signed length', `${ok}content-length: +1\r\n\r\na`],
    ['an empty length', `${ok}content-length:\r\n\r\na`],
    ['a length beyond 15 digits', `${ok}content-length: 1111111111111111\r\n\r\na`],
    ['a length beside chunks', `${ok}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n`],
    ['chunks beside a length', `${ok}transfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n1\r\na\r\n0\r\n\r\n`],
    ['another transfer coding', `${ok}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
    ['chunked twice', `${ok}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['an upgrade', 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n'],
    ['an interim response with a length', 'HTTP/1.1 100 Continue\r\ncontent-length: 4\r\n\r\nabcd'],
    ['a chunk size that is no number', `${ok}transfer-encoding: chunked\r\n\r\nx\r\na\r\n0\r\n\r\n`],
    ['a chunk size with a prefix', `${ok}transfer-encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n`],
    ['a chunk size beyond 12 digits', `${ok}transfer-encoding: chunked\r\n\r\n1000000000000\r\na\r\n`],
    ['a chunk that is longer than it says', `${ok}transfer-encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n`],
    ['a chunk without its line end', `${ok}transfer-encoding: chunked\r\n\r\n1\r\na0\r\n\r\n`],
    ['a chunk line with a bare line feed', `${ok}transfer-encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n`],
    ['a head without end', `${ok}${'x: y\r\n'.repeat(8000)}`],
    ['a line without end', `${ok}x: ${'y'.repeat(40_000)}`],
  ];
  for (const [what, text] of refused) {
    it(`with ${what} are no responses`, () => {
      const whole = read([text]);
      assert.deepEqual([whole.holds, whole.complete], [false, false]);
      assert.equal(read(text.split('')).complete, false);
    });
  }

  it('are read the same however the bytes are cut', () => {
    const name = fc.stringMatching(/^x-[a-z]{1,8}$/);
    const value = fc.stringMatching(/^[ -~]{0,20}$/).map((text) => text.trim());
    const response = fc.record({
      status: fc.constantFrom(200, 201, 400, 404, 500),
      fields: fc.array(fc.tuple(name, value), { maxLength: 5 }),
      chunks: fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 5 }),
      framing: fc.constantFrom('length', 'chunked', 'close'),
      cuts: fc.array(fc.nat(400), { maxLength: 8 }),
    });
    fc.assert(
      fc.property(response, ({ status, fields, chunks, framing, cuts }) => {
        const body = Buffer.concat(chunks);
        const lines = fields.map(([key, text]) => `${key}: ${text}\r\n`).join('');
        const length = framing === 'length' ? `content-length: ${body.length}\r\n` : '';
        const coding = framing === 'chunked' ? 'transfer-encoding: chunked\r\n' : '';
        const head = Buffer.from(`HTTP/1.1 ${status} Some words\r\n${lines}${length}${coding}\r\n`);
        const chunked = chunks.flatMap((chunk) => [
          Buffer.from(`${chunk.length.toString(16)}\r\n`),
          Buffer.from(chunk),
          Buffer.from('\r\n'),
        ]);
        const payload = framing === 'chunked' ? Buffer.concat([...chunked, Buffer.from('0\r\n\r\n')]) : body;
        const all = Buffer.concat([head, payload]);
        const places = [...new Set([0, ...cuts.map((cut) => cut % all.length), all.length])].sort((a, b) => a - b);
        const pieces = places.slice(1).map((end, index) => all.subarray(places[index], end));
        const result = read(pieces, framing === 'close');
        assert.equal(result.status, status);
        assert.equal(result.body, body.toString('latin1'));
        assert.equal(result.complete, true);
        assert.equal(result.keepAlive, framing !== 'close');
      }),
      { numRuns: 500 },
    );
  });

  it('never take damage for a longer response, and never throw', () => {
    const text = `${ok}content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n`;
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(text.length - 1), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 3 }),
        (changes) => {
          const bytes = Buffer.from(text);
          for (const [at, byte] of changes) bytes[at] = byte;
          const whole = read([bytes], true);
          assert.ok(whole.body.length <= text.length);
        },
      ),
      { numRuns: 2000 },
    );
  });
});
