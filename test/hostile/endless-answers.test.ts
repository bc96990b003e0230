/** Upstreams whose answers have no end: each is refused at its bound, the upstream is let go, and the memory goes back. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { describe, it } from 'node:test';
import { idle, listed, statsOf } from '../faults/observe.js';
import { type RunningGateway, startGateway } from '../support/gateway.js';
import { eventually } from '../support/process.js';
import { type Answer, type ReceivedRequest, rawUpstream, type Script } from '../support/raw-upstream.js';
import { modernHeaders, modernMessage, type RpcReply, rpc } from '../support/rpc.js';
import { shared } from '../support/shared.js';
import { initialize, openWebSocket } from '../support/transports.js';

const MIB = 1024 * 1024;
const MAX_WHOLE = MIB;
const CALLS = 4;
/** A gateway at rest takes more or less by itself; without the bounds it is gigabytes. */
const RSS_NOISE = 96 * MIB;

/** Sends `piece` until the other side is gone. */
function endless({ response }: Answer, status: number, type: string, opening: string, piece: Buffer): void {
  response.writeHead(status, { 'content-type': type });
  response.write(opening);
  const pump = (): void => {
    if (response.destroyed) return;
    if (response.write(piece)) setImmediate(pump);
    else response.once('drain', pump);
  };
  pump();
}

const LONG = Buffer.alloc(65_536, 'x');
const LINES = Buffer.from(`data: ${'x'.repeat(1000)}\n`.repeat(64));
const SSE = 'text/event-stream';
const JSON_TYPE = 'application/json';
const errorOpening = ({ message }: ReceivedRequest): string =>
  `{"jsonrpc":"2.0","id":${message.id},"error":{"code":1,"message":"`;

interface Row {
  readonly name: string;
  readonly code: string;
  send(request: ReceivedRequest, answer: Answer): void;
}

const TOO_LARGE = 'GW_RESPONSE_TOO_LARGE';
const stream = (name: string, opening: string, piece = LONG): Row => ({
  name,
  code: TOO_LARGE,
  send: (_request, answer) => endless(answer, 200, SSE, opening, piece),
});

const ROWS: readonly Row[] = [
  stream('one data line', 'data: '),
  stream('data lines of one event', '', LINES),
  stream('empty data lines of one event', '', Buffer.from('data\n'.repeat(10_000))),
  stream('an event name', 'event: '),
  stream('an id', 'id: '),
  stream('a comment', ':'),
  stream('a field without a name that is known', 'x: '),
  stream('no line end at all', ''),
  {
    name: 'an error as an event',
    code: TOO_LARGE,
    send: (request, answer) => endless(answer, 200, SSE, `data: ${errorOpening(request)}`, LONG),
  },
  {
    name: 'an error as JSON',
    code: TOO_LARGE,
    send: (request, answer) => endless(answer, 200, JSON_TYPE, errorOpening(request), LONG),
  },
  {
    name: 'white space as JSON',
    code: TOO_LARGE,
    send: (_request, answer) => endless(answer, 200, JSON_TYPE, '', Buffer.alloc(65_536, ' ')),
  },
  {
    name: 'a refusal with JSON',
    code: 'GW_UPSTREAM_PROTOCOL',
    send: (request, answer) => endless(answer, 400, JSON_TYPE, errorOpening(request), LONG),
  },
  {
    name: 'a failure with a page',
    code: 'GW_UPSTREAM_PROTOCOL',
    send: (_request, answer) => endless(answer, 500, 'text/html', '<html>', LONG),
  },
  {
    name: 'another media type, whose body is read like JSON',
    code: TOO_LARGE,
    send: (_request, answer) => endless(answer, 200, 'text/plain', '', LONG),
  },
];

/** A gateway before an upstream that does with calls what the test says at the moment. */
const pair = shared(async (scope, frontEnd: 'uws' | 'node') => {
  const calls: { script: Script } = { script: (_request, answer) => answer.result({}) };
  const upstream = await rawUpstream(scope, (request, answer) => calls.script(request, answer));
  const config = { mcpServers: { peer: { url: upstream.url } }, limits: { maxLineBytes: MAX_WHOLE } };
  const gateway = await startGateway(scope, config, { frontEnd });
  await listed(gateway);
  return { calls, upstream, gateway };
});

function call(gateway: RunningGateway, args: object = {}): Promise<RpcReply> {
  const message = modernMessage('tools/call', { name: 'peer__call', arguments: args });
  return rpc(gateway.url, message, modernHeaders(message));
}

