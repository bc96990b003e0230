/** Every credential that providers take, and every forged one, over every transport on both front ends. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { it } from 'node:test';
import { createGateway } from '../../src/index.js';
import { ATTEMPTS, attempt, POST, type Try } from '../support/attempts.js';
import { startAuthorizationServer } from '../support/authorization-server.js';
import { bearer, providers } from '../support/credentials.js';
import { openAnswer } from '../support/event-stream.js';
import { eventually, type TestScope } from '../support/process.js';
import { rawRequest } from '../support/raw-http.js';
import { rawUpstream } from '../support/raw-upstream.js';
import { modernRpc, openSession, rpc } from '../support/rpc.js';
import { initialize, openWebSocket } from '../support/transports.js';
import { forgedCredentials, goodCredentials } from './credential-rows.js';

const BOB = bearer('token-of-bob');
const PING = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' });

/** What a client does that is in already, with other credentials than before. */
async function laterAttempts(scope: TestScope, origin: string): Promise<Record<string, Try>> {
  const session = await openSession(`${origin}/mcp`, { headers: BOB });
  const inSession = { ...POST, 'mcp-session-id': session.id, 'mcp-protocol-version': '2025-11-25' };
  const stream = await openAnswer(scope, `${origin}/sse`, { headers: { accept: 'text/event-stream', ...BOB } });
  await stream.until('/messages');
  const messages = `${origin}${stream.events()[0]?.data}`;
  return {
    'HTTP, in a session': (_, headers) =>
      attempt(`${origin}/mcp`, { method: 'POST', headers: { ...inSession, ...headers }, body: PING }),
    'HTTP, the stream of a session': (_, headers) =>
      attempt(`${origin}/mcp`, { headers: { ...inSession, ...headers } }),
    'HTTP, the end of a session': (_, headers) =>
      attempt(`${origin}/mcp`, { method: 'DELETE', headers: { ...inSession, ...headers } }),
    'SSE, a message': (_, headers) =>
      attempt(messages, { method: 'POST', headers: { ...POST, ...headers }, body: PING }),
    'REST, a call': (_, headers) =>
      attempt(`${origin}/tools/raw__call`, { method: 'POST', headers: { ...POST, ...headers }, body: '{}' }),
  };
}

