/** The pool of policy workers as the front's dispatch sees it (src/control/worker-pool.ts). */

import type { Snapshot } from '../../config/snapshot/index.js';
import type { CatalogTable } from '../catalog-table.js';
import type { Counters } from '../counters.js';
import type { Epochs } from '../epochs.js';
import type { Buckets } from '../limits/buckets.js';
import type { Ring } from './index.js';

/** One place in the pool: the rings of the worker that fills it now. */
export interface PoolSlot {
  readonly index: number;
  /** Grows with each replacement. */
  readonly incarnation: number;
  readonly requests: Ring;
  readonly verdicts: Ring;
  /** The worker has started, and its doorbell can be rung. */
  readonly ready: boolean;
}

/** Notified about the rings of the pool; the dispatcher. */
export interface PoolListener {
  /** Verdicts may be waiting on some ring. */
  verdictsReady(): void;
  /** The worker of a slot has ended, and the slot has new rings. @param old the slot with the rings that it left */
  workerReplaced(slot: PoolSlot, old: PoolSlot): void;
}

/** See the file comment. */
export interface PolicyPool {
  readonly size: number;
  readonly epochs: Epochs;
  /** The front's segment. */
  readonly counters: Counters;
  /** The front's view of the token buckets of the current snapshot. */
  readonly buckets: Buckets;
  readonly snapshot: Snapshot;
  readonly catalog: CatalogTable;
  slot(index: number): PoolSlot;
  /** Rings the bell of a worker. */
  wake(index: number): void;
  /** Ends a worker that hangs; it is replaced like one that crashed. */
  terminate(index: number, why: string): void;
  attach(listener: PoolListener): void;
  reconfigure(snapshot: Snapshot): void;
  setCatalog(catalog: CatalogTable): void;
}
