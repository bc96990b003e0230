/** The stdio transport and its lines, on real streams; with a handler instead of the stages. */
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { ErrorCode } from '../../../../src/errors.js';
import { MessageLines } from '../../../../src/request/accept/connection/message-lines.js';
import { type StdioConnection, serveStdio } from '../../../../src/request/accept/connection/stdio.js';
import { type Exchange, Framing } from '../../../../src/request/exchange/index.js';
import { ExchangeTable } from '../../../../src/request/exchange/table.js';
import { BufferBudget } from '../../../../src/shared/buffer-budget.js';
import { eventually } from '../../../support/process.js';
import { handlerFixture, TEST_LIMITS } from '../fixture.js';

interface StdioFixture {
  readonly input: PassThrough;
  readonly output: PassThrough;
  readonly connection: StdioConnection;
  readonly table: ExchangeTable;
  readonly refused: ErrorCode[];
  readonly aborted: Exchange[];
  readonly drained: Exchange[];
}

function openStdio(
  request: (exchange: Exchange, body: Buffer, table: ExchangeTable) => void,
  limits: object = {},
  highWaterMark = 16_384,
): StdioFixture {
  const table = new ExchangeTable(16);
  const refused: ErrorCode[] = [];
  const aborted: Exchange[] = [];
  const drained: Exchange[] = [];
  const handler = handlerFixture(table, {
    request: (exchange, bytes, length) => request(exchange, Buffer.from(bytes.subarray(0, length)), table),
    refuse: (exchange, code) => {
      refused.push(code);
      answer(exchange, JSON.stringify({ code }), table);
    },
    drained: (exchange) => drained.push(exchange),
    aborted: (exchange) => {
      aborted.push(exchange);
      table.release(exchange);
    },
  });
  const input = new PassThrough();
  const output = new PassThrough({ highWaterMark });
  const connection = serveStdio({
    input,
    output,
    handler,
    table,
    limits: { ...TEST_LIMITS, ...limits },
    token: 'mine',
  });
  return { input, output, connection, table, refused, aborted, drained };
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
  it('do not depend on how the bytes are split', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: fc.constantFrom('a', '{', ' ', '\r', 'ü'), maxLength: 30 }), { maxLength: 20 }),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 }),
        (texts, sizes) => {
          const limit = 25;
          const found: (string | null)[] = [];
          const lines = new MessageLines(limit, {
            line: (bytes, start, end) => found.push(Buffer.from(bytes.subarray(start, end)).toString()),
            skipped: () => found.push(null),
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
      skipped: () => assert.fail(),
    });
    lines.feed(Buffer.from('{}'));
    lines.end();
    lines.end();
    assert.deepEqual(found, ['{}']);
  });
});

describe('a line that is skipped', () => {
  const skipped = (budget?: BufferBudget, maxLineBytes = 200) => {
    const found: string[] = [];
    const lines = new MessageLines(
      maxLineBytes,
      {
        line: (bytes, start, end) => found.push(Buffer.from(bytes.subarray(start, end)).toString()),
        skipped: (code, id) => found.push(`${code} ${Buffer.from(id).toString()}`),
      },
      budget,
    );
    return { found, lines };
  };
  const text = 'x'.repeat(500);

  it('is reported once with the id of its request, wherever that stands and however it arrives', () => {
    for (const [line, id] of [
      [`{"id":1,"method":"m","params":{"x":"${text}","id":7}}`, '1'],
      [`{"method":"m","params":{"x":"${text}","id":7},"id":"z"}`, '"z"'],
      [`{"id":1,"result":{"x":"${text}"}}`, ''],
      [`{"method":"m","params":{"x":"${text}"}}`, ''],
      [text, ''],
    ] as const) {
      for (const size of [1, 7, 199, 200, 201, 10_000]) {
        const { found, lines } = skipped();
        const bytes = Buffer.from(`${line}\n{}\n`);
        for (let at = 0; at < bytes.length; at += size) lines.feed(bytes.subarray(at, at + size));
        assert.deepEqual(found, [`GW_BODY_TOO_LARGE ${id}`, '{}'], `${line.slice(0, 20)} by ${size}`);
      }
    }
  });

  it('is reported without its end once the id is known, and at the end of the input otherwise', () => {
    const known = skipped();
    known.lines.feed(Buffer.from(`{"id":1,"method":"m","params":["${text}`));
    assert.deepEqual(known.found, ['GW_BODY_TOO_LARGE 1']);
    const unknown = skipped();
    unknown.lines.feed(Buffer.from(`{"params":["${text}`));
    assert.deepEqual(unknown.found, []);
    unknown.lines.end();
    assert.deepEqual(unknown.found, ['GW_BODY_TOO_LARGE ']);
  });

  it('of which the budget takes back the bytes has an id too', async () => {
    const { found, lines } = skipped(new BufferBudget({ max: () => 20_000, reached: () => {} }), 100_000);
    const piece = Buffer.from('1,'.repeat(15_000));
    lines.feed(Buffer.from('{"method":"m","params":['));
    lines.feed(piece);
    await new Promise((resolve) => setImmediate(resolve));
    lines.feed(Buffer.from('1],"id":9}\n'));
    lines.feed(Buffer.from('{"id":1,"method":"m","params":['));
    lines.feed(piece);
    await eventually('the id came before', () => found.length === 2);
    lines.feed(Buffer.from('1]}\n{}\n'));
    assert.deepEqual(found, ['GW_BUFFERS_FULL 9', 'GW_BUFFERS_FULL 1', '{}']);
  });
});

