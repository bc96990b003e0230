/** WebSocket (RFC 6455) with sub-protocol `mcp`: one JSON-RPC message a text frame. */
import type { ClientRequest, IncomingMessage } from 'node:http';
import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { isReservedHeader } from '../../config/reserved-headers.js';
import type { UrlEndpointSnapshot } from '../../config/snapshot/index.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { Bytes, Count, Milliseconds } from '../../units.js';
import type { Channel, ChannelListener } from '../channel/index.js';
import { OutboundBatch } from '../channel/outbound-batch.js';
import { SkippedMessage } from '../channel/skipped-message.js';
import {
  CredentialError,
  type Credentials,
  credentialHeaders,
  isCredentialStatus,
  NO_HEADERS,
  withoutCredentials,
} from '../core/credentials.js';
import type { EndpointContext } from '../core/endpoint.js';
import { textOfBody } from '../core/http/body-text.js';
import { addressOf, USER_AGENT } from '../core/http/heads.js';
import { isRedirect, redirectTarget } from '../core/http/location.js';
import { PacedInput, type PushedSource, type ReadTurns } from '../core/limits/read-turns.js';
import { connectionFault, withExcerpt } from '../core/reasons.js';
import { type LongMessageListener, LongMessages } from './long-messages.js';

/** Where and how to connect. */
export interface WebSocketTarget {
  /** Without credentials. */
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly credentials: Credentials;
  readonly connectTimeoutMs: Milliseconds;
  /** Time for the closing handshake. */
  readonly closeTimeoutMs: Milliseconds;
  /** Largest message that is held; larger ones are skipped. */
  readonly maxMessageBytes: Bytes;
  /** Most bytes that may wait to be written. */
  readonly maxQueuedBytes: Bytes;
  /** Time between pings; 0 = none. */
  readonly pingMs: Milliseconds;
  readonly turns: ReadTurns;
}

/** A received message: text, a binary one, which is no message of MCP, or one that was not held. */
type Frame = Buffer | { readonly binary: Buffer } | SkippedMessage;

/** Loaded by the first connection: most configurations have none. */
let library: typeof import('ws') | null = null;

const SUB_PROTOCOL = 'mcp';
/** Unanswered pings in a row after which the peer counts as dead. */
const MAX_UNANSWERED = 2;
/** Largest header of a frame from a client (RFC 6455, 5.2). */
const FRAMING: Bytes = 14;

/** The target of a configured endpoint. */
export function webSocketTarget(
  config: UrlEndpointSnapshot,
  credentials: Credentials,
  connectTimeoutMs: Milliseconds,
  context: EndpointContext,
): WebSocketTarget {
  const { url, headers: configured } = addressOf(config);
  const headers = Object.entries(configured)
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .filter(([name]) => !isReservedHeader(name) && !name.startsWith('sec-websocket-'));
  return {
    url,
    headers: { 'user-agent': USER_AGENT, ...Object.fromEntries(headers) },
    credentials,
    connectTimeoutMs,
    closeTimeoutMs: context.stopGraceMs,
    maxMessageBytes: context.config.current.limits.maxLineBytes,
    maxQueuedBytes: context.config.current.limits.maxPipeBytes,
    pingMs: context.config.current.limits.keepAliveMs,
    turns: context.turns,
  };
}

/** See the file comment. One for each connection, owned by its endpoint. */
export class WebSocketChannel implements Channel, PushedSource<Frame>, LongMessageListener {
  readonly #target: WebSocketTarget;
  readonly #listener: ChannelListener;
  #socket: WebSocket;
  #writer: FrameWriter;
  readonly #input: PacedInput<Frame>;
  readonly #ended: Promise<void>;
  readonly #longMessages: LongMessages;
  /** Gives bytes of the connection to ws. */
  #deliver: ((bytes: Buffer) => void) | null = null;
  /** The next message is the beginning of this one. */
  #begun: SkippedMessage | null = null;
  #settle = (): void => {};
  #reason = '';
  /** There were no credentials to connect with. */
  #error: CredentialError | null = null;
  /** The credentials of the last handshake. */
  #credentials = NO_HEADERS;
  /** Refused credentials were replaced once. */
  #isRenewed = false;
  #unanswered = 0;
  #pings: NodeJS.Timeout | undefined;

