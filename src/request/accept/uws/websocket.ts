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
import type { UwsApp, UwsRequest, UwsResponse, UwsSocket } from './binding.js';
import type { UwsCall } from './call.js';
import { addressText } from './peer-address.js';

export interface UwsWebSocketsOptions {
  readonly app: UwsApp;
  readonly table: ExchangeTable;
  readonly handler: FrontHandler;
  rules(): AcceptRules;
  /** uWebSockets.js takes these when the path is registered; a smaller body limit of a later snapshot is enforced here. */
  readonly limits: {
    readonly maxBodyBytes: Bytes;
    readonly maxClientBufferBytes: Bytes;
    readonly maxResponseBytes: Bytes;
    readonly keepAliveMs: Milliseconds;
  };
  /** Judges the head of a handshake as that of any request. @returns null when it is refused */
  upgrade(response: UwsResponse, request: UwsRequest): UwsCall | null;
  refuse(call: UwsCall, code: ErrorCode): void;
  /** A connection of HTTP has become a WebSocket; uWebSockets.js does not say that it left. */
  upgraded(): void;
}

/** A message this much over the limit still gets a close code; beyond it uWebSockets.js cuts the connection. */
const OVERSIZE_BYTES: Bytes = 1_048_576;
const LARGEST: Bytes = 2 ** 31 - 1;
/** What uWebSockets.js takes as a timeout, in seconds. */
const SHORTEST_IDLE = 8;
const LONGEST_IDLE = 960;

/** One WebSocket; uWebSockets.js keeps it as the user data of the socket. */
class UwsWire implements ConnectionWire {
  readonly framing = Framing.message;
  readonly client: OpeningClient;
  socket: UwsSocket<UserData> | null = null;
  connection: ClientConnection | null = null;
  readonly frames: FrameRate;

  constructor(client: OpeningClient, smallFrameRate: Count) {
    this.client = client;
    this.frames = new FrameRate(smallFrameRate);
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

  close(code: number, reason = ''): void {
    const { socket } = this;
    this.socket = null;
    if (code === CloseCode.busy) socket?.close();
    else socket?.end(code, reason);
    this.connection?.closed();
  }
}

interface UserData {
  readonly wire: UwsWire;
}

/** The WebSocket door on uWebSockets.js: `/ws`. */
export class UwsWebSockets {
  readonly #options: UwsWebSocketsOptions;
  readonly #wires = new Set<UwsWire>();

  constructor(options: UwsWebSocketsOptions) {
    this.#options = options;
    const { app, limits } = options;
    app.ws<UserData>('/ws', {
      maxPayloadLength: Math.min(LARGEST, limits.maxBodyBytes + OVERSIZE_BYTES),
      idleTimeout: idleSeconds(limits.keepAliveMs),
      maxBackpressure: Math.min(LARGEST, limits.maxClientBufferBytes + 2 * limits.maxResponseBytes),
      closeOnBackpressureLimit: true,
      sendPingsAutomatically: true,
      compression: 0,
      upgrade: (response, request, context) => this.#upgrade(response, request, context),
      open: (socket) => this.#open(socket),
      message: (socket, message, isBinary) => this.#message(socket.getUserData().wire, message, isBinary),
      ping: (socket, message) => void this.#counts(socket.getUserData().wire, message),
      pong: (socket, message) => void this.#counts(socket.getUserData().wire, message),
      drain: (socket) => {
        if (socket.getBufferedAmount() === 0) socket.getUserData().wire.connection?.drained();
      },
      close: (socket) => this.#closed(socket.getUserData().wire),
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

  /** Cuts clients that take nothing for so long. */
  cutSlow(slowClientMs: Milliseconds): void {
    const now = performance.now();
    for (const wire of [...this.#wires]) {
      if (wire.connection?.isStuck(now, slowClientMs) === true) wire.close(CloseCode.busy);
    }
  }

  #upgrade(response: UwsResponse, request: UwsRequest, context: object): void {
    const key = request.getHeader('sec-websocket-key');
    const extensions = request.getHeader('sec-websocket-extensions');
    const protocols = request.getHeader('sec-websocket-protocol');
    const handshake = {
      upgrade: request.getHeader('upgrade'),
      version: request.getHeader('sec-websocket-version'),
      protocols,
    };
    const call = this.#options.upgrade(response, request);
    if (call === null) return;
    const { handler, rules, table } = this.#options;
    const code = handshakeCode(handshake);
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
      const wire = new UwsWire(client, rules().smallFrameRate);
      const chosen = offersMcp(protocols) ? SUB_PROTOCOL : '';
      call.upgraded();
      this.#options.upgraded();
      // Without cork: where the upgrade leaves the socket at its address in memory, the end of `cork` reads what is there now
      // as the state of an HTTP response, and now and then closes the connection.
      response.upgrade<UserData>({ wire }, key, chosen, extensions, context);
    });
  }

  #open(socket: UwsSocket<UserData>): void {
    const { wire } = socket.getUserData();
    const { handler, table, rules } = this.#options;
    wire.socket = socket;
    const { token, verdict } = wire.client;
    wire.connection = new ClientConnection({ wire, handler, table, limits: rules(), token, verdict });
    this.#wires.add(wire);
  }

  #message(wire: UwsWire, message: ArrayBuffer, isBinary: boolean): void {
    const { connection } = wire;
    if (connection === null || !this.#counts(wire, message)) return;
    if (isBinary) wire.close(CloseCode.notText);
    else if (message.byteLength > connection.limits.maxBodyBytes) wire.close(CloseCode.tooBig);
    else connection.receive(new Uint8Array(message), message.byteLength);
  }

  /** A frame came. @returns false when the connection is or was closed, for the rate of its frames too */
  #counts(wire: UwsWire, message: ArrayBuffer): boolean {
    if (wire.socket === null) return false;
    if (wire.frames.take(message.byteLength)) return true;
    this.#options.handler.tooManyFrames(wire.remoteAddress());
    wire.close(CloseCode.policy, TOO_MANY_FRAMES);
    return false;
  }

  #closed(wire: UwsWire): void {
    wire.socket = null;
    this.#wires.delete(wire);
    wire.connection?.closed();
  }
}

/** A connection is given up after two silent periods; pings go out in between. */
function idleSeconds(keepAliveMs: Milliseconds): number {
  if (keepAliveMs === 0) return 0;
  return Math.min(LONGEST_IDLE, Math.max(SHORTEST_IDLE, Math.ceil((2 * keepAliveMs) / 1000)));
}
