import { type IncomingMessage, type Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { ErrorCode } from '../../../errors.js';
import type { Bytes, Count, Milliseconds } from '../../../units.js';
import { Framing } from '../../exchange/index.js';
import type { ExchangeTable } from '../../exchange/table.js';
import { FrameRate } from '../connection/frame-rate.js';
import { ClientConnection, CloseCode, type ConnectionWire } from '../connection/index.js';
import {
  askToOpen,
  handshakeCode,
  type OpeningClient,
  offersMcp,
  SUB_PROTOCOL,
  TOO_MANY_FRAMES,
} from '../connection/websocket.js';
import { OVERLOADED, OVERLOADED_HEAD } from '../http/answers.js';
import type { FrontHandler } from '../http/handler.js';
import type { AcceptRules } from '../http/rules.js';
import type { NodeCall } from './call.js';
import { withoutUpgrade } from './upgrade.js';

export interface NodeWebSocketsOptions {
  readonly server: Server;
  readonly table: ExchangeTable;
  readonly handler: FrontHandler;
  rules(): AcceptRules;
  /** Judges the head of a handshake as that of any request. @returns null when it is refused */
  upgrade(request: IncomingMessage, response: ServerResponse): NodeCall | null;
  refuse(call: NodeCall, code: ErrorCode): void;
}

/**
 * Fragments of one message, and reads that a frame may come in: what each costs beside its bytes must stay little. Time for
 * the closing handshake, in ms. (The types of `ws` do not know them.)
 */
const RECEIVER = { maxFragments: 4_096, maxBufferedChunks: 16_384, closeTimeout: 10_000 } as const;

/** One WebSocket. */
class NodeWire implements ConnectionWire {
  readonly framing = Framing.message;
  connection: ClientConnection | null = null;
  /** It has answered the last ping, or sent something since. */
  isAlive = true;
  lastHeard = performance.now();
  readonly frames: FrameRate;
  readonly socket: WebSocket;
  readonly #stream: Duplex;
  readonly #address: string;
  #isCorked = false;

  constructor(socket: WebSocket, stream: Duplex, address: string, smallFrameRate: Count) {
    this.frames = new FrameRate(smallFrameRate);
    this.socket = socket;
    this.#stream = stream;
    this.#address = address;
  }

  send(bytes: Uint8Array, start: number, end: number): void {
    // What is sent in one turn goes out together: a client that sends many small messages is answered with one write.
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.#stream.cork();
      process.nextTick(this.#uncork);
    }
    this.socket.send(Buffer.from(bytes.subarray(start, end)), { binary: false }, this.#sent);
  }

  buffered(): Bytes {
    return this.socket.bufferedAmount;
  }

  remoteAddress(): string {
    return this.#address;
  }

  close(code: number, reason = ''): void {
    if (code === CloseCode.busy) this.socket.terminate();
    else this.socket.close(code, reason);
    if (code === CloseCode.policy) this.#discard();
    this.connection?.closed();
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    if (this.socket.isPaused) this.socket.resume();
  }

  /** Reads on without looking at it: what a client sends that does not heed the close must cost nothing. */
  #discard(): void {
    this.#stream.removeAllListeners('data');
    this.#stream.resume();
  }

  readonly #uncork = (): void => {
    this.#isCorked = false;
    this.#stream.uncork();
  };

  readonly #sent = (): void => {
    if (this.socket.bufferedAmount === 0) this.connection?.drained();
  };
}

/** The WebSocket door on node:http: `/ws`. */
export class NodeWebSockets {
  readonly #options: NodeWebSocketsOptions;
  readonly #wires = new Set<NodeWire>();

