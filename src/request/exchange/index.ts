/**
 * One request on its way through the front, from accept to write. Exchanges are pooled and keep one shape;
 * every stage reads what earlier stages wrote. Bytes handed to a stage are valid only during that call unless the
 * exchange owns them (`body`).
 */
import { Method } from '../../../native/layout.js';
import { Spans } from '../../../native/spans.js';
import { type CodeOf, codes } from '../../codes.js';
import type { ErrorCode } from '../../errors.js';
import { Era } from '../../protocol/revisions.js';
import { IndexSet } from '../../shared/index-set.js';
import { VerdictRecord } from '../../shared/ring/verdict-record.js';
import { type Caller, NOBODY } from './caller.js';
import type { ActiveCalls, ActiveClient } from './concurrency.js';
import type { ClientLink, Peer } from './link.js';

export type { ClientLink, Peer } from './link.js';

/** Where the answer of one exchange goes: implemented by each accept adapter. No method throws. */
export interface Reply {
  /**
   * Answers with a whole body and ends the exchange on the wire. `bytes[start, end)` is copied before the call returns.
   *
   * @param head flat list of header names and values, without content-length
   */
  send(status: number, head: readonly string[], bytes: Uint8Array, start: number, end: number): void;
  /** Starts a streamed answer (SSE). */
  openStream(status: number, head: readonly string[]): void;
  /** Adds bytes to a streamed answer. @returns false when the client is slow: stop until `onDrain` */
  write(bytes: Uint8Array, start: number, end: number): boolean;
  /** Ends a streamed answer. */
  endStream(): void;
  /** Bytes queued towards the client. */
  buffered(): number;
  /** Cuts the connection. */
  abort(): void;
  /**
   * From now on this is the Reply of `exchange`: a call that waited for its client goes on with the client's next
   * request, a stream with the request that resumes it. The caller moves what else belongs to the client (handover.ts).
   */
  rebind(exchange: Exchange): void;
  /** The message has passed the policy and its answer may take long: transports that acknowledge a message do it now. */
  acknowledged(): void;
}

/** How messages are framed towards a client: `Client.framing`. */
export const Framing = codes('Framing', {
  /** Events of `text/event-stream` (Streamable HTTP, HTTP with SSE). */
  sse: 0,
  /** Bare JSON; the transport has frames of its own (WebSocket, stdio, in-process). */
  message: 1,
});
export type Framing = CodeOf<typeof Framing>;

/** The HTTP method of a request, as far as it matters. */
export const Verb = codes('Verb', { post: 0, get: 1, delete: 2 });
export type Verb = CodeOf<typeof Verb>;

/** Bits of `Client.accepts`. */
export const Accepts = {
  json: 1,
  /** An event stream, named by the client or all that is left. */
  sse: 2,
  /** An event stream by a wildcard or without `Accept`: only for answers that cannot be anything else. */
  anySse: 4,
} as const;

/**
 * Life of an exchange:
 *
 * ```
 *        acquire         decoded         verdict         stream opened
 *  free ────────> accepting ─────> deciding ─────> sending ────────────> streaming
 *   ^                                                │ ^                    │ ^
 *   │                                input_required  │ │  input_required,   │ │
 *   │                                or a question   │ │  or a question     │ │
 *   │                                                v │                    v │
 *   │                                         asking or parked ─────────────┘ │
 *   │                                                └─── answered, called again
 *   │ release
 *   └──────── done <──── from every other phase: answered, refused, failed, cancelled, abandoned
 * ```
 * A stream that is open stays open while its client is asked. The parent of a batch stays in accepting until its elements are
 * answered; the exchange of a long-lived stream begins in streaming and ends in free, since no table owns it.
 */
export const Phase = codes('Phase', {
  /** It lies in the table. */
  free: 0,
  /** Head and body are read, the message is decoded. */
  accepting: 1,
  /** The policy decides. */
  deciding: 2,
  /** The decision is made: the answer of the upstream, or of the gateway itself, is waited for. */
  sending: 3,
  /** The same with a stream that is open towards the client; a long-lived stream stays here. */
  streaming: 4,
  /** It is answered or abandoned, counted and logged. */
  done: 5,
  /** A legacy client has been asked what a modern upstream wants to know; no call is under way upstream. */
  asking: 6,
  /** A legacy upstream waits for an answer, and the modern client's next request will bring it: no client, no Reply. */
  parked: 7,
});
export type Phase = CodeOf<typeof Phase>;

