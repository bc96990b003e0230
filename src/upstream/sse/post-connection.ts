import type { BufferBudget } from '../../shared/buffer-budget.js';
import { HeldBytes } from '../../shared/held-bytes.js';
import type { Bytes, Milliseconds } from '../../units.js';
import { type Credentials, NO_HEADERS } from '../core/credentials.js';
import { Answer, answerOf, Coding } from '../core/http/answer.js';
import { decodedBody } from '../core/http/decoded-body.js';
import type { UpstreamLocation } from '../core/http/location.js';
import type { ReadTurns } from '../core/limits/read-turns.js';
import { postHead, serverOf } from '../http/wire/request-head.js';
import type { ResponseParser } from '../http/wire/response-parser.js';
import { Http1Socket, type SocketFailure, type SocketOwner } from '../http/wire/socket.js';

/** Where messages are posted, and with what. */
export interface PostTarget {
  readonly location: UpstreamLocation;
  /** Names and values in turn. */
  readonly headers: readonly string[];
  readonly credentials: Credentials;
  readonly connectTimeoutMs: Milliseconds;
  readonly budget: BufferBudget;
  readonly turns: ReadTurns;
}

/** The response to a POST. */
export interface PostAnswer {
  readonly status: number;
  /** Where the message was posted to. */
  readonly url: URL;
  /** Where it redirects to, '' = nowhere. */
  readonly redirect: string;
  /** `WWW-Authenticate` of a status of 401 or 403, '' = none. */
  readonly challenge: string;
  /** The body of a refusal, as far as it is not too long. That of a success means nothing. */
  readonly body: Buffer;
}

/** There is no response. */
export class PostFailure extends Error {
  readonly why: SocketFailure | 'aborted';

  constructor(why: SocketFailure | 'aborted') {
    super(why);
    this.name = 'PostFailure';
    this.why = why;
  }
}

/** Most bytes of the body of a refusal. */
const REFUSAL_BYTES: Bytes = 65_536;
const CONTENT_LENGTH = 'content-length: ';
const NO_BYTES = Buffer.alloc(0);

/** One keep-alive connection for one POST at a time. Owned by {@link SsePosts}. */
export class PostConnection implements SocketOwner {
  readonly #target: PostTarget;
  readonly #socket: Http1Socket;
  #url: URL;
  /** Request line and headers, without the length. */
  #head: Buffer;
  #pending: { resolve: (answer: PostAnswer) => void; reject: (error: PostFailure) => void } | null = null;
  #status = 0;
  #redirect = '';
  #challenge = '';
  /** The credentials in `#head`. */
  #credentials = NO_HEADERS;
  #coding: number = Coding.identity;
  readonly #held: HeldBytes;
  #isHeld = false;

  constructor(target: PostTarget) {
    this.#target = target;
    const { location, connectTimeoutMs, turns, budget, headers } = target;
    this.#url = location.current;
    this.#head = postHead(this.#url, headers);
    this.#socket = new Http1Socket({ ...serverOf(this.#url), connectTimeoutMs, turns }, this);
    this.#held = new HeldBytes(budget, () => this.#forgetBody());
  }

  /** @param credentials further headers @throws PostFailure */
  post(message: Buffer, credentials: readonly string[]): Promise<PostAnswer> {
    const { current } = this.#target.location;
    if (current !== this.#url || credentials !== this.#credentials) this.#moveTo(current, credentials);
    return new Promise((resolve, reject) => {
      this.#pending = { resolve, reject };
      this.#socket.send(
        Buffer.concat([this.#head, Buffer.from(`${CONTENT_LENGTH}${message.length}\r\n\r\n`), message]),
      );
    });
  }

  /** Ends the POST in flight. */
  abort(): void {
    this.#socket.abort();
    this.#fail('aborted');
  }

  sent(): void {}

  head({ status, isEventStream, redirect, challenge, coding }: ResponseParser): void {
    this.#status = status;
    this.#redirect = redirect;
    this.#challenge = challenge;
    this.#coding = coding;
    this.#held.clear();
    this.#isHeld = answerOf(status, isEventStream) === Answer.refusal;
  }

  body(bytes: Buffer, start: number, end: number): number {
    if (this.#isHeld && !this.#held.append(bytes, REFUSAL_BYTES, start, end)) this.#forgetBody();
    return end;
  }

  read(): void {}

  complete(): void {
    const { bytes, length } = this.#held;
    const body = length === 0 ? NO_BYTES : Buffer.from(bytes.subarray(0, length));
    this.#held.clear();
    const pending = this.#pending;
    this.#pending = null;
    const answer = { status: this.#status, url: this.#url, redirect: this.#redirect, challenge: this.#challenge, body };
    if (this.#coding === Coding.identity || length === 0) pending?.resolve(answer);
    else void decoded(body, this.#coding).then((text) => pending?.resolve({ ...answer, body: text }));
  }

  failed(why: SocketFailure): void {
    this.#fail(why);
  }

  #moveTo(url: URL, credentials: readonly string[]): void {
    if (url.origin !== this.#url.origin) this.#socket.retarget(serverOf(url));
    this.#url = url;
    this.#credentials = credentials;
    this.#head = postHead(url, [...this.#target.headers, ...credentials]);
  }

  #forgetBody(): void {
    this.#isHeld = false;
    this.#held.clear();
  }

  #fail(why: SocketFailure | 'aborted'): void {
    this.#held.clear();
    const pending = this.#pending;
    this.#pending = null;
    pending?.reject(new PostFailure(why));
  }
}

/** The content of a body; nothing if it is too long or not of that coding. */
async function decoded(body: Buffer, coding: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let length = 0;
  try {
    for await (const part of decodedBody(single(body), coding)) {
      length += part.length;
      if (length > REFUSAL_BYTES) return NO_BYTES;
      parts.push(part);
    }
  } catch {
    return NO_BYTES;
  }
  return Buffer.concat(parts);
}

async function* single(body: Buffer): AsyncGenerator<Buffer> {
  yield body;
}
