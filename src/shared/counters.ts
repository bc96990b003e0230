/**
 * Counters and latency histograms in shared memory. Each thread writes a segment of its own with plain stores (one
 * writer, 64-bit floats are written at once); a reader adds the segments up; its sums may lag a few events behind.
 */
import { METHODS } from '../../native/layout.js';
import { ERROR_CODES } from '../errors.js';
import { HISTOGRAM_SLOTS, HistogramFloat, type HistogramView, histogramSlot, readHistogram } from './histogram.js';
import { LIMIT_SCOPES, type LimitScope } from './limit-scopes.js';

/** Fixed counters. Append only: the position is the id. */
const COUNTERS = [
  'notifications',
  'bytesIn',
  'bytesOut',
  'memoHits',
  'memoMisses',
  'decisions',
  'ringFull',
  'redispatched',
  'decideTimeouts',
  'staleVerdicts',
  'workerDeaths',
  'workerHangs',
  'limitedGlobal',
  'limitedClient',
  'limitedTool',
  'limitedRoute',
  'cacheHits',
  'cacheMisses',
  'cacheStale',
  'cacheCoalesced',
  'cacheStored',
  'cacheEvicted',
  'tokensVerified',
  'tokensRemembered',
  'tokensRejected',
  'jwksRefreshes',
  'jwksFailures',
  'introspections',
  'introspectionFailures',
  'upstreamCalls',
  'upstreamRetries',
  'upstreamFailures',
  'cancelled',
  'configReloads',
  'configReloadFailures',
  'webSocketsTooFast',
  'limitedClientTool',
  'limitedClientRoute',
  'limitedRule',
  'limitedOther',
  'cachePurged',
  'concurrencyGlobal',
  'concurrencyClient',
  'concurrencyRoute',
  'concurrencyServer',
  'shedLow',
  'shedLists',
  'shedReads',
  'shedSessions',
  'shedCalls',
  'shedHigh',
] as const;

/** Name of a fixed counter. */
export type CounterName = (typeof COUNTERS)[number];
/** Ids of the fixed counters. */
export const Counter = Object.freeze(Object.fromEntries(COUNTERS.map((name, id) => [name, id]))) as Readonly<
  Record<CounterName, number>
>;

/** Calls refused, by the scope of the limit that refused them. */
export const REFUSED_BY: Readonly<Record<LimitScope, CounterName>> = {
  global: 'limitedGlobal',
  client: 'limitedClient',
  tool: 'limitedTool',
  client_tool: 'limitedClientTool',
  route: 'limitedRoute',
  client_route: 'limitedClientRoute',
  rule: 'limitedRule',
  other: 'limitedOther',
};
const REFUSED_COUNTERS = LIMIT_SCOPES.map((scope) => Counter[REFUSED_BY[scope]]);

/** The counter of the calls that limits of a scope refused. @param scope position in {@link LIMIT_SCOPES} */
export function limitCounter(scope: number): number {
  return REFUSED_COUNTERS[scope]!;
}

const FIXED = 128;
/** Room for the errors behind the fixed counters. */
const ERROR_ROOM = 128;
/** Room for the requests behind them, by method and outcome. */
const METHOD_ROOM = 64;
const REQUESTS = FIXED + ERROR_ROOM;

/** How a request ended: `ok` with an answer, `failed` with an error, `cancelled` by its client, which may have left. */
export const OUTCOMES = ['ok', 'failed', 'cancelled'] as const;
/** One of {@link OUTCOMES}. */
export type Outcome = (typeof OUTCOMES)[number];
/** Positions in {@link OUTCOMES}. */
export const OutcomeId = { ok: 0, failed: 1, cancelled: 2 } as const satisfies Record<Outcome, number>;

/** Requests with one outcome. */
export interface RequestTotal {
  /** `other` = a method that the gateway does not know, or none. */
  readonly method: string;
  readonly outcome: Outcome;
  readonly value: number;
}

const SEGMENT_COUNTERS = REQUESTS + METHOD_ROOM * OUTCOMES.length;

/** Fixed histograms, the first series. Append only. */
export const Series = {
  /** Whole time of a request in the gateway, upstream included. */
  request: 0,
  /** Time the upstream took. */
  upstream: 1,
  /** From dispatch to verdict. */
  decide: 2,
  /** Delay of the front's event loop. */
  loopDelay: 3,
} as const;
const FIXED_SERIES = 8;

/** What a series counts besides the time. */
export interface SeriesView extends HistogramView {
  readonly errors: number;
  /** Results of a tool with `isError`. */
  readonly errorResults: number;
}

/** Memory of the counters; shared with each thread. */
export interface CounterMemory {
  readonly threads: number;
  /** Series beyond the fixed ones; the front's segment only. */
  readonly named: number;
  readonly counters: SharedArrayBuffer;
  readonly series: SharedArrayBuffer;
}

/**
 * @param threads segments; thread 0 is the front
 * @param named most series with names of their own (upstreams and tools, `other` included)
 */
export function counterMemory(threads: number, named: number): CounterMemory {
  const series = threads * FIXED_SERIES + named;
  return {
    threads,
    named,
    counters: new SharedArrayBuffer(threads * SEGMENT_COUNTERS * 8),
    series: new SharedArrayBuffer(series * HISTOGRAM_SLOTS * 8),
  };
}

/** The writing side of one thread; also reads the sums. */
export class Counters {
  readonly memory: CounterMemory;
  readonly #counters: Float64Array;
  readonly #series: Float64Array;
  readonly #base: number;
  readonly #seriesBase: number;

