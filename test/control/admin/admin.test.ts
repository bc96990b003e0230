import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  type Admin,
  type AdminOptions,
  type AdminSnapshot,
  type AdminSource,
  openAdmin,
} from '../../../src/control/admin/admin.js';
import { rawRequest } from '../../support/raw-http.js';

const LOOPBACK: AdminSnapshot = {
  admin: { host: '127.0.0.1', port: 0 },
  allowedHosts: ['ops.example.com'],
  allowedOrigins: [],
};

async function open(
  t: TestContext,
  change: Partial<AdminSource> = {},
  listen: Partial<AdminSnapshot> = {},
  options: AdminOptions = {},
): Promise<Admin> {
  const source: AdminSource = {
    explain: () => Promise.resolve({}),
    metrics: async () => '# metrics\n',
    statsText: async () => '{"stats":1}\n',
    notReady: () => [],
    down: () => [],
    revoke: () => true,
    unrevoke: () => true,
    purgeCache: () => {},
    documentFailed: () => {},
    ...change,
  };
  const admin = await openAdmin(source, { ...LOOPBACK, ...listen }, options);
  t.after(() => admin.close(0));
  return admin;
}

function get(admin: Admin, path: string, head = '', method = 'GET'): ReturnType<typeof rawRequest> {
  const { port } = admin.address;
  const host = head.includes('Host:') ? '' : `Host: localhost:${port}\r\n`;
  return rawRequest(port, `${method} ${path} HTTP/1.1\r\n${host}${head}Connection: close\r\n\r\n`);
}

test('each page answers with its type', async (t) => {
  const admin = await open(t);
  const metrics = await get(admin, '/metrics?x=1');
  assert.equal(metrics.status, 200);
  assert.match(metrics.headers['content-type']!, /^text\/plain; version=0\.0\.4/);
  assert.equal(metrics.body, '# metrics\n');
  const stats = await get(admin, '/stats');
  assert.match(stats.headers['content-type']!, /^application\/json/);
  assert.equal(stats.body, '{"stats":1}\n');
  assert.equal(stats.headers['cache-control'], 'no-store');
  assert.deepEqual(JSON.parse((await get(admin, '/livez')).body), { live: true });
  assert.deepEqual(Object.keys(JSON.parse((await get(admin, '/')).body).paths), [
    '/metrics',
    '/stats',
    '/livez',
    '/readyz',
    '/revoke',
    '/unrevoke',
    '/cache/purge',
    '/explain',
  ]);
});

test('readiness follows its reasons', async (t) => {
  let reasons = ['the gateway is starting'];
  const admin = await open(t, { notReady: () => reasons });
  const before = await get(admin, '/readyz');
  assert.equal(before.status, 503);
  assert.deepEqual(JSON.parse(before.body), { ready: false, reasons });
  reasons = [];
  assert.equal((await get(admin, '/readyz')).status, 200);
  assert.equal((await get(admin, '/livez')).status, 200);
});

const requests: [what: string, method: string, path: string, head: string, status: number][] = [
  ['HEAD', 'HEAD', '/metrics', '', 200],
  ['an unknown path', 'GET', '/nothing', '', 404],
  ['a path of the data port', 'GET', '/mcp', '', 404],
  ['a POST', 'POST', '/stats', 'Content-Length: 0\r\n', 405],
  ['a DELETE', 'DELETE', '/metrics', '', 405],
  ['a foreign Host', 'GET', '/stats', 'Host: evil.example\r\n', 403],
  ['two Hosts', 'GET', '/stats', 'Host: localhost\r\nHost: evil.example\r\n', 400],
  ['a Host that is allowed', 'GET', '/stats', 'Host: OPS.example.com:9090\r\n', 200],
  ['a loopback Host', 'GET', '/stats', 'Host: [::1]:9090\r\n', 200],
  ['a Host with userinfo', 'GET', '/stats', 'Host: localhost@evil.example\r\n', 400],
  ['an address on a loopback listener', 'GET', '/livez', 'Host: 10.0.0.5:9090\r\n', 403],
  ['a foreign Origin', 'GET', '/stats', 'Origin: https://evil.example\r\n', 403],
  ['the Origin null', 'GET', '/stats', 'Origin: null\r\n', 403],
  ['a loopback Origin', 'GET', '/stats', 'Origin: http://localhost:5173\r\n', 200],
  ['a foreign Host on the health page', 'GET', '/livez', 'Host: evil.example\r\n', 403],
];
for (const [what, method, path, head, status] of requests) {
  test(`${what} gets ${status}`, async (t) => {
    const reply = await get(await open(t), path, head, method);
    assert.equal(reply.status, status);
    if (status >= 400) {
      assert.equal(JSON.parse(reply.body).error.status, status);
      assert.match(reply.headers['content-type']!, /^application\/json/);
    }
    if (status === 405) assert.equal(reply.headers['allow'], 'GET, HEAD');
    if (method === 'HEAD') assert.equal(reply.body, '');
  });
}

