/** The writing thread of the ring test: sends `count` records whose sizes and words follow from their number. */
import { parentPort, workerData } from 'node:worker_threads';
import { ring as ringBell } from '../../../native/index.js';
import { Ring } from '../../../src/shared/ring/index.js';
import { recordSize, wordOf } from './ring-records.js';

interface Data {
  readonly memory: SharedArrayBuffer;
  readonly count: number;
  readonly seed: number;
  readonly bell: { readonly handle: number; readonly cell: SharedArrayBuffer | null };
}

const { memory, count, seed, bell } = workerData as Data;
const ring = new Ring(memory);
let full = 0;
for (let number = 0; number < count; number += 1) {
  const size = recordSize(seed, number, ring.maxRecord);
  let at = ring.reserve(size);
  while (at < 0) {
    full += 1;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0.01);
    at = ring.reserve(size);
  }
  for (let i = 0; i < size; i += 1) ring.words[at + i] = wordOf(seed, number, i);
  if (ring.commit()) ringBell(bell.handle, bell.cell);
}
parentPort!.postMessage({ full });
