import type { Spans } from '../../../native/spans.js';
import type { ErrorCode } from '../../errors.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { Bytes, Milliseconds } from '../../units.js';
import type { Endpoint } from '../../upstream/core/types.js';
import type { InputRequest } from './input-requests.js';

/** What the upstream said at last while the client was away: its response, or why there is none. */
export type Outcome =
  | { readonly code: null; readonly bytes: Buffer; readonly spans: Spans }
  /** `detail` is what the error quotes. */
  | { readonly code: ErrorCode; readonly detail: string };

/** One call of a modern client whose legacy upstream has asked something. Keeps what the exchange says about that up to date. */
export class ParkedCall {
  readonly endpoint: Endpoint;
  readonly exchange: Exchange;
  /** The use of the exchange that is meant. */
  readonly generation: number;
  /** By whom calls are counted. */
  readonly principal: string;
  /** What the retry must have in common with the call. */
  readonly digest: Buffer;
  /** What the upstream waits for, by key. */
  readonly inputRequests = new Map<string, InputRequest>();
  /** Bytes of the open questions. */
  inputRequestBytes: Bytes = 0;
  /** Of the state that the client has; 0 = it has none. */
  number = 0;
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

  /** Whether the exchange is still this call's. */
  get isCurrent(): boolean {
    return this.exchange.generation === this.generation;
  }

  add(question: InputRequest): void {
    this.inputRequests.set(question.key, question);
    this.inputRequestBytes += question.entry.length;
    this.#updateExchange();
  }

  remove(question: InputRequest): void {
    if (!this.inputRequests.delete(question.key)) return;
    this.inputRequestBytes -= question.entry.length;
    this.#updateExchange();
  }

  /** Nobody waits for answers any more. */
  clear(): void {
    this.inputRequests.clear();
    this.inputRequestBytes = 0;
    this.#updateExchange();
  }

  /** The client's time does not count as the upstream's: its limit rests while a question is open, and then starts over. */
  #updateExchange(): void {
    const { exchange } = this;
    if (!this.isCurrent) return;
    exchange.call.openRequests = this.inputRequests.size;
    exchange.call.deadline = this.inputRequests.size === 0 && this.#limitMs > 0 ? performance.now() + this.#limitMs : 0;
  }

  get hasTimer(): boolean {
    return this.#timer !== undefined;
  }

  /** Does something later, instead of what was to be done before. */
  schedule(ms: Milliseconds, work: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      work();
    }, ms);
    this.#timer.unref();
  }

  /** Does nothing later. */
  cancelTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
