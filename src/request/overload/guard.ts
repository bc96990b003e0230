/**
 * The overload guard: while the gateway is overloaded it refuses new work, kind by kind in the order of the configuration, and
 * of the kind at the turn no more than needed. What is refused costs a small part of what it would cost otherwise, so the
 * gateway goes on to answer about as many requests as it can, at times that do not grow.
 *
 * It begins at the thresholds of the configuration. From then on a turn of the event loop begins work for a few milliseconds only and
 * refuses what it reads later, so that turns stay short whatever comes; the shares that are refused of each kind follow
 * what was admitted so. It ends when nothing had to be refused for a second.
 */
import { type EarlyAnswer, EarlyRefusals } from '../../../native/early-refusals.js';
import { SHED_KINDS } from '../../config/schema/overload.js';
import type { Current } from '../../config/snapshot/current.js';
import type { LimitsSnapshot, OverloadSnapshot, RouteSnapshot } from '../../config/snapshot/index.js';
import { ERRORS, errorNumber } from '../../errors.js';
import { Counter, type Counters, OutcomeId, Series } from '../../shared/counters.js';
import type { Count, Milliseconds } from '../../units.js';
import { mayHaveRoute, Work, workOfMethod } from './kinds.js';
import type { Load, Resource } from './load.js';

/** Change of what is admitted with a sample, as an exponent, for each unit of {@link Load.drive}. */
const STEP = 0.4;
/** Share of what comes that is admitted additionally when less is to be refused; where less than it would be admitted, nothing is. */
const MIN_SHARE = 0.02;
/** What is left of the counts of requests after a sample: the last few count. */
const KEPT = 0.6;
/**
 * Time for which a turn of the event loop admits the first kind of the order, and by how much longer each kind behind it. What is
 * read later in the turn is refused. So a turn, for which requests have to wait, stays short whatever comes, and the
 * rest of its time is for refusals, which are cheap.
 */
const FIRST_BUDGET_MS: Milliseconds = 1.5;
const NEXT_BUDGET_MS: Milliseconds = 0.25;
/** Samples without refusals after which the overload is over. */
const CALM_SAMPLES = 20;

const SHED = errorNumber('GW_SHED');

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
  readonly limits: Pick<LimitsSnapshot, 'maxBodyBytes' | 'maxDepth'>;
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

/** What {@link OverloadGuard} works with. */
export interface GuardParts {
  readonly config: Current<GuardConfig>;
  readonly load: Load;
  readonly counters: Pick<Counters, 'add' | 'error' | 'observe' | 'request'>;
  readonly accounting: {
    /** Whether every request is logged: then none is refused before it has an exchange. */
    readonly keepsBodies: boolean;
  };
  readonly log: OverloadLog;
}

/** See the file comment. One per gateway; sampled by the timer that measures the delay. */
export class OverloadGuard {
  /** What front ends refuse when they read it, in the same shares. */
  readonly early = new EarlyRefusals(SHED_KINDS.length);
  readonly #parts: GuardParts;
  /** Position of each kind of work in the order; -1 = it is never refused. */
  readonly #positions = new Int8Array(SHED_KINDS.length);
  #followed: GuardConfig | null = null;
  #hasPriorities = false;
  #reason: Resource | '' = '';
  #level = 0;
  #calm = 0;
  #episodes: Count = 0;
  #refused: Count = 0;
  /** Requests that came lately, by position, and those of them that were admitted. */
  readonly #came = new Float64Array(SHED_KINDS.length);
  #admitted = 0;
  /** Whether {@link refuses} has to be asked at all. */
  isActive = false;

  constructor(parts: GuardParts) {
    this.#parts = parts;
    this.#follow();
  }

  get status(): OverloadStatus {
    const { delayMs, memory, rings } = this.#parts.load;
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
    return this.#parts.config.current.overload.retryAfterMs;
  }

  /**
   * Whether a request is refused. Called only while {@link isActive}.
   *
   * @param work position in `SHED_KINDS`; -1 = never
   */
  refuses(work: number): boolean {
    const position = work < 0 ? -1 : this.#positions[work]!;
    if (position < 0) return false;
    const { counters, load } = this.#parts;
    const { early } = this;
    early.arrivals[position]! += 1;
    const isLate = load.turnMs() > early.budgets[position]!;
    const due = early.due[position]! + (isLate ? 1 : early.shares[position]!);
    // Sums of fractions may lack a little to 1.
    const isRefused = due > 0.999_999;
    early.due[position] = isRefused ? due - 1 : due;
    if (!isRefused) {
      early.admitted[position]! += 1;
      return false;
    }
    this.#refused += 1;
    counters.add(COUNTERS[SHED_KINDS[work]!]);
    return true;
  }

  /**
   * Looks at the load.
   *
   * @param lateMs how late the timer is that calls this every `intervalMs`
   */
  sample(lateMs: Milliseconds, intervalMs: Milliseconds): void {
    this.#follow();
    const rules = this.#parts.config.current.overload;
    if (this.isActive) this.#countEarly();
    if (!rules.enabled) {
      if (this.isActive) this.#end();
      return;
    }
    this.#parts.load.sample(lateMs, intervalMs, rules);
    if (this.isActive) this.#adjust(rules);
    else this.#begin(rules);
    this.#share();
  }

