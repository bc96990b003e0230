/** The stdio door and its lines, on real streams; with a handler that stands for the stages. */
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { ErrorCode } from '../../../../src/errors.js';
import { MessageLines } from '../../../../src/request/accept/connection/message-lines.js';
import { type StdioDoor, serveStdio } from '../../../../src/request/accept/connection/stdio.js';
import type { FrontHandler } from '../../../../src/request/accept/http/handler.js';
import { type Exchange, Framing } from '../../../../src/request/exchange/index.js';
import { ExchangeTable } from '../../../../src/request/exchange/table.js';
import { eventually } from '../../../support/process.js';
import { TEST_LIMITS } from '../fixture.js';

interface Bench {
  readonly input: PassThrough;
  readonly output: PassThrough;
  readonly door: StdioDoor;
  readonly table: ExchangeTable;
  readonly refused: ErrorCode[];
  readonly aborted: Exchange[];
  readonly drained: Exchange[];
}

function bench(
  request: (exchange: Exchange, body: Buffer, table: ExchangeTable) => void,
  limits: object = {},
  highWaterMark = 16_384,
): Bench {
  const table = new ExchangeTable(16);
  const refused: ErrorCode[] = [];
  const aborted: Exchange[] = [];
  const drained: Exchange[] = [];
  const handler: FrontHandler = {
    request: (exchange, bytes, length) => request(exchange, Buffer.from(bytes.subarray(0, length)), table),
    stream: (exchange) => table.release(exchange),
    terminate: (exchange) => table.release(exchange),
    refuse: (exchange, code) => {
      refused.push(code);
      answer(exchange, JSON.stringify({ code }), table);
    },
    connected: () => {},
    disconnected: () => {},
    ended: () => {},
    tooManyFrames: () => {},
    drained: (exchange) => drained.push(exchange),
    aborted: (exchange) => {
      aborted.push(exchange);
      table.release(exchange);
    },
    plain: () => null,
  };
  const input = new PassThrough();
  const output = new PassThrough({ highWaterMark });
  const door = serveStdio({ input, output, handler, table, limits: { ...TEST_LIMITS, ...limits }, token: 'mine' });
  return { input, output, door, table, refused, aborted, drained };
}

function answer(exchange: Exchange, text: string, table: ExchangeTable): void {
  const body = Buffer.from(text);
  exchange.client.reply!.send(200, [], body, 0, body.length);
  table.release(exchange);
}

const linesOf = (output: PassThrough): string[] => {
  const lines: string[] = [];
  let rest = '';
  output.on('data', (chunk) => {
    const parts = `${rest}${chunk}`.split('\n');
    rest = parts.pop()!;
    lines.push(...parts);
  });
  return lines;
};

describe('lines of a client', () => {
  it('are the same however the bytes come', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: fc.constantFrom('a', '{', ' ', '\r', 'ü'), maxLength: 30 }), { maxLength: 20 }),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 }),
        (texts, sizes) => {
          const limit = 25;
          const found: (string | null)[] = [];
          const lines = new MessageLines(limit, {
            line: (bytes, start, end) => found.push(Buffer.from(bytes.subarray(start, end)).toString()),
            tooLong: () => found.push(null),
            crowdedOut: () => assert.fail(),
          });
          const bytes = Buffer.from(texts.map((text) => `${text}\n`).join(''));
          for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
            const size = sizes[turn % sizes.length]!;
            lines.feed(bytes.subarray(at, at + size));
            at += size;
          }
          const expected = texts
            .map((text) => (Buffer.byteLength(text) > limit ? null : text))
            .filter((text) => text === null || /[^ \r]/.test(text));
          assert.deepEqual(found, expected);
        },
      ),
    );
  });

  it('need no end when the input ends', () => {
    const found: string[] = [];
    const lines = new MessageLines(10, {
      line: (bytes, start, end) => found.push(Buffer.from(bytes.subarray(start, end)).toString()),
      tooLong: () => assert.fail(),
      crowdedOut: () => assert.fail(),
    });
    lines.feed(Buffer.from('{}'));
    lines.end();
    lines.end();
    assert.deepEqual(found, ['{}']);
  });
});

