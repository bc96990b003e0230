/**
 * Counts and logs each exchange when it ends. Series are looked up by catalog entry, so that counting does not allocate;
 * the table is created when a catalog comes into force.
 */

import type { Current } from '../config/snapshot/current.js';
import type { Snapshot } from '../config/snapshot/index.js';
import { errorNumber } from '../errors.js';
import { type Exchange, MessageFlag } from '../request/exchange/index.js';
import { isLongLived } from '../session/streams/long-lived.js';
import { EntryKind } from '../shared/catalog-table.js';
import { Counter, type Counters, OutcomeId, Series, type SeriesNames } from '../shared/counters.js';
import { NO_ITEMS, type Packed, packedText } from '../shared/packed.js';
import { Verdict } from '../shared/ring/records.js';

/** The series of an entry was not looked up yet. */
const NOT_COUNTED = -2;

/** What {@link Accounting} reads of a catalog. */
export interface AccountedCatalog {
  readonly version: number;
  readonly table: { readonly kind: Uint8Array; readonly publicNames: Packed };
}

/** Writes access log lines. */
export interface AccessLines {
  /** Null when the access log is off. */
  readonly access: ((exchange: Exchange, server: string) => void) | null;
}

/** See the file comment. The stages call it; one per front. */
export class Accounting {
  readonly #counters: Counters;
  readonly #names: SeriesNames;
  readonly #config: Current<Pick<Snapshot, 'routes' | 'servers' | 'version'>>;
  readonly #log: AccessLines;
  #servers = new Int32Array(0);
  /** Series of the groups of each route, in the snapshot of that version. */
  #variants: readonly Int32Array[] = [];
  #snapshotVersion = -1;
  #catalog: AccountedCatalog['table'] = { kind: new Uint8Array(0), publicNames: NO_ITEMS };
  /** Series by entry; -1 = none. */
  #entries = new Int32Array(0);
  #catalogVersion = -1;

  constructor(
    counters: Counters,
    names: SeriesNames,
    config: Current<Pick<Snapshot, 'routes' | 'servers' | 'version'>>,
    log: AccessLines,
  ) {
    this.#counters = counters;
    this.#names = names;
    this.#config = config;
    this.#log = log;
    this.follow();
  }

  /** Whether every exchange keeps its body: the access log names tools. */
  get keepsBodies(): boolean {
    return this.#log.access !== null;
  }

  /** Reads the series of the servers and variants again after a reload. */
  follow(): void {
    const { routes, servers, version } = this.#config.current;
    this.#servers = Int32Array.from(servers, ({ name }) => this.#names.id('upstream', name));
    this.#variants = routes.map((route) =>
      Int32Array.from(route.variants?.groups ?? [], ({ name }) => this.#names.id('variant', `${route.name} ${name}`)),
    );
    this.#snapshotVersion = version;
  }

  /** Uses another catalog, of which tools have a series each. */
  setCatalog(catalog: AccountedCatalog): void {
    this.#catalog = catalog.table;
    this.#entries = new Int32Array(catalog.table.kind.length).fill(NOT_COUNTED);
    this.#catalogVersion = catalog.version;
  }

  /** Counts an exchange that is about to be released. */
  finished(exchange: Exchange): void {
    // Streams are counted where they are opened and closed: their life is no latency, and their end no error.
    if (isLongLived(exchange)) this.#logLine(exchange);
    else if ((exchange.message.flags & MessageFlag.refresh) === 0) this.#request(exchange);
    // The request was counted when it was answered.
    else if (isSent(exchange)) this.#upstream(exchange, performance.now(), exchange.client.error !== null);
  }

  #request(exchange: Exchange): void {
    const counters = this.#counters;
    const now = performance.now();
    const { error } = exchange.client;
    const { method } = exchange.message.spans;
    counters.add(Counter.bytesIn, exchange.client.bytesIn);
    counters.add(Counter.bytesOut, exchange.client.bytesOut);
    if ((exchange.message.flags & MessageFlag.noAnswer) !== 0) counters.add(Counter.notifications);
    if (error === 'GW_CANCELLED') {
      counters.add(Counter.cancelled);
      counters.request(method, OutcomeId.cancelled);
      if (isSent(exchange)) counters.add(Counter.upstreamCalls);
    } else {
      const failed = error !== null;
      counters.request(method, failed ? OutcomeId.failed : OutcomeId.ok);
      counters.observe(Series.request, now - exchange.client.startedAt, failed);
      if (error !== null) counters.error(errorNumber(error));
      if (isSent(exchange)) this.#upstream(exchange, now, failed);
      if (exchange.verdict.variant >= 0) this.#variant(exchange, now, failed);
    }
    this.#logLine(exchange);
  }

  #logLine(exchange: Exchange): void {
    const { access } = this.#log;
    if (access !== null) access(exchange, this.#config.current.servers[exchange.call.server]?.name ?? '');
  }

  #upstream(exchange: Exchange, now: number, failed: boolean): void {
    const counters = this.#counters;
    const took = now - exchange.call.sentAt;
    counters.add(Counter.upstreamCalls);
    if (failed) counters.add(Counter.upstreamFailures);
    counters.observe(Series.upstream, took, failed);
    const server = this.#servers[exchange.call.server];
    if (server !== undefined) counters.observe(server, took, failed);
    const { verdict } = exchange;
    const kind = verdict.kind;
    if (kind !== Verdict.forward && kind !== Verdict.lead) return;
    if (verdict.catalogVersion !== this.#catalogVersion) return;
    const entry = verdict.entry;
    const tool = entry < 0 ? -1 : this.#seriesOf(entry);
    if (tool < 0) return;
    counters.observe(tool, took, failed);
    if (exchange.call.isErrorResult) counters.errorResult(tool);
  }

  #variant({ call, client, verdict }: Exchange, now: number, failed: boolean): void {
    if (verdict.snapshotVersion !== this.#snapshotVersion) return;
    const series = this.#variants[verdict.route]?.[verdict.variant];
    if (series === undefined) return;
    this.#counters.observe(series, now - client.startedAt, failed);
    if (call.isErrorResult) this.#counters.errorResult(series);
  }

  #seriesOf(entry: number): number {
    const known = this.#entries[entry];
    if (known !== undefined && known !== NOT_COUNTED) return known;
    const { kind, publicNames } = this.#catalog;
    const series = kind[entry] === EntryKind.tool ? this.#names.id('tool', packedText(publicNames, entry)) : -1;
    this.#entries[entry] = series;
    return series;
  }
}

/** Whether the call was given to an upstream. */
function isSent({ call }: Exchange): boolean {
  return call.server >= 0 && call.sentAt > 0;
}
