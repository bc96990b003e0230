import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import type { Exchange } from '../../../src/request/exchange/index.js';
import { rawRequest } from '../../support/raw-http.js';
import { KINDS, openTestFront, post, type TestFront } from './fixture.js';

const MiB = 1_048_576;
const STREAM_HEAD = ['content-type', 'text/event-stream'];

function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true }, () => resolve(socket));
    socket.once('error', reject);
  });
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    assert.ok(performance.now() < deadline, `timed out: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Reads everything until `size` body bytes of a plain answer have come, taking `pauseMs` between reads. */
function readAnswer(socket: Socket, size: number, pauseMs: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      length += chunk.byteLength;
      const head = chunks[0]!.indexOf('\r\n\r\n');
      if (length - head - 4 >= size) resolve(Buffer.concat(chunks).subarray(head + 4));
      else if (pauseMs > 0) {
        socket.pause();
        setTimeout(() => socket.resume(), pauseMs);
      }
    });
    socket.on('close', () => reject(new Error(`closed after ${length} bytes`)));
    socket.on('error', () => {});
  });
}

function pattern(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size; at += 4) bytes.writeUInt32LE(at, at);
  return bytes;
}

/** Holds every exchange it is given. */
function holder(): { held: Exchange[]; respond: (exchange: Exchange) => void } {
  const held: Exchange[] = [];
  return { held, respond: (exchange) => held.push(exchange) };
}

for (const kind of KINDS) {
  test(`${kind}: a large answer reaches slow readers byte for byte while others are served`, async (context) => {
    const large = pattern(12 * MiB);
    const front = await openTestFront(kind, (exchange, body, test) => {
      const answer = Buffer.from(body.byteLength > 2 ? large : body);
      exchange.client.reply!.send(200, ['content-type', 'application/json'], answer, 0, answer.byteLength);
      answer.fill(0);
      test.table.release(exchange);
    });
    context.after(() => front.close());
    const slow = await Promise.all(
      [0, 1, 3].map(async (pauseMs) => {
        const socket = await open(front.port);
        socket.write(post('{"large":1}'));
        return { socket, answer: readAnswer(socket, large.byteLength, pauseMs) };
      }),
    );
    await until(() => front.seen.length === 3, 'requests');
    const quick = await rawRequest(front.port, post('{}'), { until: (text) => text.endsWith('{}') });
    assert.equal(quick.status, 200);
    for (const { socket, answer } of slow) {
      assert.ok((await answer).equals(large));
      socket.destroy();
    }
    assert.equal(front.table.inUse, 0);
  });

  test(`${kind}: a kept connection serves again after a large answer`, async (context) => {
    const large = pattern(4 * MiB);
    const front = await openTestFront(kind, (exchange, _body, test) => {
      exchange.client.reply!.send(200, ['content-type', 'application/json'], large, 0, large.byteLength);
      test.table.release(exchange);
    });
    context.after(() => front.close());
    const socket = await open(front.port);
    for (let round = 0; round < 5; round += 1) {
      socket.write(post('{}'));
      const answer = await readAnswer(socket, large.byteLength, 0);
      assert.ok(answer.equals(large));
      socket.removeAllListeners('data').removeAllListeners('close');
    }
    socket.destroy();
  });

  test(`${kind}: a streamed answer stops its writer at the limit, and goes on byte for byte`, async (context) => {
    const { held, respond } = holder();
    const front = await openTestFront(kind, respond, {}, { maxClientBufferBytes: 300_000 });
    context.after(() => front.close());
    const socket = await open(front.port);
    socket.pause();
    socket.write(post('{}'));
    await until(() => held.length === 1, 'request');
    const [exchange] = held;
    const reply = exchange!.client.reply!;
    reply.openStream(200, STREAM_HEAD);
    const sent: Buffer[] = [];
    const write = (size: number): boolean => {
      const piece = Buffer.alloc(size, 97 + (sent.length % 26));
      sent.push(piece);
      const lent = Buffer.from(piece);
      const room = reply.write(lent, 0, size);
      // The bytes belong to the writer again as soon as the call returns.
      lent.fill(0);
      return room;
    };
    while (write(10_000));
    for (let small = 0; small < 2000; small += 1) write(7);
    write(150_000);
    assert.ok(reply.buffered() > 300_000 && reply.buffered() < 500_000, `${reply.buffered()}`);
    assert.deepEqual(front.drained, []);

    const received: Buffer[] = [];
    socket.on('data', (chunk) => received.push(chunk));
    socket.resume();
    await until(() => front.drained.length === 1, 'drained');
    assert.equal(front.drained[0], exchange);
    assert.equal(reply.buffered(), 0);
    write(5);
    write(200_000);
    reply.endStream();
    front.table.release(exchange!);
    const total = sent.reduce((sum, piece) => sum + piece.byteLength, 0);
    await until(() => dechunk(Buffer.concat(received))?.byteLength === total, 'whole stream');
    assert.ok(dechunk(Buffer.concat(received))!.equals(Buffer.concat(sent)));
    socket.destroy();
  });

  test(`${kind}: what was queued when a stream ended still arrives`, async (context) => {
    const { held, respond } = holder();
    const front = await openTestFront(kind, respond);
    context.after(() => front.close());
    const socket = await open(front.port);
    socket.pause();
    socket.write(post('{}'));
    await until(() => held.length === 1, 'request');
    const large = pattern(8 * MiB);
    const {
      client: { reply },
    } = held[0]!;
    reply!.openStream(200, STREAM_HEAD);
    reply!.write(large, 0, large.byteLength);
    reply!.write(Buffer.from('tail'), 0, 4);
    reply!.endStream();
    front.table.release(held[0]!);
    const received: Buffer[] = [];
    socket.on('data', (chunk) => received.push(chunk));
    socket.resume();
    await until(() => dechunk(Buffer.concat(received)) !== null, 'end of stream');
    const body = dechunk(Buffer.concat(received))!;
    assert.ok(body.equals(Buffer.concat([large, Buffer.from('tail')])));
    assert.deepEqual(front.aborted, []);
    socket.destroy();
  });

  test(`${kind}: a client that takes nothing is cut after slowClientMs and reported`, async (context) => {
    const { held, respond } = holder();
    const front = await openTestFront(kind, respond, {}, { slowClientMs: 50 });
    context.after(() => front.close());
    const socket = await open(front.port);
    socket.on('error', () => {});
    socket.pause();
    socket.write(post('{}'));
    await until(() => held.length === 1, 'request');
    const {
      client: { reply },
    } = held[0]!;
    reply!.openStream(200, STREAM_HEAD);
    const piece = Buffer.alloc(100_000);
    await until(() => {
      // The kernel may take some more, so the queue is filled again.
      if (front.aborted.length === 0 && reply!.buffered() < MiB) while (reply!.write(piece, 0, piece.byteLength));
      return front.aborted.length === 1;
    }, 'cut');
    await until(() => front.front.connections() === 0, 'closed');
    assert.equal(reply!.write(piece, 0, piece.byteLength), true);
    assert.equal(reply!.buffered(), 0);
  });

  test(`${kind}: a writer that does not stop costs a bounded amount of memory`, async (context) => {
    const { held, respond } = holder();
    const front = await openTestFront(kind, respond, {}, { maxClientBufferBytes: 65_536, maxResponseBytes: 1_000_000 });
    context.after(() => front.close());
    const socket = await open(front.port);
    socket.on('error', () => {});
    socket.pause();
    socket.write(post('{}'));
    await until(() => held.length === 1, 'request');
    const {
      client: { reply },
    } = held[0]!;
    reply!.openStream(200, STREAM_HEAD);
    const piece = Buffer.alloc(100_000);
    let most = 0;
    for (let written = 0; written < 1000 && front.aborted.length === 0; written += 1) {
      reply!.write(piece, 0, piece.byteLength);
      most = Math.max(most, reply!.buffered());
      if (written % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => front.aborted.length === 1, 'cut');
    assert.ok(most < 8 * MiB, `${most}`);
  });

  test(`${kind}: clients that leave at any moment are reported once and harm nothing`, async (context) => {
    const late: (() => void)[] = [];
    const front: TestFront = await openTestFront(kind, (exchange, body) => {
      const mode = body.toString();
      const { reply } = exchange.client;
      if (mode === '"stream"') {
        reply!.openStream(200, STREAM_HEAD);
        reply!.write(Buffer.from('data: 1\n\n'), 0, 9);
      }
      late.push(() => {
        // The stages use exchange.reply only; here the reply of an aborted exchange is used on purpose.
        reply!.write(Buffer.from('x'), 0, 1);
        reply!.endStream();
        reply!.send(200, [], Buffer.from('late'), 0, 4);
        reply!.openStream(200, STREAM_HEAD);
        reply!.abort();
        assert.equal(reply!.buffered(), 0);
      });
    });
    context.after(() => front.close());
    for (const [request, reaches] of [
      [post('"wait"'), true],
      [post('"stream"'), true],
      [post('"cut off"').subarray(0, -3), false],
      [post('"head"').subarray(0, 40), false],
    ] as const) {
      const before = [front.seen.length, front.aborted.length];
      const socket = await open(front.port);
      socket.on('error', () => {});
      socket.write(request);
      if (reaches) await until(() => front.seen.length === before[0]! + 1, 'request');
      else await new Promise((resolve) => setTimeout(resolve, 30));
      socket.resetAndDestroy();
      await until(() => front.front.connections() === 0, 'closed');
      if (reaches) await until(() => front.aborted.length === before[1]! + 1, 'aborted');
      assert.equal(front.seen.length, before[0]! + (reaches ? 1 : 0));
    }
    for (const use of late) use();
    assert.equal(front.aborted.length, 2);
    assert.equal(front.table.inUse, 0);
    const reply = await rawRequest(front.port, post('"wait"'), { waitMs: 50 });
    assert.equal(reply.text, '');
  });

  test(`${kind}: an exchange that its owner aborts is not reported`, async (context) => {
    const { held, respond } = holder();
    const front = await openTestFront(kind, respond);
    context.after(() => front.close());
    const reply = rawRequest(front.port, post('{}'), { waitMs: 5000 });
    await until(() => held.length === 1, 'request');
    held[0]!.client.reply!.abort();
    assert.equal((await reply).closed, true);
    assert.deepEqual(front.aborted, []);
  });
}

/** The content of a chunked answer; null while it is not complete. */
function dechunk(bytes: Buffer): Buffer | null {
  let at = bytes.indexOf('\r\n\r\n') + 4;
  const parts: Buffer[] = [];
  for (;;) {
    const end = bytes.indexOf('\r\n', at);
    if (end < 0) return null;
    const size = Number.parseInt(bytes.toString('latin1', at, end), 16);
    if (size === 0) return Buffer.concat(parts);
    if (bytes.byteLength < end + 2 + size + 2) return null;
    parts.push(bytes.subarray(end + 2, end + 2 + size));
    at = end + 2 + size + 2;
  }
}
