/** What is too large, too slow or too many costs a bounded amount, and others are served meanwhile. */
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { startGateway } from '../support/gateway.js';
import { eventually } from '../support/process.js';
import { rawUpstream } from '../support/raw-upstream.js';
import { modernHeaders, modernMessage, modernRpc, rpc } from '../support/rpc.js';
import { idle, listed, statsOf } from './observe.js';

const MIB = 1024 * 1024;
const rss = async (gateway: Parameters<typeof statsOf>[0]): Promise<number> =>
  (await statsOf(gateway)).process.rssBytes;

describe('a body of 100 MB', () => {
  for (const frontEnd of ['uws', 'node'] as const) {
    it(`is refused before it has come, declared and chunked, ${frontEnd} front end`, async (scope) => {
      const upstream = await rawUpstream(scope, (_, answer) => answer.result({ content: [] }));
      const gateway = await startGateway(scope, { mcpServers: { raw: { url: upstream.url } } }, { frontEnd });
      await listed(gateway);
      for (const framing of ['declared', 'chunked'] as const) {
        const before = await rss(gateway);
        const { text, sent } = await upload(gateway.port, framing === 'chunked', 100 * MIB);
        // A client that goes on sending can lose the answer with the connection (RFC 9112 section 9.6); one that has
        // declared too much and waits must get it.
        if (framing === 'declared' || text !== '') {
          assert.match(text, /^HTTP\/1\.1 413 /);
          assert.match(text, /GW_BODY_TOO_LARGE/);
        }
        assert.ok(sent < 60 * MIB, `${sent} bytes were taken`);
        assert.ok((await rss(gateway)) - before < 64 * MIB);
        assert.equal(upstream.received('tools/call').length, 0);
      }
    });
  }
});

describe('a body over the limit', () => {
  // The framing of a body is checked by the addon or without it; it is refused before anything is decoded.
  for (const [frontEnd, decoder] of [
    ['uws', 'native'],
    ['uws', 'typescript'],
    ['node', 'native'],
  ] as const) {
    it(`is answered 413 while its client still sends it, ${frontEnd} front end, ${decoder} decoder`, async (scope) => {
      const config = { mcpServers: {}, limits: { maxBodyBytes: MIB } };
      const gateway = await startGateway(scope, config, { frontEnd, env: { SWITCHYARD_DECODER: decoder } });
      const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'x' } };
      const file = JSON.stringify({
        ...call,
        params: { name: 'x', arguments: { file: 'y'.repeat(10 * MIB) } },
      });
      for (let round = 0; round < 10; round += 1) {
        const { status, message } = await rpc(gateway.url, file);
        assert.deepEqual([status, message.error.data.code], [413, 'GW_BODY_TOO_LARGE']);
      }
      assert.equal((await modernRpc(gateway.url, 'ping')).status, 404, 'others are served');
    });
  }
});

/**
 * Sends until everything is sent or the other side has closed. With a declared length the body begins when an answer
 * has come, or after a second without one.
 */
function upload(port: number, chunked: boolean, total: number): Promise<{ text: string; sent: number }> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    const piece = Buffer.alloc(65_536, ' ');
    const chunk = Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')]);
    const length = chunked ? 'transfer-encoding: chunked' : `content-length: ${total}`;
    const head = `POST /mcp HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\ncontent-type: application/json\r\n`;
    let text = '';
    let sent = 0;
    const pump = (): void => {
      while (sent < total && !socket.destroyed && text === '') {
        sent += piece.length;
        if (!socket.write(chunked ? chunk : piece)) return;
      }
    };
    const finish = (): void => resolve({ text, sent: sent - socket.writableLength });
    socket.on('drain', pump);
    socket.on('data', (data) => {
      text += data.toString('latin1');
      if (text.includes('\r\n\r\n') && text.includes('}')) socket.destroy();
    });
    socket.on('error', () => {});
    socket.on('close', finish);
    socket.write(`${head}accept: application/json, text/event-stream\r\n${length}\r\n\r\n`);
    if (chunked) pump();
    else setTimeout(pump, 1000);
  });
}

describe('a client that does not read', () => {
  for (const frontEnd of ['uws', 'node'] as const) {
    it(`holds back its own upstream and nobody else, ${frontEnd} front end`, async (scope) => {
      let written = 0;
      const upstream = await rawUpstream(scope, async (request, answer) => {
        const big = request.message.params?.arguments?.big;
        if (!big) {
          answer.result({ content: [] });
          return;
        }
        const stream = answer.sse();
        const data = 'z'.repeat(65_536);
        const params = { level: 'error', data };
        for (let index = 0; index < 4_000 && !answer.response.destroyed; index += 1) {
          stream.event({ jsonrpc: '2.0', method: 'notifications/message', params });
          written += data.length;
          if (answer.response.writableLength > MIB) {
            await drained(answer.response);
          }
        }
        stream.end();
      });
      const gateway = await startGateway(scope, { mcpServers: { raw: { url: upstream.url } } }, { frontEnd });
      await listed(gateway);
      const message = modernMessage(
        'tools/call',
        { name: 'raw__call', arguments: { big: true } },
        { meta: { 'io.modelcontextprotocol/logLevel': 'debug' } },
      );
      const before = await rss(gateway);
      const sockets = Array.from({ length: 4 }, () => deaf(gateway.port, message));
      scope.after(() => {
        for (const socket of sockets) socket.destroy();
      });
      let last = -1;
      await eventually(
        'the upstream is held back',
        async () => {
          const still = written > 0 && written === last;
          last = written;
          await new Promise((resolve) => setTimeout(resolve, 300));
          return still;
        },
        20_000,
      );
      assert.ok(written < 160 * MIB, `${written} bytes were written of ${4 * 4_000 * 65_536}`);
      for (let index = 0; index < 50; index += 1) {
        const { message: reply } = await modernRpc(gateway.url, 'tools/call', { name: 'raw__call', arguments: {} });
        assert.notEqual(reply.result, undefined);
      }
      assert.ok((await rss(gateway)) - before < 128 * MIB);
      for (const socket of sockets) socket.destroy();
      await idle(gateway);
    });
  }
});

/** Waits until a response takes more, or is over. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.on('drain', done);
    response.on('close', done);
  });
}

/** Asks and never reads the answer. */
function deaf(port: number, message: object): ReturnType<typeof connect> {
  const body = JSON.stringify(message);
  const headers = {
    host: `127.0.0.1:${port}`,
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'content-length': String(Buffer.byteLength(body)),
    ...modernHeaders(message),
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const socket = connect({ port, host: '127.0.0.1' });
  socket.on('error', () => {});
  socket.pause();
  socket.write(`POST /mcp HTTP/1.1\r\n${lines.join('')}\r\n${body}`);
  return socket;
}

describe('5,000 sessions that nobody ends', () => {
  it('are gone once their time is over', async (scope) => {
    const gateway = await startGateway(scope, { mcpServers: {}, sessions: { ttlSeconds: 3 } });
    const before = await rss(gateway);
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'gone', version: '1' } };
    let most = 0;
    for (let round = 0; round < 50; round += 1) {
      const opened = Array.from({ length: 100 }, (_, id) =>
        rpc(gateway.url, { jsonrpc: '2.0', id, method: 'initialize', params }),
      );
      for (const { status } of await Promise.all(opened)) assert.equal(status, 200);
      most = Math.max(most, (await statsOf(gateway)).sessions);
    }
    assert.ok(most > 100);
    await eventually('they are gone', async () => (await statsOf(gateway)).sessions === 0, 30_000);
    assert.ok((await rss(gateway)) - before < 96 * MIB);
  });
});
