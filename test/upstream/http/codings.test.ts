/** Answers that are compressed although the gateway asks for none. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brotliCompressSync, createGzip, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { packageVersion } from '../../../src/package-root.js';
import { eventually } from '../../support/process.js';
import { httpOf, namesOf, type PoolFixture, serverOf, startPool } from '../fixture.js';
import { plain, startPeer, type WriteResponse } from './peer.js';

const CODINGS: readonly [name: string, header: string, encode: (bytes: Buffer) => Buffer][] = [
  ['gzip', 'gzip', (bytes) => gzipSync(bytes)],
  ['x-gzip in capitals', 'X-GZIP', (bytes) => gzipSync(bytes)],
  [
    'two members of gzip',
    'gzip',
    (bytes) => Buffer.concat([gzipSync(bytes.subarray(0, 9)), gzipSync(bytes.subarray(9))]),
  ],
  ['deflate', 'deflate', (bytes) => deflateSync(bytes)],
  ['deflate without its header', 'deflate', (bytes) => deflateRawSync(bytes)],
  ['br', 'br', (bytes) => brotliCompressSync(bytes)],
  ['identity', 'identity', (bytes) => bytes],
];

const endpointOf = (pool: PoolFixture) => pool.server().endpoints[0]!;

/** Answers encoded, in pieces of `size` bytes; each event in a write of its own where `size` is 0. */
function encoded(header: string, encode: (bytes: Buffer) => Buffer, asEvents: boolean, size: number): WriteResponse {
  return (request, response) => {
    const { text } = request;
    if (text === '') return plain(request, response);
    const type = asEvents ? 'text/event-stream' : 'application/json';
    response.writeHead(200, { 'content-type': type, 'content-encoding': header, 'mcp-session-id': 'peer' });
    const bytes = encode(Buffer.from(asEvents ? `: hello\n\ndata: ${text}\n\n` : text));
    for (let at = 0; at < bytes.length; at += size) response.write(bytes.subarray(at, at + size));
    response.end();
  };
}

