/**
 * Streams that stay open without a request in flight: standalone streams and `subscriptions/listen`. Each has an
 * exchange of its own outside the exchange table, so that idle clients do not reduce `limits.maxInFlight` for calls.
 */

import type { Current } from '../../config/snapshot/current.js';
import type { LimitsSnapshot } from '../../config/snapshot/index.js';
import type { Caller } from '../../request/exchange/caller.js';
import { handOver } from '../../request/exchange/handover.js';
import { Exchange, Phase } from '../../request/exchange/index.js';
import type { VerdictRecord } from '../../shared/ring/verdict-record.js';
import { Rotation } from '../../shared/rotation.js';
import type { Bytes, Count } from '../../units.js';

/** What {@link LongLivedStreams} reads of the configuration. */
export interface LongLivedStreamsConfig {
  readonly limits: Pick<LimitsSnapshot, 'maxStreams'>;
}

/** Ends streams whose token is no longer accepted (src/session/rights.ts). */
export interface StreamRights {
  hold(exchange: Exchange, caller: Caller, verdict: VerdictRecord): void;
  release(exchange: Exchange): void;
}

/** What was counted of long-lived streams. */
export interface StreamCounts {
  readonly open: Count;
  readonly opened: Count;
  readonly closedByClient: Count;
  /** Its token expired, its session ended, or the gateway stops. */
  readonly closedByGateway: Count;
  /** Bytes and events sent, on those that are open too. */
  readonly bytes: Bytes;
  readonly events: Count;
}

/** Slot of an exchange that is in no table. */
const NO_SLOT = -1;

/** Whether the exchange belongs to a long-lived stream instead of the exchange table. */
export function isLongLived(exchange: Exchange): boolean {
  return exchange.slot === NO_SLOT;
}

/** The set of open long-lived streams, bounded by `limits.maxStreams`; one per front. See the file comment. */
export class LongLivedStreams {
  readonly #config: Current<LongLivedStreamsConfig>;
  readonly #open = new Set<Exchange>();
  readonly #rotation = new Rotation(() => this.#open.values());
  #generation = 0;
  #opened: Count = 0;
  #closedByClient: Count = 0;
  #closedByGateway: Count = 0;
  /** Of those that have ended. */
  #bytes: Bytes = 0;
  #events: Count = 0;
  #rights: StreamRights | null = null;

  constructor(config: Current<LongLivedStreamsConfig>) {
    this.#config = config;
  }

  /** Sets what ends streams that are opened from now on. Once: the rights end streams and are made after them. */
  attach(rights: StreamRights): void {
    this.#rights = rights;
  }

  /** Streams open now. */
  get size(): Count {
    return this.#open.size;
  }

  /** Whether `maxStreams` are open. */
  get isFull(): boolean {
    return this.#open.size >= this.#config.current.limits.maxStreams;
  }

  /**
   * Moves a request into an exchange of its own, in phase streaming. Afterwards `from` has no client; the caller releases
   * it to its table without counting it.
   */
  open(from: Exchange): Exchange {
    const exchange = new Exchange(NO_SLOT);
    const { remoteAddress } = from.client;
    handOver(from, exchange);
    this.#generation = (this.#generation + 1) & 0x7fffffff;
    exchange.generation = this.#generation;
    exchange.enter(Phase.streaming);
    exchange.client.streaming = true;
    exchange.client.status = 200;
    exchange.client.quietSince = performance.now();
    exchange.client.remoteAddress = remoteAddress;
    exchange.message.verb = from.message.verb;
    exchange.message.flags = from.message.flags;
    exchange.message.spans.words.set(from.message.spans.words);
    exchange.verdict.assign(from.verdict);
    this.#open.add(exchange);
    this.#opened += 1;
    this.#rights?.hold(exchange, exchange.client.caller, exchange.verdict);
    return exchange;
  }

  /** Removes a stream that has ended. */
  release(exchange: Exchange): void {
    exchange.enter(Phase.free);
    exchange.client.reply = null;
    exchange.client.streaming = false;
    exchange.client.session = null;
    if (this.#open.delete(exchange)) this.#count(exchange.client);
    this.#rights?.release(exchange);
  }

  #count({ bytesOut, error, events }: Exchange['client']): void {
    if (error === 'GW_CANCELLED') this.#closedByClient += 1;
    else this.#closedByGateway += 1;
    this.#bytes += bytesOut;
    this.#events += events;
  }

  /** What was counted so far. */
  get counts(): StreamCounts {
    let bytes = this.#bytes;
    let events = this.#events;
    for (const { client } of this.#open) {
      bytes += client.bytesOut;
      events += client.events;
    }
    return {
      open: this.#open.size,
      opened: this.#opened,
      closedByClient: this.#closedByClient,
      closedByGateway: this.#closedByGateway,
      bytes,
      events,
    };
  }

  /** Calls `visit` for up to `count` streams; the next call continues where this one ended. */
  visitSome(count: Count, visit: (exchange: Exchange) => void): void {
    this.#rotation.visitSome(count, visit);
  }
}
