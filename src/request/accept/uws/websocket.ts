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
import { isWebSocketPath, WEBSOCKET_PATH } from '../http/paths.js';
import type { UwsApp, UwsRequest, UwsResponse, UwsSocket, UwsSocketBehavior } from './binding.js';
import type { UwsCall } from './call.js';
import { addressText } from './peer-address.js';

/** The front end: it checks a handshake as any other request, and counts connections. */
export interface UwsHandshakes {
  /** A call for a request whose head has arrived. */
  openHandshake(response: UwsResponse, request: UwsRequest): UwsCall;
  /** @returns false when the handshake is refused, and answered */
  acceptsHandshake(call: UwsCall, path: string, handshake: WebSocketHandshake): boolean;
  /** A connection of HTTP has become a WebSocket. */
  upgraded(): void;
}

/** Limits that uWebSockets.js reads when the path is registered; later snapshots can only lower `maxBodyBytes`. */
export interface UwsWebSocketLimits {
  readonly maxBodyBytes: Bytes;
  readonly maxClientBufferBytes: Bytes;
  readonly maxResponseBytes: Bytes;
  readonly keepAliveMs: Milliseconds;
}

const LARGEST: Bytes = 2 ** 31 - 1;
/** Bounds of the idle timeout of uWebSockets.js, in seconds. */
const SHORTEST_IDLE = 8;
const LONGEST_IDLE = 960;

/** One WebSocket; uWebSockets.js keeps it as the user data of the socket. */
class UwsWire extends WebSocketWire {
  readonly client: AuthorizedClient;
  /** Null before it is open and once it is closed. */
  socket: UwsSocket<UserData> | null = null;

  constructor(client: AuthorizedClient, smallFrameRate: Count) {
    super(smallFrameRate);
    this.client = client;
  }

  send(bytes: Uint8Array, start: number, end: number): void {
    this.socket?.send(bytes.subarray(start, end), false);
  }

  buffered(): Bytes {
    return this.socket?.getBufferedAmount() ?? 0;
  }

  remoteAddress(): string {
    return this.socket === null ? '' : addressText(Buffer.from(this.socket.getRemoteAddress()));
  }

  close(code: CloseCode, reason = ''): void {
    const { socket } = this;
    this.socket = null;
    if (code === CloseCode.tryAgainLater) socket?.close();
    else socket?.end(code, reason);
    this.connection?.closed();
  }
}

interface UserData {
  readonly wire: UwsWire;
}

/** Arguments of `response.upgrade`. */
interface UpgradeArguments {
  readonly response: UwsResponse;
  readonly key: string;
  readonly protocol: string;
  readonly extensions: string;
  readonly context: object;
}

/** The handshake of a client that may connect. */
class UwsUpgrade extends WebSocketRequest {
  readonly #sockets: UwsWebSockets;
  readonly #arguments: UpgradeArguments;

  constructor(call: UwsCall, exchange: Exchange, sockets: UwsWebSockets, upgrade: UpgradeArguments) {
    super(call, exchange, sockets.handler);
    this.#sockets = sockets;
    this.#arguments = upgrade;
  }

  protected override upgrade(client: AuthorizedClient): void {
    this.#sockets.upgrade(client, this.#arguments);
  }
}

/** The WebSocket transport on uWebSockets.js. */
export class UwsWebSockets extends WebSockets<UwsWire> {
  readonly #handshakes: UwsHandshakes;

  constructor(app: UwsApp, context: AcceptContext, limits: UwsWebSocketLimits, handshakes: UwsHandshakes) {
    super(context);
    this.#handshakes = handshakes;
    const behavior: UwsSocketBehavior<UserData> = {
      maxPayloadLength: longestMessage(limits.maxBodyBytes),
      idleTimeout: idleSeconds(limits.keepAliveMs),
      maxBackpressure: Math.min(LARGEST, limits.maxClientBufferBytes + 2 * limits.maxResponseBytes),
      closeOnBackpressureLimit: true,
      sendPingsAutomatically: true,
      compression: 0,
      upgrade: (response, request, socketContext) => this.#handshake(response, request, socketContext),
      open: (socket) => this.#open(socket),
      message: (socket, message, isBinary) => this.#message(socket.getUserData().wire, message, isBinary),
      ping: (socket, message) => this.#control(socket.getUserData().wire, message),
      pong: (socket, message) => this.#control(socket.getUserData().wire, message),
      drain: (socket) => {
        if (socket.getBufferedAmount() === 0) socket.getUserData().wire.connection?.drained();
      },
      close: (socket) => this.#closed(socket.getUserData().wire),
    };
    // The paths of views change with the configuration: every handshake comes here.
    app.ws(WEBSOCKET_PATH, behavior).ws('/*', behavior);
  }

  /** Answers a handshake with 101. */
  upgrade(client: AuthorizedClient, { response, key, protocol, extensions, context }: UpgradeArguments): void {
    this.#handshakes.upgraded();
    const wire = new UwsWire(client, this.context.rules.smallFrameRate);
    // Without cork: where the upgrade leaves the socket at its address in memory, the end of `cork` reads what is there now
    // as the state of an HTTP response, and now and then closes the connection (uNetworking/uWebSockets#1928, #1929).
    response.upgrade<UserData>({ wire }, key, protocol, extensions, context);
  }

  #handshake(response: UwsResponse, request: UwsRequest, context: object): void {
    const path = request.getUrl();
    // The request goes on to the handlers for any path.
    if (isWebSocketPath(path, this.context.rules)) this.#request(response, request, context, path);
    else request.setYield(true);
  }

  #request(response: UwsResponse, request: UwsRequest, context: object, path: string): void {
    const protocols = request.getHeader('sec-websocket-protocol');
    const handshake = {
      upgrade: request.getHeader('upgrade'),
      version: request.getHeader('sec-websocket-version'),
      protocols,
    };
    const upgrade = {
      response,
      key: request.getHeader('sec-websocket-key'),
      protocol: offersMcp(protocols) ? SUB_PROTOCOL : '',
      extensions: request.getHeader('sec-websocket-extensions'),
      context,
    };
    const call = this.#handshakes.openHandshake(response, request);
    if (!this.#handshakes.acceptsHandshake(call, path, handshake)) return;
    const exchange = this.context.acquire(call);
    if (exchange === null) return;
    exchange.client.reply = new UwsUpgrade(call, exchange, this, upgrade);
    this.context.handler.stream(exchange);
  }

  #open(socket: UwsSocket<UserData>): void {
    const { wire } = socket.getUserData();
    wire.socket = socket;
    this.opened(wire, wire.client);
  }

  #message(wire: UwsWire, message: ArrayBuffer, isBinary: boolean): void {
    const { connection } = wire;
    if (connection === null || wire.socket === null || !this.admits(wire, message.byteLength)) return;
    if (isBinary) wire.close(CloseCode.unsupportedData);
    else connection.receive(new Uint8Array(message), message.byteLength);
  }

  #control(wire: UwsWire, message: ArrayBuffer): void {
    if (wire.socket !== null) this.admits(wire, message.byteLength);
  }

  #closed(wire: UwsWire): void {
    wire.socket = null;
    this.closed(wire);
  }
}

/** An idle connection is closed after two periods; pings are sent in between. */
function idleSeconds(keepAliveMs: Milliseconds): number {
  if (keepAliveMs === 0) return 0;
  return Math.min(LONGEST_IDLE, Math.max(SHORTEST_IDLE, Math.ceil((2 * keepAliveMs) / 1000)));
}
