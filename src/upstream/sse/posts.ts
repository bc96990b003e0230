import type { Pool } from 'undici';
import type { ErrorCode } from '../../errors.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { Bytes, Count, Milliseconds } from '../../units.js';
import { connectionError } from '../core/connection-error.js';

/** How long a message of the gateway waits for the one before it to be answered. */
const ORDER_MS: Milliseconds = 1_000;

/** What {@link SsePosts} needs. */
export interface SsePostsOptions {
  readonly pool: Pool;
  readonly path: string;
  readonly headers: string[];
  /** Most bytes of messages whose POST is not answered. */
  readonly maxBytes: Bytes;
  /** POSTs at once. */
  readonly maxPosts: Count;
  /** The message with that id could not be handed over; see `ChannelListener.refused`. */
  readonly refused: (id: number, error: ErrorCode, sent: boolean) => void;
  /** The server does not know the session of the stream. */
  readonly sessionLost: () => void;
}

interface Post {
  readonly message: Buffer;
  readonly owner: Exchange | null;
  readonly id: number;
  readonly stop: AbortController;
  /** Settles when it was answered. */
  done: Promise<void> | null;
}

/**
 * The POSTs of one session. They begin in the order of the messages, several at a time; a message of the gateway itself
 * (handshake, cancellation, answer) waits until what it refers to has arrived.
 */
export class SsePosts {
  readonly #options: SsePostsOptions;
  #waiting: Post[] = [];
  /** Those under way. */
  readonly #posting = new Set<Post>();
  #queued: Bytes = 0;
  #scheduled = false;
  /** The handshake has arrived: calls need not wait for it any more. */
  #opened = false;
  #closed = false;
  /** What the next message of the gateway itself waits for. */
  #before: Promise<unknown> = Promise.resolve();

  constructor(options: SsePostsOptions) {
    this.#options = options;
  }

  /** Bytes of messages whose POST is not answered. */
  get queued(): Bytes {
    return this.#queued;
  }

  /** POSTs under way. */
  get active(): Count {
    return this.#posting.size;
  }

  /** See `Channel.write`. */
  add(message: Buffer, owner: Exchange | null, id: number): boolean {
    if (this.#closed || this.#queued + message.length > this.#options.maxBytes) return false;
    this.#queued += message.length;
    const post: Post = { message, owner, id, stop: new AbortController(), done: null };
    if (owner === null) {
      // One after the other: what a server has to hear first is often the one thing that it hears at all.
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
      if (this.#opened) setImmediate(this.#next);
      else void this.#before.then(this.#open);
    }
    return true;
  }

  /**
   * See `Channel.withdraw`. What the gateway says next about a call that has gone out arrives after it; a POST of such a
   * call that is not answered even then is broken off, so that it takes nobody's place.
   */
  withdraw(owner: Exchange): boolean {
    const index = this.#waiting.findIndex((post) => post.owner === owner);
    if (index >= 0) {
      this.#queued -= this.#waiting[index]!.message.length;
      this.#waiting.splice(index, 1);
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

  /** Drops what has not gone out, and takes nothing more. */
  close(): void {
    this.#closed = true;
    this.#waiting = [];
  }

  /** Breaks off what is under way. */
  destroy(): Promise<void> {
    this.close();
    return this.#options.pool.destroy();
  }

  /** A call must not overtake `notifications/initialized` (MCP, lifecycle), and POSTs could. */
  readonly #open = (): void => {
    this.#opened = true;
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
      if (error !== null) this.#options.refused(post.id, error.code, error.sent);
      if (this.#waiting.length > 0) this.#next();
    });
    return post.done;
  }

  /** @returns why the server did not take it, or null */
  async #post({ message, owner, id, stop }: Post): Promise<{ code: ErrorCode; sent: boolean } | null> {
    const { pool, path, headers } = this.#options;
    try {
      const { signal } = stop;
      const { statusCode, body } = await pool.request({ path, method: 'POST', headers, body: message, signal });
      // What else it says there does not matter.
      await body.dump().catch(() => {});
      if (statusCode >= 200 && statusCode < 300) return null;
      if (statusCode === 404 || statusCode === 410) this.#options.sessionLost();
      return { code: refusal(statusCode), sent: true };
    } catch (error) {
      // It was taken, as far as anybody knows; the call has a time limit of its own.
      if ((error as { code?: string }).code === 'UND_ERR_HEADERS_TIMEOUT') return null;
      const sent = connectionError(error).kind !== 'unreachable';
      // Only while it is still this call: the answer may have come on the stream meanwhile.
      if (!sent && owner !== null && owner.call.upstreamId === id) owner.call.sent = false;
      return { code: sent ? 'GW_UPSTREAM_CLOSED' : 'GW_UPSTREAM_DOWN', sent };
    }
  }
}

function refusal(status: number): ErrorCode {
  if (status === 401 || status === 403) return 'GW_UPSTREAM_REFUSED';
  if (status === 429) return 'GW_UPSTREAM_BUSY';
  return status === 503 ? 'GW_UPSTREAM_DOWN' : 'GW_UPSTREAM_PROTOCOL';
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