/** How the upstream side of an exchange can be stopped; set by the upstream pool while a call is in flight. */
export interface UpstreamHandle {
  /** Stops the call upstream in the transport's and era's way. */
  cancel(exchange: Exchange, reason?: string): void;
  /** Stops and resumes reading the answer (client backpressure). */
  pause(exchange: Exchange): void;
  resume(exchange: Exchange): void;
}

/** What takes a call: an endpoint, as *send* knows it. */
export interface CallTarget extends UpstreamHandle {
  /** Number among the endpoints of its server. */
  readonly index: number;
  /** How the upstream is reached; `http` alone has headers for each call. */
  readonly transport: string;
  /** 0 legacy, 1 modern; meaningful once the endpoint is ready. */
  readonly era: Era;
  /**
   * Sends one call. `bytes` is the whole JSON-RPC request with id `exchange.call.upstreamId` (no newline) and becomes the endpoint's.
   * Exactly one final report follows on the sink (a response message or `failed`), never during this call... unless the call is cancelled first.
   *
   * @param method method id, @param nameHeader encoded `Mcp-Name` value or '' (modern HTTP only), @param extraHeaders flat list or null (`Mcp-Param-*`)
   */
  call(
    exchange: Exchange,
    bytes: Buffer,
    method: number,
    nameHeader: string,
    extraHeaders: readonly string[] | null,
  ): void;
}

const NO_BYTES = Buffer.alloc(0);

/** Room for ids and tokens without an allocation a request; longer ones (up to 256 bytes) get a buffer of their own. */
const INLINE_BYTES = 48;
const KEPT_TOKEN_BYTES = 256;

/** Bits of `Message.flags`. */
export const MessageFlag = {
  /** The message is a notification: 202 and no body. */
  noAnswer: 1 << 0,
  /** The call has `inputResponses` or `requestState`. */
  hasInputResponses: 1 << 1,
  /** A `tasks/*` call: its answer names the task. */
  task: 1 << 2,
  /** No request of a client: the gateway asks its policy (Dispatcher.ask). */
  question: 1 << 3,
  /** It takes no rate-limit tokens. */
  unmetered: 1 << 4,
  /** It has waited for lists that were not there yet (first-lists.ts). */
  waited: 1 << 5,
  /** Its client has got an old answer: the call goes on for the cache alone. */
  refresh: 1 << 6,
  /** The overload guard has judged it when it was read (native/early-refusals.ts). */
  admitted: 1 << 7,
} as const;

/** Whom an exchange answers, and how. It moves to another exchange where that one answers the client from then on (handover.ts). */
export class Client {
  /** Where the answer goes; null = the client is disconnected, or the exchange is answered. */
  reply: Reply | null = null;
  /** The connection where it carries many messages (WebSocket, stdio, in-process, HTTP with SSE); null = one HTTP request. */
  link: ClientLink | null = null;
  /** The batch that the exchange is an element of, or null. */
  batch: unknown = null;
  /** Bits of {@link Accepts}. */
  accepts = 0;
  framing: Framing = Framing.sse;
  /** The message came without the headers of Streamable HTTP, so there is nothing it has to agree with. */
  headerless = false;
  caller: Caller = NOBODY;
  /** An allowed `Origin`; empty = none was sent, or it was refused. */
  origin = '';
  /** `Host` of the request, and the path of the endpoint or stream that was requested; empty = there is no such request. */
  host = '';
  path = '';
  sessionId = '';
  lastEventId = '';
  /** The legacy session, if any (src/session). */
  session: SessionLike | null = null;
  era: Era = Era.legacy;
  /** Number of the revision (src/protocol/revisions.ts). */
  revision = 0;
  /** What the client can be asked for, bits of Capability (src/protocol/client-capabilities.ts); -1 = not read yet. */
  capabilities = -1;
  /** The client's id token as sent; `idLength` bytes count, 0 = none (a notification or an unreadable id). */
  id: Buffer = Buffer.allocUnsafe(INLINE_BYTES);
  idLength = 0;
  /** The client's progress token as sent; `progressLength` bytes count, 0 = none. */
  progress: Buffer = Buffer.allocUnsafe(INLINE_BYTES);
  progressLength = 0;
  /** Least log level number the client wants on this call's stream, 8 = none (0 debug ... 7 emergency). */
  logLevel = 8;
  /** Value of `performance.now()` when the head was complete. */
  startedAt = 0;
  /** Bytes of the body as they came in. */
  bytesIn = 0;
  /** The limits that count the request as a call under way (concurrency.ts); they go with the client to another exchange. */
  countedGlobally = false;
  countedClient: ActiveClient | null = null;
  countedRoute: ActiveCalls | null = null;

