/** What servers over HTTP with SSE send that has one meaning, and where they redirect to. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { brotliCompressSync, createGzip } from 'node:zlib';
import { packageVersion } from '../../../src/package-root.js';
import { eventually, type TestScope } from '../../support/process.js';
import { namesOf, type PoolFixture, serverOf, sseOf, startPool } from '../fixture.js';

interface Posted {
  readonly request: IncomingMessage;
  // biome-ignore lint/suspicious/noExplicitAny: messages under test have any shape
  readonly message: any;
  /** The proper response, '' for notifications. */
  readonly text: string;
  /** Writes to the stream. */
  send(text: string): void;
}

interface Options {
  /** Opens the stream; returns what writes to it. */
  open?(request: IncomingMessage, response: ServerResponse): ((text: string) => void) | null;
  /** Answers a POST. */
  post?(posted: Posted, response: ServerResponse): void;
}

const openStream = (response: ServerResponse, endpoint = '/messages', status = 200) => {
  response.writeHead(status, { 'content-type': 'text/event-stream' });
  response.write(`event: endpoint\ndata: ${endpoint}\n\n`);
  return (text: string): void => void response.write(text);
};

const accept = ({ text, send }: Posted, response: ServerResponse): void => {
  response.writeHead(202).end('Accepted');
  if (text !== '') send(`event: message\ndata: ${text}\n\n`);
};

/** A server with the tool `call`. */
async function start(scope: TestScope, { open, post = accept }: Options) {
  const requests: { method: string; url: string; headers: IncomingMessage['headers']; rpcMethod: string }[] = [];
  let send = (_text: string): void => {};
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const message = body === '' ? {} : JSON.parse(body);
    const { method = '', url = '', headers } = request;
    requests.push({ method, url, headers, rpcMethod: message.method ?? '' });
    if (method === 'GET') {
      send = (open ?? ((_request, stream) => openStream(stream)))(request, response) ?? send;
      return;
    }
    const { id } = message;
    const text = id === undefined ? '' : JSON.stringify({ jsonrpc: '2.0', id, result: resultOf(message) });
    post({ request, message, text, send: (event) => send(event) }, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  scope.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/sse`, port, requests };
}

function resultOf({ method, params }: { method: string; params: { protocolVersion: string } }): object {
  if (method === 'initialize') {
    return {
      protocolVersion: params.protocolVersion,
      capabilities: { tools: {} },
      serverInfo: { name: 'p', version: '1' },
    };
  }
  return method === 'tools/list' ? { tools: [{ name: 'call', inputSchema: { type: 'object' } }] } : { ok: true };
}

const endpointOf = (pool: PoolFixture) => pool.server().endpoints[0]!;

/** Whether lists and calls work. */
async function works(scope: TestScope, url: string): Promise<PoolFixture> {
  const pool = startPool(scope, [serverOf([sseOf(url)])]);
  assert.deepEqual(namesOf((await pool.ready()).tools), ['call']);
  for (let round = 0; round < 3; round += 1) {
    const { response, id } = await pool.call('call').done;
    assert.deepEqual([response?.result.ok, Number(response?.id)], [true, id]);
  }
  return pool;
}

/** Answers each message by such an event. */
const answering = (eventOf: (text: string) => string): Options => ({
  post: ({ text, send }, response) => {
    response.writeHead(202).end();
    if (text !== '') send(eventOf(text));
  },
});

const ROWS: Readonly<Record<string, Options>> = {
  'status 203': { open: (_request, response) => openStream(response, '/messages', 203) },
  'events of any name': answering((text) => `event: response\ndata: ${text}\n\n`),
  heartbeats: answering(
    (text) =>
      `event: ping\ndata: 2026-01-01\n\ndata: {}\n\ndata: null\n\ndata: {"type":"heartbeat"}\n\ndata: ${text}\n\n`,
  ),
  'error: null': answering((text) => `data: ${text.slice(0, -1)},"error":null}\n\n`),
  'an id with a fraction': answering((text) => `data: ${text.replace(/"id":(\d+)/, '"id":$1.0')}\n\n`),
  'a byte order mark': answering((text) => `data: \ufeff${text}\n\n`),
  'an unasked 100 (Continue) and 103': {
    open: (_request, response) => {
      response.writeContinue();
      response.writeEarlyHints({ link: '</x>; rel=preload' });
      return openStream(response);
    },
    post: (posted, response) => {
      response.writeContinue();
      response.writeEarlyHints({ link: '</x>; rel=preload' });
      accept(posted, response);
    },
  },
  'a POST answered by a page': {
    post: ({ text, send }, response) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<html>');
      if (text !== '') send(`data: ${text}\n\n`);
    },
  },
  'a compressed stream': {
    open: (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' });
      const gzip = createGzip();
      gzip.pipe(response);
      const send = (text: string): void => {
        gzip.write(text);
        gzip.flush();
      };
      send('event: endpoint\ndata: messages\n\n');
      return send;
    },
  },
  'a redirect of the stream': {
    open: (request, response) => {
      if (request.url === '/events/') return openStream(response, 'messages?s=1');
      response
        .writeHead(request.url === '/sse' ? 307 : 302, { location: request.url === '/sse' ? '/other' : './events/' })
        .end();
      return null;
    },
  },
  'a redirect of messages': {
    post: (posted, response) => {
      if (posted.request.url === '/messages/') accept(posted, response);
      else response.writeHead(308, { location: 'messages/' }).end();
    },
  },
};

test('what has one meaning is taken for it', async (t) => {
  for (const [what, options] of Object.entries(ROWS)) {
    await t.test(what, async (row) => {
      const { url } = await start(row, options);
      await works(row, url);
    });
  }
});

test('a redirect of messages is remembered', async (t) => {
  const { url, requests } = await start(t, ROWS['a redirect of messages']!);
  await works(t, url);
  const posts = requests.filter(({ method }) => method === 'POST').map((request) => request.url);
  assert.ok(posts.filter((path) => path === '/messages').length <= 2, 'before the first answer');
});

test('redirects that are not followed are told, and nothing is sent there', async (t) => {
  const other = await start(t, {});
  const location = `http://127.0.0.1:${other.port}/elsewhere`;
  const stream = await start(t, {
    open: (_request, response) => {
      response.writeHead(307, { location }).end();
      return null;
    },
  });
  const pool = startPool(t, [serverOf([sseOf(stream.url)])]);
  await eventually('the reason', () => endpointOf(pool).reason.includes(location));
  assert.ok(pool.log.some(({ level, fields }) => level === 'warn' && String(fields['reason']).includes(location)));
  let isMoved = false;
  const posts = await start(t, {
    post: (posted, response) => {
      if (isMoved) response.writeHead(302, { location: '/messages/' }).end();
      else accept(posted, response);
    },
  });
  const second = await works(t, posts.url);
  isMoved = true;
  assert.equal((await second.call('call').done).error, 'GW_UPSTREAM_REDIRECTED');
  await eventually('the reason in the log', () =>
    second.log.some(({ fields }) => /302.*POST does not follow/.test(String(fields['reason']))),
  );
  assert.deepEqual(other.requests, []);
});

