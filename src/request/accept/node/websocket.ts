import { type IncomingMessage, type Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Bytes, Count, Milliseconds } from '../../../units.js';
import type { Exchange } from '../../exchange/index.js';
import {
  type AuthorizedClient,
  longestMessage,
  offersMcp,
  SUB_PROTOCOL,
  type WebSocketHandshake,
  WebSocketRequest,
  WebSockets,
  WebSocketWire,
} from '../connection/websocket.js';
import { CloseCode } from '../connection/wire.js';
import type { AcceptContext } from '../http/context.js';
import { isWebSocketPath, type PathRules } from '../http/paths.js';
import type { NodeCall } from './call.js';
import { withoutUpgrade } from './upgrade.js';

/** The front end: it checks a handshake as any other request. */
export interface NodeHandshakes {
  /** A call for a request whose head has arrived. */
  openHandshake(request: IncomingMessage, response: ServerResponse): NodeCall;
  /** @returns false when the handshake is refused, and answered */
  acceptsHandshake(call: NodeCall, path: string, handshake: WebSocketHandshake): boolean;
}

/**
 * Bounds on the fragments of one message and on the reads of one frame, because each has a cost beside its bytes; and the
 * time for the closing handshake in ms. The types of `ws` do not have these options.
 */
const RECEIVER = { maxFragments: 4_096, maxBufferedChunks: 16_384, closeTimeout: 10_000 } as const;

/** One WebSocket. */
class NodeWire extends WebSocketWire {
  readonly socket: WebSocket;
  readonly #stream: Duplex;
  readonly #address: string;
  /** The client has answered the last ping, or sent something since. */
  #isAlive = true;
  #lastReceivedAt = performance.now();
  #isCorked = false;

  constructor(socket: WebSocket, stream: Duplex, address: string, smallFrameRate: Count) {
    super(smallFrameRate);
    this.socket = socket;
    this.#stream = stream;
    this.#address = address;
  }

  /** A frame arrived. */
  received(): void {
    this.#isAlive = true;
    this.#lastReceivedAt = performance.now();
  }

  override isUnresponsive(now: Milliseconds, keepAliveMs: Milliseconds): boolean {
    if (keepAliveMs === 0 || now - this.#lastReceivedAt <= keepAliveMs) return false;
    if (!this.#isAlive) return true;
    this.#isAlive = false;
    this.#lastReceivedAt = now;
    this.socket.ping();
    return false;
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

  close(code: CloseCode, reason = ''): void {
    if (code === CloseCode.tryAgainLater) this.socket.terminate();
    else this.socket.close(code, reason);
    if (code === CloseCode.policyViolation) this.#discard();
    this.connection?.closed();
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    if (this.socket.isPaused) this.socket.resume();
  }

  /** Reads on and drops it: what a client sends after the close must not be parsed. */
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

/** What the WebSocket server takes to answer a handshake. */
interface UpgradeArguments {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  /** What was read behind the head of the request. */
  readonly head: Buffer;
}

/** The handshake of a client that may connect. */
class NodeUpgrade extends WebSocketRequest {
  readonly #sockets: NodeWebSockets;
  readonly #arguments: UpgradeArguments;

  constructor(call: NodeCall, exchange: Exchange, sockets: NodeWebSockets, upgrade: UpgradeArguments) {
    super(call, exchange, sockets.handler);
    this.#sockets = sockets;
    this.#arguments = upgrade;
  }

  protected override upgrade(client: AuthorizedClient): void {
    this.#sockets.upgrade(client, this.#arguments);
  }
}

/** The WebSocket transport on node:http. */
export class NodeWebSockets extends WebSockets<NodeWire> {
  readonly #handshakes: NodeHandshakes;

  constructor(server: Server, context: AcceptContext, handshakes: NodeHandshakes) {
    super(context);
    this.#handshakes = handshakes;
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      socket.on('error', ignore);
      if (isHandshake(request, this.context.rules)) this.#request({ request, socket, head });
      // Offers of other protocols (HTTP/2) may be ignored, and are (RFC 9110 section 7.8).
      else withoutUpgrade(server, request, socket, head);
    });
  }

  /** Answers a handshake with 101. */
  upgrade(client: AuthorizedClient, { request, socket, head }: UpgradeArguments): void {
    const protocols = textOf(request, 'sec-websocket-protocol');
    const server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      maxPayload: longestMessage(this.context.rules.maxBodyBytes),
      ...RECEIVER,
      perMessageDeflate: false,
      handleProtocols: () => (offersMcp(protocols) ? SUB_PROTOCOL : false),
    });
    server.handleUpgrade(request, socket, head, (webSocket) => this.#open(webSocket, socket, client));
  }

  #request(upgrade: UpgradeArguments): void {
    const { request } = upgrade;
    // The refusals of a handshake are ordinary answers.
    const response = new ServerResponse(request);
    response.assignSocket(request.socket);
    // The server no longer manages the connection: after an answer that is no upgrade nothing else ends it.
    response.once('finish', () => request.socket.destroySoon());
    const handshake = {
      upgrade: textOf(request, 'upgrade'),
      version: textOf(request, 'sec-websocket-version'),
      protocols: textOf(request, 'sec-websocket-protocol'),
    };
    const call = this.#handshakes.openHandshake(request, response);
    if (!this.#handshakes.acceptsHandshake(call, pathOf(request), handshake)) return;
    call.isClosing = true;
    const exchange = this.context.acquire(call);
    if (exchange === null) return;
    exchange.client.reply = new NodeUpgrade(call, exchange, this, upgrade);
    this.context.handler.stream(exchange);
  }

  #open(socket: WebSocket, stream: Duplex, client: AuthorizedClient): void {
    const wire = new NodeWire(socket, stream, client.remoteAddress, this.context.rules.smallFrameRate);
    this.opened(wire, client);
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      if (!this.#receive(wire, data)) return;
      if (isBinary) wire.close(CloseCode.unsupportedData);
      else wire.connection?.receive(data, data.byteLength);
    });
    socket.on('pong', (data: Buffer) => this.#receive(wire, data));
    socket.on('ping', (data: Buffer) => this.#receive(wire, data));
    // `close` follows.
    socket.on('error', ignore);
    socket.on('close', () => this.closed(wire));
  }

  /** A frame arrived. @returns false when the connection is or was closed */
  #receive(wire: NodeWire, data: Buffer): boolean {
    if (wire.connection?.isClosed !== false) return false;
    wire.received();
    return this.admits(wire, data.byteLength);
  }
}

function isHandshake(request: IncomingMessage, rules: PathRules): boolean {
  if (request.method !== 'GET' || textOf(request, 'upgrade').toLowerCase() !== 'websocket') return false;
  return isWebSocketPath(pathOf(request), rules);
}

function pathOf({ url = '' }: IncomingMessage): string {
  return url.split('?', 1)[0] ?? '';
}

function textOf(request: IncomingMessage, name: string): string {
  const value = request.headers[name];
  return typeof value === 'string' ? value : '';
}

function ignore(): void {}