  // The answer
  status = 0;
  error: ErrorCode | null = null;
  bytesOut = 0;
  /** The answer is a stream, and it is open. */
  streaming = false;
  /** Number of the stream in the event log of its session; 0 = its events are not kept. */
  eventStream = 0;
  /** Messages written on the stream so far. */
  events = 0;
  /** `performance.now()` when the stream was opened or last written to. */
  quietSince = 0;

  /** Where `remoteAddress` comes from when it is asked for first; null = nowhere (any more). */
  peer: Peer | null = null;
  #remoteAddress = '';

  /** The client's address as text. Read on first use, since it costs more than the rest of accept's bookkeeping. */
  get remoteAddress(): string {
    if (this.peer !== null) {
      this.#remoteAddress = this.peer.remoteAddress();
      this.peer = null;
    }
    return this.#remoteAddress;
  }

  set remoteAddress(address: string) {
    this.peer = null;
    this.#remoteAddress = address;
  }

  /** Drops everything that refers to a client. */
  reset(): void {
    this.reply = null;
    this.link = null;
    this.batch = null;
    this.peer = null;
    this.accepts = 0;
    this.framing = Framing.sse;
    this.headerless = false;
    this.caller = NOBODY;
    this.origin = '';
    this.host = '';
    this.path = '';
    this.sessionId = '';
    this.lastEventId = '';
    this.session = null;
    this.capabilities = -1;
    this.idLength = 0;
    this.progressLength = 0;
    // Progress tokens have no limit of their own: a longer buffer is not kept in the pool.
    if (this.progress.length > KEPT_TOKEN_BYTES) this.progress = NO_BYTES;
    this.logLevel = 8;
    this.bytesIn = 0;
    this.status = 0;
    this.error = null;
    this.bytesOut = 0;
    this.streaming = false;
    this.eventStream = 0;
    this.events = 0;
  }
}

/** What was asked. */
export class Message {
  verb: Verb = Verb.post;
  versionHeader = '';
  methodHeader = '';
  nameHeader = '';
  hasNameHeader = false;
  /** `Mcp-Param-*` headers as a flat list of lower-case names and values, or null. */
  paramHeaders: string[] | null = null;
  readonly spans = new Spans();
  /** Bits of {@link MessageFlag}. */
  flags = 0;
  /** What a refusal has to quote from the request (cold paths only), e.g. the version asked for. */
  detail = '';
  /** The exchange's own copy of the body once it has to outlive the accept call; `bodyLength` bytes of it count. */
  body: Buffer = NO_BYTES;
  bodyLength = 0;
  /** The name that policy compares, where the body spells it with escapes or not in its normal form; else empty and the span counts. */
  decodedName: Buffer = NO_BYTES;
  /** The tool that made the task which a `tasks/*` call is about, as its server calls it; else empty. */
  taskTool = '';

  /** Drops what was asked. The other spans keep their values until the next scan. */
  reset(): void {
    this.spans.method = Method.unknown;
    this.versionHeader = '';
    this.methodHeader = '';
    this.nameHeader = '';
    this.hasNameHeader = false;
    this.paramHeaders = null;
    this.flags = 0;
    this.detail = '';
    this.body = NO_BYTES;
    this.bodyLength = 0;
    this.decodedName = NO_BYTES;
    this.taskTool = '';
  }
}

