/** A server that is down: said once in the log, in the summary, in /stats, on the probes, and to the client that calls it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { packageRoot } from '../../src/package-root.js';
import { type RunningGateway, startGateway } from '../support/gateway.js';
import { eventually, freePort, type TestScope } from '../support/process.js';
import { rawUpstream } from '../support/raw-upstream.js';
import { modernRpc, openSession } from '../support/rpc.js';

interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly server?: string;
  readonly reason?: string;
  readonly retryInMs?: number;
}

function logOf({ output }: RunningGateway): LogLine[] {
  return output.split('\n').flatMap((line) => {
    try {
      return line.startsWith('{') ? [JSON.parse(line) as LogLine] : [];
    } catch {
      return [];
    }
  });
}

async function statsOf({ adminUrl }: RunningGateway) {
  // biome-ignore lint/suspicious/noExplicitAny: the document under test has many members
  return (await (await fetch(`${adminUrl}/stats`)).json()) as any;
}

async function listening(scope: TestScope, server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  scope.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function answering(scope: TestScope, listener: RequestListener): Promise<number> {
  const server = createServer(listener);
  server.on('upgrade', (_request, socket) => {
    socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 9\r\n\r\nno entry!');
  });
  return listening(scope, server);
}

const fixture = (name: string) => readFileSync(join(packageRoot, 'test/upstream/fixtures', name));

const node = (script: string) => ({ command: process.execPath, args: ['-e', script] });

/** By server name: its entry and the reason to be read. */
async function deadServers(scope: TestScope): Promise<Record<string, { entry: object; reason: RegExp }>> {
  const refused = await freePort();
  const answers = await answering(scope, (request, response) => {
    const [, path] = request.url?.split('/') ?? [];
    if (path === 'denied') response.writeHead(401, { 'content-type': 'application/json' }).end('{"error":"bad\nkey"}');
    else if (path === 'page') response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><p>Welcome');
    else if (path === 'long') response.writeHead(500).end('x'.repeat(5_000));
    else response.writeHead(403, { 'content-type': 'text/plain' }).end('see http://10.1.2.3:8080/login');
  });
  const keys = { cert: fixture('tls-certificate.pem'), key: fixture('tls-key.pem') };
  const tls = createTlsServer(keys, (_request, response) => response.end());
  const secure = await listening(scope, tls);
  const url = `http://127.0.0.1:${answers}`;
  return {
    refused: { entry: { url: `http://127.0.0.1:${refused}/mcp` }, reason: /cannot be reached \(ECONNREFUSED\)/ },
    'refused-ws': { entry: { url: `ws://127.0.0.1:${refused}/` }, reason: /^cannot be reached \(ECONNREFUSED\)$/ },
    'refused-sse': {
      entry: { type: 'sse', url: `http://127.0.0.1:${refused}/sse` },
      reason: /^cannot be reached \(ECONNREFUSED\)$/,
    },
    denied: { entry: { url: `${url}/denied` }, reason: /answered 401: \{"error":"bad\\nkey"\}$/ },
    page: { entry: { type: 'http', url: `${url}/page` }, reason: /no JSON-RPC response: <!doctype html><p>Welcome$/ },
    long: { entry: { url: `${url}/long` }, reason: /answered 500: x{200}\.\.\.$/ },
    'denied-sse': {
      entry: { type: 'sse', url: `${url}/sse` },
      reason: /^answered 403: see http:\/\/10\.1\.2\.3:8080\/login$/,
    },
    'denied-ws': { entry: { url: `ws://127.0.0.1:${answers}/` }, reason: /^answered 403: no entry!$/ },
    unnamed: {
      entry: { url: 'http://nothing.invalid/mcp' },
      reason: /cannot be reached \(DNS: (ENOTFOUND|EAI_AGAIN)\)/,
    },
    untrusted: {
      entry: { url: `https://127.0.0.1:${secure}/mcp` },
      reason: /cannot be reached \(TLS: \w*SELF_SIGNED\w*\)/,
    },
    exits: { entry: node('process.exit(7)'), reason: /^exited with code 7/ },
    speaks: {
      entry: node(
        'const text = "x".repeat(300) + "\\nstarted " + process.pid + "\\nAPI_KEY is missing"; process.stderr.write(text, () => process.exit(3))',
      ),
      reason: /^exited with code 3: started \d+\\nAPI_KEY is missing$/,
    },
  };
}

const call = (gateway: RunningGateway, server: string, tool = 'any') =>
  modernRpc(gateway.url, 'tools/call', { name: `${server}__${tool}`, arguments: {} });

