/** Measures how loaded the gateway is: delay of the event loop, memory, and the rings of the workers. */
import { totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';
import type { OverloadSnapshot } from '../../config/snapshot/index.js';
import type { BufferBudget } from '../../shared/buffer-budget.js';
import type { PolicyPool } from '../../shared/ring/policy-pool.js';
import type { Bytes, Milliseconds } from '../../units.js';
import type { EventLoop } from './event-loop.js';

/** What can be overloaded. */
export type Resource = 'eventLoop' | 'memory' | 'rings';

/** Time over which the delay is averaged before the gateway counts as overloaded: one slow turn does not. */
const AVERAGE_MS: Milliseconds = 500;
/** Time over which the busy share of the event loop is averaged. */
const RECENT_MS: Milliseconds = 100;
/** While requests are refused, the event loop is to be busy for this share of the time. */
const BUSY_SHARE = 0.95;
/** How much less is refused for each unit by which the busy share is too low. */
const BUSY_STEEPNESS = 3;
/** And of a busy one: it does more in longer turns, which the guard bounds. */
const PROBE = 0.1;
/** What one stall counts at most, in thresholds: the longest ones are not remembered longer. */
const MAX_STALL = 3;
/** Samples between two looks at the memory, which cost some 20 µs. */
const MEMORY_SAMPLES = 5;
/** Share of the memory that may be used without a bound in the configuration, and share of the heap. */
const FULL_SHARE = 0.9;
/** Memory falls slowly: so far below the bound (5 %) refusals end as fast as they can. */
const MEMORY_STEEPNESS = 20;

/** What memory is measured with; tests give their own. */
export interface MemorySource {
  /** Resident memory of the process. */
  rss(): Bytes;
  /** Used share of the heap, 0 to 1. */
  heap(): number;
}

/** This process. */
export const PROCESS_MEMORY: MemorySource = {
  rss: () => process.memoryUsage.rss(),
  heap: () => {
    const { used_heap_size, heap_size_limit } = getHeapStatistics();
    return used_heap_size / heap_size_limit;
  },
};

/** What {@link Load} watches. */
export interface LoadParts {
  readonly pool: Pick<PolicyPool, 'size' | 'slot'>;
  readonly budget: Pick<BufferBudget, 'counts'>;
  readonly memory: MemorySource;
  readonly runQueue: {
    /** Time since the last call in which the system ran something else, although the front was ready to run. */
    waitedMs(): Milliseconds;
  };
  readonly eventLoop: Pick<EventLoop, 'activeMs' | 'turnMs'>;
}

/** Memory that the process may have by its container or machine. */
export function availableMemory(): Bytes {
  const constrained = process.constrainedMemory();
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}

/** See the file comment. Sampled by the guard some 20 times a second. */
export class Load {
  readonly #parts: LoadParts;
  readonly #available = availableMemory();
  #samples = 0;
  /** Average delay of the event loop. */
  delayMs: Milliseconds = 0;
  /** Share of the time for which the event loop was busy. */
  #busy = 0;
  #activeMs: Milliseconds = 0;
  /** Used share of the memory, of the heap or of `limits.maxBufferedBytes`, the largest; 1 = as much as allowed. */
  memory = 0;
  /** The same of the fullest ring, of what `overload.ringFullness` allows. */
  rings = 0;

  constructor(parts: LoadParts) {
    this.#parts = parts;
  }

  /** @param lateMs how late a timer was that runs every `intervalMs` */
  sample(lateMs: Milliseconds, intervalMs: Milliseconds, rules: OverloadSnapshot): void {
    const passed = intervalMs + lateMs;
    const { eventLoopDelayMs } = rules;
    const average = eventLoopDelayMs === 0 ? lateMs : Math.min(lateMs, MAX_STALL * eventLoopDelayMs);
    const { eventLoop, runQueue } = this.#parts;
    const activeMs = eventLoop.activeMs();
    // To refuse more does not help against what else runs on the machine.
    const waitedMs = Math.min(passed - 1, runQueue.waitedMs());
    const busy = Math.max(0, activeMs - this.#activeMs - waitedMs) / (passed - waitedMs);
    this.#activeMs = activeMs;
    this.delayMs += (average - this.delayMs) * (1 - Math.exp(-passed / AVERAGE_MS));
    this.#busy += (Math.min(1, busy) - this.#busy) * (1 - Math.exp(-passed / RECENT_MS));
    if (this.#samples % MEMORY_SAMPLES === 0) this.#sampleMemory(rules);
    this.#samples += 1;
    this.#sampleRings(rules);
  }

  #sampleMemory({ maxMemoryBytes }: OverloadSnapshot): void {
    const { budget, memory } = this.#parts;
    const allowed = maxMemoryBytes > 0 ? maxMemoryBytes : this.#available * FULL_SHARE;
    const { bytes, maxBytes } = budget.counts;
    this.memory = Math.max(
      memory.rss() / allowed,
      memory.heap() / FULL_SHARE,
      // Larger holders are ended at the bound; what is beyond it are calls that are too small for that.
      maxBytes > 0 ? bytes / maxBytes : 0,
    );
  }

  #sampleRings({ ringFullness }: OverloadSnapshot): void {
    const { pool } = this.#parts;
    this.rings = 0;
    if (ringFullness === 0) return;
    for (let index = 0; index < pool.size; index += 1) {
      const { requests, verdicts } = pool.slot(index);
      const used = Math.max(requests.used() / requests.capacity, verdicts.used() / verdicts.capacity);
      this.rings = Math.max(this.rings, used / ringFullness);
    }
  }

  /** How long this turn of the event loop has judged requests. */
  turnMs(): Milliseconds {
    return this.#parts.eventLoop.turnMs();
  }

  /** What is overloaded, null = nothing. */
  overloaded({ eventLoopDelayMs }: OverloadSnapshot): Resource | null {
    if (eventLoopDelayMs > 0 && this.delayMs >= eventLoopDelayMs) return 'eventLoop';
    if (this.memory >= 1) return 'memory';
    return this.rings >= 1 ? 'rings' : null;
  }

  /**
   * Whether more has to be refused (up to 2) or less (down to -1); 0 = the load is right. Of a busy event loop never more: the
   * guard lets a turn begin no more work than it has time for.
   */
  drive({ eventLoopDelayMs }: OverloadSnapshot): number {
    const loop = eventLoopDelayMs === 0 ? -1 : Math.min(-PROBE, (this.#busy - BUSY_SHARE) * BUSY_STEEPNESS);
    const memory = (this.memory - 1) * MEMORY_STEEPNESS;
    return Math.min(2, Math.max(-1, loop, memory, this.rings - 1));
  }
}