  #begin(rules: OverloadSnapshot): void {
    const { load, log } = this.#parts;
    const reason = load.overloaded(rules);
    if (reason === null) return;
    this.isActive = true;
    this.#reason = reason;
    this.#episodes += 1;
    this.#refused = 0;
    this.#level = 0;
    this.#calm = 0;
    this.#came.fill(0);
    this.#admitted = 0;
    this.early.arrivals.fill(0);
    this.early.admitted.fill(0);
    this.early.due.fill(0);
    log.overloadBegan(this.status);
  }

  #end(): void {
    this.isActive = false;
    this.#level = 0;
    this.early.end();
    this.#parts.log.overloadEnded(this.status);
  }

  #adjust(rules: OverloadSnapshot): void {
    this.#setLevel(this.#parts.load.drive(rules), rules.order.length);
    this.#calm = this.#level === 0 ? this.#calm + 1 : 0;
    if (this.#calm >= CALM_SAMPLES) this.#end();
  }

  /** Chooses what to refuse of as much work as came lately, so that a little more or less is admitted than was. */
  #setLevel(drive: number, end: number): void {
    const { admitted, arrivals } = this.early;
    const came = this.#came;
    let all = 0;
    let isIdle = true;
    for (let position = 0; position < end; position += 1) {
      came[position] = came[position]! * KEPT + arrivals[position]!;
      all += came[position]!;
      if (arrivals[position]! > 0) isIdle = false;
      this.#admitted += admitted[position]!;
    }
    let next = this.#admitted * Math.exp(-STEP * drive);
    if (drive < 0) next = Math.max(next, this.#admitted + all * MIN_SHARE);
    else if (drive > 0 && next < all * MIN_SHARE) next = 0;
    let excess = all - next;
    let level = 0;
    for (let position = 0; position < end && excess > 0; position += 1) {
      const count = came[position]!;
      if (count > 0) level = position + Math.min(1, excess / count);
      excess -= count;
    }
    this.#level = level;
    // Where nothing comes, nothing shows what a lower level admits.
    this.#admitted = (isIdle ? Math.min(all, next) : this.#admitted) * KEPT;
    arrivals.fill(0);
    admitted.fill(0);
  }

  /** Makes the level the part of each kind that is refused. */
  #share(): void {
    const { accounting, config } = this.#parts;
    const { early } = this;
    const { shares } = early;
    for (let position = 0; position < shares.length; position += 1) {
      shares[position] = Math.min(1, Math.max(0, this.#level - position));
    }
    const { maxBodyBytes, maxDepth } = config.current.limits;
    if (!this.isActive || accounting.keepsBodies) early.end();
    else early.begin(maxDepth, maxBodyBytes);
  }

  /** Counts what was refused when it was read, as any other request that is refused. */
  #countEarly(): void {
    const { counters } = this.#parts;
    const { early } = this;
    const { refused } = early;
    for (let method = 0; method < refused.length; method += 1) {
      const count = refused[method]!;
      if (count === 0) continue;
      refused[method] = 0;
      this.#refused += count;
      const work: number = workOfMethod(method);
      counters.add(COUNTERS[SHED_KINDS[work]!], count);
      counters.request(method, OutcomeId.failed, count);
      counters.error(SHED, count);
      for (let i = 0; i < count; i += 1) counters.observe(Series.request, 0, true);
    }
  }

  #follow(): void {
    const { current } = this.#parts.config;
    const { early } = this;
    if (current === this.#followed) return;
    this.#followed = current;
    const { overload, routes } = current;
    this.#hasPriorities = routes.some(({ priority }) => priority !== 'normal');
    this.#positions.fill(-1);
    overload.order.forEach((kind, position) => {
      this.#positions[SHED_KINDS.indexOf(kind)] = position;
    });
    for (let method = 0; method < early.positions.length; method += 1) {
      const work = workOfMethod(method);
      const isJudgedLater = work === Work.never || (this.#hasPriorities && mayHaveRoute(method));
      early.positions[method] = isJudgedLater ? -1 : this.#positions[work]!;
    }
    const isTimed = overload.eventLoopDelayMs > 0;
    for (let position = 0; position < early.budgets.length; position += 1) {
      early.budgets[position] = isTimed ? FIRST_BUDGET_MS + position * NEXT_BUDGET_MS : Number.POSITIVE_INFINITY;
    }
    early.setAnswer(earlyAnswer(overload.retryAfterMs));
    this.#level = Math.min(this.#level, overload.order.length);
  }
}

/** The answer to a request that has no exchange, and so no correlation id. */
function earlyAnswer(retryAfterMs: Milliseconds): EarlyAnswer {
  const { retryable, rpc, sentence, status } = ERRORS.GW_SHED;
  const data = { code: 'GW_SHED', retryable, retryAfterMs };
  const error = JSON.stringify({ code: rpc, message: sentence, data });
  const fields = ['content-type: application/json', `retry-after: ${Math.ceil(retryAfterMs / 1_000)}`];
  return {
    head: [`HTTP/1.1 ${status} Service Unavailable`, ...fields, ''].join('\r\n'),
    open: '{"jsonrpc":"2.0","id":',
    rest: `,"error":${error}}`,
  };
}
