/** Redirects of an upstream: followed on its own origin, and named where they are not (RFC 9110 section 15.4). */
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { ControlError } from '../../../src/upstream/core/control.js';
import { MAX_REDIRECTS, redirectTarget, UpstreamLocation } from '../../../src/upstream/core/http/location.js';
import { eventually } from '../../support/process.js';
import { httpOf, namesOf, type PoolFixture, serverOf, startPool } from '../fixture.js';
import { type Peer, plain, startPeer, type WriteResponse } from './peer.js';

const endpointOf = (pool: PoolFixture) => pool.server().endpoints[0]!;

/** Redirects every request for another path than `path`. */
const redirecting =
  (status: number, location: string, path = '/mcp/'): WriteResponse =>
  (request, response) => {
    if (request.url === path) plain(request, response);
    else response.writeHead(status, { location, 'content-type': 'text/plain' }).end('moved');
  };

/** Requests by method of the message and path. */
const paths = (peer: Peer, rpcMethod: string): string[] =>
  peer.requests.filter((request) => request.rpcMethod === rpcMethod).map(({ url }) => url);

for (const family of ['legacy', 'modern'] as const) {
  for (const status of [307, 308]) {
    test(`${family}: ${status} is followed with method, body and headers, and remembered`, async (t) => {
      for (const location of ['/mcp/', 'ORIGIN/mcp/', 'mcp/', './mcp/', '//HOST/mcp/', '/mcp/#part', '/a/../mcp/']) {
        await t.test(location, async (row) => {
          const peer = await startPeer(row, family, () => {});
          const host = `127.0.0.1:${peer.port}`;
          const written = location.replace('ORIGIN', `HTTP://${host}`).replace('HOST', host);
          peer.write = redirecting(status, written);
          const pool = startPool(row, [serverOf([httpOf(peer.url, { authorization: 'Bearer k' })])]);
          assert.deepEqual(namesOf((await pool.ready()).tools), ['call']);
          for (let round = 0; round < 3; round += 1) {
            assert.equal((await pool.call('call', { round }).done).response?.result.ok, true);
          }
          const method = family === 'legacy' ? 'initialize' : 'server/discover';
          assert.equal(paths(peer, method).at(-1), '/mcp/');
          assert.deepEqual(paths(peer, 'tools/list'), ['/mcp/'], 'the handshake has told');
          assert.deepEqual(paths(peer, 'tools/call'), ['/mcp/', '/mcp/', '/mcp/']);
          assert.ok(peer.requests.every(({ headers }) => headers.authorization === 'Bearer k'));
          await pool.pool.close(0);
          const ends = peer.requests.filter((request) => request.method === 'DELETE').map(({ url }) => url);
          assert.deepEqual(ends, family === 'legacy' ? ['/mcp/'] : []);
        });
      }
    });
  }

  test(`${family}: calls that are redirected later are sent again, once for each hop`, async (t) => {
    const peer = await startPeer(t, family);
    const pool = startPool(t, [serverOf([httpOf(peer.url)])]);
    await pool.ready();
    peer.write = (request, response) => {
      if (request.url === '/b') plain(request, response);
      else response.writeHead(request.url === '/a' ? 308 : 307, { location: request.url === '/a' ? '/b' : '/a' }).end();
    };
    const calls = await Promise.all(Array.from({ length: 20 }, () => pool.call('call').done));
    assert.deepEqual(new Set(calls.map(({ response }) => response?.result.ok)), new Set([true]));
    assert.equal((await pool.call('call').done).response?.result.ok, true);
    assert.equal(paths(peer, 'tools/call').at(-2), '/b');
    assert.equal(pool.table.inUse, 0);
  });

  test(`${family}: calls that are redirected in a circle end after ${MAX_REDIRECTS} hops`, async (t) => {
    const peer = await startPeer(t, family);
    const pool = startPool(t, [serverOf([httpOf(peer.url)])]);
    await pool.ready();
    peer.write = (request, response) => {
      if (request.rpcMethod !== 'tools/call') plain(request, response);
      else response.writeHead(307, { location: request.url === '/mcp' ? '/other' : '/mcp' }).end();
    };
    assert.equal((await pool.call('call').done).error, 'GW_UPSTREAM_REDIRECTED');
    assert.equal(paths(peer, 'tools/call').length, MAX_REDIRECTS + 1);
  });

  test(`${family}: a redirect to another origin gets nothing; log and state name the address`, async (t) => {
    const other = await startPeer(t, family);
    const peer = await startPeer(t, family);
    const address = `http://127.0.0.1:${other.port}/mcp`;
    peer.write = (_request, response) => response.writeHead(308, { location: `${address}?key=s3cret` }).end();
    const pool = startPool(t, [serverOf([httpOf(peer.url, { authorization: 'Bearer k' })])]);
    await eventually('the reason', () => endpointOf(pool).reason.includes(address));
    await eventually('another try', () => peer.requests.length >= 2);
    const { reason } = endpointOf(pool);
    assert.match(reason, /redirects \(308\).*another origin.*not followed.*write url: "/);
    assert.doesNotMatch(reason, /s3cret/);
    const lines = pool.log.filter(({ fields }) => fields['reason'] === reason);
    assert.deepEqual([lines.length, lines[0]?.level], [1, 'warn']);
    assert.equal((await pool.call('call').done).error, 'GW_UPSTREAM_NOT_CONNECTED');
    assert.deepEqual(other.requests, []);
  });

  test(`${family}: calls that are redirected to another origin fail with the reason`, async (t) => {
    const other = await startPeer(t, family);
    const peer = await startPeer(t, family);
    const pool = startPool(t, [serverOf([httpOf(peer.url)])]);
    await pool.ready();
    peer.write = (_request, response) =>
      response.writeHead(307, { location: `http://127.0.0.1:${other.port}/mcp` }).end();
    const { error, sent } = await pool.call('call').done;
    assert.deepEqual([error, sent], ['GW_UPSTREAM_REDIRECTED', true]);
    await eventually('the reason', () => endpointOf(pool).reason.includes('another origin'));
    assert.deepEqual(other.requests, []);
  });

  test(`${family}: 301, 302 and 303 on a POST are not followed, and so say log and state`, async (t) => {
    for (const status of [301, 302, 303]) {
      const peer = await startPeer(t, family, redirecting(status, '/mcp/'));
      const pool = startPool(t, [serverOf([httpOf(peer.url)])]);
      const address = `"http://127.0.0.1:${peer.port}/mcp/"`;
      await eventually('the reason', () => endpointOf(pool).reason.includes(address));
      assert.match(endpointOf(pool).reason, new RegExp(`redirects \\(${status}\\) .* POST does not follow`));
      assert.ok(peer.requests.every(({ url }) => url === '/mcp'));
    }
  });

  test(`${family}: a redirect without a usable Location says so`, async (t) => {
    for (const location of ['', 'http://[', 'http://']) {
      const peer = await startPeer(t, family, (_request, response) => {
        response.writeHead(308, location === '' ? {} : { location }).end();
      });
      const pool = startPool(t, [serverOf([httpOf(peer.url)])]);
      await eventually('the reason', () => endpointOf(pool).reason.includes('without a valid Location'));
      await pool.pool.close(0);
    }
  });
}

test('the standalone stream is redirected like any GET', async (t) => {
  let stream: ServerResponse | undefined;
  const peer = await startPeer(t, 'legacy', (request, response) => {
    if (request.method !== 'GET') return plain(request, response);
    if (request.url !== '/events') response.writeHead(302, { location: '/events' }).end();
    else stream = response.writeHead(200, { 'content-type': 'text/event-stream' });
  });
  const pool = startPool(t, [serverOf([httpOf(peer.url)])]);
  await pool.ready();
  await eventually('the stream', () => stream !== undefined);
  stream?.write('data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n\n');
  await eventually('the list is read again', () => paths(peer, 'tools/list').length >= 2);
  assert.ok(
    paths(peer, 'tools/list').every((path) => path === '/mcp'),
    'messages are posted to where they were',
  );
});

test('a location lasts as the status says', () => {
  const [first, second, third] = ['http://h/1', 'http://h/2', 'http://h/3'].map((url) => new URL(url)) as [
    URL,
    URL,
    URL,
  ];
  const location = new UpstreamLocation(first);
  location.moved(first, second, 308);
  location.moved(second, third, 307);
  assert.equal(location.current, third);
  location.moved(first, second, 308);
  assert.equal(location.current, third, 'an earlier request changes nothing');
  location.handshakeStarted();
  assert.equal(location.current, second, 'for good');
  location.moved(second, third, 308);
  location.handshakeStarted();
  assert.equal(location.current, third);
  location.handshakeFailed();
  assert.equal(location.current, first);
});

test('redirects stay on their server', () => {
  const rows: readonly [from: string, location: string, to: string | null][] = [
    ['http://h/mcp', 'https://h/mcp', 'https://h/mcp'],
    ['http://h:80/mcp', 'https://H:443/mcp/', 'https://h/mcp/'],
    ['http://h:8080/mcp', 'https://h/mcp', null],
    ['http://h/mcp', 'https://h:8443/mcp', null],
    ['http://h/mcp', 'https://www.h/mcp', null],
    ['https://h/mcp', 'http://h/mcp', null],
    ['https://h/mcp', 'http://h:443/mcp', null],
    ['http://h/mcp', 'http://h:81/mcp', null],
    ['http://h/mcp', 'http://user:secret@h/other', 'http://h/other'],
    ['http://h/a/mcp?x=1', '?y=2', 'http://h/a/mcp?y=2'],
    ['http://h/mcp', 'ftp://h/mcp', null],
    ['http://h/mcp', 'javascript:alert(1)', null],
    ['http://[::1]:3000/mcp', '//[::1]:3000/mcp/', 'http://[::1]:3000/mcp/'],
  ];
  for (const [from, location, to] of rows) {
    const follow = (): string => redirectTarget(new URL(from), 'POST', 308, location, 0).href;
    if (to !== null) assert.equal(follow(), to);
    else {
      const isTold = (error: unknown): boolean =>
        error instanceof ControlError && error.number === 308 && error.message.includes('not followed');
      assert.throws(follow, isTold, `${from} ${location}`);
    }
  }
  assert.throws(() => redirectTarget(new URL('http://h/'), 'POST', 307, '/', MAX_REDIRECTS), /other redirects/);
  assert.equal(redirectTarget(new URL('http://h/'), 'GET', 302, '/x', 0).pathname, '/x');
  assert.throws(() => redirectTarget(new URL('http://h/'), 'DELETE', 302, '/x', 0), /a DELETE does not follow/);
});