test('a listener for other machines answers to any name unless names are listed, and to addresses always', async (t) => {
  const any = await open(t, {}, { admin: { host: '0.0.0.0', port: 0 }, allowedHosts: [] });
  assert.equal((await get(any, '/livez', 'Host: 10.0.0.5:9090\r\n')).status, 200);
  assert.equal((await get(any, '/livez', 'Origin: http://localhost\r\n')).status, 403);
  const some = await open(t, {}, { admin: { host: '0.0.0.0', port: 0 } });
  assert.equal((await get(some, '/livez', 'Host: evil.example\r\n')).status, 403);
  assert.equal((await get(some, '/livez', 'Host: 10.0.0.5.evil.example\r\n')).status, 403);
  for (const path of ['/livez', '/readyz', '/metrics']) {
    assert.equal((await get(some, path, 'Host: 10.0.0.5:9090\r\n')).status, 200, path);
    assert.equal((await get(some, path, 'Host: [fd00::5]:9090\r\n')).status, 200, path);
  }
  assert.equal((await get(some, '/livez', 'Host: ops.example.com\r\n')).status, 200);
});

test('callers that come together share one document', async (t) => {
  let made = 0;
  const admin = await open(t, {
    metrics: async () => {
      made += 1;
      await new Promise((resolve) => setImmediate(resolve));
      return `document ${made}\n`;
    },
  });
  // Pipelined, so that all of them are read in one turn.
  const request = 'GET /metrics HTTP/1.1\r\nHost: localhost\r\n';
  const requests = `${`${request}\r\n`.repeat(7)}${request}Connection: close\r\n\r\n`;
  const { text } = await rawRequest(admin.address.port, requests, { waitMs: 5_000 });
  assert.equal(text.match(/document 1\n/g)?.length, 8);
  assert.equal((await get(admin, '/metrics')).body, 'document 2\n');
});

test('a document that cannot be made is a 503 without its cause', async (t) => {
  const failures: unknown[] = [];
  const admin = await open(t, {
    statsText: () => Promise.reject(new Error('canary /secret/path')),
    documentFailed: (error) => failures.push(error),
  });
  const reply = await get(admin, '/stats');
  assert.equal(reply.status, 503);
  assert.doesNotMatch(reply.text, /canary/);
  assert.equal(failures.length, 1);
  assert.equal((await get(admin, '/metrics')).status, 200);
});

test('connections that send nothing are bounded in number and in time', async (t) => {
  const admin = await open(t, {}, {}, { maxConnections: 4, headersTimeoutMs: 100 });
  const silent = Array.from({ length: 8 }, () => rawRequest(admin.address.port, 'GET / HTT', { waitMs: 5_000 }));
  const replies = await Promise.all(silent);
  assert.ok(replies.every(({ closed }) => closed));
  assert.ok(replies.every(({ status }) => status === 0 || status === 408));
  assert.equal((await get(admin, '/livez')).status, 200);
});

test('a port that is in use fails the start', async (t) => {
  const admin = await open(t);
  await assert.rejects(open(t, {}, { admin: { host: '127.0.0.1', port: admin.address.port } }), { code: 'EADDRINUSE' });
});

test('close ends connections that stay open', async (t) => {
  const admin = await open(t);
  const { port } = admin.address;
  const kept = rawRequest(port, `GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n`, { waitMs: 10_000 });
  await get(admin, '/livez');
  await admin.close(50);
  assert.ok((await kept).closed);
});
