/**
 * How long a change at an upstream takes to reach subscribers: a resource update on a listen stream and on the stream of a
 * session, a changed list on a listen stream, beside the same notification read from the upstream directly.
 *
 *     npm run bench:changes -- [--rounds 200]
 */
import { createServer, type ServerResponse } from 'node:http';
import { parseArgs } from 'node:util';
import { startGateway } from '../test/support/gateway.js';
import type { TestScope } from '../test/support/process.js';
import { modernHeaders, modernMessage, openSession, parseMessages } from '../test/support/rpc.js';
import { quantile } from './statistics.js';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '200' } } });
const ROUNDS = Number(values.rounds);
const URI = 'bench://clock';
const SUBSCRIPTION = 'io.modelcontextprotocol/subscriptionId';
const hints = { resultType: 'complete', ttlMs: 0, cacheScope: 'private' };

/** A modern upstream whose listen streams the benchmark writes to. */
class Upstream {
  readonly listens = new Map<ServerResponse, unknown>();
  tools = 1;
  port = 0;

  async start(scope: TestScope): Promise<void> {
    const server = createServer(async (request, response) => {
      let body = '';
      for await (const chunk of request) body += chunk;
      const { id, method, params } = JSON.parse(body);
      if (method === 'subscriptions/listen') {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        this.listens.set(response, id);
        response.on('close', () => this.listens.delete(response));
        this.#event(response, 'subscriptions/acknowledged', { notifications: params.notifications }, id);
        return;
      }
      const tools = Array.from({ length: this.tools }, (_, index) => ({
        name: `tool${index}`,
        inputSchema: { type: 'object' },
      }));
      const results: Record<string, object> = {
        'server/discover': {
          ...hints,
          supportedVersions: ['2026-07-28'],
          capabilities: { tools: { listChanged: true }, resources: { subscribe: true } },
        },
        'tools/list': { ...hints, tools },
        'resources/list': { ...hints, resources: [{ uri: URI, name: 'clock' }] },
        'resources/templates/list': { ...hints, resourceTemplates: [] },
      };
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ jsonrpc: '2.0', id, result: results[method] ?? hints }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    this.port = (server.address() as { port: number }).port;
    scope.after(() => {
      server.closeAllConnections();
      server.close();
    });
  }

  /** Sends a notification on every listen stream. */
  notify(notification: string, params: object): void {
    for (const [response, id] of this.listens) this.#event(response, notification, params, id);
  }

  #event(response: ServerResponse, notification: string, params: object, id: unknown): void {
    const message = {
      jsonrpc: '2.0',
      method: `notifications/${notification}`,
      params: { ...params, _meta: { [SUBSCRIPTION]: id } },
    };
    response.write(`event: message\ndata: ${JSON.stringify(message)}\n\n`);
  }
}

/** A stream, with promises of its next notification of a method. */
class Follower {
  readonly #waiting = new Map<string, (() => void)[]>();

  constructor(response: Response) {
    void this.#read(response);
  }

  next(method: string): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.set(method, [...(this.#waiting.get(method) ?? []), resolve]);
    });
  }

  async #read(response: Response): Promise<void> {
    const decoder = new TextDecoder();
    let rest = '';
    try {
      for await (const chunk of response.body!) {
        rest += decoder.decode(chunk as Uint8Array, { stream: true });
        const end = rest.lastIndexOf('\n\n');
        if (end < 0) continue;
        for (const { method } of parseMessages(rest.slice(0, end + 2), 'text/event-stream')) {
          const waiting = this.#waiting.get(method) ?? [];
          this.#waiting.delete(method);
          for (const resolve of waiting) resolve();
        }
        rest = rest.slice(end + 2);
      }
    } catch {
      // The stream ends with the measurement.
    }
  }
}

async function listen(url: string): Promise<Follower> {
  const notifications = { toolsListChanged: true, resourceSubscriptions: [URI] };
  const message = modernMessage('subscriptions/listen', { notifications }, { id: 'bench' });
  const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
  const response = await fetch(url, {
    method: 'POST',
    headers: { ...headers, ...modernHeaders(message) },
    body: JSON.stringify(message),
  });
  const follower = new Follower(response);
  await follower.next('notifications/subscriptions/acknowledged');
  return follower;
}

async function measure(name: string, change: () => void, follower: Follower, method: string): Promise<void> {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const arrived = follower.next(method);
    const began = performance.now();
    change();
    await arrived;
    times.push(performance.now() - began);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  times.sort((a, b) => a - b);
  const at = (share: number): string => `${quantile(times, share).toFixed(2)} ms`;
  console.log(`${name.padEnd(52)} p50 ${at(0.5).padStart(9)}  p99 ${at(0.99).padStart(9)}  max ${at(1).padStart(9)}`);
}

const cleanups: (() => unknown)[] = [];
const scope = { after: (work: () => unknown) => void cleanups.push(work) };
const upstream = new Upstream();
await upstream.start(scope);
const gateway = await startGateway(scope, { mcpServers: { peer: { url: `http://127.0.0.1:${upstream.port}/mcp` } } });
const update = (): void => upstream.notify('resources/updated', { uri: URI });
const relist = (): void => {
  upstream.tools = 1 + (upstream.tools % 50);
  upstream.notify('tools/list_changed', {});
};
const UPDATED = 'notifications/resources/updated';
const CHANGED = 'notifications/tools/list_changed';

const direct = await listen(`http://127.0.0.1:${upstream.port}/mcp`);
await measure('resource update, from the upstream itself', update, direct, UPDATED);
const through = await listen(gateway.url);
await measure('resource update, on a listen stream of the gateway', update, through, UPDATED);
const session = await openSession(gateway.url);
await session.request('resources/subscribe', { uri: URI });
const headers = { accept: 'text/event-stream', ...session.headers };
const standalone = new Follower(await fetch(gateway.url, { headers }));
await measure('resource update, on the stream of a session', update, standalone, UPDATED);
await measure('list change, read again and in force, on a listen', relist, through, CHANGED);
for (const cleanup of cleanups.reverse()) await cleanup();
process.exit(0);
