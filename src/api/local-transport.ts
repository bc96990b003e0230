import type { LocalConnection } from '../request/accept/connection/in-process.js';

/** The member that all JSON-RPC messages have. */
export interface Message {
  readonly jsonrpc: '2.0';
}

/**
 * A client's connection to a gateway in the same process, in the shape of a transport of the MCP SDKs (v1 and v2). It uses
 * no socket; rules, limits and tokens hold as on every transport.
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

/** Opens the connections of local transports: the gateway. */
interface ConnectionSource {
  /** @throws Error when the gateway does not run */
  openConnection(token: string): LocalConnection;
}

/** The {@link ClientTransport} of one client of a gateway; owns its connection. */
export class LocalTransport implements ClientTransport {
  declare onmessage?: (message: Message & Record<string, unknown>) => void;
  declare onclose?: () => void;
  declare onerror?: (error: Error) => void;
  declare sessionId?: string;
  readonly #source: ConnectionSource;
  readonly #token: string;
  #connection: LocalConnection | null = null;
  #isClosed = false;

  /** @param token the bearer token of the client, '' = none */
  constructor(source: ConnectionSource, token: string) {
    this.#source = source;
    this.#token = token;
  }

  async start(): Promise<void> {
    if (this.#connection !== null || this.#isClosed) throw new Error('the transport has been started already');
    const connection = this.#source.openConnection(this.#token);
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
