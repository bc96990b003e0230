import { Method } from '../../../../native/layout.js';
import { type Exchange, MessageFlag, type Reply } from '../../exchange/index.js';
import type { ClientConnection } from './index.js';
import { CloseCode } from './wire.js';

/** The Reply of one message on a connection that carries many. */
export class ConnectionReply implements Reply {
  exchange: Exchange | null;
  /** A stage waits for {@link FrontHandler.drained}. */
  isBlocked = false;
  protected readonly connection: ClientConnection;
  readonly #silent: boolean;

  constructor(connection: ClientConnection, exchange: Exchange, silent: boolean) {
    this.connection = connection;
    this.exchange = exchange;
    this.#silent = silent;
  }

  send(_status: number, head: readonly string[], bytes: Uint8Array, start: number, end: number): void {
    const exchange = this.detach();
    if (exchange === null) return;
    const { connection } = this;
    // A notification gets no answer, not even an error (JSON-RPC 2.0 section 4.1).
    const expectsAnswer = !this.#silent && (exchange.message.flags & MessageFlag.noAnswer) === 0;
    if (end > start && expectsAnswer) connection.send(bytes, start, end, false);
    if (exchange.message.spans.method === Method.initialize) {
      const sessionId = headValue(head, 'mcp-session-id');
      if (sessionId !== '') connection.initialized(sessionId, exchange.verdict);
    }
    connection.finished(this);
  }

  /** The connection is the stream. */
  openStream(): void {}

  write(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.exchange === null || end <= start) return true;
    const hasRoom = this.connection.send(bytes, start, end, true);
    if (!hasRoom) {
      this.isBlocked = true;
      this.connection.hasBlocked = true;
    }
    return hasRoom;
  }

  endStream(): void {
    if (this.detach() !== null) this.connection.finished(this);
  }

  buffered(): number {
    return this.connection.wire.buffered();
  }

  abort(): void {
    this.detach();
    this.connection.finished(this);
    this.connection.wire.close(CloseCode.internalError);
  }

  rebind(exchange: Exchange): void {
    this.exchange = exchange;
  }

  acknowledged(): void {}

  /** The connection is closed. @returns the exchange, which the caller aborts */
  closed(): Exchange | null {
    return this.detach();
  }

  /** Separates the Reply from its exchange, which is finished or continues without a client. */
  detach(): Exchange | null {
    const { exchange } = this;
    this.exchange = null;
    return exchange;
  }
}

/** The value of a header in a flat list of names and values; empty when it is not there. */
function headValue(head: readonly string[], name: string): string {
  for (let at = 0; at < head.length; at += 2) if (head[at] === name) return head[at + 1] ?? '';
  return '';
}
