import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { KEY_COUNT, KEYS_BY_LEVEL, Key } from '../../native/keys.js';
import { METHODS, Method, SPAN_COUNT, Span } from '../../native/layout.js';
import { layoutHeader } from '../../native/layout-header.js';
import { packageRoot } from '../../src/package-root.js';
import { decoderReason, decoders, hasCompiler, scan, toBytes } from './both.js';

after(() => {
  for (const decoder of decoders) decoder.seed(0, 0);
});

test('the addon runs where a compiler is, and a sentence says why where it does not', () => {
  assert.equal(decoders.length, hasCompiler ? 2 : 1);
  if (hasCompiler) assert.equal(decoderReason, null);
  else assert.match(String(decoderReason), /^[A-Z].*\.$/);
});

test('layout.h is what layout.ts says', () => {
  assert.equal(readFileSync(join(packageRoot, 'native/layout.h'), 'utf8'), layoutHeader());
});

test('slots, keys and methods are numbered without gaps', () => {
  assert.deepEqual(Object.values(Span), [...Object.values(Span).keys()]);
  assert.ok(SPAN_COUNT >= Object.values(Span).length);
  assert.deepEqual(Object.values(Method), [...METHODS.keys()]);
  assert.deepEqual(Object.values(Key), [...Object.values(Key).keys()]);
  assert.equal(KEYS_BY_LEVEL.flat().length, KEY_COUNT);
});

test('only the first `length` bytes are read', () => {
  const bytes = toBytes('{"jsonrpc":"2.0","id":1,"method":"ping"}garbage that must not be seen');
  for (const decoder of decoders) {
    assert.equal(decoder.scan(bytes, 40, new Int32Array(SPAN_COUNT), 64), 0);
    assert.equal(decoder.scan(bytes, 41, new Int32Array(SPAN_COUNT), 64), 1);
    assert.equal(decoder.scan(bytes, 0, new Int32Array(SPAN_COUNT), 64), 1);
  }
});

test('positions count from the start of a view, not of its buffer', () => {
  const padded = Buffer.concat([Buffer.from('xxxxxxx'), toBytes('{"jsonrpc":"2.0","id":42,"method":"ping"}')]);
  const { spans } = scan(padded.subarray(7));
  assert.deepEqual([spans.idStart, spans.idEnd], [22, 24]);
});

