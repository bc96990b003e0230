/**
 * The overload guard: while the gateway is overloaded it refuses new work, kind by kind in the order of the configuration, and
 * of the kind at the turn no more than needed. What is refused costs a small part of what it would cost otherwise, so the
 * gateway goes on to answer about as many requests as it can, at times that do not grow.
 *
 * It begins at the thresholds of the configuration and is then led by a much smaller delay, so that it neither flaps nor
 * leaves a queue of requests. It ends when nothing had to be refused for a second.
 */
import type { Current } from '../../config/current.js';
import { SHED_KINDS } from '../../config/schema/overload.js';
import type { OverloadSnapshot, RouteSnapshot } from '../../config/snapshot.js';
import { Counter, type Counters } from '../../shared/counters.js';
import type { Count, Milliseconds } from '../../units.js';
import type { Load, Resource } from './load.js';

/** Change of the level with a sample at most, in kinds of work, for each unit of {@link Load.drive}. */
const STEP = 0.15;
/** Samples without refusals after which the overload is over. */
const CALM_SAMPLES = 20;

const COUNTERS = {
  low: Counter.shedLow,
  lists: Counter.shedLists,
  reads: Counter.shedReads,
  sessions: Counter.shedSessions,
  calls: Counter.shedCalls,
  high: Counter.shedHigh,
} as const satisfies Record<(typeof SHED_KINDS)[number], number>;

/** What the guard reads of the configuration. */
export interface GuardConfig {
  readonly overload: OverloadSnapshot;
  readonly routes: readonly Pick<RouteSnapshot, 'priority'>[];
}

/** Told when an overload begins and ends. */
export interface OverloadLog {
  overloadBegan(status: OverloadStatus): void;
  overloadEnded(status: OverloadStatus): void;
}

/** What `/stats` shows. */
export interface OverloadStatus {
  /** Work is refused, or was within the last second. */
  readonly active: boolean;
  /** What was overloaded when it began last; '' = it never did. */
  readonly reason: Resource | '';
  /** Times it began. */
  readonly episodes: Count;
  /** Kinds of `overload.order` that are refused; the fraction is the refused share of the next one. */
  readonly level: number;
  /** Average delay of the event loop. */
  readonly eventLoopDelayMs: Milliseconds;
  /** Used share of the memory, of the heap or of the buffers, the largest; 1 = as much as allowed. */
  readonly memory: number;
  /** Used share of the fullest ring; 1 = as much as allowed. */
  readonly rings: number;
  /** Requests refused since it began last. */
  readonly refused: Count;
}

/** See the file comment. One per gateway; sampled by the timer that measures the delay. */
export class OverloadGuard {
  readonly #config: Current<GuardConfig>;
  readonly #load: Load;
  readonly #counters: Pick<Counters, 'add'>;
  readonly #log: OverloadLog;
  /** Position of each kind of work in the order; -1 = it is never refused. */
  readonly #positions = new Int8Array(SHED_KINDS.length);
  /** By position: requests since the last sample, and the part of a refusal that is due. */
  readonly #arrivals = new Int32Array(SHED_KINDS.length);
  readonly #due = new Float64Array(SHED_KINDS.length);
  #followed: GuardConfig | null = null;
  #hasPriorities = false;
  #reason: Resource | '' = '';
  #level = 0;
  #calm = 0;
  #episodes: Count = 0;
  #refused: Count = 0;
  /** Whether {@link refuses} has to be asked at all. */
  isActive = false;

  constructor(config: Current<GuardConfig>, load: Load, counters: Pick<Counters, 'add'>, log: OverloadLog) {
    this.#config = config;
    this.#load = load;
    this.#counters = counters;
    this.#log = log;
    this.#follow();
  }

  get status(): OverloadStatus {
    const { delayMs, memory, rings } = this.#load;
    return {
      active: this.isActive,
      reason: this.#reason,
      episodes: this.#episodes,
      level: this.#level,
      eventLoopDelayMs: delayMs,
      memory,
      rings,
      refused: this.#refused,
    };
  }

  /** Whether the route of a call says what kind of work it is. */
  get hasPriorities(): boolean {
    return this.#hasPriorities;
  }

  /** `overload.retryAfterMs`. */
  get retryAfterMs(): Milliseconds {
    return this.#config.current.overload.retryAfterMs;
  }

  /**
   * Whether a request is refused. Called only while {@link isActive}.
   *
   * @param work position in `SHED_KINDS`; -1 = never
   */
  refuses(work: number): boolean {
    const position = work < 0 ? -1 : this.#positions[work]!;
    if (position < 0) return false;
    this.#arrivals[position]! += 1;
    const due = this.#due[position]! + Math.min(1, Math.max(0, this.#level - position));
    // Sums of fractions may lack a little to 1.
    const isRefused = due > 0.999_999;
    this.#due[position] = isRefused ? due - 1 : due;
    if (!isRefused) return false;
    this.#refused += 1;
    this.#counters.add(COUNTERS[SHED_KINDS[work]!]);
    return true;
  }

  /**
   * Looks at the load.
   *
   * @param lateMs how late the timer is that calls this every `intervalMs`
   */
  sample(lateMs: Milliseconds, intervalMs: Milliseconds): void {
    this.#follow();
    const rules = this.#config.current.overload;
    if (!rules.enabled) {
      if (this.isActive) this.#end();
      return;
    }
    this.#load.sample(lateMs, intervalMs, rules);
    if (this.isActive) this.#adjust(rules);
    else this.#begin(rules);
  }

  #begin(rules: OverloadSnapshot): void {
    const reason = this.#load.overloaded(rules);
    if (reason === null) return;
    this.isActive = true;
    this.#reason = reason;
    this.#episodes += 1;
    this.#refused = 0;
    this.#level = 0;
    this.#calm = 0;
    this.#arrivals.fill(0);
    this.#due.fill(0);
    this.#log.overloadBegan(this.status);
  }

  #end(): void {
    this.isActive = false;
    this.#level = 0;
    this.#log.overloadEnded(this.status);
  }

  #adjust(rules: OverloadSnapshot): void {
    const change = this.#load.drive(rules) * STEP;
    if (change > 0) this.#raise(change, rules.order.length);
    else if (change < 0) this.#lower(-change);
    this.#arrivals.fill(0);
    this.#calm = this.#level === 0 ? this.#calm + 1 : 0;
    if (this.#calm >= CALM_SAMPLES) this.#end();
  }

  /** A kind of which nothing comes is no step, since to refuse it helps nothing. */
  #raise(change: number, end: number): void {
    let last = end - 1;
    while (last > 0 && this.#arrivals[last] === 0) last -= 1;
    let level = this.#level;
    while (Math.floor(level) < last && this.#arrivals[Math.floor(level)] === 0) level = Math.floor(level) + 1;
    this.#level = Math.min(end, level + change);
  }

  #lower(change: number): void {
    let level = this.#level - change;
    while (level > 0 && this.#arrivals[Math.floor(level)] === 0) level = Math.ceil(level) - 1;
    this.#level = Math.max(0, level);
  }

  #follow(): void {
    const { current } = this.#config;
    if (current === this.#followed) return;
    this.#followed = current;
    const { overload, routes } = current;
    this.#hasPriorities = routes.some(({ priority }) => priority !== 'normal');
    this.#positions.fill(-1);
    overload.order.forEach((kind, position) => {
      this.#positions[SHED_KINDS.indexOf(kind)] = position;
    });
    this.#level = Math.min(this.#level, overload.order.length);
  }
}