describe('the stdio door', () => {
  it('answers each line with one line', async () => {
    const seen: [string, boolean, number][] = [];
    const { input, output, door, table } = bench((exchange, body, all) => {
      seen.push([exchange.client.token, exchange.client.headerless, exchange.client.framing]);
      answer(exchange, `{"of":\n\r ${body}}`, all);
    });
    const lines = linesOf(output);
    input.write('{"a":1}\r\n\n{"b"');
    input.write(':2}\n');
    await eventually('both', () => lines.length === 2);
    assert.deepEqual(lines, ['{"of":   {"a":1} }', '{"of":   {"b":2}}']);
    assert.deepEqual(seen[0], ['mine', true, Framing.message]);
    assert.equal(table.inUse, 0);
    input.end();
    await door.ended;
  });

  it('waits for the answers to what was asked before the end of the input', async () => {
    const held: Exchange[] = [];
    const { input, output, door, table } = bench((exchange) => held.push(exchange));
    const lines = linesOf(output);
    input.end('{"a":1}\n{"b":2}');
    await eventually('both are there', () => held.length === 2);
    let isOver = false;
    void door.ended.then(() => {
      isOver = true;
    });
    answer(held[0]!, '{}', table);
    await eventually('the first', () => lines.length === 1);
    assert.equal(isOver, false);
    answer(held[1]!, '{}', table);
    await door.ended;
    assert.equal(lines.length, 2);
  });

  it('does not wait longer than the drain time', async () => {
    const { input, door, aborted, table } = bench(() => {}, { drainMs: 20 });
    input.end('{"a":1}\n');
    await door.ended;
    assert.equal(aborted.length, 1);
    assert.equal(table.inUse, 0);
  });

  it('leaves out a line that is too long, and goes on', async () => {
    const { input, output, refused, door } = bench((exchange, body, all) => answer(exchange, String(body), all), {
      maxBodyBytes: 100,
    });
    const lines = linesOf(output);
    input.write(`"${'x'.repeat(500)}`);
    input.write(`${'x'.repeat(500)}"\n"next"\n`);
    await eventually('the next', () => lines.at(-1) === '"next"');
    assert.deepEqual(refused, ['GW_BODY_TOO_LARGE']);
    door.close();
    await door.ended;
  });

  it('takes no more than a slow client takes back, and loses nothing', async () => {
    const text = `"${'x'.repeat(1000)}"`;
    const { input, output, table } = bench((exchange, body, all) => answer(exchange, `[${body},${text}]`, all), {
      maxClientBufferBytes: 10_000,
    });
    const count = 500;
    for (let index = 0; index < count; index += 1) input.write(`${index}\n`);
    await eventually('it stopped to read', () => input.isPaused());
    assert.ok(output.writableLength < 100_000, String(output.writableLength));
    const lines = linesOf(output);
    await eventually('all', () => lines.length === count);
    assert.deepEqual(
      lines.map((line) => JSON.parse(line)[0]),
      lines.map((_, index) => index),
    );
    assert.equal(table.inUse, 0);
  });

  it('ends when its output breaks, and tells what is in flight', async () => {
    const held: Exchange[] = [];
    const { input, output, door, aborted } = bench((exchange) => held.push(exchange));
    input.write('{"a":1}\n');
    await eventually('it is there', () => held.length === 1);
    output.destroy(new Error('broken pipe'));
    await door.ended;
    assert.equal(aborted.length, 1);
  });

  it('stops a stage that writes too much, and tells it when there is room', async () => {
    const held: Exchange[] = [];
    // The stream itself has much more room, and would never ask anybody to wait.
    const { input, output, drained } = bench((exchange) => held.push(exchange), { maxClientBufferBytes: 1000 }, 1e6);
    input.write('{"a":1}\n');
    await eventually('it is there', () => held.length === 1);
    const message = Buffer.from(`"${'y'.repeat(20_000)}"`);
    assert.equal(held[0]!.client.reply!.write(message, 0, 500), true, 'below the limit');
    assert.equal(held[0]!.client.reply!.write(message, 0, message.length), false);
    const lines = linesOf(output);
    await eventually('it is told', () => drained.length === 1);
    assert.equal(lines.length, 2);
  });
});
