import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createParser } from 'eventsource-parser';
import fc from 'fast-check';
import { type SseListener, SseParser, type SseParserOptions } from '../../src/protocol/sse-parser.js';
import { BufferBudget } from '../../src/shared/buffer-budget.js';

interface Seen {
  events: { type: string; data: string }[];
  lastEventId: string;
  retryMs: number;
  fits: boolean;
}

function parserOf(listener: SseListener, maxEventBytes: number, parts?: SseParserOptions['parts']): SseParser {
  const options = { maxEventBytes, budget: new BufferBudget(), evicted: () => assert.fail() };
  return new SseParser(listener, parts === undefined ? options : { ...options, parts });
}

function parse(chunks: readonly Uint8Array[], maxEventBytes = 1_000_000): Seen {
  const events: Seen['events'] = [];
  const listener: SseListener = {
    event: (data, length, type) => {
      events.push({ type, data: Buffer.from(data.subarray(0, length)).toString('utf8') });
    },
  };
  const parser = parserOf(listener, maxEventBytes);
  let fits = true;
  for (const chunk of chunks) {
    // The parser may not rely on a chunk after the call.
    const own = Uint8Array.from(chunk);
    fits &&= parser.feed(own);
    own.fill(0x58);
  }
  return { events, lastEventId: parser.lastEventId, retryMs: parser.retryMs, fits };
}

const text = (value: string): Uint8Array => Buffer.from(value, 'utf8');
const parseText = (value: string): Seen => parse([text(value)]);