test('an error in the refusal of a message reaches the client under its id', async (t) => {
  const error = { code: -32_123, message: 'quota', data: { n: 1 } };
  let status = 0;
  let idOf = (id: unknown): string => `"id":${id},`;
  let coding = '';
  const { url } = await start(t, {
    post: (posted, response) => {
      if (posted.message.method !== 'tools/call' || status === 0) return accept(posted, response);
      const body = `\ufeff{"jsonrpc":"2.0",${idOf(posted.message.id)}"error":${JSON.stringify(error)},"result":null}`;
      response.writeHead(status, coding === '' ? {} : { 'content-encoding': coding });
      response.end(coding === '' ? body : brotliCompressSync(body));
    },
  });
  const pool = await works(t, url);
  for (status of [400, 401, 403, 404, 429, 500, 502, 503]) {
    for (idOf of [(id: unknown) => `"id":${id},`, (id: unknown) => `"id":${id}.0,`, () => '"id":null,', () => '']) {
      for (coding of ['', 'br']) {
        const { response, error: code, id } = await pool.call('call').done;
        assert.deepEqual([status, code, response?.error, Number(response?.id)], [status, null, error, id]);
      }
    }
  }
  status = 0;
  assert.equal((await pool.call('call').done).response?.result.ok, true);
});

test('stream and messages name the gateway and ask for no coding, unless configured', async (t) => {
  const { url, requests } = await start(t, {});
  for (const [headers, agent] of [
    [{}, `switchyard/${packageVersion}`],
    [{ 'USER-AGENT': 'mine' }, 'mine'],
  ] as const) {
    const pool = startPool(t, [serverOf([sseOf(url, headers)])]);
    await pool.ready();
    await pool.pool.close(0);
    for (const request of requests.splice(0)) {
      assert.deepEqual([request.headers['user-agent'], request.headers['accept-encoding']], [agent, 'identity']);
    }
  }
});
