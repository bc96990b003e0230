import { type Decoder, Flag } from '../../../native/layout.js';
import type { Spans } from '../../../native/spans.js';
import type { ErrorCode } from '../../errors.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { Bytes, Count, Milliseconds } from '../../units.js';
import { ControlError, errorUnderId, isResponseTo, scanResponse } from '../core/control.js';
import { CredentialError, credentialHeaders, isCredentialStatus } from '../core/credentials.js';
import { Answer, answerOf } from '../core/http/answer.js';
import { errorOfStatus } from '../core/http/connection-error.js';
import { isRedirect, redirectTarget } from '../core/http/location.js';
import { SEARCHED_BYTES, saysSessionLost } from '../core/lost-session.js';
import { sessionLoss } from '../http/session.js';
import { type PostAnswer, PostConnection, PostFailure, type PostTarget } from './post-connection.js';

/** Longest time that a message of the gateway waits for the POST before it. */
const ORDER_MS: Milliseconds = 1_000;

/** The session of all messages is that of the stream, which has no id. */
const SESSION = 'of the stream';

/** What the outcome of POSTs is reported to: their channel. */
export interface PostListener {
  /** The message with that id could not be delivered; see `ChannelListener.rejected`. */
  rejected(id: number, error: ErrorCode, sent: boolean, detail: string): void;
  /** The server refused a message with a JSON-RPC error, now under the id of the message. */
  refused(error: Buffer): void;
  /** The POSTs are redirected to where they do not follow. */
  redirected(error: ControlError): void;
  /** The server does not know the session of the stream. @returns false = the message is refused for something else */
  sessionLost(post: Pick<Post, 'message' | 'owner' | 'id'>): boolean;
}

/** Where and how messages are posted. */
export interface SsePostsOptions extends PostTarget {
  readonly decoder: Decoder;
  /** Most bytes of messages whose POST has not been responded to. */
  readonly maxBytes: Bytes;
  /** POSTs at once. */
  readonly maxPosts: Count;
  /** Longest wait for the response to a POST. Its message counts as delivered then. */
  readonly timeoutMs: Milliseconds;
  readonly listener: PostListener;
}

/** One message. */
export interface Post {
  readonly message: Buffer;
  readonly owner: Exchange | null;
  readonly id: number;
  /** Carries it, once it was sent. */
  connection: PostConnection | null;
  /** Settles when it was responded to. */
  done: Promise<void> | null;
  /** Its call was cancelled after it was started. */
  isWithdrawn: boolean;
}

/** Why a message was not delivered; see {@link PostListener.rejected}. */
interface Undelivered {
  readonly code: ErrorCode;
  readonly sent: boolean;
  readonly detail: string;
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
  readonly #connections: PostConnection[] = [];
  readonly #free: PostConnection[] = [];
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
    const post: Post = { message, owner, id, connection: null, done: null, isWithdrawn: false };
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
        const { done } = post;
        post.isWithdrawn = true;
        this.#before = within(Promise.all([this.#before, done]), ORDER_MS);
        void within(done, ORDER_MS).then(() => post.connection?.abort());
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
  destroy(): void {
    this.close();
    for (const connection of this.#connections) connection.abort();
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
      if (error !== null) this.#options.listener.rejected(post.id, error.code, error.sent, error.detail);
      if (this.#waiting.length > 0) this.#next();
    });
    return post.done;
  }

  /** @returns why it was not delivered, null = it was, or its error was reported */
  async #post(post: Post): Promise<Undelivered | null> {
    const { listener, timeoutMs } = this.#options;
    const connection = this.#free.pop() ?? this.#connect();
    post.connection = connection;
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      connection.abort();
    }, timeoutMs);
    try {
      return this.#outcome(post, await this.#authorized(connection, post));
    } catch (error) {
      if (error instanceof CredentialError) return this.#unsent(post, error.code, error.message);
      if (error instanceof ControlError) {
        listener.rejected(post.id, 'GW_UPSTREAM_REDIRECTED', true, '');
        listener.redirected(error);
        return null;
      }
      // It counts as delivered; the call has a deadline of its own.
      if (isLate) return null;
      const sent = !(error instanceof PostFailure && error.why === 'unreachable');
      return sent ? { code: 'GW_UPSTREAM_CLOSED', sent, detail: '' } : this.#unsent(post, 'GW_UPSTREAM_DOWN', '');
    } finally {
      clearTimeout(timer);
      post.connection = null;
      this.#free.push(connection);
    }
  }

  #unsent({ owner, id }: Post, code: ErrorCode, detail: string): Undelivered {
    // Only while it is still this call: the response may have arrived on the stream.
    if (owner !== null && owner.call.upstreamId === id) owner.call.sent = false;
    return { code, sent: false, detail };
  }

  #connect(): PostConnection {
    const connection = new PostConnection(this.#options);
    this.#connections.push(connection);
    return connection;
  }

  /** Posts a message; once more, where the credentials are refused and others can be had. @throws as `#follow`, CredentialError */
  async #authorized(connection: PostConnection, post: Post): Promise<PostAnswer> {
    const headers = await this.#headers(post);
    const answer = await this.#follow(connection, post.message, headers);
    if (!isCredentialStatus(answer.status) || !this.#options.credentials.refused(headers, answer)) return answer;
    return await this.#follow(connection, post.message, await this.#headers(post));
  }

  /** @throws CredentialError, PostFailure when the message was withdrawn meanwhile */
  async #headers(post: Post): Promise<readonly string[]> {
    const { credentials } = this.#options;
    const known = credentials.current(post.owner);
    if (known !== null) return known;
    const fetched = await credentialHeaders(credentials, post.owner);
    if (this.#closed || post.isWithdrawn) throw new PostFailure('aborted');
    return fetched;
  }

  /** @throws ControlError for a redirect that is not followed, PostFailure */
  async #follow(connection: PostConnection, message: Buffer, headers: readonly string[]): Promise<PostAnswer> {
    for (let hops = 0; ; hops += 1) {
      const answer = await connection.post(message, headers);
      const { status, url, redirect } = answer;
      if (!isRedirect(status)) return answer;
      this.#options.location.moved(url, redirectTarget(url, 'POST', status, redirect, hops), status);
    }
  }

  #outcome(post: Post, { status, body }: PostAnswer): Undelivered | null {
    if (answerOf(status, false) !== Answer.refusal) return null;
    const { decoder, listener } = this.#options;
    const spans = scanResponse(decoder, body);
    if (meansLost(status, body, spans) && listener.sessionLost(post)) return null;
    const { id } = post;
    if (spans !== null && (spans.flags & Flag.isErrorResponse) !== 0 && isResponseTo(body, spans, id)) {
      listener.refused(errorUnderId(body, spans, id));
      return null;
    }
    const detail = isCredentialStatus(status) ? this.#options.credentials.advice : '';
    return { code: errorOfStatus(status), sent: true, detail };
  }
}

/** Whether a refusal means that the server does not know the session. */
function meansLost(status: number, body: Buffer, spans: Spans | null): boolean {
  if (sessionLoss(status, SESSION, body, spans) === 'lost') return true;
  return status >= 400 && status < 500 && saysSessionLost(body.toString('utf8', 0, SEARCHED_BYTES));
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