for (const family of ['legacy', 'modern'] as const) {
  test(`${family}: answers to handshake, lists and calls are decoded`, async (t) => {
    for (const [name, header, encode] of CODINGS) {
      for (const asEvents of [false, true]) {
        for (const size of [1, 100_000]) {
          await t.test(`${name}, ${asEvents ? 'events' : 'JSON'}, ${size}`, async (row) => {
            const peer = await startPeer(row, family, encoded(header, encode, asEvents, size));
            const pool = startPool(row, [serverOf([httpOf(peer.url)], { maxConnections: 1 })]);
            assert.deepEqual(namesOf((await pool.ready()).tools), ['call']);
            const calls = await Promise.all(Array.from({ length: 5 }, () => pool.call('call').done));
            assert.ok(calls.every(({ response, reports }) => response?.result.ok === true && reports === 1));
          });
        }
      }
    }
  });

  test(`${family}: events of a compressed stream arrive as they are flushed`, async (t) => {
    const peer = await startPeer(t, family);
    const pool = startPool(t, [serverOf([httpOf(peer.url)])]);
    await pool.ready();
    let finish = (): void => {};
    peer.write = ({ id, text }, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' });
      const gzip = createGzip();
      gzip.pipe(response);
      const params = { progressToken: id, progress: 1 };
      gzip.write(`data: ${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/progress', params })}\n\n`);
      gzip.flush();
      finish = () => gzip.end(`data: ${text}\n\n`);
    };
    const call = pool.call('call', {}, { progress: true });
    await eventually('the progress', () => call.notifications.length === 1);
    finish();
    assert.equal((await call.done).response?.result.ok, true);
  });

  test(`${family}: a small body that becomes a large one is not held`, async (t) => {
    const peer = await startPeer(t, family);
    const limits = { maxResponseBytes: 1_000_000, maxLineBytes: 1_000_000 };
    const pool = startPool(t, [serverOf([httpOf(peer.url)])], limits);
    await pool.ready();
    const zeros = ' '.repeat(300_000_000);
    for (const [header, bomb] of [
      ['gzip', gzipSync(zeros)],
      ['br', brotliCompressSync(zeros)],
    ] as const) {
      for (const type of ['application/json', 'text/event-stream']) {
        peer.write = (_request, response) => {
          response.writeHead(200, { 'content-type': type, 'content-encoding': header });
          response.end(type === 'application/json' ? bomb : Buffer.concat([gzipSync('data: '), bomb]));
        };
        const before = process.memoryUsage().rss;
        const { error } = await pool.call('call').done;
        assert.ok(
          error === 'GW_RESPONSE_TOO_LARGE' || (header === 'br' && error === 'GW_UPSTREAM_PROTOCOL'),
          String(error),
        );
        assert.ok(process.memoryUsage().rss - before < 200_000_000);
        peer.write = plain;
        assert.equal((await pool.call('call').done).response?.result.ok, true, 'the next call is not hurt');
      }
    }
    const second = startPool(t, [serverOf([httpOf(peer.url)])], limits);
    peer.write = (request, response) => {
      if (request.rpcMethod !== 'tools/list') return plain(request, response);
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(gzipSync(zeros));
    };
    await eventually('told', () =>
      second.log.some(({ fields }) => /limits.maxLineBytes/.test(String(fields['reason']))),
    );
  });

  test(`${family}: what is not of its coding fails the call, and the next one goes on`, async (t) => {
    const peer = await startPeer(t, family);
    const pool = startPool(t, [serverOf([httpOf(peer.url)], { maxConnections: 1 })]);
    await pool.ready();
    const rows: readonly [header: string, bytes: (text: string) => Buffer][] = [
      ['gzip', (text) => Buffer.from(text)],
      ['br', (text) => Buffer.from(text)],
      ['gzip', (text) => gzipSync(text).subarray(0, 20)],
      ['gzip', (text) => Buffer.concat([gzipSync('{'), Buffer.from(text)])],
      ['zstd', (text) => Buffer.from(text)],
      ['gzip, gzip', (text) => gzipSync(gzipSync(text))],
    ];
    for (const [header, bytes] of rows) {
      peer.write = ({ text }, response) => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': header }).end(bytes(text));
      };
      assert.equal((await pool.call('call').done).error, 'GW_UPSTREAM_PROTOCOL', header);
      peer.write = plain;
      assert.equal((await pool.call('call').done).response?.result.ok, true);
    }
    peer.write = (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' });
      response.write(gzipSync('data: {}\n\n'), () => response.destroy());
    };
    assert.equal((await pool.call('call').done).error, 'GW_UPSTREAM_TRUNCATED');
  });

  test(`${family}: a compressed error in a refusal reaches the client`, async (t) => {
    const peer = await startPeer(t, family);
    const pool = startPool(t, [serverOf([httpOf(peer.url)])]);
    await pool.ready();
    peer.write = ({ id }, response) => {
      const text = JSON.stringify({ jsonrpc: '2.0', id, error: { code: 5, message: 'no' } });
      response.writeHead(422, { 'content-encoding': 'br' }).end(brotliCompressSync(text));
    };
    assert.deepEqual((await pool.call('call').done).response?.error, { code: 5, message: 'no' });
  });

  test(`${family}: every request names the gateway and asks for no coding, unless configured`, async (t) => {
    const peer = await startPeer(t, family);
    for (const [headers, agent, coding] of [
      [{}, `switchyard/${packageVersion}`, 'identity'],
      [{ 'User-Agent': 'mine/1' }, 'mine/1', 'identity'],
      [{ 'accept-ENCODING': 'gzip' }, `switchyard/${packageVersion}`, 'gzip'],
    ] as const) {
      const pool = startPool(t, [serverOf([httpOf(peer.url, headers)])]);
      await pool.ready();
      await pool.call('call').done;
      await eventually('the stream', () => family === 'modern' || peer.requests.some(({ method }) => method === 'GET'));
      await pool.pool.close(0);
      for (const request of peer.requests.splice(0)) {
        const { 'user-agent': userAgent, 'accept-encoding': acceptEncoding } = request.headers;
        assert.deepEqual([userAgent, acceptEncoding], [agent, coding], request.method);
      }
    }
  });
}

test('the standalone stream is decoded as it is flushed', async (t) => {
  const gzip = createGzip();
  const peer = await startPeer(t, 'legacy', (request, response) => {
    if (request.method !== 'GET') return plain(request, response);
    response.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' });
    gzip.pipe(response);
  });
  const pool = startPool(t, [serverOf([httpOf(peer.url)])]);
  await pool.ready();
  gzip.write('data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n\n');
  gzip.flush();
  const lists = () => peer.requests.filter(({ rpcMethod }) => rpcMethod === 'tools/list').length;
  await eventually('the list is read again', () => lists() >= 2);
  assert.equal(endpointOf(pool).stats.junkLines, 0);
});
