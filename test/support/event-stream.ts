import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { eventually, type TestScope } from './process.js';
import type { Message } from './rpc.js';

/** One event of a stream as it came, without interpretation. */
export interface RawEvent {
  /** '' when it has none. */
  readonly id: string;
  readonly retry: string;
  readonly data: string;
}

/** An answer that is read while it comes. */
export interface OpenAnswer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  /** Everything received so far. */
  readonly text: string;
  /** The answer is complete. */
  readonly ended: boolean;
  /** The events received so far; comments are none. */
  events(): RawEvent[];
  /** The messages in them. */
  messages(): Message[];
  /** Waits until an event's text contains `part`. */
  until(part: string): Promise<void>;
  /** Waits until the answer is complete. */
  end(): Promise<void>;
  /** Cuts the connection. */
  cut(): void;
}

const ACCEPT = { accept: 'application/json, text/event-stream' };

/** Sends a request and resolves with the head of its answer; the connection is cut when the test ends. */
export function openAnswer(
  scope: TestScope,
  url: string,
  options: { message?: unknown; headers?: Record<string, string> } = {},
): Promise<OpenAnswer> {
  const { message, headers } = options;
  const body = message === undefined ? undefined : JSON.stringify(message);
  return new Promise((resolve, reject) => {
    const sent: ClientRequest = request(url, {
      method: body === undefined ? 'GET' : 'POST',
      agent: false,
      headers: { ...ACCEPT, ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    });
    sent.on('error', reject);
    sent.on('response', (response) => resolve(follow(sent, response)));
    scope.after(() => sent.destroy());
    sent.end(body);
  });
}

function follow(sent: ClientRequest, response: IncomingMessage): OpenAnswer {
  let text = '';
  let ended = false;
  response.setEncoding('utf8');
  response.on('data', (chunk: string) => {
    text += chunk;
  });
  response.on('end', () => {
    ended = true;
  });
  // A cut connection is no failure here.
  response.on('error', () => {});
  const events = (): RawEvent[] => text.split('\n\n').slice(0, -1).flatMap(parseEvent);
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    get text() {
      return text;
    },
    get ended() {
      return ended;
    },
    events,
    messages: () => events().flatMap(({ data }) => (data === '' ? [] : [JSON.parse(data)])),
    async until(part) {
      await eventually(`an event with ${part}`, () => events().some(({ data }) => data.includes(part)));
    },
    async end() {
      await eventually('the end of the answer', () => ended);
    },
    cut: () => void sent.destroy(),
  };
}

function parseEvent(block: string): RawEvent[] {
  const lines = block.split('\n').filter((line) => !line.startsWith(':'));
  if (lines.length === 0) return [];
  const field = (name: string): string =>
    lines
      .filter((line) => line.startsWith(`${name}:`))
      .map((line) => line.slice(name.length + 1).replace(/^ /, ''))
      .join('\n');
  return [{ id: field('id'), retry: field('retry'), data: field('data') }];
}