test('a message of 8 MiB is read, and a small one after it', () => {
  const big = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"n","arguments":{"x":"${'é\\n'.repeat(2 ** 21)}"}}}`;
  assert.equal(scan(big).status, 'ok');
  assert.equal(scan(`${big}x`).status, 'notJson');
  assert.equal(scan('{"jsonrpc":"2.0","id":1,"method":"ping"}').status, 'ok');
});

test('batches are split at their elements', () => {
  const elements = ['{"a":[1,{"b":"]"}]}', '"x,y"', '-1.5e3', 'null', '[]', '{}', '[[1],[2]]'];
  for (const separator of [',', ' ,\n ']) {
    const bytes = toBytes(` [ ${elements.join(separator)} ] `);
    for (const decoder of decoders) {
      const out = new Int32Array(2 * elements.length);
      assert.equal(decoder.splitBatch(bytes, bytes.length, out), elements.length);
      const parts = elements.map((_, index) =>
        Buffer.from(bytes.subarray(out[2 * index], out[2 * index + 1])).toString(),
      );
      assert.deepEqual(parts, elements);
      assert.equal(decoder.splitBatch(bytes, bytes.length, new Int32Array(2 * elements.length - 1)), -1);
      for (const other of ['{}', '1', '', '[1', '[1}']) {
        assert.equal(decoder.splitBatch(toBytes(other), toBytes(other).length, out), -1);
      }
    }
  }
});

test('hashes agree for every length and seed, and change with every byte', () => {
  const bytes = Uint8Array.from({ length: 300 }, (_, index) => (index * 167 + 13) & 0xff);
  const seen = new Set<string>();
  for (const [low, high] of [
    [0, 0],
    [0xdeadbeef, 0x12345678],
    [-1, 1],
  ] as const) {
    for (let end = 0; end <= 200; end++) {
      const hashes = decoders.map((decoder) => {
        decoder.seed(low, high);
        const out = new Int32Array(2);
        decoder.hash(bytes, 3, 3 + end, out);
        return out.join();
      });
      assert.equal(new Set(hashes).size, 1);
      seen.add(hashes[0] as string);
    }
  }
  assert.equal(seen.size, 3 * 201);
  for (const decoder of decoders) {
    const out = new Int32Array(2);
    const hashes = new Set<string>();
    for (let index = 0; index < 40; index++) {
      const copy = Buffer.from(bytes.slice(0, 40));
      copy.writeUInt8(copy.readUInt8(index) ^ 1, index);
      decoder.hash(copy, 0, 40, out);
      hashes.add(out.join());
    }
    assert.equal(hashes.size, 40);
  }
});

test('the hash of a name in a scan is the hash of its bytes', () => {
  for (const decoder of decoders) decoder.seed(7, 9);
  const { spans, bytes } = scan('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"files__read_file"}}');
  const out = new Int32Array(2);
  decoders[0]?.hash(bytes, spans.nameStart, spans.nameEnd, out);
  assert.deepEqual([...out], [spans.nameHashLow, spans.nameHashHigh]);
  assert.notDeepEqual([...out], [0, 0]);
});

test('the addon refuses arguments of other types and positions outside the bytes', () => {
  const decoder = decoders[1];
  if (decoder === undefined) return assert.ok(!hasCompiler);
  const bytes = new Uint8Array(8);
  const spans = new Int32Array(SPAN_COUNT);
  const wrong = (...values: unknown[]) => values as unknown as Parameters<typeof decoder.scan>;
  for (const values of [
    [],
    [bytes],
    ['text', 4, spans, 64],
    [new Int8Array(8), 8, spans, 64],
    [new ArrayBuffer(8), 8, spans, 64],
    [bytes, 9, spans, 64],
    [bytes, -1, spans, 64],
    [bytes, 8, new Int32Array(SPAN_COUNT - 1), 64],
    [bytes, 8, new Uint8Array(400), 64],
    [bytes, 8, spans, 'deep'],
  ]) {
    assert.throws(() => decoder.scan(...wrong(...values)), TypeError);
  }
  const long = new Uint8Array(1000);
  const out = new Int32Array(2);
  for (const [start, end] of [
    [0, 1001],
    [-1, 900],
  ] as const) {
    assert.throws(() => decoder.hash(long, start, end, out), TypeError);
  }
  assert.throws(() => decoder.hash(long, 0, 900, new Int32Array(1)), TypeError);
});

test('each thread has decoders of its own, with seeds of their own', async () => {
  const index = join(import.meta.dirname, '../../native/index.js');
  const source = `
    const { workerData, parentPort } = require('node:worker_threads');
    import(workerData.index).then(({ decoder }) => {
      decoder.seed(workerData.seed, 0);
      const bytes = new TextEncoder().encode('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"n"}}');
      const spans = new Int32Array(${SPAN_COUNT});
      const seen = new Set();
      for (let round = 0; round < 20000; round++) {
        if (decoder.scan(bytes, bytes.length, spans, 64) !== 0) throw new Error('refused');
        seen.add(spans[${Span.nameHashLow}]);
      }
      parentPort.postMessage([...seen]);
    });`;
  const results = await Promise.all(
    [1, 2, 3].map(
      (seed) =>
        new Promise<number[]>((resolve, reject) => {
          const worker = new Worker(source, { eval: true, workerData: { index, seed } });
          worker.once('message', resolve).once('error', reject);
        }),
    ),
  );
  assert.ok(results.every((hashes) => hashes.length === 1));
  assert.equal(new Set(results.flat()).size, 3);
});
