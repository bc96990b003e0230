/** The in-process transport: a client in the same program, without a socket. */

import type { Bytes } from '../../../units.js';
import { Caller } from '../../exchange/caller.js';
import { Framing } from '../../exchange/index.js';
import type { ExchangeTable } from '../../exchange/table.js';
import type { FrontHandler } from '../http/handler.js';
import { ClientConnection, type ConnectionLimits } from './index.js';
import type { CloseCode, ConnectionWire } from './wire.js';

/** A client's end of a connection within the process. */
export interface LocalConnection {
  /** Called with each message to the client, in a later turn of the event loop; the bytes are the client's own. */
  onmessage: ((message: Buffer) => void) | null;
  /** Called once when the connection has ended, from either side; with a sentence when the gateway gives a reason. */
  onclose: ((sentence: string) => void) | null;
  /** Sends one message; objects are written with `JSON.stringify`. @throws Error when the connection is closed */
  send(message: object | string | Uint8Array): void;
  /** Ends the connection; what is in flight is cancelled. */
  close(): void;
}

/** The gateway's end: messages to the client wait for a later turn of the event loop. */
class LocalWire implements ConnectionWire {
  readonly framing = Framing.message;
  readonly connection: ClientConnection;
  isClosed = false;
  readonly #client: LocalClient;
  #queue: Buffer[] = [];
  #queued: Bytes = 0;

  constructor(
    client: LocalClient,
    handler: FrontHandler,
    table: ExchangeTable,
    limits: ConnectionLimits,
    token: string,
  ) {
    this.#client = client;
    this.connection = new ClientConnection({ wire: this, handler, table, limits, caller: Caller.ofToken(token) });
  }

  send(bytes: Uint8Array, start: number, end: number): void {
    if (this.#queue.length === 0) setImmediate(this.#deliver);
    this.#queue.push(Buffer.from(bytes.subarray(start, end)));
    this.#queued += end - start;
  }

  buffered(): Bytes {
    return this.#queued;
  }

  remoteAddress(): string {
    return '';
  }

  close(_code: CloseCode | null, sentence = ''): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.connection.closed();
    setImmediate(() => this.#client.onclose?.(sentence));
  }

  readonly #deliver = (): void => {
    const messages = this.#queue;
    this.#queue = [];
    this.#queued = 0;
    for (const message of messages) this.#client.onmessage?.(message);
    this.connection.drained();
  };
}

/** See {@link openLocalConnection}. */
class LocalClient implements LocalConnection {
  onmessage: ((message: Buffer) => void) | null = null;
  onclose: ((sentence: string) => void) | null = null;
  readonly #wire: LocalWire;

  constructor(handler: FrontHandler, table: ExchangeTable, limits: ConnectionLimits, token: string) {
    this.#wire = new LocalWire(this, handler, table, limits, token);
  }

  send(message: object | string | Uint8Array): void {
    if (this.#wire.isClosed) throw new Error('the connection to the gateway is closed');
    const bytes = message instanceof Uint8Array ? message : Buffer.from(textOf(message));
    this.#wire.connection.receive(bytes, bytes.byteLength);
  }

  readonly close = (): void => this.#wire.close(null);
}

/**
 * Opens a connection to the gateway that `handler` and `table` belong to.
 *
 * @param token the bearer token that the policy verifies for each message; default none
 */
export function openLocalConnection(
  handler: FrontHandler,
  table: ExchangeTable,
  limits: ConnectionLimits,
  token = '',
): LocalConnection {
  return new LocalClient(handler, table, limits, token);
}

function textOf(message: object | string): string {
  return typeof message === 'string' ? message : JSON.stringify(message);
}
