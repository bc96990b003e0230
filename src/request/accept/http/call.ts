import type { ErrorCode } from '../../../errors.js';
import type { BufferBudget, Holder } from '../../../shared/buffer-budget.js';
import { HeldBytes } from '../../../shared/held-bytes.js';
import type { Bytes, Milliseconds } from '../../../units.js';
import { type Exchange, type Peer, type Reply, Verb } from '../../exchange/index.js';
import { EMPTY } from './answers.js';
import { RequestHead } from './head.js';
import type { Target } from './paths.js';

/** What has an HTTP request that is not bound to an exchange: a transport, or a reply that answers later. */
export interface CallListener {
  /** The queue towards the client is empty again. */
  drained(): void;
  /** The client disconnected before the answer was sent; the call must not be used any more. Called at most once. */
  disconnected(): void;
}

/** A reason not to serve a request. */
export interface Refusal {
  readonly code: ErrorCode;
  /** The methods that the path takes, for GW_METHOD_NOT_ALLOWED; else empty. */
  readonly allow: string;
}

/** What a call needs of the front end that it belongs to. */
export interface CallOwner {
  /** Answers carry `Connection: close`. */
  readonly isDraining: boolean;
  readonly maxClientBufferBytes: Bytes;
  readonly maxResponseBytes: Bytes;
  readonly budget: BufferBudget;
  /** The budget takes back the room of the body that is arriving. */
  bodyEvicted(call: HttpCall): void;
  /** The client disconnected before the answer was complete. */
  disconnected(call: HttpCall): void;
  /** The queue towards the client of a streamed answer is empty again. */
  drained(call: HttpCall): void;
  /** Nothing more is written to the call. */
  finished(call: HttpCall): void;
}

/** One HTTP request on either front end, and the Reply to it. */
export abstract class HttpCall<Owner extends CallOwner = CallOwner> implements Reply, Peer, Holder {
  readonly head = new RequestHead();
  readonly body: HeldBytes;
  /** Bytes of the answer that the client has not taken, as the budget counts them. */
  held: Bytes = 0;
  isEvicted = false;
  exchange: Exchange | null = null;
  /** Set by the transport that has the call; notified instead of the handler. */
  listener: CallListener | null = null;
  /** Null until the request is routed. */
  target: Target | null = null;
  /** Why the request is refused once the framing of its body is known to be valid. */
  refusal: Refusal | null = null;
  /** The token of the id of a request that is refused, where what has come of its body tells it; else empty. */
  requestId: Uint8Array = EMPTY;
  /** The overload guard has judged the request when it was read, and it is not to be refused. */
  isAdmitted = false;
  /** The path of the endpoint or of the stream that was requested; empty = another path. */
  path = '';
  verb: Verb = Verb.post;
  startedAt: Milliseconds = 0;
  /** The connection ends with this answer, and what still comes of the body is dropped. */
  isClosing = false;
  /** The client has not taken everything. */
  isBlocked = false;
  /** `performance.now()` when the client last took something while blocked. */
  progressAt: Milliseconds = 0;
  protected readonly owner: Owner;

  constructor(owner: Owner) {
    this.owner = owner;
    this.body = new HeldBytes(owner.budget, () => owner.bodyEvicted(this));
  }

  abstract send(status: number, head: readonly string[], bytes: Uint8Array, start: number, end: number): void;
  abstract openStream(status: number, head: readonly string[]): void;
  abstract write(bytes: Uint8Array, start: number, end: number): boolean;
  abstract endStream(): void;
  abstract buffered(): Bytes;
  abstract remoteAddress(): string;
  /** Cuts the connection at once. */
  abstract cut(): void;
  /** The connection has become a WebSocket: nothing more is written here. */
  abstract upgraded(): void;

  rebind(exchange: Exchange): void {
    if (this.exchange?.client.peer === this) this.exchange.client.peer = null;
    this.exchange = exchange;
  }

  acknowledged(): void {}

  abort(): void {
    this.detach();
    this.cut();
  }

  /** See {@link Holder.evicted}. */
  evicted(): void {
    this.cut();
  }

  /** Separates the call from its exchange, which is finished or continues without a client. */
  detach(): Exchange | null {
    const { exchange } = this;
    if (exchange !== null && exchange.client.peer === this) exchange.client.peer = null;
    this.exchange = null;
    return exchange;
  }

  /** Whether a writer has to wait for {@link CallOwner.drained} with so many bytes in the queue towards the client. */
  protected isCongested(buffered: Bytes): boolean {
    const { budget, maxClientBufferBytes } = this.owner;
    return buffered > maxClientBufferBytes || budget.isTight(buffered);
  }

  /** Whether so many bytes are more than one client may leave in its queue: one message beyond the limit is allowed. */
  protected isOverflowing(queued: Bytes): boolean {
    return queued > this.owner.maxClientBufferBytes + this.owner.maxResponseBytes;
  }

  /** Returns the bytes of body and answer to the budget. */
  releaseBytes(): void {
    this.body.clear();
    this.owner.budget.set(this, 0);
  }
}
