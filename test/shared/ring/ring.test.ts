import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { createDoorbell } from '../../../native/index.js';
import { Ring, ringMemory } from '../../../src/shared/ring/index.js';
import { recordSize, wordOf } from './ring-records.js';

describe('ring', () => {
  it('behaves like a bounded queue, whatever the order of writes and reads', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.record({ write: fc.integer({ min: 0, max: 600 }) }), fc.constant('read' as const)), {
          maxLength: 400,
        }),
        (steps) => {
          const memory = ringMemory(0);
          const writer = new Ring(memory);
          const reader = new Ring(memory);
          const model: number[][] = [];
          let number = 0;
          for (const step of steps) {
            if (step === 'read') {
              const at = reader.peek();
              const expected = model.shift();
              if (expected === undefined) {
                assert.equal(at, -1);
              } else {
                assert.ok(at >= 0);
                assert.equal(reader.length, expected.length);
                assert.deepEqual([...reader.words.subarray(at, at + reader.length)], expected);
                reader.advance();
              }
            } else {
              const at = writer.reserve(step.write);
              if (step.write > writer.maxRecord) assert.equal(at, -1);
              if (model.length === 0 && step.write <= writer.maxRecord)
                assert.ok(at >= 0, 'an empty ring takes any record');
              if (at < 0) continue;
              const words = Array.from({ length: step.write }, (_, i) => wordOf(7, number, i));
              number += 1;
              writer.words.set(words, at);
              writer.commit();
              model.push(words);
            }
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('keeps working when its positions pass 2^31 and 2^32', () => {
    for (const start of [0x7fffff00, -0x100]) {
      const memory = ringMemory(0);
      const head = new Int32Array(memory, 0, 64);
      head[0] = start;
      head[16] = start;
      const writer = new Ring(memory);
      const reader = new Ring(memory);
      for (let number = 0; number < 200; number += 1) {
        const at = writer.reserve(5);
        assert.ok(at >= 0);
        writer.words.fill(number, at, at + 5);
        writer.commit();
        const from = reader.peek();
        assert.deepEqual([...reader.words.subarray(from, from + 5)], [number, number, number, number, number]);
        reader.advance();
      }
      assert.equal(writer.used(), 0);
    }
  });

  it('lets exactly one write per sleep ring, and refuses to sleep with a record', () => {
    const memory = ringMemory(0);
    const writer = new Ring(memory);
    const reader = new Ring(memory);
    assert.equal(reader.sleep(), true);
    writer.reserve(1);
    assert.equal(writer.commit(), true);
    writer.reserve(1);
    assert.equal(writer.commit(), false);
    assert.equal(reader.sleep(), false);
    reader.peek();
    reader.advance();
    reader.peek();
    reader.advance();
    assert.equal(reader.peek(), -1);
    assert.equal(reader.sleep(), true);
  });

  it('finds the record that its reader was reading, also after a padding', () => {
    const memory = ringMemory(0);
    const writer = new Ring(memory);
    const reader = new Ring(memory);
    assert.equal(writer.abandoned(), -1);
    for (let turn = 0; turn < 50; turn += 1) {
      const at = writer.reserve(300);
      writer.words[at] = turn;
      writer.commit();
      assert.equal(writer.words[writer.abandoned()], turn);
      reader.peek();
      assert.equal(writer.words[writer.abandoned()], turn);
      reader.advance();
      assert.equal(writer.abandoned(), -1);
    }
  });

  for (const seed of [1, 2, 3]) {
    it(`carries every record between threads once, whole and in order (seed ${seed})`, async () => {
      const count = 40_000;
      const memory = ringMemory(8192);
      const ring = new Ring(memory);
      let number = 0;
      let failure: unknown = null;
      let finished: () => void = () => {};
      const done = new Promise<void>((resolve) => {
        finished = resolve;
      });
      const read = (): void => {
        try {
          for (;;) {
            const at = ring.peek();
            if (at < 0) {
              if (ring.sleep()) break;
              continue;
            }
            assert.equal(ring.length, recordSize(seed, number, ring.maxRecord));
            for (let i = 0; i < ring.length; i += 1) {
              if (ring.words[at + i] !== wordOf(seed, number, i))
                assert.fail(`record ${number} is not what was written`);
            }
            number += 1;
            ring.advance();
          }
        } catch (error) {
          failure = error;
        }
        if (number === count || failure !== null) finished();
      };
      const bell = createDoorbell(read);
      const alive = setInterval(() => {}, 1000);
      ring.sleep();
      const worker = new Worker(new URL('./ring-writer.js', import.meta.url), {
        workerData: { memory, count, seed, bell: { handle: bell.handle, cell: bell.cell } },
      });
      try {
        const [result] = await Promise.all([once(worker, 'message'), done]);
        assert.equal(failure, null);
        assert.equal(number, count);
        assert.equal(ring.used(), 0);
        assert.equal(ring.progress(), count);
        assert.ok((result[0] as { full: number }).full >= 0);
      } finally {
        clearInterval(alive);
        bell.close();
        await worker.terminate();
      }
    });
  }
});
