import type { Milliseconds } from '../../units.js';
import type { Exchange, UpstreamHandle } from '../exchange/index.js';
import type { SendCatalog, StartingServer } from './parts.js';

/** Time between two looks at the servers while calls wait. */
const POLL_MS: Milliseconds = 20;

/** Takes calls that have waited: *send*. */
export interface StartedCalls {
  /** Its server is connected, or has failed. @param catalog the one that the call was decided by; null = it needs none */
  started(exchange: Exchange, catalog: SendCatalog | null): void;
  /** Its server has taken too long. */
  expired(exchange: Exchange): void;
}

interface WaitingCall {
  readonly exchange: Exchange;
  readonly generation: number;
  readonly server: StartingServer;
  readonly catalog: SendCatalog | null;
  /** `performance.now()` when it fails. */
  readonly until: Milliseconds;
}

/**
 * Calls that wait for the first connection of their server, or for the one after it was lost. They are not composed yet: it shows
 * only then which family the server is of. Owned by *send*.
 */
export class StartingCalls implements UpstreamHandle {
  readonly #next: StartedCalls;
  #waiting: WaitingCall[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(next: StartedCalls) {
    this.#next = next;
  }

  /**
   * Keeps a call that has a body of its own.
   *
   * @returns false when as many calls wait for the server as `maxQueue` allows
   */
  hold(exchange: Exchange, server: StartingServer, catalog: SendCatalog | null): boolean {
    const { maxQueue, connectTimeoutMs } = server.config;
    let count = 0;
    for (const other of this.#waiting) if (other.server === server) count += 1;
    if (count >= maxQueue) return false;
    exchange.call.upstream = this;
    const { generation } = exchange;
    this.#waiting.push({ exchange, generation, server, catalog, until: performance.now() + connectTimeoutMs });
    this.#timer ??= setInterval(() => this.#look(), POLL_MS);
    return true;
  }

  cancel(exchange: Exchange): void {
    this.#waiting = this.#waiting.filter((call) => call.exchange !== exchange);
    this.#rest();
  }

  /** Nothing is read yet. */
  pause(): void {}
  /** See {@link pause}. */
  resume(): void {}

  #look(): void {
    const now = performance.now();
    const calls = this.#waiting;
    this.#waiting = [];
    for (const call of calls) {
      const { catalog, exchange, generation, server, until } = call;
      if (exchange.generation !== generation || exchange.call.upstream !== this) continue;
      if (server.isStarting && now < until) {
        this.#waiting.push(call);
        continue;
      }
      exchange.call.upstream = null;
      if (server.isStarting) this.#next.expired(exchange);
      else this.#next.started(exchange, catalog);
    }
    this.#rest();
  }

  #rest(): void {
    if (this.#waiting.length > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
