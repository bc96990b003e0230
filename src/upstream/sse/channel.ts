/** HTTP with SSE (MCP 2024-11-05): one event stream for the messages of the server, a POST for each message to it. */
import type { Decoder } from '../../../native/layout.js';
import type { ErrorCode } from '../../errors.js';
import { Era } from '../../protocol/revisions.js';
import type { SsePartListener } from '../../protocol/sse-parser.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { Bytes, Count, Milliseconds } from '../../units.js';
import type { Channel, ChannelListener } from '../channel/index.js';
import { MAX_SKIPPED_BYTES, SkippedMessage } from '../channel/skipped-message.js';
import { ControlError } from '../core/control.js';
import { CredentialError, type Credentials, withoutCredentials } from '../core/credentials.js';
import { Answer } from '../core/http/answer.js';
import { textOfBody } from '../core/http/body-text.js';
import { HttpClient } from '../core/http/client.js';
import { connectionError } from '../core/http/connection-error.js';
import { type EventLimits, type EventSink, readEvents } from '../core/http/event-body.js';
import { HttpHeads, streamHeaders } from '../core/http/heads.js';
import { UpstreamLocation } from '../core/http/location.js';
import { withExcerpt } from '../core/reasons.js';
import { type Post, type PostListener, SsePosts } from './posts.js';

/** Where and how to connect. */
export interface SseTarget extends EventLimits {
  /** Without credentials. */
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly credentials: Credentials;
  readonly connectTimeoutMs: Milliseconds;
  /** Longest wait for the response to a POST. Its message counts as delivered then: the answer may arrive on the stream. */
  readonly postTimeoutMs: Milliseconds;
  /** Most bytes of messages whose POST has not been responded to. */
  readonly maxQueuedBytes: Bytes;
  /** POSTs at once. */
  readonly maxPosts: Count;
  readonly decoder: Decoder;
}

/** The transport has neither session ids nor revisions in headers. */
const SOURCE = { era: Era.legacy, versionHeader: '', sessionId: '' } as const;
/** Longest endpoint URI that is accepted. */
const MAX_URI_BYTES: Bytes = 8_192;

/** See the file comment. Closing the stream closes the channel. One for each stream, owned by its endpoint. */
export class SseChannel implements Channel, PostListener, EventSink, SsePartListener {
  /** The server responded to the request for the stream with something else. */
  isRefused = false;
  readonly #target: SseTarget;
  readonly #listener: ChannelListener;
  readonly #client: HttpClient;
  /** The address of the stream, which may not be the configured one. */
  #url: URL;
  readonly #stop = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #posts: SsePosts | null = null;
  #reason = '';
  /** There were no credentials to open the stream with. */
  #error: CredentialError | null = null;
  /** The event that streams by without being held. */
  #skipped: SkippedMessage | null = null;
  readonly #ended: Promise<void>;

  /** Opens the stream. */
  constructor(target: SseTarget, listener: ChannelListener) {
    this.#target = target;
    this.#listener = listener;
    this.#url = target.url;
    const { url, credentials, connectTimeoutMs } = target;
    this.#client = new HttpClient(new UpstreamLocation(url), credentials, { connections: 1, connectTimeoutMs });
    this.#timer = setTimeout(() => this.#end('named no endpoint in time'), target.connectTimeoutMs);
    this.#ended = this.#follow();
  }

  get queued(): Bytes {
    return this.#posts?.queued ?? 0;
  }

  write(message: Buffer, owner: Exchange | null, id: number): boolean {
    return this.#posts?.add(message, owner, id) ?? false;
  }

  withdraw(owner: Exchange): boolean {
    return this.#posts?.withdraw(owner) ?? false;
  }

  stop(): Promise<void> {
    this.#end('was closed');
    return this.#ended;
  }

  terminate(): Promise<void> {
    return this.stop();
  }

