import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { Agent, fetch } from 'undici';
import { connectionLimit, openFileLimit } from '../../../src/request/accept/http/connection-limit.js';
import type { Exchange } from '../../../src/request/exchange/index.js';
import { PIPELINED } from '../../hostile/http-rows.js';
import { rawRequest } from '../../support/raw-http.js';
import { KINDS, openTestFront, post, testSnapshot } from './fixture.js';

const MiB = 1_048_576;

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    assert.ok(performance.now() < deadline, `timed out: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function open(port: number): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true }, () => resolve(socket));
    socket.on('error', () => {});
  });
}

/** Writes until the other side ends the connection; the result is how much went out and what came back. */
async function flood(
  port: number,
  head: string,
  piece: Buffer,
  atMost: number,
): Promise<{ sent: number; text: string }> {
  const socket = await open(port);
  let text = '';
  let closed = false;
  socket.on('data', (data) => {
    text += data.toString('latin1');
  });
  socket.on('close', () => {
    closed = true;
  });
  socket.write(head);
  let sent = 0;
  while (!closed && sent < atMost) {
    sent += piece.byteLength;
    if (!socket.write(piece)) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await until(() => closed, 'closed');
  return { sent, text };
}

for (const kind of KINDS) {
  const head = (framing: string): string =>
    `POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${framing}\r\n\r\n`;

  test(`${kind}: a body that is declared too long is refused before it comes, and the connection ends`, async (context) => {
    const front = await openTestFront(kind);
    context.after(() => front.close());
    const reply = await rawRequest(front.port, head('Content-Length: 104857600'), { waitMs: 5000 });
    assert.equal(reply.status, 413);
    assert.ok(reply.closed);
    const asking = await rawRequest(front.port, head('Expect: 100-continue\r\nContent-Length: 104857600'), {
      waitMs: 5000,
    });
    assert.match(asking.text, /HTTP\/1\.1 413/);
    assert.ok(asking.closed);
    assert.deepEqual(front.refused, ['GW_BODY_TOO_LARGE', 'GW_BODY_TOO_LARGE']);
    assert.deepEqual(front.seen, []);
  });

  test(`${kind}: the refusal of a body reaches clients that send on, and nothing behind it is served`, async (context) => {
    const front = await openTestFront(kind, undefined, {}, { maxBodyBytes: 1024 });
    context.after(() => front.close());
    const url = `http://127.0.0.1:${front.port}/mcp`;
    const headers = { 'content-type': 'application/json' };
    const whole = Buffer.alloc(5 * MiB, 'x');
    const pieces = () =>
      new ReadableStream({
        start(controller) {
          for (let at = 0; at < whole.byteLength; at += 65_536) controller.enqueue(whole.subarray(at, at + 65_536));
          controller.close();
        },
      });
    const client = new Agent({ connections: 1 });
    context.after(() => client.destroy());
    // Ten times each, because a reset connection loses the answer only now and then.
    for (let round = 0; round < 10; round += 1) {
      for (const body of [whole, whole.toString(), pieces()]) {
        await (await fetch(url, { method: 'POST', headers, body: '{}', dispatcher: client })).text();
        const reply = await fetch(url, { method: 'POST', headers, body, duplex: 'half', dispatcher: client });
        assert.deepEqual([reply.status, JSON.parse(await reply.text()).code], [413, 'GW_BODY_TOO_LARGE']);
      }
    }
    const before = front.seen.length;
    const socket = await open(front.port);
    let text = '';
    socket.on('data', (data) => {
      text += data.toString('latin1');
    });
    const declared = `${head(`Content-Length: ${whole.byteLength}`)}${'x'.repeat(whole.byteLength)}`;
    socket.write(declared + post('{}').toString('latin1'));
    await until(() => socket.destroyed, 'the end of the connection');
    assert.match(text, /^HTTP\/1\.1 413 .*GW_BODY_TOO_LARGE[^}]*}}$/s);
    assert.equal(front.seen.length, before);
  });

  test(`${kind}: the refusal of a message has its id where that came before the limit`, async (context) => {
    const front = await openTestFront(kind, undefined, {}, { maxBodyBytes: 5000 });
    context.after(() => front.close());
    const text = 'x'.repeat(20_000);
    const send = async (path: string, body: string, isChunked: boolean): Promise<void> => {
      const bytes = Buffer.from(body);
      const stream = () => new Blob([bytes]).stream();
      const reply = await fetch(`http://127.0.0.1:${front.port}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: isChunked ? stream() : bytes,
        duplex: 'half',
      });
      assert.equal(reply.status, 413);
      await reply.text();
    };
    const first = `{"id":"a","method":"m","params":"${text}"}`;
    const rows: readonly (readonly [path: string, body: string, isChunked: boolean, id: string])[] = [
      ['/messages?sessionId=x', first, false, '"a"'],
      ['/sse/messages?sessionId=x', first, true, '"a"'],
      ['/messages?sessionId=x', `{"method":"m","params":"${text.repeat(100)}","id":"a"}`, false, ''],
      ['/mcp', first, true, '"a"'],
      // A declared length is enough to refuse it before it comes.
      ['/mcp', first, false, ''],
    ];
    for (const [path, body, isChunked] of rows) await send(path, body, isChunked);
    assert.deepEqual(
      front.refusedIds,
      rows.map(([, , , id]) => id),
    );
  });

  test(`${kind}: a client that does not stop sending after its refusal is cut`, async (context) => {
    const front = await openTestFront(kind, undefined, {}, { maxBodyBytes: 1024 });
    context.after(() => front.close());
    const socket = connect({ port: front.port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('error', () => {});
    socket.write(head('Content-Length: 2147483647'));
    const timer = setInterval(() => socket.write(Buffer.alloc(65_536, 'x')), 5);
    socket.resume();
    await until(() => socket.destroyed, 'the end of the connection');
    clearInterval(timer);
    assert.deepEqual(front.refused, ['GW_BODY_TOO_LARGE']);
    await until(() => front.front.connections() === 0, 'no connection');
  });

  test(`${kind}: 100 MB are refused at the limit without being kept`, async (context) => {
    const front = await openTestFront(kind);
    context.after(() => front.close());
    const before = process.memoryUsage().rss;
    const piece = Buffer.alloc(65_536, 120);
    const chunk = Buffer.concat([Buffer.from('10000\r\n'), piece, Buffer.from('\r\n')]);
    const runs = await Promise.all([
      flood(front.port, head('Content-Length: 104857600'), piece, 100 * MiB),
      flood(front.port, head('Transfer-Encoding: chunked'), chunk, 100 * MiB),
    ]);
    for (const { sent } of runs) assert.ok(sent < 20 * MiB, `${sent}`);
    assert.deepEqual(front.refused, ['GW_BODY_TOO_LARGE', 'GW_BODY_TOO_LARGE']);
    assert.deepEqual(front.seen, []);
    assert.equal(front.table.inUse, 0);
    assert.ok(process.memoryUsage().rss - before < 64 * MiB);
  });

  test(`${kind}: a body of exactly the limit is accepted, one byte more is not`, async (context) => {
    const front = await openTestFront(kind, undefined, {}, { maxBodyBytes: 5000 });
    context.after(() => front.close());
    const chunked = (size: number): string =>
      `${head('Transfer-Encoding: chunked')}${size.toString(16)}\r\n${'x'.repeat(size)}\r\n0\r\n\r\n`;
    const rows: readonly (readonly [string | Buffer, number])[] = [
      [post('x'.repeat(5000)), 200],
      [post('x'.repeat(5001)), 413],
      [chunked(5000), 200],
      [chunked(5001), 413],
    ];
    for (const [request, status] of rows) {
      const reply = await rawRequest(front.port, request, { until: (text) => /\r\n\r\n./.test(text), waitMs: 5000 });
      assert.equal(reply.status, status);
    }
    assert.deepEqual(
      front.seen.map((seen) => seen.body.byteLength),
      [5000, 5000],
    );
  });

  test(`${kind}: when all exchanges are in use, the answer is 503 with Retry-After`, async (context) => {
    const held: Exchange[] = [];
    const front = await openTestFront(kind, (exchange) => held.push(exchange), {}, { maxInFlight: 2 });
    context.after(() => front.close());
    const sockets = await Promise.all([open(front.port), open(front.port)]);
    for (const socket of sockets) socket.write(post('{}'));
    await until(() => held.length === 2, 'held');
    for (const request of [post('{}'), 'GET /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n']) {
      const reply = await rawRequest(front.port, request, { until: (text) => text.includes('GW_OVERLOADED') });
      assert.equal(reply.status, 503);
      assert.equal(reply.headers['retry-after'], '1');
      assert.equal(JSON.parse(reply.body).error.data.code, 'GW_OVERLOADED');
    }
    assert.equal(front.seen.length, 2);
    for (const exchange of held) {
      exchange.client.reply!.send(200, [], Buffer.from('{}'), 0, 2);
      front.table.release(exchange);
    }
    const again = await rawRequest(front.port, post('{}'), { waitMs: 50 });
    assert.equal(again.text, '');
    assert.equal(front.seen.length, 3);
    for (const socket of sockets) socket.destroy();
  });

  test(`${kind}: connections past the limit are closed at once, and accepted again when others close`, async (context) => {
    const front = await openTestFront(kind, undefined, {}, { maxConnections: 3 });
    context.after(() => front.close());
    const kept = await Promise.all([open(front.port), open(front.port), open(front.port)]);
    await until(() => front.front.connections() === 3, 'connected');
    const reply = await rawRequest(front.port, post('{}'), { waitMs: 5000 });
    assert.ok(reply.closed && reply.text === '');
    kept[0]!.destroy();
    await until(() => front.front.connections() === 2, 'place');
    const served = await rawRequest(front.port, post('{}'), { until: (text) => text.endsWith('{}') });
    assert.equal(served.status, 200);
    for (const socket of kept) socket.destroy();
  });

  test(`${kind}: a request behind one that is not answered never gets its answer`, async (context) => {
    const held: Exchange[] = [];
    const front = await openTestFront(kind, (exchange) => held.push(exchange));
    context.after(() => front.close());
    const reply = rawRequest(front.port, PIPELINED, { waitMs: 300 });
    await until(() => held.length > 0, 'first request');
    await new Promise((resolve) => setTimeout(resolve, 50));
    for (const [index, exchange] of held.entries()) {
      const answer = Buffer.from(`{"answer":${index}}`);
      exchange.client.reply?.send(200, [], answer, 0, answer.byteLength);
    }
    const { text } = await reply;
    // uWebSockets.js cuts such a connection; node:http answers in order.
    assert.deepEqual(text.match(/\{"answer":\d\}/g) ?? [], kind === 'uws' ? [] : ['{"answer":0}', '{"answer":1}']);
  });

  test(`${kind}: a changed configuration is in force for the next request`, async (context) => {
    const front = await openTestFront(kind);
    context.after(() => front.close());
    const foreign = post('{}').toString('latin1').replace('localhost', 'gateway.example');
    const wait = { until: (text: string) => /\r\n\r\n./.test(text), waitMs: 5000 };
    assert.equal((await rawRequest(front.port, foreign, wait)).status, 403);
    front.front.reconfigure(testSnapshot({ allowedHosts: ['Gateway.Example'] }, { maxBodyBytes: 10 }));
    assert.equal((await rawRequest(front.port, foreign, wait)).status, 200);
    assert.equal((await rawRequest(front.port, post('{}'), wait)).status, 200);
    assert.equal((await rawRequest(front.port, post('{"too":"long"}'), wait)).status, 413);
  });
}

test('clients leave descriptors to upstreams and children', () => {
  assert.equal(connectionLimit(10_000, Number.POSITIVE_INFINITY), 10_000);
  assert.equal(connectionLimit(10_000, 1024), 768);
  assert.equal(connectionLimit(100, 1024), 100);
  assert.equal(connectionLimit(10_000, 100), 36);
  assert.equal(connectionLimit(10_000, 20), 1);
  assert.ok(openFileLimit() > 0);
});
