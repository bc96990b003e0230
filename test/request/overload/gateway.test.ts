/** The guard in a whole gateway: what clients get while it is overloaded, and that it recovers. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { createGateway } from '../../../src/index.js';
import { listed, statsOf } from '../../faults/observe.js';
import { startGateway } from '../../support/gateway.js';
import { eventually } from '../../support/process.js';
import { rawUpstream } from '../../support/raw-upstream.js';
import { type Message, modernRpc, openSession, type RpcReply } from '../../support/rpc.js';

const DONE = { content: [{ type: 'text', text: 'done' }] };

/** Calls until `kind` of reply comes. */
async function until(wanted: number, send: () => Promise<RpcReply>): Promise<RpcReply> {
  return eventually(`an answer ${wanted}`, async () => {
    const reply = await send();
    return reply.status === wanted ? reply : null;
  });
}

for (const frontEnd of ['uws', 'node'] as const) {
  describe(`${frontEnd}: an overloaded gateway`, () => {
    it('refuses new work with 503, goes on with what is begun, and recovers', async (t) => {
      const upstream = await rawUpstream(t, (_request, answer) => answer.result(DONE));
      const config = (overload: object): object => ({
        mcpServers: { peer: { url: upstream.url } },
        routes: [{ name: 'vital', match: { tools: 'peer__read' }, priority: 'high' }],
        overload,
      });
      const gateway = await startGateway(t, config({}), { frontEnd });
      await listed(gateway);
      const session = await openSession(gateway.url);
      const call = (name: string): Promise<RpcReply> => session.request('tools/call', { name });
      assert.equal((await call('peer__call')).status, 200);

      // Everything has more resident memory than one byte.
      const overload = { maxMemoryBytes: 1, order: ['lists', 'calls', 'sessions'], retryAfterMs: 2_500 };
      await writeFile(gateway.configFile, JSON.stringify({ ...config(overload), frontEnd }));
      gateway.process.child.kill('SIGHUP');
      const refused = await until(503, () => call('peer__call'));
      assert.equal(refused.headers.get('retry-after'), '3');
      const { code, retryable, retryAfterMs } = refused.message.error.data;
      assert.deepEqual([code, retryable, retryAfterMs], ['GW_SHED', true, 2_500]);
      assert.ok(refused.message.id > 0, 'the refusal has the id of its request');
      assert.equal((await until(503, () => session.request('tools/list'))).status, 503);
      await until(503, () => modernRpc(gateway.url, 'server/discover'));
      const seen = upstream.received('tools/call').length;
      assert.equal((await call('peer__call')).status, 503);
      assert.equal(upstream.received('tools/call').length, seen);
      // Not in the order: a route with another priority. And nothing that ends work.
      assert.equal((await call('peer__read')).status, 200);
      assert.deepEqual((await session.request('ping')).message.result, {});
      assert.equal((await session.notify('notifications/cancelled', { requestId: 77 })).status, 202);

      // What was refused when it was read is counted a moment later.
      const {
        overload: shown,
        limiter,
        requests,
      }: Message = await eventually('all are counted', async () => {
        const stats = await statsOf(gateway);
        return stats.overload.refused.lists > 0 && stats.overload.refused.sessions > 0 ? stats : null;
      });
      const { errors } = requests;
      assert.deepEqual([shown.active, shown.reason, shown.episodes], [true, 'memory', 1]);
      assert.ok(shown.refused.calls > 0 && shown.refused.lists > 0 && shown.refused.sessions > 0);
      assert.equal(errors.GW_SHED, shown.refused.calls + shown.refused.lists + shown.refused.sessions);
      assert.deepEqual(limiter.concurrency, { global: 0, client: 0, route: 0, server: 0 });
      const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
      assert.match(metrics, /^switchyard_overloaded 1$/m);
      assert.match(metrics, /^switchyard_shed_total\{work="calls"\} [1-9]/m);
      assert.equal((await fetch(`${gateway.origin}/ready`)).status, 200);

      await writeFile(gateway.configFile, JSON.stringify({ ...config({}), frontEnd }));
      gateway.process.child.kill('SIGHUP');
      await until(200, () => call('peer__call'));
      await eventually('it is over', async () => (await statsOf(gateway)).overload.active === false);
      assert.equal((await session.request('tools/list')).status, 200);
      assert.equal((await session.close()).status, 200);
      // The log is written behind the answers.
      await eventually('the end is logged', async () => gateway.output.includes('no longer overloaded'));
      assert.equal(gateway.output.match(/overloaded, new work is refused/g)?.length, 1);
      assert.equal(gateway.output.match(/no longer overloaded/g)?.length, 1);
    });
  });
}

describe('a stalled event loop', () => {
  it('begins an overload, of which calls in flight know nothing, and which ends by itself', async (t) => {
    const upstream = await rawUpstream(t, (_request, answer) => answer.result(DONE));
    const gateway = createGateway({
      port: 0,
      admin: false,
      log: { level: 'silent' },
      mcpServers: { peer: { url: upstream.url } },
      overload: {},
    });
    t.after(() => gateway.stop());
    await gateway.start();
    const stall = (): void => {
      const end = performance.now() + 1_500;
      while (performance.now() < end);
    };
    await eventually('the tools are listed', async () => (await gateway.stats()).catalog.tools > 0);
    setImmediate(stall);
    await eventually('it has begun', async () => (await gateway.stats()).overload.episodes === 1);
    const reply = await modernRpc(gateway.url!, 'tools/call', { name: 'peer__call', arguments: {} });
    assert.deepEqual([reply.status, reply.message.error], [200, undefined]);
    await eventually('it is over', async () => !(await gateway.stats()).overload.active);
    assert.equal((await gateway.stats()).overload.reason, 'eventLoop');
  });
});
