/** Reading in turns: nothing is lost, nothing is reordered, and no source reads more than its share in one go. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SseParser } from '../../../../src/protocol/sse-parser.js';
import { BufferBudget } from '../../../../src/shared/buffer-budget.js';
import { LineSplitter } from '../../../../src/upstream/channel/lines.js';
import { PacedInput, ReadShare, ReadTurns } from '../../../../src/upstream/core/limits/read-turns.js';
import { ResponseParser } from '../../../../src/upstream/http/wire/response-parser.js';
import { ErrorLines } from '../../../../src/upstream/stdio/stderr.js';

const SEED = 20_261_128;
const MESSAGE = 1_024;

/** Cuts bytes at the given places. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at]
    .map((start, index) => bytes.subarray(start, at[index] ?? bytes.length))
    .filter(({ length }) => length > 0);
}

const evicted = (): void => assert.fail();

type Feed = (chunk: Buffer) => number;
type Kind = 'lines' | 'events' | 'errors';

/** A reader of one kind that stops when the share is spent. */
function readerOf(kind: Kind, share: ReadShare, read: (text: string) => void): Feed {
  if (kind === 'lines') {
    const listener = {
      line: (bytes: Buffer) => read(bytes.toString()),
      lineSkipped: () => assert.fail(),
      lineEndless: () => assert.fail(),
    };
    const splitter = new LineSplitter(100_000, new BufferBudget(), listener, share);
    return (chunk) => splitter.feed(chunk);
  }
  if (kind === 'errors') {
    const errors = new ErrorLines({ errorLine: (line) => read(line.toString()) }, share);
    return (chunk) => errors.feed(chunk);
  }
  const event = (data: Uint8Array, length: number): void => read(Buffer.from(data.subarray(0, length)).toString());
  const parser = new SseParser({ event }, { maxEventBytes: 100_000, budget: new BufferBudget(), share, evicted });
  return (chunk) => {
    assert.ok(parser.feed(chunk));
    return parser.consumed;
  };
}

const frames: Record<Kind, (text: string) => string> = {
  lines: (text) => `${text}\n`,
  errors: (text) => `${text}\n`,
  events: (text) => `: a comment\r\nevent: message\r\ndata: ${text}\r\n\r\n`,
};

/** Pushes chunks while the source is not paused, as a socket does, and gives what was read and the most in one turn. */
async function push(kind: Kind, chunks: readonly Buffer[], budget: number, ahead: number) {
  const turns = new ReadTurns({ current: { limits: { readBudgetBytes: budget } } });
  const read: string[] = [];
  let inTurn = 0;
  let most = 0;
  let paused = false;
  const input: PacedInput<Buffer> = new PacedInput<Buffer>(turns, {
    pauseSource: () => {
      paused = true;
    },
    resumeSource: () => {
      paused = false;
    },
    readItem: (chunk) => {
      inTurn = 0;
      const taken = feed(chunk);
      input.share.bytes(taken);
      return taken < chunk.length ? chunk.subarray(taken) : null;
    },
  });
  const feed = readerOf(kind, input.share, (text) => {
    inTurn += 1;
    most = Math.max(most, inTurn);
    read.push(text);
  });
  let next = 0;
  let surplus = ahead;
  while (next < chunks.length) {
    // Layers below may hand on a little more after they were paused.
    if (paused && surplus === 0) {
      await new Promise((resolve) => setImmediate(resolve));
      continue;
    }
    surplus = paused ? surplus - 1 : ahead;
    input.add(chunks[next]!);
    next += 1;
  }
  let before = -1;
  await new Promise<void>((resolve) => {
    input.end(() => {
      before = read.length;
      resolve();
    });
  });
  return { read, most, before };
}

for (const kind of ['lines', 'events', 'errors'] as const) {
  test(`${kind} come whole and in order however they are cut and paced, and the end comes last`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.stringMatching(/^[a-z{}":, ]{1,40}$/).filter((text) => text.trim() === text),
          { maxLength: 200 },
        ),
        fc.array(fc.nat(), { maxLength: 30 }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 0, max: 3 }),
        async (texts, places, messages, ahead) => {
          const bytes = Buffer.from(texts.map(frames[kind]).join(''));
          const budget = messages * MESSAGE;
          const { read, most, before } = await push(kind, cut(bytes, places), budget, ahead);
          assert.deepEqual(read, texts);
          assert.equal(before, texts.length);
          assert.ok(most <= messages, `${most} of ${messages} in one go`);
        },
      ),
      { seed: SEED, numRuns: 150 },
    );
  });
}

