import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import type { Exchange } from '../../../src/request/exchange/index.js';
import { rawRequest } from '../../support/raw-http.js';
import { KINDS, openTestFront, post } from './fixture.js';

interface Client {
  readonly socket: Socket;
  text: string;
  ended: boolean;
}

function open(port: number): Promise<Client> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true }, () => resolve(client));
    const client: Client = { socket, text: '', ended: false };
    socket.on('error', () => {});
    socket.on('data', (data) => {
      client.text += data.toString('latin1');
    });
    socket.on('close', () => {
      client.ended = true;
    });
  });
}

/** Sends `bytes` in pieces of `size` with `everyMs` between them until they are out or the connection ends. */
async function trickle(client: Client, bytes: Buffer, size: number, everyMs: number): Promise<void> {
  for (let at = 0; at < bytes.byteLength && !client.ended; at += size) {
    client.socket.write(bytes.subarray(at, at + size));
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

async function untilEnded(client: Client): Promise<void> {
  while (!client.ended) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Longer than the idle timers of both servers. */
const QUIET_MS = 13_000;

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    assert.ok(performance.now() < deadline, `timed out: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('the clock', { concurrency: true, timeout: 60_000 }, () => {
  for (const kind of KINDS) {
    test(`${kind}: slow senders are cut, wherever they are slow, while others are served`, async (context) => {
      const front = await openTestFront(kind);
      context.after(() => front.close());
      const [silent, head, body, chunked] = [
        await open(front.port),
        await open(front.port),
        await open(front.port),
        await open(front.port),
      ] as const;
      const request = post(Buffer.alloc(200_000, 120));
      const chunkedHead = 'POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n';
      const slow = [
        untilEnded(silent),
        trickle(head, request, 1, 1000).then(() => untilEnded(head)),
        trickle(body, request, 1024, 1000).then(() => untilEnded(body)),
        trickle(
          chunked,
          Buffer.from(`${chunkedHead}Transfer-Encoding: chunked\r\n\r\n${'1\r\nx\r\n'.repeat(100)}`),
          6,
          1000,
        ).then(() => untilEnded(chunked)),
      ];
      let served = 0;
      let over = false;
      const traffic = (async () => {
        while (!over) {
          const reply = await rawRequest(front.port, post('{}'), { until: (text) => text.endsWith('{}') });
          assert.equal(reply.status, 200);
          served += 1;
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
      })();
      await Promise.all(slow);
      over = true;
      await traffic;
      assert.ok(served > 10);
      // The slow requests never took an exchange, let alone reached the handler.
      assert.equal(front.seen.length, served);
      assert.equal(front.table.inUse, 0);
      for (const { text } of [silent, head, body, chunked]) assert.ok(!text.includes(' 200 '), text);
    });

    test(`${kind}: quiet connections with an answer owed stay open, whether nothing, a stream or a stream that was held back was sent`, async (context) => {
      const held: Exchange[] = [];
      const front = await openTestFront(kind, (exchange) => held.push(exchange));
      context.after(() => front.close());
      const sockets: Socket[] = [];
      const received = [0, 0, 0];
      const text = ['', '', ''];
      for (let index = 0; index < 3; index += 1) {
        const socket = (await open(front.port)).socket;
        sockets.push(socket);
        if (index === 2) socket.pause();
        socket.on('data', (data) => {
          received[index]! += data.byteLength;
          text[index] = (text[index]! + data.toString('latin1')).slice(-100);
        });
        if (index === 2) socket.pause();
        socket.write(post('{}'));
        await until(() => held.length === index + 1, 'request');
      }
      const [waiting, stream, slow] = held.map((exchange) => exchange.client.reply!);
      const event = Buffer.from('data: 1\n\n');
      stream!.openStream(200, ['content-type', 'text/event-stream']);
      stream!.write(event, 0, event.byteLength);
      slow!.openStream(200, ['content-type', 'text/event-stream']);
      const piece = Buffer.alloc(100_000, 97);
      let written = 0;
      while (slow!.write(piece, 0, piece.byteLength)) written += piece.byteLength;
      sockets[2]!.resume();
      await until(() => received[2]! > written && slow!.buffered() === 0, 'drained');

      await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
      assert.deepEqual(front.aborted, []);
      waiting!.send(200, [], Buffer.from('"late"'), 0, 6);
      for (const reply of [stream, slow]) {
        reply!.write(Buffer.from('data: late\n\n'), 0, 12);
        reply!.endStream();
      }
      await until(() => text.every((tail) => tail.includes('late')), 'late answers');
      for (const socket of sockets) socket.destroy();
    });
  }
});