/** Cuts bytes at the given places. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const sorted = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  const chunks: Uint8Array[] = [];
  let from = 0;
  for (const place of [...sorted, bytes.length]) {
    chunks.push(bytes.subarray(from, place));
    from = place;
  }
  return chunks;
}

test('an event ends at a blank line, with any line end', () => {
  for (const end of ['\n', '\r', '\r\n']) {
    assert.deepEqual(parseText(`event: message${end}data: {"a":1}${end}${end}`).events, [
      { type: 'message', data: '{"a":1}' },
    ]);
  }
});

test('line ends may be mixed, and CRLF may be cut in two', () => {
  assert.deepEqual(parse([text('data: 1\r'), text('\n\r'), text('\ndata: 2\n\r\n')]).events, [
    { type: '', data: '1' },
    { type: '', data: '2' },
  ]);
});

test('data lines are joined with a line feed, and one leading space is cut', () => {
  assert.deepEqual(parseText('data:  a\ndata:b\ndata\ndata: c\n\n').events, [{ type: '', data: ' a\nb\n\nc' }]);
});

test('comments, unknown fields and events without data deliver nothing', () => {
  assert.deepEqual(parseText(': ping\n\nevent: x\n\nfoo: bar\n\ndatabase: 1\n\n').events, []);
});

test('the type of an event without data does not stick to the next one', () => {
  assert.deepEqual(parseText('event: x\n\ndata: 1\n\n').events, [{ type: '', data: '1' }]);
});

test('an event that is not closed is never delivered', () => {
  assert.deepEqual(parseText('data: 1\n\ndata: {"half":').events, [{ type: '', data: '1' }]);
  assert.deepEqual(parseText('data: 1\n').events, []);
});

test('id and retry are remembered; a bad retry and an id with NUL are not', () => {
  const seen = parseText('id: 7\nretry: 250\ndata: x\n\nid: a\0b\nretry: 1s\nretry: -1\ndata: y\n\n');
  assert.equal(seen.lastEventId, '7');
  assert.equal(seen.retryMs, 250);
  assert.equal(seen.events.length, 2);
});

test('a byte order mark at the start is skipped, also when it is cut', () => {
  const bytes = Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), text('data: 1\n\n')]);
  for (let place = 0; place <= 4; place += 1) {
    assert.deepEqual(parse(cut(bytes, [place])).events, [{ type: '', data: '1' }]);
  }
});

test('bytes that only begin like a byte order mark are part of the first line', () => {
  const bytes = Buffer.concat([Buffer.from([0xef, 0xbb]), text('data: 1\n\ndata: 2\n\n')]);
  assert.deepEqual(parse(cut(bytes, [1])).events, [{ type: '', data: '2' }]);
});

test('a character cut in the middle arrives whole', () => {
  const bytes = text('data: grüße 🚀\n\n');
  for (let place = 1; place < bytes.length; place += 1) {
    assert.deepEqual(parse(cut(bytes, [place])).events, [{ type: '', data: 'grüße 🚀' }]);
  }
});

test('a line or an event over the limit is refused, whole or in pieces', () => {
  const long = text(`data: ${'x'.repeat(200)}\n\n`);
  assert.equal(parse([long], 100).fits, false);
  assert.equal(parse(cut(long, [50, 90, 120]), 100).fits, false);
  assert.equal(parse([text('data: 1234567890\n'.repeat(20))], 100).fits, false);
  assert.equal(parse([text('x'.repeat(200))], 100).fits, false);
  assert.equal(parse([text('data: 1234567890\n\n'.repeat(20))], 100).fits, true);
});

test('only data may be long: comments, names and unknown fields are bounded, and nothing of them is kept', () => {
  for (const opening of [': ', 'event: ', 'id: ', 'retry: ', 'x: ', 'x', 'dat', 'data\u0001']) {
    const long = text(`${opening}${'x'.repeat(70_000)}`);
    assert.equal(parse([long]).fits, false, opening);
    assert.equal(parse([long, text('\n\n')]).fits, false, opening);
    assert.equal(parse([Buffer.concat([long, text('\n\n')])]).fits, false, opening);
    assert.equal(parse(cut(long, [1, 3, 5, 6, 7, 30_000, 60_000])).fits, false, opening);
  }
  const data = text(`data: ${'x'.repeat(70_000)}\n\n`);
  for (const places of [[], [4], [5], [6], [7], [5, 6, 7, 40_000]]) {
    assert.equal(parse(cut(data, places)).events[0]?.data.length, 70_000);
  }
});

test('property: what a stream holds is given back with its event, its reset and its end', () => {
  fc.assert(
    fc.property(
      stream,
      fc.array(fc.nat(600), { maxLength: 12 }),
      fc.integer({ min: 1, max: 40 }),
      (source, places, size) => {
        const budget = new BufferBudget();
        const parser = new SseParser(
          { event: () => {} },
          { maxEventBytes: size, budget, evicted: () => assert.fail() },
        );
        let fits = true;
        for (const chunk of cut(text(source), places)) fits &&= parser.feed(chunk);
        // Both lines may be too much for it.
        if (fits && parser.feed(text('\n\n'))) {
          assert.equal(budget.counts.bytes, 0);
          parser.feed(text('data: half of it'));
        }
        parser.discard();
        assert.equal(budget.counts.bytes, 0);
      },
    ),
    { numRuns: 1_000 },
  );
});

test('reset discards the stream before', () => {
  const events: string[] = [];
  const listener: SseListener = {
    event: (data, length) => events.push(Buffer.from(data.subarray(0, length)).toString()),
  };
  const parser = parserOf(listener, 1_000);
  parser.feed(text('id: 1\ndata: lost'));
  parser.reset();
  assert.equal(parser.lastEventId, '');
  parser.feed(text('data: kept\n\n'));
  assert.deepEqual(events, ['kept']);
});

const lineEnd = fc.constantFrom('\n', '\r', '\r\n');
const value = fc.oneof(
  fc.constantFrom('', 'message', '{"jsonrpc":"2.0"}', '12', 'é', '🚀', ' x', ':'),
  fc.string({ unit: 'grapheme', maxLength: 12 }).map((any) => any.replace(/[\r\n\0]/g, '_')),
);
const line = fc.oneof(
  { weight: 4, arbitrary: value.map((any) => `data: ${any}`) },
  { weight: 1, arbitrary: value.map((any) => `data:${any}`) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('data', ': comment', ':', 'event: message', 'event: other', 'id: 5', 'retry: 10'),
  },
  { weight: 1, arbitrary: value.map((any) => `event:${any}`) },
  { weight: 3, arbitrary: fc.constant('') },
);
const stream = fc.array(fc.tuple(line, lineEnd), { maxLength: 30 }).map((lines) => lines.flat().join(''));

test('property: it agrees with eventsource-parser however the stream is cut', () => {
  fc.assert(
    fc.property(stream, fc.array(fc.nat(600), { maxLength: 12 }), (source, places) => {
      // The library keeps a CR at the very end back; a comment line settles it without adding anything.
      const whole = source.endsWith('\r') ? `${source}\n` : source;
      const expected: Seen['events'] = [];
      const reference = createParser({
        onEvent: (event) => expected.push({ type: event.event ?? '', data: event.data }),
      });
      reference.feed(whole);
      assert.deepEqual(parse(cut(text(whole), places)).events, expected);
    }),
    { numRuns: 2_000 },
  );
});

test('property: cutting changes nothing, whatever the bytes', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.uint8Array({ maxLength: 200 }), stream.map(text)),
      fc.array(fc.nat(600), { maxLength: 12 }),
      (bytes, places) => {
        assert.deepEqual(parse(cut(bytes, places)), parse([bytes]));
      },
    ),
    { numRuns: 2_000 },
  );
});

test('the id counts once its event is complete, also without data', () => {
  const parser = parserOf({ event: () => {} }, 1_000);
  parser.feed(text('id: 1\n\nid: 2\ndata: half'));
  assert.equal(parser.lastEventId, '1');
  parser.feed(text('\n\n'));
  assert.equal(parser.lastEventId, '2');
});

/** Like {@link parse}, with the data of large events joined from its parts, if they are accepted. */
function parseParts(chunks: readonly Uint8Array[], heldBytes: number, takes: (type: string) => boolean) {
  const events: Seen['events'] = [];
  let open: { type: string; data: Buffer[] } | null = null;
  let parts = 0;
  const listener = {
    event: (data: Uint8Array, length: number, type: string) => {
      assert.equal(open, null);
      events.push({ type, data: Buffer.from(data.subarray(0, length)).toString('utf8') });
    },
    largeStart: (data: Uint8Array, length: number, type: string) => {
      assert.equal(open, null);
      assert.ok(length > heldBytes);
      if (!takes(type)) return false;
      open = { type, data: [Buffer.from(data.subarray(0, length))] };
      parts += 1;
      return true;
    },
    largePart: (bytes: Uint8Array, start: number, end: number) => {
      assert.ok(end > start);
      open!.data.push(Buffer.from(bytes.subarray(start, end)));
    },
    largeEnd: (complete: boolean) => {
      const { type, data } = open!;
      open = null;
      events.push({ type: complete ? type : 'broken', data: Buffer.concat(data).toString('utf8') });
    },
  };
  const parser = parserOf(listener, 1_000_000, { listener, heldBytes, maxBytes: 1_000_000 });
  for (const chunk of chunks) {
    const own = Uint8Array.from(chunk);
    assert.equal(parser.feed(own), true);
    own.fill(0x58);
  }
  return { events, parts, lastEventId: parser.lastEventId, retryMs: parser.retryMs };
}