  /** Opens the connection. @throws SyntaxError for an invalid URL */
  constructor(target: WebSocketTarget, listener: ChannelListener) {
    this.#target = target;
    this.#listener = listener;
    this.#input = new PacedInput<Frame>(target.turns, this);
    this.#ended = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.#longMessages = new LongMessages(target.maxMessageBytes, this);
    this.#socket = this.#connect(target.url, 0);
    this.#writer = new FrameWriter(this.#socket, target.maxQueuedBytes);
  }

  /** @param hops redirects that were followed before */
  #connect(url: URL, hops: Count): WebSocket {
    const target = this.#target;
    library ??= createRequire(import.meta.url)('ws') as typeof import('ws');
    const socket = new library.WebSocket(url, [SUB_PROTOCOL], {
      headers: target.headers,
      handshakeTimeout: target.connectTimeoutMs,
      maxPayload: target.maxMessageBytes,
      perMessageDeflate: false,
      followRedirects: false,
      // The scan checks it: a message that is no UTF-8 fails its call, not the connection of all.
      skipUTF8Validation: true,
      finishRequest: (request) => void this.#authorize(request),
    });
    let stream: Socket | null = null;
    socket.on('upgrade', (response) => {
      stream = response.socket;
      this.#writer.attach(stream);
    });
    socket.on('open', () => {
      if (stream !== null) this.#filter(stream);
      this.#opened();
    });
    socket.on('message', (data, isBinary) => this.#message(data as Buffer, isBinary));
    socket.on('pong', () => {
      this.#unanswered = 0;
    });
    socket.on('unexpected-response', (request, response) => {
      void this.#refused(url, hops, response).finally(() => {
        request.destroy();
        socket.terminate();
      });
    });
    socket.on('error', (error) => {
      if (this.#socket === socket) this.#failed(error as NodeJS.ErrnoException);
    });
    socket.once('close', (code) => {
      if (this.#socket !== socket) return;
      clearInterval(this.#pings);
      this.#writer.close();
      this.#setReason(code === 1_006 ? 'closed the connection' : `closed the connection (${code})`);
      this.#settle();
      this.#input.end(() => this.#listener.closed(this.#reason, this.#error));
    });
    return socket;
  }

  /** Sends the handshake once its credentials are there. */
  async #authorize(request: ClientRequest): Promise<void> {
    try {
      this.#credentials = await credentialHeaders(this.#target.credentials, null);
      for (let index = 0; index < this.#credentials.length; index += 2) {
        request.setHeader(this.#credentials[index] ?? '', this.#credentials[index + 1] ?? '');
      }
      request.end();
    } catch (error) {
      if (error instanceof CredentialError) this.#error = error;
      this.#setReason((error as Error).message);
      request.destroy(error as Error);
    }
  }

  /** Whether a handshake that was refused is worth another one with other credentials; the caller makes it. */
  #canRenew(status: number, challenge: string): boolean {
    if (!isCredentialStatus(status)) return false;
    const hasOthers = this.#target.credentials.refused(this.#credentials, { status, challenge });
    if (!hasOthers || this.#isRenewed) return false;
    this.#isRenewed = true;
    return true;
  }

  #reconnect(url: URL, hops: Count): void {
    this.#socket = this.#connect(url, hops);
    this.#writer = new FrameWriter(this.#socket, this.#target.maxQueuedBytes);
  }

  /** A redirect is followed as that of a GET, by another connection. */
  async #refused(url: URL, hops: Count, response: IncomingMessage): Promise<void> {
    const { statusCode: status = 0, headers } = response;
    if (this.#reason === '' && this.#canRenew(status, headers['www-authenticate'] ?? '')) {
      this.#reconnect(url, hops);
      return;
    }
    if (!isRedirect(status) || this.#reason !== '') {
      const said = await textOfBody(response, response);
      this.#setReason(withExcerpt(`answered ${status}`, withoutCredentials(said, this.#credentials)));
      return;
    }
    try {
      const location = (headers.location ?? '').replace(/^http/i, 'ws');
      this.#reconnect(redirectTarget(url, 'GET', status, location, hops), hops + 1);
    } catch (error) {
      this.#setReason((error as Error).message.replace(/^the upstream /, ''));
    }
  }

  get queued(): Bytes {
    return this.#writer.queued;
  }

  write(message: Buffer, owner: Exchange | null): boolean {
    return this.#writer.write(message, owner);
  }

  withdraw(owner: Exchange): boolean {
    return this.#writer.withdraw(owner);
  }

  async stop(): Promise<void> {
    this.#setReason('was closed');
    this.#socket.close(1_000);
    const timer = setTimeout(() => this.#socket.terminate(), this.#target.closeTimeoutMs);
    await this.#ended;
    clearTimeout(timer);
  }

  terminate(): Promise<void> {
    this.#setReason('was closed');
    this.#socket.terminate();
    return this.#ended;
  }

  #opened(): void {
    const { pingMs } = this.#target;
    if (pingMs > 0) this.#pings = setInterval(() => this.#ping(), pingMs);
    this.#listener.opened();
  }

  /** Puts the filter of long messages between the connection and ws, which reads it by one listener and offers no other way. */
  #filter(stream: Socket): void {
    const listeners = stream.listeners('data') as ((bytes: Buffer) => void)[];
    stream.removeAllListeners('data');
    this.#deliver = (bytes) => {
      for (const listener of listeners) listener.call(stream, bytes);
    };
    stream.on('data', (chunk) => this.#longMessages.feed(chunk as Buffer));
  }

  passed(bytes: Buffer): void {
    this.#deliver?.(bytes);
  }

  longMessage(message: SkippedMessage, hasBegun: boolean): void {
    this.#unanswered = 0;
    if (hasBegun) this.#begun = message;
    else this.#input.add(message);
  }

  longMessageEndless(): void {
    this.#input.end(() => this.#listener.messageEndless());
  }

  #message(data: Buffer, isBinary: boolean): void {
    this.#unanswered = 0;
    const begun = this.#begun;
    if (begun !== null) {
      this.#begun = null;
      begun.setHead(data);
      this.#input.add(begun);
      return;
    }
    this.#input.add(isBinary ? { binary: data } : data);
  }

  pauseSource(): void {
    this.#socket.pause();
  }

  resumeSource(): void {
    this.#socket.resume();
  }

  readItem(frame: Frame): null {
    const { share } = this.#input;
    share.message();
    if (Buffer.isBuffer(frame)) {
      share.bytes(frame.length);
      this.#listener.message(frame, frame.length);
    } else if (frame instanceof SkippedMessage) {
      this.#listener.skipped(frame);
    } else {
      share.bytes(frame.binary.length);
      this.#listener.malformed(frame.binary);
    }
    return null;
  }

  #ping(): void {
    if (this.#unanswered >= MAX_UNANSWERED) {
      this.#setReason('does not answer pings');
      this.#socket.terminate();
      return;
    }
    this.#unanswered += 1;
    this.#socket.ping();
  }

  #failed(error: NodeJS.ErrnoException): void {
    const code = error.code ?? '';
    this.#longMessages.end();
    if (code.startsWith('WS_ERR')) {
      this.#setReason('broke the WebSocket protocol');
    } else {
      this.#setReason(`cannot be reached (${code === '' ? 'no WebSocket handshake' : connectionFault(code)})`);
    }
  }

  /** The first reason counts. */
  #setReason(reason: string): void {
    if (this.#reason === '') this.#reason = reason;
  }
}

/** Sends the messages of one turn of the event loop in one write. */
class FrameWriter extends OutboundBatch {
  readonly #socket: WebSocket;
  #stream: Socket | null = null;

  constructor(socket: WebSocket, maxBytes: Bytes) {
    super(maxBytes, FRAMING);
    this.#socket = socket;
  }

  /** The connection, known once it is upgraded. */
  attach(stream: Socket): void {
    this.#stream = stream;
  }

  protected waiting(): Bytes {
    return this.#socket.bufferedAmount;
  }

  protected send(): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    this.#stream?.cork();
    for (const message of this.messages) if (message !== null) this.#socket.send(message, TEXT, ignore);
    this.#stream?.uncork();
  }
}

const TEXT = { binary: false } as const;
/** The end of the connection is reported by its `close` event. */
function ignore(): void {}
