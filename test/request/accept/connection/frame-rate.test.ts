import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it, test } from 'node:test';
import fc from 'fast-check';
import { WebSocket } from 'ws';
import { FrameRate, SMALL_FRAME_BYTES } from '../../../../src/request/accept/connection/frame-rate.js';
import { listed, statsOf } from '../../../faults/observe.js';
import { startGateway } from '../../../support/gateway.js';
import { eventually } from '../../../support/process.js';
import { rawUpstream } from '../../../support/raw-upstream.js';
import { echo, KINDS, openTestFront } from '../fixture.js';

const SENTENCE = 'Too many frames of less than 64 bytes (limits.smallFrameRate); put more into each.';

test('ten seconds of small frames may come at once, then as many as the rate allows', () => {
  let now = 0;
  const rate = new FrameRate(2, () => now);
  const taken = (): number => {
    let count = 0;
    while (rate.take(1)) count += 1;
    return count;
  };
  assert.equal(taken(), 20);
  now += 1_500;
  assert.equal(taken(), 3);
  now += 1_000_000;
  assert.equal(taken(), 20);
});

test('frames from 64 bytes on, and all without a rate, are not counted', () => {
  const rate = new FrameRate(1, () => 0);
  for (let count = 0; count < 100; count += 1) assert.equal(rate.take(SMALL_FRAME_BYTES), true);
  const unbounded = new FrameRate(0, () => 0);
  for (let count = 0; count < 100; count += 1) assert.equal(unbounded.take(0), true);
});

test('property: over any time no more pass than the burst and the rate allow, and those do', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 50 }), fc.array(fc.nat(3_000), { maxLength: 60 }), (perSecond, pauses) => {
      let now = 0;
      let passed = 0;
      const rate = new FrameRate(perSecond, () => now);
      for (const pause of pauses) {
        now += pause;
        for (let frame = 0; frame < perSecond * 4; frame += 1) if (rate.take(0)) passed += 1;
        assert.ok(passed <= perSecond * 10 + (now * perSecond) / 1_000 + 1e-6);
      }
      const steady = new FrameRate(perSecond, () => now);
      for (let second = 0; second < 30; second += 1) {
        now += 1_000;
        for (let frame = 0; frame < perSecond; frame += 1) assert.ok(steady.take(0));
      }
    }),
    { numRuns: 300, seed: 20_261_128 },
  );
});

for (const kind of KINDS) {
  describe(`${kind}: small frames of a WebSocket`, () => {
    for (const [what, send] of [
      ['messages', (socket: WebSocket) => socket.send('1')],
      ['pings', (socket: WebSocket) => socket.ping()],
      ['pongs', (socket: WebSocket) => socket.pong()],
    ] as const) {
      it(`${what} over the rate close it with 1008 and a sentence`, async (t) => {
        const front = await openTestFront(kind, echo, {}, { smallFrameRate: 5 });
        t.after(() => front.close());
        const socket = new WebSocket(`ws://127.0.0.1:${front.port}/ws`, ['mcp']);
        await once(socket, 'open');
        socket.on('error', () => {});
        for (let count = 0; count < 200; count += 1) send(socket);
        const [code, reason] = await once(socket, 'close');
        assert.equal(code, 1008);
        assert.equal(String(reason), SENTENCE);
        assert.deepEqual(front.tooFast, ['127.0.0.1']);
        const requests = front.seen.filter((seen) => seen.kind === 'request').length;
        // As many as may come at once, and what the rate gives while they come.
        assert.ok(requests === 0 || (requests >= 50 && requests < 200), `${requests} requests`);
        assert.equal(front.table.inUse, 0);
      });
    }

    it('larger ones have no such rate', async (t) => {
      const front = await openTestFront(kind, echo, {}, { smallFrameRate: 1 });
      t.after(() => front.close());
      const socket = new WebSocket(`ws://127.0.0.1:${front.port}/ws`, ['mcp']);
      await once(socket, 'open');
      let answers = 0;
      socket.on('message', () => {
        answers += 1;
      });
      const message = JSON.stringify('x'.repeat(SMALL_FRAME_BYTES));
      for (let count = 0; count < 300; count += 1) socket.send(message);
      await eventually('all are answered', () => answers === 300);
      socket.terminate();
    });

    it('are counted and in the log', async (t) => {
      const upstream = await rawUpstream(t, (_request, answer) => answer.result({}));
      const config = { mcpServers: { peer: { url: upstream.url } }, limits: { smallFrameRate: 1 } };
      const gateway = await startGateway(t, config, { frontEnd: kind });
      await listed(gateway);
      for (let round = 0; round < 3; round += 1) {
        const socket = new WebSocket(`${gateway.origin.replace(/^http/, 'ws')}/ws`, ['mcp']);
        await once(socket, 'open');
        socket.on('error', () => {});
        for (let count = 0; count < 100; count += 1) socket.send('1');
        assert.equal((await once(socket, 'close'))[0], 1008);
      }
      assert.equal((await statsOf(gateway)).webSocketsRateLimited, 3);
      const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
      assert.match(metrics, /switchyard_websockets_rate_limited_total 3\n/);
      const lines = await eventually('it is in the log', () => gateway.output.match(/limits\.smallFrameRate/g));
      assert.equal(lines.length, 1);
    });
  });
}
