import { type LegacySession, type Message, parseMessages, rpc } from './rpc.js';

/** A request, or a stream of a session's own, whose messages are read as they come. */
export interface LiveCall {
  /** The next message; rejects when the stream ends before. */
  next(): Promise<Message>;
  /** All messages that are left. */
  rest(): Promise<Message[]>;
  /** The id of the last event, '' if events had none. */
  readonly lastEventId: string;
  /** Closes the connection. */
  cut(): void;
}

/** Sends a request of a session and reads its stream. */
export function liveCall(url: string, session: LegacySession, id: string | number, name: string, args: object = {}) {
  const body = { jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: args } };
  return open(url, { ...session.headers, 'content-type': 'application/json' }, JSON.stringify(body));
}

/** Opens the session's own stream, or goes on with one. */
export function liveStream(url: string, session: LegacySession, lastEventId = ''): Promise<LiveCall> {
  const headers = lastEventId === '' ? session.headers : { ...session.headers, 'last-event-id': lastEventId };
  return open(url, headers, null);
}

/** Answers a request that came on a stream. */
export function answer(url: string, session: LegacySession, id: unknown, result: object) {
  return rpc(url, { jsonrpc: '2.0', id, result }, session.headers);
}

async function open(url: string, headers: Record<string, string>, body: string | null): Promise<LiveCall> {
  const ending = new AbortController();
  const response = await fetch(url, {
    method: body === null ? 'GET' : 'POST',
    headers: { ...headers, accept: body === null ? 'text/event-stream' : 'application/json, text/event-stream' },
    signal: ending.signal,
    ...(body === null ? {} : { body }),
  });
  const type = response.headers.get('content-type') ?? '';
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  const reader = response.body!.getReader();
  const decoder = new TextDecoder();
  const waiting: Message[] = [];
  let text = '';
  let lastEventId = '';
  /** @returns false at the end of the stream */
  const read = async (): Promise<boolean> => {
    const { done, value } = await reader.read();
    text += done ? decoder.decode() : decoder.decode(value, { stream: true });
    const end = done ? text.length : text.lastIndexOf('\n\n') + 2;
    if (type.startsWith('text/event-stream') ? end >= 2 : done) {
      const events = text.slice(0, end);
      for (const [, id] of events.matchAll(/^id: ?(.*)$/gm)) lastEventId = id!;
      waiting.push(...parseMessages(events, type));
      text = text.slice(end);
    }
    return !done;
  };
  return {
    async next() {
      while (waiting.length === 0) if (!(await read()) && waiting.length === 0) throw new Error('the stream has ended');
      return waiting.shift();
    },
    async rest() {
      while (await read());
      return waiting.splice(0);
    },
    get lastEventId() {
      return lastEventId;
    },
    cut: () => ending.abort(),
  };
}
