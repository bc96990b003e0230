/** A real worker pool and dispatcher with real exchanges; only sockets and upstreams are missing. */

import { typescriptDecoder } from '../../../native/index.js';
import type { Method } from '../../../native/layout.js';
import { ScanStatus } from '../../../native/layout.js';
import type { Snapshot } from '../../../src/config/snapshot/index.js';
import { WorkerPool, type WorkerPoolOptions } from '../../../src/control/worker-pool.js';
import { ERROR_CODES } from '../../../src/errors.js';
import { Era, Revision } from '../../../src/protocol/revisions.js';
import { Dispatcher } from '../../../src/request/dispatch/index.js';
import { Caller, Scheme } from '../../../src/request/exchange/caller.js';
import { type Exchange, MessageFlag, Phase } from '../../../src/request/exchange/index.js';
import { ExchangeTable } from '../../../src/request/exchange/table.js';
import { ANSWER_HEAD_BYTES, AnswerHead } from '../../../src/shared/cache/answer-head.js';
import type { CatalogTable } from '../../../src/shared/catalog-table.js';
import { Verdict } from '../../../src/shared/ring/records.js';
import type { VerdictRecord } from '../../../src/shared/ring/verdict-record.js';
import { snapshot as baseSnapshot, sampleCatalog } from '../../workers/fixture.js';

const names = Object.fromEntries(Object.entries(Verdict).map(([name, value]) => [value, name]));

/** A verdict as a test looks at it. */
export interface Decided {
  readonly verdict: string;
  readonly error: string;
  /** Without the head of an answer from the cache. */
  readonly payload: string;
  /** The answer for the case that the upstream fails. */
  readonly leftover: string;
  readonly server: number;
  readonly route: number;
  readonly entry: number;
  readonly stripBytes: number;
  readonly flags: number;
  readonly retryAfterMs: number;
  readonly body: string;
  readonly words: VerdictRecord;
  readonly exchange: Exchange;
}

export interface Ask {
  readonly method?: string;
  readonly params?: unknown;
  readonly token?: string;
  readonly address?: string;
  /** Position in `Snapshot.views`; default 0. */
  readonly view?: number;
  /** Values of `Snapshot.attributes`; default none. */
  readonly attributes?: string;
  readonly modern?: boolean;
  /** The call carries `inputResponses` or `requestState`. */
  readonly continued?: boolean;
  /** An Operation in the place of the method. */
  readonly operation?: Method;
  /** Raw body instead of `method` and `params`. */
  readonly raw?: string;
}

export interface DispatchFixtureOptions extends Partial<WorkerPoolOptions> {
  readonly memo?: boolean;
  readonly maxQueue?: number;
  readonly capacity?: number;
}

export class DispatchFixture {
  readonly pool: WorkerPool;
  readonly table: ExchangeTable;
  readonly dispatcher: Dispatcher;
  readonly reports: string[] = [];
  /** Calls of `next` by exchange identity; each must stay at one. */
  readonly nexts = new Map<string, number>();
  /** Stands for the sockets that keep a gateway alive. */
  readonly #alive = setInterval(() => {}, 1000);
  readonly #waiting = new Map<Exchange, (decided: Decided) => void>();

  constructor(
    changes: Partial<Snapshot> = {},
    catalog: CatalogTable = sampleCatalog,
    options: DispatchFixtureOptions = {},
  ) {
    const snapshot = baseSnapshot(changes);
    this.table = new ExchangeTable(options.capacity ?? snapshot.limits.maxInFlight);
    this.pool = new WorkerPool({ snapshot, catalog, log: { warn: (line) => this.reports.push(line) }, ...options });
    this.dispatcher = new Dispatcher({
      table: this.table,
      pool: this.pool,
      decoder: typescriptDecoder,
      ...(options.memo === undefined ? {} : { memo: options.memo }),
      ...(options.maxQueue === undefined ? {} : { maxQueue: options.maxQueue }),
    });
    this.dispatcher.attach(this);
  }

