/** Clients on every transport that follow the resource `test://a`, for tests of what they may not hear any more. */
import { once } from 'node:events';
import { WebSocket } from 'ws';
import type { EmbeddedGateway } from '../../src/index.js';
import { openAnswer } from '../support/event-stream.js';
import { eventually, type TestScope } from '../support/process.js';
import { type Message, modernHeaders, modernMessage, openSession, rpc } from '../support/rpc.js';

export const URI = 'test://a';

/** One client that hears of changes without asking for each. */
export interface Listener {
  readonly name: string;
  /** The stream or connection has ended. */
  readonly ended: boolean;
  /** Changes of {@link URI} heard so far. */
  readonly heard: number;
  /** What the transport said at its end, if it can say anything; '' before. */
  readonly sentence: string;
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const initialize = (id: number) => ({
  jsonrpc: '2.0',
  id,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'listener', version: '1' } },
});
const INITIALIZED = { jsonrpc: '2.0', method: 'notifications/initialized' };
const subscribe = (id: number) => ({ jsonrpc: '2.0', id, method: 'resources/subscribe', params: { uri: URI } });
const changesIn = (messages: readonly Message[]): number =>
  messages.filter(({ method }) => method === 'notifications/resources/updated').length;
/** The last comment of an event stream. */
const commentIn = (text: string): string => /(?:^|\n\n): ([^\n]*)\n\n$/.exec(text)?.[1] ?? '';

/** The GET stream of a session over Streamable HTTP. */
export async function getStream(scope: TestScope, url: string, token: string) {
  const session = await openSession(url, { headers: bearer(token) });
  const stream = await openAnswer(scope, url, { headers: { ...session.headers, accept: 'text/event-stream' } });
  const { message } = await session.request('resources/subscribe', { uri: URI });
  if (message?.result === undefined) throw new Error(`subscribe was answered ${JSON.stringify(message)}`);
  return {
    name: 'GET stream',
    session,
    stream,
    get ended() {
      return stream.ended;
    },
    get heard() {
      return changesIn(stream.messages());
    },
    get sentence() {
      return commentIn(stream.text);
    },
  };
}

/** `subscriptions/listen` of a client of 2026-07-28. */
export async function listenStream(scope: TestScope, url: string, token: string) {
  const notifications = { resourceSubscriptions: [URI], toolsListChanged: true };
  const message = modernMessage('subscriptions/listen', { notifications }, { id: 'l' });
  const stream = await openAnswer(scope, url, { message, headers: { ...modernHeaders(message), ...bearer(token) } });
  await stream.until('subscriptions/acknowledged');
  return {
    name: 'listen stream',
    stream,
    get ended() {
      return stream.ended;
    },
    get heard() {
      return changesIn(stream.messages());
    },
    get sentence() {
      return stream.messages().find(({ id, error }) => id === 'l' && error !== undefined)?.error.message ?? '';
    },
  };
}

/** A connection of HTTP with SSE. */
export async function sseConnection(scope: TestScope, url: string, token: string): Promise<Listener> {
  const stream = await openAnswer(scope, url.replace('/mcp', '/sse'), { headers: bearer(token) });
  const [, path] = await eventually('the endpoint', () => /data: (\/\S+)/.exec(stream.text));
  const post = (message: object) => rpc(new URL(path!, url).href, message, bearer(token));
  const messages = (): Message[] =>
    stream.events().flatMap(({ data }) => (data.startsWith('{') ? [JSON.parse(data)] : []));
  const answered = (id: number) => eventually(`answer ${id}`, () => messages().find((message) => message.id === id));
  await post(initialize(1));
  await answered(1);
  await post(INITIALIZED);
  await post(subscribe(2));
  await answered(2);
  return {
    name: 'HTTP with SSE',
    get ended() {
      return stream.ended;
    },
    get heard() {
      return changesIn(messages());
    },
    get sentence() {
      return commentIn(stream.text);
    },
  };
}

/** A WebSocket; its close code stands before the sentence. */
export async function webSocket(
  scope: TestScope,
  url: string,
  token: string,
): Promise<Listener & { send(message: object): void; readonly messages: Message[] }> {
  const socket = new WebSocket(url.replace('http', 'ws').replace('/mcp', '/ws'), 'mcp', { headers: bearer(token) });
  scope.after(() => socket.terminate());
  const messages: Message[] = [];
  let sentence = '';
  socket.on('message', (data) => messages.push(JSON.parse(String(data))));
  socket.on('close', (code, reason) => {
    sentence = `${code} ${reason}`;
  });
  socket.on('error', () => {});
  await once(socket, 'open');
  const send = (message: object): void => socket.send(JSON.stringify(message));
  const answered = (id: number) => eventually(`answer ${id}`, () => messages.find((message) => message.id === id));
  send(initialize(1));
  await answered(1);
  send(INITIALIZED);
  send(subscribe(2));
  await answered(2);
  return {
    name: 'WebSocket',
    send,
    messages,
    get ended() {
      return sentence !== '';
    },
    get heard() {
      return changesIn(messages);
    },
    get sentence() {
      return sentence;
    },
  };
}

/** A client in the process of the gateway. */
export async function inProcess(scope: TestScope, gateway: EmbeddedGateway, token: string): Promise<Listener> {
  const transport = gateway.connect({ token });
  const messages: Message[] = [];
  let ended = false;
  let sentence = '';
  transport.onmessage = (message) => messages.push(message as Message);
  transport.onclose = () => {
    ended = true;
  };
  transport.onerror = (error) => {
    sentence = error.message;
  };
  await transport.start();
  scope.after(() => transport.close());
  const answered = (id: number) => eventually(`answer ${id}`, () => messages.find((message) => message.id === id));
  await transport.send(initialize(1) as never);
  await answered(1);
  await transport.send(INITIALIZED as never);
  await transport.send(subscribe(2) as never);
  await answered(2);
  return {
    name: 'in-process',
    get ended() {
      return ended;
    },
    get heard() {
      return changesIn(messages);
    },
    get sentence() {
      return sentence;
    },
  };
}

/** One client on each transport. */
export function everyListener(scope: TestScope, gateway: EmbeddedGateway, token: string): Promise<Listener[]> {
  const url = gateway.url!;
  return Promise.all([
    getStream(scope, url, token),
    listenStream(scope, url, token),
    sseConnection(scope, url, token),
    webSocket(scope, url, token),
    inProcess(scope, gateway, token),
  ]);
}