/** One attempt upstream. */
export class Call {
  /** Id towards the upstream. */
  upstreamId = 0;
  server = -1;
  /** The limit of the server that counts the call (concurrency.ts); null = none. */
  countedServer: ActiveCalls | null = null;
  endpoint = -1;
  upstream: UpstreamHandle | null = null;
  /** Slot for the transport of the upstream call (connection, child). */
  connection: unknown = null;
  /** Indexes of the endpoints of `server` that the call was sent to. */
  readonly tried = new IndexSet();
  /** Bytes of the call may have reached the upstream. */
  sent = false;
  sentAt = 0;
  /** Era of the upstream that has the call. */
  era: Era = Era.legacy;
  deadline = 0;
  /** Sentences about the failure of this attempt that follow the one of its error code; '' = none. */
  detail = '';
  /** Time after which the same call may succeed; 0 = not known. */
  retryAfterMs = 0;
  /** Where the gateway makes a task of the call (src/session/awaited-tasks.ts); null = it is no task, or the client's own. */
  taskTarget: CallTarget | null = null;
  /** The upstream's id of that task; '' = it was not made yet. */
  taskId = '';
  /** `Cache-Control` of the response, if it has a JSON body of its own; '' = it has none. And its `Age`, seconds. */
  cacheControl = '';
  answerAge = 0;
  /** The answer of the response cache for the case that the upstream fails, its head in front; null = there is none. */
  fallback: Buffer | null = null;
  /** Requests of the upstream that this call's client has not answered; the call's time limit rests meanwhile. */
  openRequests = 0;
  /** The result says that the tool failed (`isError`). */
  isErrorResult = false;

  /** Drops everything that refers to an upstream. */
  reset(): void {
    this.server = -1;
    this.endpoint = -1;
    this.upstream = null;
    this.connection = null;
    this.tried.clear();
    this.sent = false;
    this.sentAt = 0;
    this.deadline = 0;
    this.detail = '';
    this.retryAfterMs = 0;
    this.taskTarget = null;
    this.taskId = '';
    this.cacheControl = '';
    this.answerAge = 0;
    this.fallback = null;
    this.openRequests = 0;
    this.isErrorResult = false;
  }
}

/** See the file comment. Public fields on purpose: this is the record that the stages share. */
export class Exchange {
  /** Position in the exchange table and number of use: together the identity on rings and towards upstreams. */
  readonly slot: number;
  generation = 0;
  client = new Client();
  message = new Message();
  readonly call = new Call();
  /** What `ExchangeTable.count` has counted for it. */
  countedBytes = 0;

  // The decision
  /** How often the exchange was put on a ring. */
  attempts = 0;
  worker = -1;
  /** `performance.now()` by which the verdict must be there. */
  decideBy = 0;
  /** The verdict as it came from the ring or the memo. */
  readonly verdict = new VerdictRecord();

  #phase: Phase = Phase.free;

  constructor(slot: number) {
    this.slot = slot;
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** The only way to another phase; the diagram at {@link Phase} has them all. */
  enter(phase: Phase): void {
    this.#phase = phase;
  }

  /** Drops everything that refers to a client or an upstream. */
  reset(): void {
    this.client.reset();
    this.message.reset();
    this.call.reset();
    this.countedBytes = 0;
    this.attempts = 0;
    this.worker = -1;
    this.verdict.kind = 0;
  }
}

/** Gives an exchange the id of a request that is refused before it is decoded; an empty token changes nothing. */
export function setId({ client }: Exchange, token: Uint8Array): void {
  if (token.length > client.id.length) client.id = Buffer.allocUnsafe(token.length);
  client.id.set(token);
  client.idLength = token.length;
}

/** Why a request that needs a session is refused where its client has none. */
export function sessionMissing({ client }: Exchange): ErrorCode {
  return client.link === null ? 'GW_SESSION_REQUIRED' : 'GW_NOT_INITIALIZED';
}

/** What the stages need of a legacy session; src/session implements it. */
export interface SessionLike {
  /** The sealed id as the client sends it. */
  readonly id: string;
  readonly revision: number;
  /** The client's capabilities as sent in `initialize`, raw JSON bytes. */
  readonly capabilities: Uint8Array;
  /** The same as bits of Capability (src/protocol/client-capabilities.ts). */
  readonly capabilityMask: number;
  /** The client's `clientInfo`, raw JSON bytes; empty if unknown. */
  readonly clientInfo: Uint8Array;
  /** 128 bits of the subject's digest, all 0 = anonymous. */
  readonly subject: Int32Array;
  /** Base path of the view that it belongs to (`ViewSnapshot.base`). */
  readonly viewBase: string;
  /** Log level number (0 debug ... 7 emergency), -1 = not set. */
  logLevel: number;
  /** `performance.now()` of the last use. */
  lastUsed: number;
  /** Requests of upstreams wait for a stream of this session (src/server-requests). */
  hasWaitingRequests: boolean;
}
