import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import type { Exchange } from '../../../src/request/exchange.js';
import { KINDS, openTestFront, post } from './fixture.js';

/** Longer than the idle timers of both servers. */
const QUIET_MS = 13_000;

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    assert.ok(performance.now() < deadline, `timed out: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' }, () => resolve(socket));
    socket.on('error', reject);
  });
}

describe('quiet connections with an answer owed', { concurrency: true, timeout: 60_000 }, () => {
  for (const kind of KINDS) {
    test(`${kind}: stay open, whether nothing, a stream or a stream that was held back was sent`, async (context) => {
      const held: Exchange[] = [];
      const front = await openTestFront(kind, (exchange) => held.push(exchange));
      context.after(() => front.close());
      const sockets: Socket[] = [];
      const received = [0, 0, 0];
      const text = ['', '', ''];
      for (let index = 0; index < 3; index += 1) {
        const socket = await open(front.port);
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
      const [waiting, stream, slow] = held.map((exchange) => exchange.reply!);
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
