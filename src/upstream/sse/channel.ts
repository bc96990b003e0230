/** HTTP with SSE (MCP 2024-11-05): one event stream for the messages of the server, a POST for each message to it. */
import { Client, Pool } from 'undici';
import type { ErrorCode } from '../../errors.js';
import { Era, Revision } from '../../protocol/revisions.js';
import type { SsePartListener } from '../../protocol/sse-parser.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { Bytes, Count, Milliseconds } from '../../units.js';
import type { Channel, ChannelListener } from '../channel/index.js';
import { MAX_SKIPPED_BYTES, SkippedMessage } from '../channel/skipped-message.js';
import { connectionError } from '../core/connection-error.js';
import { ControlError } from '../core/control.js';
import { type EventLimits, type EventSink, readEvents } from '../core/event-body.js';
import { HttpHeads, streamHeaders } from '../core/http-heads.js';
import { type PostListener, SsePosts } from './posts.js';

/** Where and how to connect. */
export interface SseTarget extends EventLimits {
  /** Without credentials. */
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly connectTimeoutMs: Milliseconds;
  /** Longest wait for the response to a POST. Its message counts as delivered then: the answer may arrive on the stream. */
  readonly postTimeoutMs: Milliseconds;
  /** Most bytes of messages whose POST has not been responded to. */
  readonly maxQueuedBytes: Bytes;
  /** POSTs at once. */
  readonly maxPosts: Count;
}

/** The transport has neither session ids nor revisions in headers. */
const SOURCE = { era: Era.legacy, revision: Revision.none, sessionId: '' } as const;
/** Longest endpoint URI that is accepted. */
const MAX_URI_BYTES: Bytes = 8_192;

/** See the file comment. Closing the stream closes the channel. One for each stream, owned by its endpoint. */
export class SseChannel implements Channel, PostListener, EventSink, SsePartListener {
  /** The server responded to the request for the stream with something else. */
  isRefused = false;
  readonly #target: SseTarget;
  readonly #listener: ChannelListener;
  readonly #client: Client;
  readonly #stop = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #posts: SsePosts | null = null;
  #reason = '';
  /** The event that streams by without being held. */
  #skipped: SkippedMessage | null = null;
  readonly #ended: Promise<void>;

  /** Opens the stream. */
  constructor(target: SseTarget, listener: ChannelListener) {
    this.#target = target;
    this.#listener = listener;
    const { origin } = target.url;
    this.#client = new Client(origin, { ...connection(target), headersTimeout: 0, bodyTimeout: 0 });
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
      const { url, headers } = this.#target;
      const answer = await this.#client.request({
        path: url.pathname + url.search,
        method: 'GET',
        headers: streamHeaders(headers, SOURCE, ''),
        signal: this.#stop.signal,
      });
      const type = String(answer.headers['content-type'] ?? '').toLowerCase();
      if (answer.statusCode !== 200 || !type.startsWith('text/event-stream')) {
        this.isRefused = true;
        this.#end(answer.statusCode === 200 ? 'answered with no event stream' : `answered ${answer.statusCode}`);
        answer.body.on('error', () => {}).destroy();
      } else {
        await this.#read(answer.body);
      }
    } catch (error) {
      this.#end(error instanceof ControlError ? error.message : reasonOf(error));
    }
    this.#end('closed the stream');
    clearTimeout(this.#timer);
    this.#listener.closed(this.#reason);
    await Promise.all([this.#posts?.destroy(), this.#client.destroy()]).catch(() => {});
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
    else if ((type !== '' && type !== 'message') || length === 0) return;
    else if (length <= this.#target.maxEventBytes) this.#listener.message(data, length);
    else if (this.largeStart(data, length)) this.largeEnd(true);
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

  largeEnd(complete: boolean): void {
    const skipped = this.#skipped;
    this.#skipped = null;
    if (skipped !== null && complete && this.#reason === '') this.#listener.skipped(skipped);
  }

  evicted(): void {
    this.#end('sent an event that there was no room for');
  }

  /** The server names the URI for messages, which must have the origin of the stream. */
  #endpoint(data: Uint8Array, length: number): void {
    if (this.#posts !== null) return;
    const { url, headers, maxQueuedBytes, maxPosts, postTimeoutMs } = this.#target;
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
      pool: new Pool(url.origin, { ...connection(this.#target), headersTimeout: postTimeoutMs, connections: maxPosts }),
      path: endpoint.pathname + endpoint.search,
      headers: new HttpHeads(headers, SOURCE).forControl(''),
      maxBytes: maxQueuedBytes,
      maxPosts,
      listener: this,
    });
    this.#listener.opened();
  }

  rejected(id: number, error: ErrorCode, sent: boolean): void {
    if (this.#reason === '') this.#listener.rejected(id, error, sent);
  }

  sessionLost(): void {
    this.#end('does not know the session any more');
  }

  #end(reason: string): void {
    if (this.#reason !== '') return;
    this.#reason = reason;
    clearTimeout(this.#timer);
    this.#posts?.close();
    this.#stop.abort();
  }
}

function connection(target: SseTarget): Client.Options {
  return { pipelining: 1, connect: { timeout: target.connectTimeoutMs } };
}

function reasonOf(error: unknown): string {
  const { kind, message } = connectionError(error);
  return kind === 'unreachable' ? message.replace(/^the upstream /, '') : 'closed the stream';
}