test('the body of a response stops behind the event that spends the share, in chunks of any size', () => {
  fc.assert(
    fc.property(
      fc.array(fc.stringMatching(/^[a-z]{1,40}$/), { minLength: 1, maxLength: 60 }),
      fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 40 }),
      fc.integer({ min: 1, max: 9 }),
      (texts, sizes, messages) => {
        let left = messages;
        const budget = {
          get spent() {
            return left <= 0;
          },
          message() {
            left -= 1;
            return left > 0;
          },
        };
        const read: string[] = [];
        const event = (data: Uint8Array, length: number): void =>
          void read.push(Buffer.from(data.subarray(0, length)).toString());
        const events = new SseParser(
          { event },
          { maxEventBytes: 10_000, budget: new BufferBudget(), share: budget, evicted },
        );
        let complete = false;
        const listener = {
          head: () => assert.equal(parser.isEventStream, true),
          body: (bytes: Buffer, start: number, end: number) => {
            assert.ok(events.feed(bytes.subarray(start, end)));
            return start + events.consumed;
          },
          complete: () => {
            complete = true;
          },
        };
        const parser: ResponseParser = new ResponseParser(listener, budget);
        parser.expect();
        let rest: Buffer = Buffer.from(response(texts.map(frames.events).join(''), sizes));
        while (rest.length > 0) {
          left = messages;
          const before = read.length;
          assert.ok(parser.feed(rest, 0, rest.length));
          assert.ok(read.length - before <= messages);
          rest = parser.rest ?? Buffer.alloc(0);
        }
        assert.deepEqual(read, texts);
        assert.equal(complete, true);
      },
    ),
    { seed: SEED },
  );
});

/** A chunked response with a body that is cut into chunks of these sizes, over and over. */
function response(body: string, sizes: readonly number[]): string {
  let text = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n';
  for (let at = 0, index = 0; at < body.length; index += 1) {
    const part = body.slice(at, at + sizes[index % sizes.length]!);
    text += `${part.length.toString(16)}\r\n${part}\r\n`;
    at += part.length;
  }
  return `${text}0\r\n\r\n`;
}

test('with many sources that have more to read, a few go on in each turn, each in its order', async () => {
  const turns = new ReadTurns({ current: { limits: { readBudgetBytes: 4_096 } } });
  const order: number[] = [];
  let turn = 0;
  let most = 0;
  let now = 0;
  const count = (): void => {
    turn += 1;
    now = 0;
    if (order.length < 60) setImmediate(count);
  };
  setImmediate(count);
  await new Promise<void>((resolve) => {
    for (let source = 0; source < 20; source += 1) {
      const go = (): void => {
        order.push(source);
        now += 1;
        most = Math.max(most, now);
        if (order.length === 60) resolve();
        else if (order.length < 60) turns.wait(go);
      };
      turns.wait(go);
    }
  });
  assert.deepEqual(
    order,
    Array.from({ length: 60 }, (_, index) => index % 20),
  );
  assert.ok(most <= 4, `${most} sources in one turn`);
  assert.ok(turn >= 14);
});

test('a source on hold keeps what it has until it is released, and is read no further', async () => {
  const turns = new ReadTurns({ current: { limits: { readBudgetBytes: 2 * MESSAGE } } });
  const read: string[] = [];
  let paused = false;
  const input: PacedInput<string> = new PacedInput<string>(turns, {
    pauseSource: () => {
      paused = true;
    },
    resumeSource: () => {
      paused = false;
    },
    readItem: (item) => {
      read.push(item);
      input.share.message();
      if (item === 'c') input.hold();
      return null;
    },
  });
  const nextTurns = async (): Promise<void> => {
    for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  for (const item of ['a', 'b', 'c', 'd', 'e']) input.add(item);
  assert.deepEqual(read, ['a', 'b'], 'the share is spent');
  await nextTurns();
  assert.deepEqual(read, ['a', 'b', 'c'], 'the owner held it');
  assert.equal(paused, true);
  input.release();
  await nextTurns();
  assert.deepEqual(read, ['a', 'b', 'c', 'd', 'e']);
  assert.equal(paused, false);
});

test('what is cleared is not read, and the input can serve another source', async () => {
  const turns = new ReadTurns({ current: { limits: { readBudgetBytes: MESSAGE } } });
  const read: string[] = [];
  const input: PacedInput<string> = new PacedInput<string>(turns, {
    pauseSource: () => {},
    resumeSource: () => {},
    readItem: (item) => {
      read.push(item);
      input.share.message();
      if (item === 'last') input.clear();
      return null;
    },
  });
  for (const item of ['a', 'b', 'last', 'never']) input.add(item);
  let ended = false;
  input.end(() => {
    ended = true;
  });
  for (let turn = 0; turn < 8; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(read, ['a', 'b', 'last']);
  assert.equal(ended, false, 'the end belongs to what was cleared');
  input.add('of another source');
  assert.deepEqual(read.at(-1), 'of another source');
});

test('a stream that is pulled waits for its turn as well', async () => {
  const share = new ReadShare(new ReadTurns({ current: { limits: { readBudgetBytes: 3 * MESSAGE } } }));
  const read: string[] = [];
  const feed = readerOf('lines', share, (text) => read.push(text));
  let turns = 0;
  const count = (): void => {
    turns += 1;
    if (read.length < 30) setImmediate(count);
  };
  setImmediate(count);
  await share.read(Buffer.from('x\n'.repeat(30)), feed);
  assert.equal(read.length, 30);
  assert.ok(turns >= 9, `${turns} turns`);
});
