import { createRequire } from 'node:module';

/** The part of uWebSockets.js that the front end uses; declared here because the package's own types are ambient. */
export interface UwsResponse {
  writeStatus(status: string): UwsResponse;
  writeHeader(name: string, value: string): UwsResponse;
  /** @returns false when the bytes were queued because the client is slow */
  write(chunk: Uint8Array): boolean;
  end(body?: Uint8Array | string, closeConnection?: boolean): UwsResponse;
  endWithoutBody(reportedContentLength?: number, closeConnection?: boolean): UwsResponse;
  /** @returns whether there was room, and whether the answer is complete */
  tryEnd(chunk: Uint8Array, totalSize: number): [boolean, boolean];
  close(): UwsResponse;
  getWriteOffset(): number;
  onWritable(handler: (offset: number) => boolean): UwsResponse;
  onAborted(handler: () => void): UwsResponse;
  onData(handler: (chunk: ArrayBuffer, isLast: boolean) => void): UwsResponse;
  getRemoteAddress(): ArrayBuffer;
  cork(callback: () => void): UwsResponse;
  /** Turns the connection into a WebSocket; `response` must not be used any more. */
  upgrade<Data>(data: Data, key: string, protocol: string, extensions: string, context: object): void;
}

/** Valid between `open` and `close`. */
export interface UwsSocket<Data> {
  /** @returns 1 = sent, 0 = queued, 2 = dropped beyond `maxBackpressure` */
  send(message: Uint8Array, isBinary: boolean): number;
  getBufferedAmount(): number;
  /** Sends a close frame, then closes; calls `close` before it returns. */
  end(code: number, message?: string): void;
  /** Cuts the connection; calls `close` before it returns. */
  close(): void;
  getUserData(): Data;
  getRemoteAddress(): ArrayBuffer;
}

export interface UwsSocketBehavior<Data> {
  maxPayloadLength: number;
  /** Seconds, 8 to 960; 0 = none. */
  idleTimeout: number;
  maxBackpressure: number;
  closeOnBackpressureLimit: boolean;
  sendPingsAutomatically: boolean;
  compression: number;
  upgrade(response: UwsResponse, request: UwsRequest, context: object): void;
  open(socket: UwsSocket<Data>): void;
  message(socket: UwsSocket<Data>, message: ArrayBuffer, isBinary: boolean): void;
  ping(socket: UwsSocket<Data>, message: ArrayBuffer): void;
  pong(socket: UwsSocket<Data>, message: ArrayBuffer): void;
  drain(socket: UwsSocket<Data>): void;
  close(socket: UwsSocket<Data>, code: number): void;
}

/** Valid only while the route handler runs. */
export interface UwsRequest {
  getHeader(lowerCaseName: string): string;
  getUrl(): string;
  /** Whether the handlers with less specific patterns get the request. */
  setYield(yields: boolean): void;
  getQuery(): string;
  getCaseSensitiveMethod(): string;
  forEach(callback: (name: string, value: string) => void): void;
}

export type UwsRoute = (response: UwsResponse, request: UwsRequest) => void;

export interface UwsApp {
  get(pattern: string, handler: UwsRoute): UwsApp;
  post(pattern: string, handler: UwsRoute): UwsApp;
  any(pattern: string, handler: UwsRoute): UwsApp;
  ws<Data>(pattern: string, behavior: UwsSocketBehavior<Data>): UwsApp;
  filter(handler: (response: UwsResponse, change: number) => void): UwsApp;
  listen(host: string, port: number, options: number, callback: (socket: object | false) => void): UwsApp;
  close(): UwsApp;
}

export interface UwsModule {
  App(options?: object): UwsApp;
  us_listen_socket_close(socket: object): void;
  us_socket_local_port(socket: object): number;
  LIBUS_LISTEN_EXCLUSIVE_PORT: number;
  /** Not documented: `silent` omits the header field that names the server and its version. */
  _cfg?(key: string): void;
}

/**
 * Loads uWebSockets.js.
 *
 * @param maxHeaderBytes longest request head that the parser keeps; uWebSockets.js reads it when it is loaded first
 * @throws Error when there is no binary for this platform and Node ABI, or with `SWITCHYARD_UWS=off`
 */
export function loadUws(maxHeaderBytes: number): UwsModule {
  if (process.env['SWITCHYARD_UWS'] === 'off') throw new Error('uWebSockets.js is switched off by SWITCHYARD_UWS=off');
  // A head in several segments is limited to 4 KiB by default, less than one large token.
  // Heads slightly over the limit get an answer of the gateway.
  process.env['UWS_HTTP_MAX_HEADERS_SIZE'] ??= String(maxHeaderBytes + 2048);
  const uws = createRequire(import.meta.url)('uWebSockets.js') as UwsModule;
  uws._cfg?.('silent');
  return uws;
}
