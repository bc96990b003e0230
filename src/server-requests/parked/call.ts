import type { Spans } from '../../../native/spans.js';
import type { ErrorCode } from '../../errors.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { Bytes, Milliseconds } from '../../units.js';
import type { Endpoint } from '../../upstream/core/types.js';
import type { InputRequest } from './input-requests.js';

/** The end of a call while its client was away: the upstream's response, or an error. */
export type Outcome =
  | { readonly code: null; readonly bytes: Buffer; readonly spans: Spans }
  /** `detail` is quoted by the error. */
  | { readonly code: ErrorCode; readonly detail: string };

/**
 * One call of a modern client whose legacy upstream has sent input requests. Owned by ParkedCalls; keeps the number of open
 * requests and the deadline of its exchange up to date.
 */
export class ParkedCall {
  readonly endpoint: Endpoint;
  readonly exchange: Exchange;
  /** The generation of the exchange that this call is. */
  readonly generation: number;
  /** The key of `limits.maxParkedPerPrincipal`. */
  readonly principal: string;
  /** The retry must have the same {@link callDigest}. */
  readonly digest: Buffer;
  /** The requests without an answer, by key. */
  readonly inputRequests = new Map<string, InputRequest>();
  /** Bytes of `inputRequests`. */
  inputRequestBytes: Bytes = 0;
  /** The number in the `requestState` that the client has; 0 = none. */
  number = 0;
  /** The end of the call, kept for its client. */
  outcome: Outcome | null = null;
  /** The time limit of the call; 0 = none. */
  readonly #limitMs: Milliseconds;
  #timer: NodeJS.Timeout | undefined;

  constructor(endpoint: Endpoint, exchange: Exchange, principal: string, digest: Buffer) {
    this.endpoint = endpoint;
    this.exchange = exchange;
    this.generation = exchange.generation;
    this.principal = principal;
    this.digest = digest;
    this.#limitMs = exchange.call.deadline > 0 ? exchange.call.deadline - exchange.call.sentAt : 0;
  }

  /** Whether the exchange still belongs to this call. */
  get isCurrent(): boolean {
    return this.exchange.generation === this.generation;
  }

  add(request: InputRequest): void {
    this.inputRequests.set(request.key, request);
    this.inputRequestBytes += request.entry.length;
    this.#updateExchange();
  }

  remove(request: InputRequest): void {
    if (!this.inputRequests.delete(request.key)) return;
    this.inputRequestBytes -= request.entry.length;
    this.#updateExchange();
  }

  /** Removes all input requests. */
  clear(): void {
    this.inputRequests.clear();
    this.inputRequestBytes = 0;
    this.#updateExchange();
  }

  /** The deadline is suspended while an input request is open and starts anew afterwards: the client's time does not count. */
  #updateExchange(): void {
    const { exchange } = this;
    if (!this.isCurrent) return;
    exchange.call.openRequests = this.inputRequests.size;
    exchange.call.deadline = this.inputRequests.size === 0 && this.#limitMs > 0 ? performance.now() + this.#limitMs : 0;
  }

  get hasTimer(): boolean {
    return this.#timer !== undefined;
  }

  /** Starts the timer of the call, instead of one that runs. */
  schedule(ms: Milliseconds, work: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      work();
    }, ms);
    this.#timer.unref();
  }

  cancelTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