describe('servers that are down from the start', () => {
  it('are said once each, with the reason, in every place', async (scope) => {
    const servers = await deadServers(scope);
    const mcpServers = Object.fromEntries(Object.entries(servers).map(([name, { entry }]) => [name, entry]));
    const gateway = await startGateway(scope, { mcpServers });
    const warned = (name: string) =>
      logOf(gateway).filter(({ server, msg }) => server === name && msg === 'upstream is not available');
    for (const [name, { reason }] of Object.entries(servers)) {
      const line = await eventually(`${name} in the log`, () => warned(name)[0]);
      assert.match(line?.reason ?? '', reason, name);
      assert.equal(line?.level, 'warn', name);
      assert.ok((line?.retryInMs ?? -1) >= 0, name);
    }
    const count = Object.keys(servers).length;
    await eventually('the summary', () =>
      logOf(gateway).some(
        ({ level, msg }) =>
          level === 'warn' &&
          msg.startsWith(
            `0 of ${count} servers ready, 0 tools; refused: the upstream cannot be reached (ECONNREFUSED)`,
          ) &&
          msg.includes('; exits: exited with code 7'),
      ),
    );
    // Several tries later there is still one line for each: they fail for the same reason.
    await eventually('more tries', async () => {
      const { upstreams } = await statsOf(gateway);
      return upstreams.find(({ name }: { name: string }) => name === 'exits').endpoints[0].restarts >= 5;
    });
    const stats = await statsOf(gateway);
    const ready = await fetch(`${gateway.origin}/ready`);
    const readyz = await fetch(`${gateway.adminUrl}/readyz`);
    assert.deepEqual([ready.status, readyz.status], [200, 200]);
    const { down } = (await readyz.json()) as { down: { server: string; reason: string }[] };
    assert.deepEqual(await ready.json(), { status: 'ready', down: Object.keys(servers) });
    for (const [name, { reason }] of Object.entries(servers)) {
      const shown = stats.upstreams.find((upstream: { name: string }) => upstream.name === name);
      assert.equal(warned(name).length, 1, name);
      assert.equal(shown.healthy, false, name);
      assert.match(shown.endpoints[0].reason, reason, name);
      assert.match(down.find(({ server }) => server === name)?.reason ?? '', reason, name);
      const { error } = (await call(gateway, name)).message;
      assert.match(error.message, new RegExp(`upstream "${name}" .* Reason: .*(reached|answered|no JSON-RPC|exited)`));
      assert.doesNotMatch(error.message, /127\.0\.0\.1|10\.1\.2\.3|http:/, name);
      const legacy = await (await openSession(gateway.url)).request('tools/call', { name: `${name}__any` });
      assert.equal(legacy.message.error.message, error.message);
    }
  });

  it('show neither secrets nor stacks', async (scope) => {
    const echoes = await answering(scope, (request, response) => {
      response
        .writeHead(403)
        .end(`no such token: ${request.headers.authorization}\n    at check (file:///srv/auth.js:3:1)`);
    });
    const auth = { type: 'bearer', token: 'a-very-secret-token' };
    const url = `http://127.0.0.1:${echoes}/mcp`;
    const gateway = await startGateway(scope, { mcpServers: { one: { url, auth } } });
    await eventually('the warning', () => logOf(gateway).some(({ reason }) => reason?.includes('answered 403')));
    const { error } = (await call(gateway, 'one')).message;
    assert.match(error.message, /upstream "one" .* Reason: the upstream answered 403: no such token/);
    assert.doesNotMatch(error.message, /srv|auth\.js|at check/);
    const pages = [error.message, await (await fetch(`${gateway.adminUrl}/readyz`)).text()];
    pages.push(JSON.stringify(await statsOf(gateway)), gateway.output);
    for (const text of pages) assert.doesNotMatch(text, /very-secret/);
  });
});

describe('a server that comes and goes', () => {
  for (const frontEnd of ['uws', 'node'] as const) {
    it(`is said at each change, by the summary too (${frontEnd})`, async (scope) => {
      const port = await freePort();
      const url = `http://127.0.0.1:${port}/mcp`;
      const rules = { ready: { require: ['one'] } };
      const gateway = await startGateway(scope, { mcpServers: { one: { url } }, ...rules }, { frontEnd });
      const messages = () => logOf(gateway).map(({ msg }) => msg);
      await eventually('down', () => messages().some((msg) => msg.startsWith('0 of 1 servers ready')));
      assert.equal((await fetch(`${gateway.origin}/ready`)).status, 503);
      const upstream = await rawUpstream(scope, (_, answer) => answer.result({ content: [] }), { port });
      await eventually('up', () => messages().includes('1 of 1 servers ready, 2 tools'));
      assert.ok(messages().includes('upstream is available again'));
      const ready = await fetch(`${gateway.origin}/ready`);
      assert.deepEqual([ready.status, await ready.json()], [200, { status: 'ready' }]);
      await upstream.close();
      const { error } = (await call(gateway, 'one', 'call')).message;
      assert.equal(error.data.upstream, 'one');
      const downs = () => logOf(gateway).filter(({ msg }) => msg === 'upstream is not available');
      await eventually('down again', () => downs().length === 2);
      assert.match(downs()[1]?.reason ?? '', /ECONNREFUSED/);
      const { upstreams } = await statsOf(gateway);
      assert.equal(upstreams[0].healthy, false);
      const page = await fetch(`${gateway.origin}/ready`);
      assert.equal(page.status, 503);
      assert.deepEqual(await page.json(), {
        status: 'not ready',
        reasons: ['the server one is down'],
        down: ['one'],
      });
      await rawUpstream(scope, (_, answer) => answer.result({ content: [] }), { port });
      // Without a call: the gateway looks for it.
      await eventually('up again', async () => (await statsOf(gateway)).upstreams[0].healthy);
    });
  }
});
