import { type WebSocket, WebSocketServer } from 'ws';

/** A transport for both SDKs over one WebSocket: one message per text frame. */
export class WebSocketTransport {
  // biome-ignore lint/suspicious/noExplicitAny: each SDK has a type of its own for it
  onmessage: any;
  onclose?: (() => void) | undefined;
  onerror?: ((error: Error) => void) | undefined;
  readonly #socket: WebSocket;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('message', (data) => this.onmessage?.(JSON.parse((data as Buffer).toString())));
    socket.on('close', () => this.onclose?.());
    socket.on('error', (error) => this.onerror?.(error));
  }

  async start(): Promise<void> {}

  send(message: unknown): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.send(JSON.stringify(message), (error) => (error ? reject(error) : resolve()));
    });
  }

  async close(): Promise<void> {
    this.#socket.close(1_000);
  }
}

/** Serves on `PORT` (default: any) of 127.0.0.1 and prints `listening on ws://127.0.0.1:PORT/mcp`. */
export function serveWebSocket(connected: (transport: WebSocketTransport) => void): void {
  const port = Number(process.env['PORT'] ?? 0);
  const server = new WebSocketServer({ host: '127.0.0.1', port, path: '/mcp' });
  server.on('connection', (socket) => connected(new WebSocketTransport(socket)));
  server.on('listening', () => {
    console.log(`listening on ws://127.0.0.1:${(server.address() as { port: number }).port}/mcp`);
  });
}
