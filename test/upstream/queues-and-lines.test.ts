import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Exchange } from '../../src/request/exchange/index.js';
import { BufferBudget } from '../../src/shared/buffer-budget.js';
import { CallQueue, recycle } from '../../src/upstream/balance/queue.js';
import { LineSplitter } from '../../src/upstream/channel/lines.js';
import { MAX_SKIPPED_BYTES } from '../../src/upstream/channel/skipped-message.js';
import { escaped, LogLimit } from '../../src/upstream/core/limits/log-limit.js';

const NO_BYTES = Buffer.alloc(0);

test('property: a call queue behaves like a bounded list', () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('push' as const), which: fc.nat(7) }),
    fc.record({ do: fc.constant('shift' as const) }),
    fc.record({ do: fc.constant('remove' as const), which: fc.nat(7) }),
  );
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 10 }), fc.array(step, { maxLength: 120 }), (capacity, steps) => {
      const exchanges = Array.from({ length: 8 }, (_, slot) => new Exchange(slot));
      const queue = new CallQueue(capacity);
      const model: Exchange[] = [];
      for (const each of steps) {
        if (each.do === 'push') {
          const exchange = exchanges[each.which]!;
          if (model.includes(exchange)) continue;
          const taken = queue.push(exchange, NO_BYTES, exchange.slot, '', null);
          assert.equal(taken, model.length < capacity);
          if (taken) model.push(exchange);
        } else if (each.do === 'shift') {
          const expected = model.shift() ?? null;
          const cell = queue.shift();
          assert.equal(cell?.exchange ?? null, expected);
          if (cell !== null) {
            assert.equal(cell.method, expected?.slot);
            recycle(cell);
          }
        } else {
          const at = model.indexOf(exchanges[each.which]!);
          assert.equal(queue.remove(exchanges[each.which]!), at >= 0);
          if (at >= 0) model.splice(at, 1);
        }
        assert.equal(queue.size, model.length);
      }
    }),
    { numRuns: 500 },
  );
});

function split(
  chunks: readonly Buffer[],
  maxLineBytes: number,
): { lines: string[]; skipped: number[]; buffered: number } {
  const lines: string[] = [];
  const skipped: number[] = [];
  const budget = new BufferBudget();
  const splitter = new LineSplitter(maxLineBytes, budget, {
    line: (bytes) => lines.push(bytes.toString('latin1')),
    lineSkipped: ({ size }) => skipped.push(size),
    lineEndless: () => assert.fail(),
  });
  for (const chunk of chunks) splitter.feed(chunk);
  return { lines, skipped, buffered: budget.counts.bytes };
}

test('property: lines come out whole however the bytes are cut', () => {
  const byte = fc.oneof(fc.constantFrom(0x0a, 0x0d, 0x61), fc.nat(255));
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 200 }), fc.array(fc.nat(200), { maxLength: 8 }), (bytes, cuts) => {
      const whole = Buffer.from(bytes);
      const places = [0, ...cuts.map((cut) => cut % (whole.length + 1)).sort((a, b) => a - b), whole.length];
      const chunks = places.slice(1).map((end, index) => whole.subarray(places[index]!, end));
      const expected = whole
        .toString('latin1')
        .split('\n')
        .slice(0, -1)
        .map((line) => line.replace(/\r$/, ''))
        .filter((line) => line !== '');
      assert.deepEqual(split(chunks, 1_000).lines, expected);
    }),
    { numRuns: 1_000 },
  );
});

test('a line over the limit is skipped, in one chunk or many', () => {
  const long = Buffer.from(`ok\n${'x'.repeat(101)}\nnext\n`);
  assert.deepEqual(split([long], 100), { lines: ['ok', 'next'], skipped: [101], buffered: 0 });
  const pieces = Array.from({ length: 30 }, () => Buffer.from('x'.repeat(10)));
  assert.deepEqual(split([...pieces, Buffer.from('\nnext\n')], 100), { lines: ['next'], skipped: [300], buffered: 0 });
  assert.deepEqual(split([Buffer.from(`${'x'.repeat(100)}\n`)], 100).lines.length, 1);
});

test('property: the lines that are held are the same, and the others are skipped with their size, however the bytes are cut', () => {
  const line = fc.nat(40).map((length) => 'y'.repeat(length));
  fc.assert(
    fc.property(fc.array(line, { maxLength: 12 }), fc.array(fc.nat(500), { maxLength: 8 }), (lines, cuts) => {
      const whole = Buffer.from(lines.map((each) => `${each}\n`).join(''));
      const places = [0, ...cuts.map((cut) => cut % (whole.length + 1)).sort((a, b) => a - b), whole.length];
      const chunks = places.slice(1).map((end, index) => whole.subarray(places[index]!, end));
      assert.deepEqual(split(chunks, 20), {
        lines: lines.filter(({ length }) => length > 0 && length <= 20),
        skipped: lines.map(({ length }) => length).filter((length) => length > 20),
        buffered: 0,
      });
    }),
    { numRuns: 500 },
  );
});

test('a line that does not end is given up', () => {
  let endless = 0;
  const splitter = new LineSplitter(100, new BufferBudget(), {
    line: () => assert.fail(),
    lineSkipped: () => assert.fail(),
    lineEndless: () => {
      endless += 1;
    },
  });
  const chunk = Buffer.alloc(2 ** 26, 'x');
  for (let bytes = 0; bytes <= MAX_SKIPPED_BYTES + chunk.length; bytes += chunk.length) splitter.feed(chunk);
  splitter.feed(Buffer.from('\nmore\n'));
  assert.equal(endless, 1);
});

test('a listener may end the splitting in the middle of a chunk', () => {
  const lines: string[] = [];
  const splitter = new LineSplitter(100, new BufferBudget(), {
    line: (bytes) => {
      lines.push(bytes.toString());
      splitter.end();
    },
    lineSkipped: () => {},
    lineEndless: () => {},
  });
  splitter.feed(Buffer.from('a\nb\nc'));
  splitter.feed(Buffer.from('d\n'));
  assert.deepEqual(lines, ['a']);
});

test('property: escaped text is printable and names every byte', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      const text = escaped(bytes);
      assert.match(text, /^[\x20-\x7e]*$/);
      const back = text.replace(/\\\\|\\x(..)/g, (whole, hex) =>
        whole === '\\\\' ? '\\' : String.fromCharCode(Number.parseInt(hex, 16)),
      );
      assert.deepEqual(Buffer.from(back, 'latin1'), Buffer.from(bytes));
    }),
  );
  assert.equal(escaped(Buffer.from('abcdef'), 3), 'abc...');
});

test('a log limit admits a few lines and counts the suppressed ones', () => {
  const limit = new LogLimit(2, 1_000);
  assert.deepEqual(
    [0, 1, 2, 3, 999].map((now) => limit.admit(now)),
    [0, 0, -1, -1, -1],
  );
  assert.deepEqual(
    [1_000, 1_001].map((now) => limit.admit(now)),
    [3, 0],
  );
});