  constructor(options: NodeWebSocketsOptions) {
    this.#options = options;
    options.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      socket.on('error', ignore);
      if (isHandshake(request)) this.#upgrade(request, socket, head);
      // Offers of other protocols (HTTP/2) may be ignored, and are (RFC 9110 section 7.8).
      else withoutUpgrade(options.server, request, socket, head);
    });
  }

  /** WebSockets open now. */
  get size(): Count {
    return this.#wires.size;
  }

  /** Tells all clients that the gateway goes away. */
  close(): void {
    for (const wire of [...this.#wires]) wire.close(CloseCode.goingAway);
  }

  /** Cuts clients that take nothing for so long, and those that answer no ping; pings the quiet ones. */
  cutSlow(slowClientMs: Milliseconds): void {
    const now = performance.now();
    const { keepAliveMs } = this.#options.rules();
    for (const wire of [...this.#wires]) {
      const isQuiet = keepAliveMs > 0 && now - wire.lastHeard > keepAliveMs;
      if (wire.connection?.isStuck(now, slowClientMs) === true || (isQuiet && !wire.isAlive)) {
        wire.close(CloseCode.busy);
      } else if (isQuiet) {
        wire.isAlive = false;
        wire.lastHeard = now;
        wire.socket.ping();
      }
    }
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // The refusals of a handshake are ordinary answers.
    const response = new ServerResponse(request);
    response.assignSocket(request.socket);
    // The server has let go of the connection: after an answer that is no upgrade nothing else ends it.
    response.once('finish', () => request.socket.destroySoon());
    const call = this.#options.upgrade(request, response);
    if (call === null) return;
    call.closing = true;
    const { handler, rules, table } = this.#options;
    const protocols = textOf(request, 'sec-websocket-protocol');
    const code = handshakeCode({
      upgrade: textOf(request, 'upgrade'),
      version: textOf(request, 'sec-websocket-version'),
      protocols,
    });
    if (code !== null) {
      this.#options.refuse(call, code);
      return;
    }
    const exchange = table.acquire();
    if (exchange === null) {
      call.send(503, OVERLOADED_HEAD, OVERLOADED, 0, OVERLOADED.byteLength);
      return;
    }
    askToOpen(call, exchange, rules(), handler, (client) => {
      call.upgraded();
      const server = new WebSocketServer({
        noServer: true,
        clientTracking: false,
        maxPayload: rules().maxBodyBytes,
        ...RECEIVER,
        perMessageDeflate: false,
        handleProtocols: () => (offersMcp(protocols) ? SUB_PROTOCOL : false),
      });
      server.handleUpgrade(request, socket, head, (webSocket) => this.#open(webSocket, socket, client));
    });
  }

  #open(socket: WebSocket, stream: Duplex, { token, remoteAddress, verdict }: OpeningClient): void {
    const { handler, table, rules } = this.#options;
    const wire = new NodeWire(socket, stream, remoteAddress, rules().smallFrameRate);
    const connection = new ClientConnection({ wire, handler, table, limits: rules(), token, verdict });
    wire.connection = connection;
    this.#wires.add(wire);
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      if (!this.#heard(wire, data)) return;
      if (isBinary) wire.close(CloseCode.notText);
      else connection.receive(data, data.byteLength);
    });
    socket.on('pong', (data: Buffer) => this.#heard(wire, data));
    socket.on('ping', (data: Buffer) => this.#heard(wire, data));
    // `close` follows.
    socket.on('error', ignore);
    socket.on('close', () => {
      this.#wires.delete(wire);
      connection.closed();
    });
  }

  /** A frame came. @returns false when the connection is or was closed, for the rate of its frames too */
  #heard(wire: NodeWire, data: Buffer): boolean {
    if (wire.connection?.isClosed !== false) return false;
    wire.isAlive = true;
    wire.lastHeard = performance.now();
    if (wire.frames.take(data.byteLength)) return true;
    this.#options.handler.tooManyFrames(wire.remoteAddress());
    wire.close(CloseCode.policy, TOO_MANY_FRAMES);
    return false;
  }
}

function isHandshake(request: IncomingMessage): boolean {
  const path = (request.url ?? '').split('?', 1)[0];
  return request.method === 'GET' && path === '/ws' && textOf(request, 'upgrade').toLowerCase() === 'websocket';
}

function textOf(request: IncomingMessage, name: string): string {
  const value = request.headers[name];
  return typeof value === 'string' ? value : '';
}

function ignore(): void {}