describe('the stdio transport', () => {
  it('answers each line with one line', async () => {
    const seen: [string, boolean, number][] = [];
    const { input, output, connection, table } = openStdio((exchange, body, all) => {
      seen.push([exchange.client.caller.token, exchange.client.headerless, exchange.client.framing]);
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
    await connection.ended;
  });

  it('waits for the answers to what was asked before the end of the input', async () => {
    const held: Exchange[] = [];
    const { input, output, connection, table } = openStdio((exchange) => held.push(exchange));
    const lines = linesOf(output);
    input.end('{"a":1}\n{"b":2}');
    await eventually('both are there', () => held.length === 2);
    let isOver = false;
    void connection.ended.then(() => {
      isOver = true;
    });
    answer(held[0]!, '{}', table);
    await eventually('the first', () => lines.length === 1);
    assert.equal(isOver, false);
    answer(held[1]!, '{}', table);
    await connection.ended;
    assert.equal(lines.length, 2);
  });

  it('does not wait longer than the drain time', async () => {
    const { input, connection, aborted, table } = openStdio(() => {}, { drainMs: 20 });
    input.end('{"a":1}\n');
    await connection.ended;
    assert.equal(aborted.length, 1);
    assert.equal(table.inUse, 0);
  });

  it('skips a line that is too long, and continues', async () => {
    const { input, output, refused, connection } = openStdio(
      (exchange, body, all) => answer(exchange, String(body), all),
      {
        maxBodyBytes: 100,
      },
    );
    const lines = linesOf(output);
    input.write(`"${'x'.repeat(500)}`);
    input.write(`${'x'.repeat(500)}"\n"next"\n`);
    await eventually('the next', () => lines.at(-1) === '"next"');
    assert.deepEqual(refused, ['GW_BODY_TOO_LARGE']);
    connection.close();
    await connection.ended;
  });

  it('reads no more than a slow client accepts in answers, and loses nothing', async () => {
    const text = `"${'x'.repeat(1000)}"`;
    const { input, output, table } = openStdio((exchange, body, all) => answer(exchange, `[${body},${text}]`, all), {
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

  it('ends when its output fails, and aborts what is in flight', async () => {
    const held: Exchange[] = [];
    const { input, output, connection, aborted } = openStdio((exchange) => held.push(exchange));
    input.write('{"a":1}\n');
    await eventually('it is there', () => held.length === 1);
    output.destroy(new Error('broken pipe'));
    await connection.ended;
    assert.equal(aborted.length, 1);
  });

  it('stops a stage that writes too much, and resumes it when the queue is empty', async () => {
    const held: Exchange[] = [];
    // The stream itself has much more room, and would never report backpressure.
    const { input, output, drained } = openStdio(
      (exchange) => held.push(exchange),
      { maxClientBufferBytes: 1000 },
      1e6,
    );
    input.write('{"a":1}\n');
    await eventually('it is there', () => held.length === 1);
    const message = Buffer.from(`"${'y'.repeat(20_000)}"`);
    assert.equal(held[0]!.client.reply!.write(message, 0, 500), true, 'below the limit');
    assert.equal(held[0]!.client.reply!.write(message, 0, message.length), false);
    const lines = linesOf(output);
    await eventually('it is resumed', () => drained.length === 1);
    assert.equal(lines.length, 2);
  });
});