  /** @param thread number of the segment this thread alone writes */
  constructor(memory: CounterMemory, thread: number) {
    this.memory = memory;
    this.#counters = new Float64Array(memory.counters);
    this.#series = new Float64Array(memory.series);
    this.#base = thread * SEGMENT_COUNTERS;
    this.#seriesBase = thread * FIXED_SERIES;
  }

  /** Adds to a fixed counter. */
  add(counter: number, count = 1): void {
    this.#counters[this.#base + counter]! += count;
  }

  /** Counts error answers. @param number of the error (src/errors.ts) */
  error(number: number, count = 1): void {
    this.#counters[this.#base + FIXED + number]! += count;
  }

  /** Counts requests. @param method id of the method, 0 = another one */
  request(method: number, outcome: number, count = 1): void {
    const row = method < METHODS.length ? method : 0;
    this.#counters[this.#base + REQUESTS + row * OUTCOMES.length + outcome]! += count;
  }

  /** Counts one result with `isError` under a series of {@link SeriesNames.id}. */
  errorResult(series: number): void {
    this.#series[this.#seriesSlot(series) * HISTOGRAM_SLOTS + HistogramFloat.errorResults]! += 1;
  }

  /**
   * Records one duration under a series.
   *
   * @param series an id of {@link Series}, or one that {@link SeriesNames.id} gave (front only)
   */
  observe(series: number, milliseconds: number, failed = false): void {
    const at = this.#seriesSlot(series) * HISTOGRAM_SLOTS;
    const values = this.#series;
    values[at + HistogramFloat.count]! += 1;
    values[at + HistogramFloat.sum]! += milliseconds;
    const isFirst = values[at + HistogramFloat.count] === 1;
    if (isFirst || milliseconds < values[at + HistogramFloat.min]!) values[at + HistogramFloat.min] = milliseconds;
    if (milliseconds > values[at + HistogramFloat.max]!) values[at + HistogramFloat.max] = milliseconds;
    if (failed) values[at + HistogramFloat.errors]! += 1;
    values[at + histogramSlot(milliseconds)]! += 1;
  }

  /** Sum of a counter over all threads. */
  total(counter: number): number {
    let sum = 0;
    for (let thread = 0; thread < this.memory.threads; thread += 1) {
      sum += this.#counters[thread * SEGMENT_COUNTERS + counter]!;
    }
    return sum;
  }

  /** Answers with each error so far, by error code; those that never happened are left out. */
  errorTotals(): Map<string, number> {
    const totals = new Map<string, number>();
    ERROR_CODES.forEach((code, number) => {
      const sum = this.total(FIXED + number);
      if (sum > 0) totals.set(code, sum);
    });
    return totals;
  }

  /** Requests so far by method and outcome; those that never happened are left out. */
  requestTotals(): RequestTotal[] {
    return METHODS.flatMap((name, method) =>
      OUTCOMES.map((outcome, id): RequestTotal => {
        const value = this.total(REQUESTS + method * OUTCOMES.length + id);
        return { method: name === '' ? 'other' : name, outcome, value };
      }),
    ).filter(({ value }) => value > 0);
  }

  /** A series added up over all threads that write it. */
  read(series: number): SeriesView {
    const slots: number[] = [];
    if (series < FIXED_SERIES) {
      for (let thread = 0; thread < this.memory.threads; thread += 1) slots.push(thread * FIXED_SERIES + series);
    } else {
      slots.push(this.#seriesSlot(series));
    }
    let errors = 0;
    let errorResults = 0;
    for (const slot of slots) {
      errors += this.#series[slot * HISTOGRAM_SLOTS + HistogramFloat.errors]!;
      errorResults += this.#series[slot * HISTOGRAM_SLOTS + HistogramFloat.errorResults]!;
    }
    const view = readHistogram(
      this.#series,
      slots.map((slot) => slot * HISTOGRAM_SLOTS),
    );
    return { ...view, errors, errorResults };
  }

  /** Empties a named series before its id gets another name. */
  clear(series: number): void {
    const at = this.#seriesSlot(series) * HISTOGRAM_SLOTS;
    this.#series.fill(0, at, at + HISTOGRAM_SLOTS);
  }

  #seriesSlot(series: number): number {
    return series < FIXED_SERIES
      ? this.#seriesBase + series
      : this.memory.threads * FIXED_SERIES + series - FIXED_SERIES;
  }
}

/** What series beyond the fixed ones are about; the name of a variant is that of its route, a space and that of its group. */
export type SeriesKind = 'upstream' | 'tool' | 'variant';

/**
 * Names of the series beyond the fixed ones: upstreams, tools and variants, bounded; those beyond the bound are counted under
 * `other`. The front looks up each server and catalog entry once and keeps the ids in a table.
 */
export class SeriesNames {
  /** The id that all names beyond the bound share. */
  readonly other = FIXED_SERIES;
  readonly #ids = new Map<string, number>();
  readonly #capacity: number;

  constructor(memory: CounterMemory) {
    this.#capacity = memory.named - 1;
  }

  /** The id of a name within a kind; {@link other} once the bound is reached. */
  id(kind: SeriesKind, name: string): number {
    const key = `${kind} ${name}`;
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    if (this.#ids.size >= this.#capacity) return this.other;
    const id = FIXED_SERIES + 1 + this.#ids.size;
    this.#ids.set(key, id);
    return id;
  }

  /** Kind, name and id of each series with a name of its own. */
  *entries(): IterableIterator<{ kind: SeriesKind; name: string; id: number }> {
    for (const [key, id] of this.#ids) {
      const space = key.indexOf(' ');
      yield { kind: key.slice(0, space) as SeriesKind, name: key.slice(space + 1), id };
    }
  }
}