test('a large event that comes in pieces is had in parts, and bounded as a whole', () => {
  const data = 'x'.repeat(100);
  const bytes = text(`id: 7\nevent: message\ndata: ${data}\ndata: ${data}\nretry: 5\n\ndata: small\n\n`);
  const seen = parseParts(cut(bytes, [40, 80, 160]), 16, () => true);
  assert.deepEqual(seen, {
    events: [
      { type: 'message', data: `${data}\n${data}` },
      { type: '', data: 'small' },
    ],
    parts: 1,
    lastEventId: '7',
    retryMs: 5,
  });
  const late = parseParts(cut(text(`data: ${data}\nevent: other\n\n`), [60]), 16, () => true);
  assert.deepEqual(late.events, [{ type: 'broken', data }]);
  const accepts = { event: () => {}, largeStart: () => true, largePart: () => {}, largeEnd: () => {} };
  const parser = parserOf(accepts, 100, { listener: accepts, heldBytes: 16, maxBytes: 1_000 });
  let fits = true;
  for (let round = 0; round < 100 && fits; round += 1) fits = parser.feed(text(round === 0 ? `data: ${data}` : data));
  assert.equal(fits, false);
});

test('property: parts joined are the event, whether or not they are accepted and however the stream is cut', () => {
  fc.assert(
    fc.property(
      stream,
      fc.array(fc.nat(600), { maxLength: 20 }),
      fc.integer({ min: 1, max: 12 }),
      fc.boolean(),
      (source, places, heldBytes, accepts) => {
        const chunks = cut(text(source), places);
        const seen = parseParts(chunks, heldBytes, () => accepts);
        const whole = parse(chunks);
        assert.deepEqual(
          seen.events.map(({ data }) => data),
          whole.events.map(({ data }) => data),
        );
        assert.deepEqual([seen.lastEventId, seen.retryMs], [whole.lastEventId, whole.retryMs]);
        if (!accepts) assert.deepEqual(seen.events, whole.events);
      },
    ),
    { numRuns: 2_000 },
  );
});