  async #follow(): Promise<void> {
    try {
      const headers = streamHeaders(this.#target.headers, SOURCE, '');
      const answer = await this.#client.request({ method: 'GET', headers, body: null, signal: this.#stop.signal });
      this.#url = answer.url;
      if (answer.kind === Answer.events) {
        await this.#read(answer.body);
      } else {
        this.isRefused = true;
        const what = answer.kind === Answer.refusal ? `answered ${answer.status}` : 'answered with no event stream';
        const said = await textOfBody(answer.body, this.#stop);
        this.#end(withExcerpt(what, withoutCredentials(said, this.#target.credentials.current(null))));
      }
    } catch (error) {
      if (error instanceof CredentialError) this.#error = error;
      this.#end(error instanceof ControlError ? clauseOf(error) : reasonOf(error));
    }
    this.#end('closed the stream');
    clearTimeout(this.#timer);
    this.#listener.closed(this.#reason, this.#error);
    this.#posts?.destroy();
    this.#client.destroy();
  }

  async #read(body: AsyncIterable<unknown>): Promise<void> {
    const { maxEventBytes, budget, turns } = this.#target;
    const parts = { listener: this, heldBytes: maxEventBytes, maxBytes: MAX_SKIPPED_BYTES };
    if (await readEvents(body, this, { maxEventBytes: MAX_SKIPPED_BYTES, parts, budget, turns })) return;
    if (this.#reason === '') this.#listener.messageEndless();
    this.#end('sent an event that does not end');
  }

  get isDone(): boolean {
    return this.#reason !== '';
  }

  event(data: Uint8Array, length: number, type: string): void {
    if (this.#reason !== '') return;
    if (type === 'endpoint') this.#endpoint(data, length);
    else if (length === 0) return;
    else if (length <= this.#target.maxEventBytes) this.#listener.message(data, length);
    else if (this.largeStart(data, length)) this.largeEnd();
  }

  /** The event is larger than the limit, or there was no room for it. */
  largeStart(data: Uint8Array, length: number): boolean {
    const isLarge = length > this.#target.maxEventBytes;
    this.#skipped = new SkippedMessage(isLarge ? 'GW_RESPONSE_TOO_LARGE' : 'GW_BUFFERS_FULL');
    this.#skipped.add(data, 0, length);
    return true;
  }

  largePart(bytes: Uint8Array, start: number, end: number): void {
    this.#skipped?.add(bytes, start, end);
  }

  /** Whatever the name of the event is. */
  largeEnd(): void {
    const skipped = this.#skipped;
    this.#skipped = null;
    if (skipped !== null && this.#reason === '') this.#listener.skipped(skipped);
  }

  evicted(): void {
    this.#end('sent an event that there was no room for');
  }

  /** The server names the URI for messages, which must have the origin of the stream. */
  #endpoint(data: Uint8Array, length: number): void {
    if (this.#posts !== null) return;
    const url = this.#url;
    const { headers, credentials, maxQueuedBytes, maxPosts, postTimeoutMs, connectTimeoutMs } = this.#target;
    const { budget, turns, decoder } = this.#target;
    const uri = Buffer.from(data.buffer, data.byteOffset, length).toString('utf8');
    if (length > MAX_URI_BYTES || !URL.canParse(uri, url.href)) {
      this.#end('named an endpoint that is no URI');
      return;
    }
    const endpoint = new URL(uri, url);
    if (endpoint.origin !== url.origin) {
      this.#end('named an endpoint of another origin');
      return;
    }
    clearTimeout(this.#timer);
    this.#posts = new SsePosts({
      location: new UpstreamLocation(endpoint),
      headers: new HttpHeads(headers, SOURCE).forControl(''),
      credentials,
      connectTimeoutMs,
      timeoutMs: postTimeoutMs,
      budget,
      turns,
      decoder,
      maxBytes: maxQueuedBytes,
      maxPosts,
      listener: this,
    });
    this.#listener.opened();
  }

  rejected(id: number, error: ErrorCode, sent: boolean, detail: string): void {
    if (this.#reason === '') this.#listener.rejected(id, error, sent, detail);
  }

  refused(error: Buffer): void {
    if (this.#reason === '') this.#listener.message(error, error.length);
  }

  redirected(error: ControlError): void {
    this.#end(clauseOf(error));
  }

  /** A call that is refused in one session after the other says nothing about the session. */
  sessionLost({ message, owner, id }: Pick<Post, 'message' | 'owner' | 'id'>): boolean {
    if (owner !== null && !this.#listener.unread(owner, id, message)) return false;
    this.#end('does not know the session any more');
    return true;
  }

  #end(reason: string): void {
    if (this.#reason !== '') return;
    this.#reason = reason;
    clearTimeout(this.#timer);
    this.#posts?.close();
    this.#stop.abort();
  }
}

function reasonOf(error: unknown): string {
  const reason = connectionError(error);
  return reason.kind === 'unreachable' ? clauseOf(reason) : 'closed the stream';
}

function clauseOf({ message }: ControlError): string {
  return message.replace(/^the upstream /, '');
}