  decided(exchange: Exchange, bytes: Uint8Array, length: number, payload: Buffer): void {
    const { verdict } = exchange;
    const key = `${exchange.slot}.${exchange.generation}`;
    this.nexts.set(key, (this.nexts.get(key) ?? 0) + 1);
    const decided: Decided = {
      verdict: names[verdict.kind] ?? '?',
      error: verdict.kind === Verdict.deny ? ERROR_CODES[verdict.error]! : '',
      payload:
        verdict.kind === Verdict.lead
          ? ''
          : payload.subarray(verdict.kind === Verdict.cached ? ANSWER_HEAD_BYTES : 0).toString(),
      leftover: verdict.kind === Verdict.lead ? payload.subarray(ANSWER_HEAD_BYTES).toString() : '',
      server: verdict.server,
      route: verdict.route,
      entry: verdict.entry,
      stripBytes: verdict.stripBytes,
      flags: verdict.flags,
      retryAfterMs: verdict.retryAfterMs,
      body: Buffer.from(bytes.subarray(0, length)).toString(),
      words: verdict.copy(),
      exchange,
    };
    const resolve = this.#waiting.get(exchange);
    this.#waiting.delete(exchange);
    resolve?.(decided);
  }

  /** Takes an exchange and scans a body into it. */
  exchange(ask: Ask): { exchange: Exchange; bytes: Buffer } {
    const exchange = this.table.acquire();
    if (exchange === null) throw new Error('the table is full');
    const text = ask.raw ?? JSON.stringify({ jsonrpc: '2.0', id: 1, method: ask.method, params: ask.params });
    const bytes = Buffer.from(text);
    const status = typescriptDecoder.scan(bytes, bytes.length, exchange.message.spans.words, 64);
    if (status !== ScanStatus.ok) throw new Error(`scan status ${status}`);
    if (ask.operation !== undefined) exchange.message.spans.method = ask.operation;
    exchange.client.caller = new Caller(
      ask.token ?? '',
      ask.token === undefined ? Scheme.none : Scheme.bearer,
      ask.view,
      ask.attributes,
      this.pool.snapshot.attributes,
    );
    if (ask.continued === true) exchange.message.flags |= MessageFlag.hasInputResponses;
    exchange.client.remoteAddress = ask.address ?? '127.0.0.1';
    exchange.client.era = ask.modern === true ? Era.modern : Era.legacy;
    exchange.client.revision = ask.modern === true ? Revision.r2026_07_28 : Revision.r2025_11_25;
    return { exchange, bytes };
  }

  /** The verdict an exchange is about to get. */
  wait(exchange: Exchange): Promise<Decided> {
    return new Promise((resolve) => this.#waiting.set(exchange, resolve));
  }

  /** Dispatches and keeps the exchange. */
  open(ask: Ask): { exchange: Exchange; decided: Promise<Decided> } {
    const { exchange, bytes } = this.exchange(ask);
    const decided = this.wait(exchange);
    this.dispatcher.dispatch(exchange, bytes, bytes.length);
    // The bytes belong to the caller again: whatever still reads them is wrong.
    bytes.fill(0x21);
    return { exchange, decided };
  }

  /** Dispatches, waits for the verdict and gives the exchange back. */
  async ask(ask: Ask): Promise<Decided> {
    const { exchange, decided } = this.open(ask);
    const result = await decided;
    this.done(exchange);
    return result;
  }

  /** Reports the result of a call that leads a cache key. @param hints what its upstream says about storing it */
  store(exchange: Exchange, result: string, hints: Partial<AnswerHead> = {}): void {
    const bytes = Buffer.from(`..${result}`);
    const head = Object.assign(new AnswerHead(), { server: exchange.verdict.server }, hints);
    this.dispatcher.store(exchange, head, bytes, 2, bytes.length);
    bytes.fill(0x21);
  }

  call(name: string, args: unknown = {}, more: Partial<Ask> = {}): Promise<Decided> {
    return this.ask({ method: 'tools/call', params: { name, arguments: args }, ...more });
  }

  done(exchange: Exchange): void {
    exchange.enter(Phase.done);
    this.table.release(exchange);
  }

  async close(): Promise<void> {
    clearInterval(this.#alive);
    this.dispatcher.close();
    await this.pool.close();
  }
}
