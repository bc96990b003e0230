/** Time in which the front was ready to run while the system ran something else: no fault of what it has to do. */
import { openSync, readSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import type { Milliseconds } from '../../units.js';

/** Of the first thread of this process (Linux, documentation of sched-stats): time run, time waited, turns; in ns. */
const FILE = '/proc/self/schedstat';

/** See the file comment. Where the system does not tell, nothing was waited. */
export class RunQueue {
  readonly #bytes = Buffer.alloc(128);
  #file: number | null = null;
  #waited: Milliseconds = 0;

  constructor() {
    if (!isMainThread) return;
    try {
      this.#file = openSync(FILE, 'r');
      this.waitedMs();
    } catch {
      this.#file = null;
    }
  }

  /** Time waited since the last call. */
  waitedMs(): Milliseconds {
    if (this.#file === null) return 0;
    let length = 0;
    try {
      length = readSync(this.#file, this.#bytes, 0, this.#bytes.length, 0);
    } catch {
      this.#file = null;
      return 0;
    }
    const waited = Number(this.#bytes.toString('latin1', 0, length).split(' ')[1]) / 1e6;
    const since = waited - this.#waited;
    this.#waited = waited;
    return Math.max(0, since);
  }
}
