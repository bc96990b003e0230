/** Clients of the transports other than Streamable HTTP. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { SSEClientTransport as SseV2 } from '@modelcontextprotocol/client';
import { SSEClientTransport as SseV1 } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { WebSocketClientTransport } from '@modelcontextprotocol/sdk/client/websocket.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { WebSocket } from 'ws';
import { cliPath } from './gateway.js';
import { eventually, type TestScope } from './process.js';
import type { Message } from './rpc.js';

// The SDK's transport takes the browser's class, which Node has since version 22.
(globalThis as { WebSocket?: unknown }).WebSocket ??= WebSocket;

export const webSocketUrl = (origin: string): string => `${origin.replace(/^http/, 'ws')}/ws`;

/** The transports of the SDKs to a gateway that listens at `origin`. */
export const sdkTransport = {
  websocket: (origin: string): Transport => new WebSocketClientTransport(new URL(webSocketUrl(origin))) as Transport,
  sse: (origin: string): Transport => new SseV1(new URL(`${origin}/sse`)) as Transport,
  sseV2: (origin: string) => new SseV2(new URL(`${origin}/sse`)),
};

/** The SDK's transport to a gateway of its own on stdio. */
export function stdioTransport(configFile: string): Transport {
  const args = [cliPath, 'start', '--stdio', '--no-http', '--no-admin', '--config', configFile];
  return new StdioClientTransport({ command: process.execPath, args, stderr: 'ignore' }) as Transport;
}

/** A client that sees every byte: one message a frame, or a line. */
export interface RawConnection {
  /** Everything that has come, in order. */
  readonly messages: Message[];
  readonly closed: boolean;
  send(message: object | string): void;
  /** Sends a request and waits for its answer. */
  request(method: string, params?: object, id?: string | number): Promise<Message>;
  close(): void;
}

function rawConnection(
  scope: TestScope,
  messages: Message[],
  write: (text: string) => void,
  close: () => void,
): RawConnection & { closed: boolean } {
  let next = 1000;
  scope.after(close);
  const connection = {
    messages,
    closed: false,
    send: (message: object | string) => write(typeof message === 'string' ? message : JSON.stringify(message)),
    request: (method: string, params?: object, id: string | number = next++) => {
      connection.send({ jsonrpc: '2.0', id, method, ...(params === undefined ? {} : { params }) });
      return eventually(`the answer to ${method}`, () =>
        messages.find((message) => message.id === id && message.method === undefined),
      );
    },
    close,
  };
  return connection;
}

/** A WebSocket to the gateway at `origin`. */
export async function openWebSocket(
  scope: TestScope,
  origin: string,
  headers: Record<string, string> = {},
): Promise<RawConnection> {
  const socket = new WebSocket(webSocketUrl(origin), 'mcp', { headers });
  await once(socket, 'open');
  const messages: Message[] = [];
  const connection = rawConnection(
    scope,
    messages,
    (text) => socket.send(text),
    () => socket.terminate(),
  );
  socket.on('message', (data) => messages.push(JSON.parse(String(data))));
  socket.on('close', () => {
    connection.closed = true;
  });
  socket.on('error', () => {});
  return connection;
}

/** A gateway of its own on stdio, with everything that it has printed. */
export interface StdioGateway extends RawConnection {
  readonly child: ChildProcess;
  /** Ends its input, as clients do that go in good order. */
  end(): void;
}

/** Starts a gateway on stdio. */
export function openStdio(scope: TestScope, configFile: string): StdioGateway {
  const args = [cliPath, 'start', '--stdio', '--no-http', '--no-admin', '--config', configFile];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'ignore'] });
  const messages: Message[] = [];
  const connection = rawConnection(
    scope,
    messages,
    (text) => child.stdin.write(`${text}\n`),
    () => child.kill('SIGKILL'),
  );
  let rest = '';
  child.stdout.on('data', (chunk) => {
    const lines = `${rest}${chunk}`.split('\n');
    rest = lines.pop()!;
    for (const line of lines) messages.push(JSON.parse(line));
  });
  child.stdin.on('error', () => {});
  child.on('exit', () => {
    connection.closed = true;
  });
  return Object.assign(connection, { child, end: () => child.stdin.end() });
}

/** `initialize` and `notifications/initialized` on a connection. */
export async function initialize(
  connection: RawConnection,
  version = '2025-11-25',
  capabilities: object = {},
): Promise<Message> {
  const answer = await connection.request('initialize', {
    protocolVersion: version,
    capabilities,
    clientInfo: { name: 'switchyard-test', version: '1.0.0' },
  });
  connection.send({ jsonrpc: '2.0', method: 'notifications/initialized' });
  return answer;
}
