/**
 * Requests to an upstream over HTTP, apart from those of calls (src/upstream/http/wire/socket.ts): redirects are followed, and bodies
 * decoded. It is built on node:http because undici ends a connection on an interim response that was not asked for.
 */
import { type ClientRequest, Agent as HttpAgent, type IncomingMessage, request as requestPlain } from 'node:http';
import { Agent as HttpsAgent, request as requestTls } from 'node:https';
import type { Count, Milliseconds } from '../../../units.js';
import { type Credentials, credentialHeaders, isCredentialStatus } from '../credentials.js';
import { answerOf, Coding, codingOf, isEventStream } from './answer.js';
import { decodedBody } from './decoded-body.js';
import { isRedirect, redirectTarget, type UpstreamLocation } from './location.js';

/** Idle time before TCP probes the peer, which detects one that vanished without closing. */
export const PROBE_AFTER_MS: Milliseconds = 15_000;
/** Time that an idle connection is kept where the server specifies none. */
const KEEP_ALIVE_MS: Milliseconds = 4_000;
/** How long the rest of a body that is not needed is read, so that its connection can be kept. */
const DISCARD_MS: Milliseconds = 1_000;

/** One request. */
export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Names and values in turn. */
  readonly headers: readonly string[];
  readonly body: Buffer | null;
  /** Ends the request, and its response. */
  readonly signal: AbortSignal;
}

/** Its response, of which the head has arrived. */
export interface HttpAnswer {
  readonly status: number;
  /** One of `Answer`. */
  readonly kind: number;
  /** The address that answered. */
  readonly url: URL;
  /** Decoded. One of this and {@link discard} has to be used. */
  readonly body: AsyncIterable<unknown>;
  /** The value of a header, '' = none. */
  header(name: string): string;
  /** The body is not needed. */
  discard(): void;
}

/** See the file comment. Owned by an endpoint or channel. */
export class HttpClient {
  readonly #location: UpstreamLocation;
  readonly #credentials: Credentials;
  readonly #connectTimeoutMs: Milliseconds;
  readonly #plain: HttpAgent;
  readonly #tls: HttpsAgent;
  readonly #active = new Set<() => void>();
  #isDestroyed = false;

  /** @param limits.connections most connections at once; further requests wait */
  constructor(
    location: UpstreamLocation,
    credentials: Credentials,
    limits: { connections: Count; connectTimeoutMs: Milliseconds },
  ) {
    this.#location = location;
    this.#credentials = credentials;
    this.#connectTimeoutMs = limits.connectTimeoutMs;
    const options = {
      keepAlive: true,
      keepAliveMsecs: PROBE_AFTER_MS,
      maxSockets: limits.connections,
      timeout: KEEP_ALIVE_MS,
    };
    this.#plain = new HttpAgent(options);
    this.#tls = new HttpsAgent(options);
  }

  get isDestroyed(): boolean {
    return this.#isDestroyed;
  }

  /**
   * Sends a request and follows redirects; once more, where the credentials are refused and others can be had.
   *
   * @throws ControlError for a redirect that is not followed, CredentialError; else what node:http throws
   */
  async request(request: HttpRequest): Promise<HttpAnswer> {
    const credentials = this.#credentials;
    // Without a pause where they are at hand: what is sent in turn arrives in turn.
    const headers = credentials.current(null) ?? (await credentialHeaders(credentials, null, request.signal));
    const answer = await this.#follow(withHeaders(request, headers));
    const { status } = answer;
    if (!isCredentialStatus(status)) return answer;
    if (!credentials.refused(headers, { status, challenge: answer.header('www-authenticate') })) return answer;
    answer.discard();
    return await this.#follow(withHeaders(request, await credentialHeaders(credentials, null, request.signal)));
  }

  async #follow(request: HttpRequest): Promise<HttpAnswer> {
    let url = this.#location.current;
    for (let hops = 0; ; hops += 1) {
      const answer = new ReceivedAnswer(await this.#send(url, request), url);
      const { status } = answer;
      if (!isRedirect(status)) return answer;
      answer.discard();
      const next = redirectTarget(url, request.method, status, answer.header('location'), hops);
      // Streams may lie elsewhere than what messages are posted to.
      if (request.method === 'POST') this.#location.moved(url, next, status);
      url = next;
    }
  }

  /** Ends all requests and connections. */
  destroy(): void {
    this.#isDestroyed = true;
    for (const abort of this.#active) abort();
    this.#plain.destroy();
    this.#tls.destroy();
  }

  #send(url: URL, { method, headers, body, signal }: HttpRequest): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      if (this.#isDestroyed) {
        reject(new Error('the client was destroyed'));
        return;
      }
      const isTls = url.protocol === 'https:';
      const options = { method, headers: headersOf(headers), agent: isTls ? this.#tls : this.#plain };
      const request = isTls ? requestTls(url, options) : requestPlain(url, options);
      if (this.#connectTimeoutMs > 0) limitConnect(request, this.#connectTimeoutMs, isTls);
      let response: IncomingMessage | null = null;
      // Not by the option `signal`: node:http then throws when a response has arrived that was not read to its end.
      const abort = (): void => void (response ?? request).destroy(new Error('aborted'));
      this.#active.add(abort);
      signal.addEventListener('abort', abort);
      request.on('error', reject);
      request.on('close', () => {
        this.#active.delete(abort);
        signal.removeEventListener('abort', abort);
        reject(new Error('the connection was closed'));
      });
      request.on('response', (arrived) => {
        response = arrived;
        resolve(arrived);
      });
      if (signal.aborted) abort();
      if (body === null) request.end();
      else request.end(body);
    });
  }
}

class ReceivedAnswer implements HttpAnswer {
  readonly status: number;
  readonly kind: number;
  readonly url: URL;
  readonly #response: IncomingMessage;

  constructor(response: IncomingMessage, url: URL) {
    this.#response = response;
    this.url = url;
    this.status = response.statusCode ?? 0;
    this.kind = answerOf(this.status, isEventStream(this.header('content-type')));
    response.on('error', () => {});
  }

  get body(): AsyncIterable<unknown> {
    const coding = codingOf(this.header('content-encoding'));
    return coding === Coding.identity ? this.#response : decodedBody(this.#response, coding);
  }

  header(name: string): string {
    const value = this.#response.headers[name];
    return (Array.isArray(value) ? value[0] : value) ?? '';
  }

  discard(): void {
    const response = this.#response;
    const timer = setTimeout(() => response.destroy(), DISCARD_MS);
    response.on('close', () => clearTimeout(timer));
    response.resume();
  }
}

function withHeaders(request: HttpRequest, more: readonly string[]): HttpRequest {
  return more.length === 0 ? request : { ...request, headers: [...request.headers, ...more] };
}

function headersOf(list: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (let index = 0; index < list.length; index += 2) headers[list[index] ?? ''] = list[index + 1] ?? '';
  return headers;
}

/** Ends a request whose connection is not open in time. */
function limitConnect(request: ClientRequest, timeoutMs: Milliseconds, isTls: boolean): void {
  request.once('socket', (socket) => {
    if (!socket.connecting) return;
    const timer = setTimeout(() => {
      request.destroy(Object.assign(new Error('no connection in time'), { code: 'ETIMEDOUT' }));
    }, timeoutMs);
    const done = (): void => clearTimeout(timer);
    socket.once(isTls ? 'secureConnect' : 'connect', done);
    socket.once('close', done);
  });
}