for (const frontEnd of ['uws', 'node'] as const) {
  describe(`${frontEnd}: answers without an end`, () => {
    it('are refused one by one, and what was held goes back', async () => {
      const { calls, upstream, gateway } = await pair(frontEnd);
      const { rssBytes } = (await statsOf(gateway)).process;
      for (const row of ROWS) {
        calls.script = row.send;
        const aborted = upstream.aborted;
        const replies = await Promise.all(Array.from({ length: CALLS }, () => call(gateway)));
        for (const { message } of replies) assert.equal(message.error.data.code, row.code, row.name);
        await eventually(`${row.name}: the upstream is let go`, () => upstream.aborted === aborted + CALLS);
        const { buffers, process } = await idle(gateway);
        assert.equal(buffers.bytes, 0, row.name);
        // A buffer is at most twice as large as what it holds, and counted as it is.
        assert.ok(buffers.peakBytes <= CALLS * 2 * MAX_WHOLE, `${row.name}: ${buffers.peakBytes} bytes were held`);
        assert.ok(process.rssBytes < rssBytes + RSS_NOISE, `${row.name}: ${process.rssBytes} bytes after ${rssBytes}`);
      }
    });

    it('cost what they hold, however small their chunks are', async () => {
      const { calls, upstream, gateway } = await pair(frontEnd);
      calls.script = (request, answer) => {
        answer.response.writeHead(200, { 'content-type': JSON_TYPE, 'transfer-encoding': 'chunked' });
        answer.response.flushHeaders();
        const { socket } = answer;
        const opening = errorOpening(request);
        socket.write(`${opening.length.toString(16)}\r\n${opening}\r\n`);
        const tiny = Buffer.from('1\r\nx\r\n'.repeat(20_000));
        const pump = (): void => {
          if (socket.destroyed) return;
          if (socket.write(tiny)) setImmediate(pump);
          else socket.once('drain', pump);
        };
        pump();
      };
      const { aborted } = upstream;
      const { rssBytes } = (await statsOf(gateway)).process;
      const replies = await Promise.all(Array.from({ length: CALLS }, () => call(gateway)));
      for (const { message } of replies) assert.equal(message.error.data.code, TOO_LARGE);
      await eventually('the upstream is let go', () => upstream.aborted >= aborted + CALLS);
      const { buffers, process } = await idle(gateway);
      assert.equal(buffers.bytes, 0);
      assert.ok(process.rssBytes < rssBytes + RSS_NOISE, `${process.rssBytes} bytes after ${rssBytes}`);
    });

    it('are bounded for clients that need them whole, too', async (t) => {
      const { calls, gateway } = await pair(frontEnd);
      calls.script = (request, answer) =>
        endless(answer, 200, SSE, `data: {"jsonrpc":"2.0","id":${request.message.id},"result":{"x":"`, LONG);
      const client = await openWebSocket(t, gateway.origin);
      await initialize(client);
      const { error } = await client.request('tools/call', { name: 'peer__call', arguments: {} });
      assert.equal(error.data.code, TOO_LARGE);
      assert.match(error.message, /limits\.maxLineBytes/);
      assert.equal((await idle(gateway)).buffers.bytes, 0);
    });
  });
}

describe('what an upstream says to the gateway itself', () => {
  it('is bounded: handshakes and lists without an end leave the upstream out, with a reason', async (t) => {
    const rows: readonly [string, (request: ReceivedRequest) => boolean, string][] = [
      ['initialize as JSON', ({ message }) => message?.method === 'initialize', JSON_TYPE],
      ['initialize as an event', ({ message }) => message?.method === 'initialize', SSE],
      ['a list', ({ message }) => message?.method === 'tools/list', JSON_TYPE],
    ];
    for (const [name, concerns, type] of rows) {
      let seen = 0;
      const server = createServer(async (incoming, response) => {
        let body = '';
        for await (const chunk of incoming) body += chunk;
        const message = body === '' ? undefined : JSON.parse(body);
        const answer = { response } as Answer;
        if (concerns({ message } as ReceivedRequest)) {
          seen += 1;
          const opening = `{"jsonrpc":"2.0","id":${message.id},"result":{"x":"`;
          endless(answer, 200, type, type === SSE ? `data: ${opening}` : opening, LONG);
          return;
        }
        const result = {
          protocolVersion: '2025-06-18',
          capabilities: { tools: {} },
          serverInfo: { name: 'x', version: '1' },
        };
        if (message?.id === undefined) response.writeHead(message === undefined ? 405 : 202).end();
        else {
          const known = message.method === 'initialize' ? { result } : { error: { code: -32601, message: 'no' } };
          response.writeHead(200, { 'content-type': JSON_TYPE });
          response.end(JSON.stringify({ jsonrpc: '2.0', id: message.id, ...known }));
        }
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      t.after(() => {
        server.closeAllConnections();
        server.close();
      });
      const { port } = server.address() as { port: number };
      const config = {
        mcpServers: { peer: { url: `http://127.0.0.1:${port}/mcp` } },
        limits: { maxLineBytes: MAX_WHOLE },
        catalog: { startupWaitMs: 0 },
      };
      const gateway = await startGateway(t, config);
      await eventually(`${name}: the reason is told`, async () => {
        const [endpoint] = (await statsOf(gateway)).upstreams[0].endpoints;
        return /larger than limits\.maxLineBytes/.test(endpoint.reason + gateway.output);
      });
      await eventually(`${name}: it was asked`, () => seen > 0);
      const { buffers } = await eventually(`${name}: nothing is held`, async () => {
        const stats = await statsOf(gateway);
        return stats.buffers.bytes < 2 * MAX_WHOLE + 65_536 ? stats : null;
      });
      assert.ok(buffers.peakBytes <= 4 * MAX_WHOLE, `${name}: ${buffers.peakBytes}`);
      await gateway.stop();
    }
  });
});
