import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { createDoorbell, ring } from '../../../native/index.js';
import { Ring, ringMemory } from '../../../src/shared/ring/index.js';
import { REQUEST_HEAD, RequestWord, VerdictWord } from '../../../src/shared/ring/records.js';
import type { BellAddress } from '../../../src/shared/ring/worker-messages.js';
import { type Case, keep, type Operation } from '../runner.js';

const RING_BYTES = 1 << 20;
/** Words of a record: head, token of 268 bytes, name of 24. */
const RECORD = REQUEST_HEAD + 67 + 6;

/** Round trips to a thread that only replies, with so many under way at once. */
async function hops(inFlight: number): Promise<Operation> {
  const requests = ringMemory(RING_BYTES);
  const verdicts = ringMemory(RING_BYTES);
  const outbound = new Ring(requests);
  const inbound = new Ring(verdicts);
  const filler = Buffer.alloc((RECORD - REQUEST_HEAD) * 4, 0x61);
  let left = 0;
  let underway = 0;
  let finished: () => void = () => {};
  let far: BellAddress = { handle: 0, cell: null };

  const send = (): boolean => {
    const at = outbound.reserve(RECORD);
    if (at < 0) throw new Error('the ring is full');
    outbound.words[at + RequestWord.slot] = left;
    filler.copy(outbound.buffer, (at + REQUEST_HEAD) * 4);
    left--;
    underway++;
    return outbound.commit();
  };
  const drain = (): void => {
    do {
      let wake = false;
      for (let at = inbound.peek(); at >= 0; at = inbound.peek()) {
        keep(inbound.words[at + VerdictWord.slot]!);
        inbound.advance();
        underway--;
        if (left > 0) wake = send() || wake;
      }
      if (wake) ring(far.handle, far.cell);
    } while (!inbound.sleep());
    if (left === 0 && underway === 0) finished();
  };

  const bell = createDoorbell(drain);
  // The address of this side; the worker replies with its own.
  const workerData = { requests, verdicts, bell: { handle: bell.handle, cell: bell.cell } };
  const worker = new Worker(join(import.meta.dirname, '../echo-worker.js'), { workerData });
  [far] = (await once(worker, 'message')) as [BellAddress];
  inbound.sleep();

  let total = 0;
  const cpuBefore = process.cpuUsage();
  return {
    runAsync(times) {
      total += times;
      return new Promise((resolve) => {
        finished = resolve;
        left = times;
        inbound.wake();
        let wake = false;
        for (let i = 0; i < inFlight && left > 0; i++) wake = send() || wake;
        if (wake) ring(far.handle, far.cell);
        if (!inbound.sleep()) drain();
      });
    },
    notes() {
      const { user, system } = process.cpuUsage(cpuBefore);
      return `CPU ${((user + system) / total).toFixed(1)} µs a hop, both threads`;
    },
    async close() {
      const exited = once(worker, 'exit');
      worker.postMessage('end');
      await exited;
      bell.close();
    },
  };
}

export const ringCases: readonly Case[] = [
  {
    name: 'ring hop of one',
    what: 'dispatch: to a worker and back, one call under way (latency)',
    setup: () => hops(1),
  },
  {
    name: 'ring hop of 64',
    what: 'dispatch: to a worker and back, 64 calls under way',
    goalNs: 7_000,
    setup: () => hops(64),
  },
];
