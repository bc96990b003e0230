import { Method } from '../../../../native/layout.js';
import { type Exchange, MessageFlag, type Reply } from '../../exchange/index.js';
import type { ClientConnection } from './index.js';

/** The Reply of one message on a connection that carries many. */
export class ConnectionReply implements Reply {
  exchange: Exchange | null;
  /** A stage was told to wait for the client. */
  blocked = false;
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
    // What asks for no answer gets none, not even a refusal (JSON-RPC 2.0 section 4.1).
    const isAsked = !this.#silent && (exchange.message.flags & MessageFlag.noAnswer) === 0;
    if (end > start && isAsked) connection.send(bytes, start, end, false);
    if (exchange.message.spans.method === Method.initialize) {
      const sessionId = headValue(head, 'mcp-session-id');
      if (sessionId !== '') connection.opened(sessionId, exchange.verdict);
    }
    connection.over(this);
  }

  /** The stream is the connection. */
  openStream(): void {}

  write(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.exchange === null || end <= start) return true;
    const isTaken = this.connection.send(bytes, start, end, true);
    if (!isTaken) {
      this.blocked = true;
      this.connection.hasBlocked = true;
    }
    return isTaken;
  }

  endStream(): void {
    if (this.detach() !== null) this.connection.over(this);
  }

  buffered(): number {
    return this.connection.wire.buffered();
  }

  abort(): void {
    this.detach();
    this.connection.over(this);
    this.connection.wire.close(1011);
  }

  adopt(exchange: Exchange): void {
    this.exchange = exchange;
  }

  taken(): void {}

  /** The connection is gone. @returns the exchange, which has to be told */
  lost(): Exchange | null {
    return this.detach();
  }

  /** Parts from the exchange, which is over or goes on without a client. */
  detach(): Exchange | null {
    const { exchange } = this;
    this.exchange = null;
    return exchange;
  }
}

/** The value of a header in a flat list of names and values; empty when it is not there. */
export function headValue(head: readonly string[], name: string): string {
  for (let at = 0; at < head.length; at += 2) if (head[at] === name) return head[at + 1]!;
  return '';
}
