import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { describe, test } from 'node:test';
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

describe('slow senders', { concurrency: true, timeout: 40_000 }, () => {
  for (const kind of KINDS) {
    test(`${kind}: are cut, wherever they are slow, while others are served`, async (context) => {
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
  }
});