/** An HTTP server that should get no connection. */
async function startTrap(scope: TestScope): Promise<{ readonly url: string; readonly connections: number }> {
  let connections = 0;
  const server = createServer((_, response) => response.end('{"keys":[]}'));
  server.on('connection', () => {
    connections += 1;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  scope.after(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`;
  return {
    url,
    get connections() {
      return connections;
    },
  };
}

type Peers = Awaited<ReturnType<typeof startEverything>>;

async function startEverything(scope: TestScope, frontEnd: 'uws' | 'node') {
  const authority = await startAuthorizationServer(scope);
  const upstream = await rawUpstream(scope, (_request, answer) => answer.result({ content: [] }));
  const gateway = createGateway({
    port: 0,
    frontEnd,
    workers: 1,
    admin: false,
    log: { level: 'silent' },
    mcpServers: { raw: { url: upstream.url } },
    routes: [{ match: { tools: ['raw__call'] }, requiredScopes: ['use'], whenDenied: 'challenge' }],
    auth: providers(authority),
  });
  scope.after(() => gateway.stop());
  await gateway.start();
  await eventually('the upstream is listed', () => gateway.upstreamHealth()[0]?.healthy);
  return { authority, upstream, origin: new URL(gateway.url ?? '').origin };
}

for (const frontEnd of ['uws', 'node'] as const) {
  it(`credentials on ${frontEnd}`, async (scope) => {
    const peers = await startEverything(scope, frontEnd);
    await scope.test('are taken over every transport, and no forged ones', (test) => takesGoodOnes(test, peers));
    await scope.test('are no two values, nor longer than a head', () => refusesHeads(peers));
    await scope.test('that lack a scope are told which', (test) => namesScopes(test, peers));
  });
}

async function takesGoodOnes(scope: TestScope, { authority, origin, upstream }: Peers): Promise<void> {
  const good = await goodCredentials(authority);
  for (const [what, headers] of Object.entries(good)) {
    const called = await modernRpc(`${origin}/mcp`, 'tools/call', { name: 'raw__call' }, { headers });
    assert.deepEqual(called.message.result?.content, [], `${what}: ${called.text}`);
    for (const [transport, open] of Object.entries(ATTEMPTS)) {
      assert.equal((await open(origin, headers)).status, 200, `${what} over ${transport}`);
    }
  }

  const trap = await startTrap(scope);
  const later = await laterAttempts(scope, origin);
  const forged = await forgedCredentials(authority, trap.url);
  const loads = authority.keyRequests;
  const calls = upstream.received('tools/call').length;
  const challenge = new RegExp(
    `^Bearer (error="invalid_token", )?resource_metadata="${origin}/\\.well-known/oauth-protected-resource(/mcp|/sse|/ws)?", ` +
      'Basic realm="mcp", charset="UTF-8", ApiKey realm="mcp", header="x-api-key"$',
  );
  for (const [what, headers] of Object.entries(forged)) {
    const attempts = Object.entries({ ...ATTEMPTS, ...later }).map(async ([transport, open]) => {
      const answer = await open(origin, headers);
      assert.equal(answer.status, 401, `${what} over ${transport}`);
      assert.match(answer.challenge, challenge, `${what} over ${transport}`);
      assert.equal(answer.challenge.includes('invalid_token'), hasCredential(headers), `${what} over ${transport}`);
    });
    await Promise.all(attempts);
  }
  for (const [transport, open] of Object.entries(ATTEMPTS)) {
    for (const name of ['access_token', 'token', 'apiKey', 'x-api-key']) {
      const answer = await open(origin, {}, `?${name}=token-of-bob`);
      assert.equal(answer.status, 401, `a token in the query over ${transport}`);
    }
  }
  assert.equal(upstream.received('tools/call').length, calls, 'nothing has reached the upstream');
  assert.equal(trap.connections, 0, 'no header of a token leads the gateway elsewhere');
  assert.equal(authority.keyRequests, loads, 'unknown keys cause no load within the cooldown');
  const { 'HTTP, in a session': inSession } = later;
  assert.equal((await inSession!(origin, BOB)).status, 200, 'no forged credential has ended the session');
}

async function refusesHeads({ origin }: Peers): Promise<void> {
  const port = Number(new URL(origin).port);
  const bob = 'Authorization: Bearer token-of-bob';
  const key = 'X-API-Key: key_of_{carl}';
  const rows: Record<string, readonly string[]> = {
    'two lines of Authorization': [bob, bob],
    'two lines of Authorization, in other letters': [bob, bob.replace('Authorization', 'AUTHORIZATION')],
    'a wrong and a right line of Authorization': ['Authorization: Bearer x', bob],
    'two lines of a key': [key, key],
    'a folded line': ['Authorization: Bearer', ' token-of-bob'],
    'a token of 1 MB': [`Authorization: Bearer ${'a'.repeat(1_000_000)}`],
    'a key of 1 MB': [`X-API-Key: ${'a'.repeat(1_000_000)}`],
    'kid of 64 KB': [
      `Authorization: Bearer ${Buffer.from(`{"kid":"${'k'.repeat(65_536)}"}`).toString('base64url')}.e30.AA`,
    ],
  };
  const heads: Record<string, string> = {
    'HTTP, a message': 'POST /mcp HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 0',
    'HTTP, a stream': 'GET /mcp HTTP/1.1\r\nAccept: text/event-stream',
    SSE: 'GET /sse HTTP/1.1\r\nAccept: text/event-stream',
    REST: 'GET /tools HTTP/1.1',
    WebSocket:
      'GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  };
  for (const [what, lines] of Object.entries(rows)) {
    const attempts = Object.entries(heads).map(async ([transport, head]) => {
      const bytes = `${[head, 'Host: localhost', ...lines].join('\r\n')}\r\n\r\n`;
      const { closed, status } = await rawRequest(port, bytes, { waitMs: 20_000 });
      // A head over the limit of the server below may end the connection without an answer.
      assert.ok(closed && (status === 0 || status === 400 || status === 431), `${what} over ${transport}: ${status}`);
    });
    await Promise.all(attempts);
  }
  assert.equal(
    (await modernRpc(`${origin}/mcp`, 'tools/list', {}, { headers: BOB })).status,
    200,
    'it serves as before',
  );
}

async function namesScopes(scope: TestScope, { authority, origin }: Peers): Promise<void> {
  const token = await authority.issue({ subject: 'kim', scope: 'other', audience: 'gateway' });
  const headers = bearer(token);
  const name = { name: 'raw__call' };
  const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: name };
  const session = await openSession(`${origin}/mcp`, { headers });
  const stream = await openAnswer(scope, `${origin}/sse`, { headers: { accept: 'text/event-stream', ...headers } });
  await stream.until('/messages');
  const rest = await fetch(`${origin}/tools/raw__call`, {
    method: 'POST',
    headers: { ...POST, ...headers },
    body: '{}',
  });
  const answers = {
    'HTTP, modern': await modernRpc(`${origin}/mcp`, 'tools/call', name, { headers }),
    'HTTP, legacy': await session.request('tools/call', name),
    SSE: await rpc(`${origin}${stream.events()[0]?.data}`, call, headers),
    REST: { status: rest.status, headers: rest.headers, message: await rest.json() },
  };
  for (const [transport, answer] of Object.entries(answers)) {
    assert.equal(answer.status, 403, transport);
    assert.match(
      answer.headers.get('www-authenticate') ?? '',
      /^Bearer error="insufficient_scope", error_description="[^"]+", scope="use", resource_metadata="/,
      transport,
    );
    assert.equal(answer.message.error.data.code, 'GW_INSUFFICIENT_SCOPE', transport);
  }
  const socket = await openWebSocket(scope, origin, headers);
  await initialize(socket);
  assert.equal((await socket.request('tools/call', name)).error.data.code, 'GW_INSUFFICIENT_SCOPE');
}

/** Whether header fields have a credential, so that there is something that can be invalid. */
function hasCredential(headers: Readonly<Record<string, string>>): boolean {
  return Object.keys(headers).some((name) => name === 'authorization' || name === 'x-api-key');
}
