import type { LocalConnection } from '../request/accept/connection/in-process.js';

/** The least that all JSON-RPC messages have in common. */
export interface Message {
  readonly jsonrpc: '2.0';
}

/**
 * A client's connection to a gateway in the same process, in the shape that clients of the MCP SDKs (v1 and v2) expect
 * of a transport. Nothing is sent over a socket; rules, limits and tokens hold as on all transports.
 */
export interface ClientTransport {
  onmessage?: (message: Message & Record<string, unknown>) => void;
  onclose?: () => void;
  onerror?: (error: Error) => void;
  /** Never set: the session belongs to the connection. */
  sessionId?: string;
  start(): Promise<void>;
  /** @throws Error when the transport is not started, or closed */
  send(message: Message): Promise<void>;
  /** Ends the connection; calls in flight are cancelled. */
  close(): Promise<void>;
}

/** See {@link ClientTransport}. */
export class LocalTransport implements ClientTransport {
  declare onmessage?: (message: Message & Record<string, unknown>) => void;
  declare onclose?: () => void;
  declare onerror?: (error: Error) => void;
  declare sessionId?: string;
  readonly #open: () => LocalConnection;
  #connection: LocalConnection | null = null;
  #isClosed = false;

  /** @param open makes the connection when the client starts; may throw */
  constructor(open: () => LocalConnection) {
    this.#open = open;
  }

  async start(): Promise<void> {
    if (this.#connection !== null || this.#isClosed) throw new Error('the transport has been started already');
    const connection = this.#open();
    connection.onmessage = (bytes) => this.#receive(bytes);
    connection.onclose = (sentence) => {
      this.#isClosed = true;
      if (sentence !== '') this.onerror?.(new Error(sentence));
      this.onclose?.();
    };
    this.#connection = connection;
  }

  async send(message: Message): Promise<void> {
    if (this.#connection === null) throw new Error('the transport is not started');
    this.#connection.send(message);
  }

  async close(): Promise<void> {
    if (this.#connection === null) this.#isClosed = true;
    else this.#connection.close();
  }

  #receive(bytes: Buffer): void {
    let message: Message & Record<string, unknown>;
    try {
      message = JSON.parse(bytes.toString('utf8'));
    } catch (error) {
      this.onerror?.(error as Error);
      return;
    }
    this.onmessage?.(message);
  }
}
