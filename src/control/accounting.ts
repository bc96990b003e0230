/**
 * What is counted and logged about each exchange when it ends. Series are looked up by index, so that counting costs
 * no allocation: one table a catalog, made when the catalog comes into force.
 */

import { errorNumber } from '../errors.js';
import { type Exchange, MessageFlag } from '../request/exchange/index.js';
import { EntryKind } from '../shared/catalog-table.js';
import { Counter, type Counters, Series, type SeriesNames } from '../shared/counters.js';
import { NO_ITEMS, type Packed, packedText } from '../shared/packed.js';
import { Verdict } from '../shared/records.js';

const NOT_COUNTED = -2;

/** What the tables are made from. */
export interface AccountedCatalog {
  readonly version: number;
  readonly table: { readonly kind: Uint8Array; readonly publicNames: Packed };
}

/** Counts exchanges; one per front. */
export class Accounting {
  readonly #counters: Counters;
  readonly #names: SeriesNames;
  /** Called for each exchange when the access log is on. */
  #log: ((exchange: Exchange, milliseconds: number) => void) | null;
  #servers = new Int32Array(0);
  #catalog: AccountedCatalog['table'] = { kind: new Uint8Array(0), publicNames: NO_ITEMS };
  /** Series by entry, once one of its calls has been counted. */
  #entries = new Int32Array(0);
  #catalogVersion = -1;

  constructor(
    counters: Counters,
    names: SeriesNames,
    log: ((exchange: Exchange, milliseconds: number) => void) | null,
  ) {
    this.#counters = counters;
    this.#names = names;
    this.#log = log;
  }

  /** Takes over the servers of a snapshot, by index. */
  setServers(names: readonly string[]): void {
    this.#servers = Int32Array.from(names, (name) => this.#names.id('upstream', name));
  }

  /** Takes over what writes access lines; null = nothing does. */
  setLog(log: ((exchange: Exchange, milliseconds: number) => void) | null): void {
    this.#log = log;
  }

  /** Takes over a catalog; only tools get series of their own. */
  setCatalog(catalog: AccountedCatalog): void {
    this.#catalog = catalog.table;
    this.#entries = new Int32Array(catalog.table.kind.length).fill(NOT_COUNTED);
    this.#catalogVersion = catalog.version;
  }

  /** Counts an exchange that is about to be given back. */
  finished(exchange: Exchange): void {
    const counters = this.#counters;
    const now = performance.now();
    const took = now - exchange.client.startedAt;
    const failed = exchange.client.error !== null;
    counters.add(Counter.requests);
    counters.add(Counter.bytesIn, exchange.client.bytesIn);
    counters.add(Counter.bytesOut, exchange.client.bytesOut);
    if ((exchange.message.flags & MessageFlag.noAnswer) !== 0) counters.add(Counter.notifications);
    if (exchange.client.error === 'GW_CANCELLED') counters.add(Counter.cancelled);
    counters.observe(Series.request, took, failed);
    if (exchange.client.error !== null) counters.error(errorNumber(exchange.client.error));
    if (exchange.call.server >= 0 && exchange.call.sentAt > 0) this.#upstream(exchange, now, failed);
    if (this.#log !== null) this.#log(exchange, took);
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
    if (tool >= 0) counters.observe(tool, took, failed);
  }

  #seriesOf(entry: number): number {
    const known = this.#entries[entry]!;
    if (known !== NOT_COUNTED) return known;
    const { kind, publicNames } = this.#catalog;
    const series = kind[entry] === EntryKind.tool ? this.#names.id('tool', packedText(publicNames, entry)) : -1;
    this.#entries[entry] = series;
    return series;
  }
}
