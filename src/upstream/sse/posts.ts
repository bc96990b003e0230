import type { Pool } from 'undici';
import type { ErrorCode } from '../../errors.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { Bytes, Count, Milliseconds } from '../../units.js';
import { connectionError, errorOfStatus } from '../core/connection-error.js';
import { isGone, SEARCHED_BYTES, saysSessionLost } from '../core/lost-session.js';

/** Longest time that a message of the gateway waits for the POST before it. */
const ORDER_MS: Milliseconds = 1_000;

/** What the outcome of POSTs is reported to: their channel. */
export interface PostListener {
  /** The message with that id could not be delivered; see `ChannelListener.rejected`. */
  rejected(id: number, error: ErrorCode, sent: boolean): void;
  /** The server does not know the session of the stream. @returns false = the message is refused for something else */
  sessionLost(post: Pick<Post, 'message' | 'owner' | 'id'>): boolean;
}

/** Where and how messages are posted. */
export interface SsePostsOptions {
  readonly pool: Pool;
  readonly path: string;
  readonly headers: string[];
  /** Most bytes of messages whose POST has not been responded to. */
  readonly maxBytes: Bytes;
  /** POSTs at once. */
  readonly maxPosts: Count;
  readonly listener: PostListener;
}

/** One message. */
export interface Post {
  readonly message: Buffer;
  readonly owner: Exchange | null;
  readonly id: number;
  readonly stop: AbortController;
  /** Settles when it was responded to. */
  done: Promise<void> | null;
}

/**
 * The POSTs of one session, owned by its channel. They start in the order of the messages, several at a time; a message of
 * the gateway itself (handshake, cancellation, response) waits until the message that it refers to has arrived.
 */
export class SsePosts {
  readonly #options: SsePostsOptions;
  #waiting: Post[] = [];
  /** Those in flight. */
  readonly #posting = new Set<Post>();
  #queued: Bytes = 0;
  #scheduled = false;
  /** The handshake has arrived: calls need not wait for it. */
  #isInitialized = false;
  #closed = false;
  /** What the next message of the gateway itself waits for. */
  #before: Promise<unknown> = Promise.resolve();

  constructor(options: SsePostsOptions) {
    this.#options = options;
  }

  /** Bytes of messages whose POST has not been responded to. */
  get queued(): Bytes {
    return this.#queued;
  }

  /** See `Channel.write`. */
  add(message: Buffer, owner: Exchange | null, id: number): boolean {
    if (this.#closed || this.#queued + message.length > this.#options.maxBytes) return false;
    this.#queued += message.length;
    const post: Post = { message, owner, id, stop: new AbortController(), done: null };
    if (owner === null) {
      // One after the other: they refer to each other.
      const before = this.#before;
      this.#before = within(
        before.then(() => this.#send(post)),
        ORDER_MS,
      );
      return true;
    }
    this.#waiting.push(post);
    if (!this.#scheduled) {
      this.#scheduled = true;
      if (this.#isInitialized) setImmediate(this.#next);
      else void this.#before.then(this.#open);
    }
    return true;
  }

  /**
   * See `Channel.withdraw`. The cancellation of a call whose POST is in flight is sent after it; a POST that is not responded
   * to even then is aborted, so that it does not occupy a place.
   */
  withdraw(owner: Exchange): boolean {
    const index = this.#waiting.findIndex((post) => post.owner === owner);
    if (index >= 0) {
      for (const { message } of this.#waiting.splice(index, 1)) this.#queued -= message.length;
      return true;
    }
    for (const post of this.#posting) {
      if (post.owner === owner && post.id === owner.call.upstreamId && post.done !== null) {
        const { stop, done } = post;
        this.#before = within(Promise.all([this.#before, done]), ORDER_MS);
        void within(done, ORDER_MS).then(() => stop.abort());
      }
    }
    return false;
  }

  /** Drops what was not posted yet, and takes nothing more. */
  close(): void {
    this.#closed = true;
    this.#waiting = [];
  }

  /** Aborts what is in flight. */
  destroy(): Promise<void> {
    this.close();
    return this.#options.pool.destroy();
  }

  /** Calls wait for the POST of `notifications/initialized` (MCP, lifecycle), which they could overtake. */
  readonly #open = (): void => {
    this.#isInitialized = true;
    this.#next();
  };

  readonly #next = (): void => {
    this.#scheduled = false;
    const room = this.#options.maxPosts - this.#posting.size;
    if (room <= 0 || this.#closed) return;
    for (const post of this.#waiting.splice(0, room)) void this.#send(post);
  };

  #send(post: Post): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#posting.add(post);
    if (post.owner !== null) post.owner.call.sent = true;
    post.done = this.#post(post).then((error) => {
      this.#posting.delete(post);
      this.#queued -= post.message.length;
      if (this.#closed) return;
      if (error !== null) this.#options.listener.rejected(post.id, error.code, error.sent);
      if (this.#waiting.length > 0) this.#next();
    });
    return post.done;
  }

  /** @returns why it was not delivered, null = it was */
  async #post(post: Post): Promise<{ code: ErrorCode; sent: boolean } | null> {
    const { pool, path, headers, listener } = this.#options;
    const { message, owner, id, stop } = post;
    try {
      const { signal } = stop;
      const { statusCode, body } = await pool.request({ path, method: 'POST', headers, body: message, signal });
      const isRefused = statusCode >= 400 && statusCode < 500;
      const text = isRefused ? await startOf(body).catch(() => '') : '';
      await body.dump().catch(() => {});
      // Of a response that is no refusal, the body means nothing.
      if (statusCode >= 200 && statusCode < 300) return null;
      if ((isGone(statusCode) || saysSessionLost(text)) && listener.sessionLost(post)) return null;
      return { code: errorOfStatus(statusCode), sent: true };
    } catch (error) {
      // It counts as delivered; the call has a deadline of its own.
      if ((error as { code?: string }).code === 'UND_ERR_HEADERS_TIMEOUT') return null;
      const sent = connectionError(error).kind !== 'unreachable';
      // Only while it is still this call: the response may have arrived on the stream.
      if (!sent && owner !== null && owner.call.upstreamId === id) owner.call.sent = false;
      return { code: sent ? 'GW_UPSTREAM_CLOSED' : 'GW_UPSTREAM_DOWN', sent };
    }
  }
}

/** The first bytes of a body as text; the rest is read by the caller. */
async function startOf(body: AsyncIterable<unknown>): Promise<string> {
  let text = '';
  for await (const chunk of body) {
    text += (chunk as Buffer).toString('utf8');
    if (text.length >= SEARCHED_BYTES) break;
  }
  return text.slice(0, SEARCHED_BYTES);
}

/** Settles with the promise, or after so many milliseconds; never fails. */
function within(promise: Promise<unknown>, ms: Milliseconds): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    const done = (): void => {
      clearTimeout(timer);
      resolve();
    };
    promise.then(done, done);
  });
}
