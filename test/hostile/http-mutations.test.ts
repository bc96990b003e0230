import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { KINDS, openTestFront, post } from '../request/accept/fixture.js';
import { rawRequest } from '../support/raw-http.js';
import { apply, batches, SEED } from './http-mutations.js';

function send(port: number, bytes: Buffer, cut: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    socket.on('error', () => {});
    socket.on('data', () => {});
    socket.on('close', () => resolve());
    socket.write(bytes.subarray(0, cut));
    setTimeout(() => socket.write(bytes.subarray(cut)), 2);
    setTimeout(() => socket.resetAndDestroy(), 12);
  });
}

for (const kind of KINDS) {
  test(`${kind}: damaged requests neither stop the server nor leave an exchange behind`, async (context) => {
    const front = await openTestFront(kind, (exchange, body, own) => {
      // Some answers come at once, some later, some after the client has gone.
      const { generation } = exchange;
      const answer = (): void => {
        if (exchange.generation !== generation || exchange.client.reply === null) return;
        exchange.client.reply.send(200, ['content-type', 'application/json'], body, 0, body.byteLength);
        own.table.release(exchange);
      };
      if (body.byteLength % 3 === 0) answer();
      else setTimeout(answer, body.byteLength % 20);
    });
    context.after(() => front.close());
    let whole = 0;
    context.diagnostic(`seed ${SEED}`);
    for (const cases of batches(6)) {
      for (let at = 0; at < cases.length; at += 50) {
        await Promise.all(cases.slice(at, at + 50).map((one) => send(front.port, apply(one), one.cut)));
      }
      whole += front.seen.splice(0).length;
    }
    const reply = await rawRequest(front.port, post('{"ok":1}'), { waitMs: 5000, until: (text) => text.endsWith('}') });
    assert.equal(reply.status, 200);
    const deadline = performance.now() + 5000;
    while (front.table.inUse > 0 && performance.now() < deadline) await new Promise((next) => setTimeout(next, 10));
    assert.equal(front.table.inUse, 0);
    assert.ok(whole > 30, `only ${whole} of them were whole requests`);
  });
}
