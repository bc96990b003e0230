/** Many calls against upstreams that do anything: each is reported exactly once, and nothing is left over. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../support/process.js';
import { rawUpstream, type Script } from '../support/raw-upstream.js';
import { channelEndpoint } from './channel-servers.js';
import { httpOf, type Outcome, type PoolFixture, serverOf, startPool } from './fixture.js';

const SEED = 20_260_728;

/** A small generator, so that a failure can be repeated. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

async function run(
  pool: PoolFixture,
  calls: number,
  make: (next: (below: number) => number, count: number) => object,
): Promise<Outcome[]> {
  const next = random(SEED);
  const running = new Set<Outcome>();
  const finished: Outcome[] = [];
  const cancelled: Outcome[] = [];
  for (let count = 0; count < calls; count += 1) {
    const outcome = pool.call('call', make(next, count), {
      deadlineMs: 50 + next(300),
      progress: true,
      subject: next(3),
    });
    running.add(outcome);
    void outcome.done.then(() => {
      running.delete(outcome);
      finished.push(outcome);
    });
    if (next(6) === 0) {
      const victim = [...running][next(running.size)]!;
      const { upstream } = victim.exchange.call;
      if (victim.reports === 0 && upstream !== null) {
        upstream.cancel(victim.exchange);
        pool.table.release(victim.exchange);
        running.delete(victim);
        cancelled.push(victim);
      }
    }
    if (next(2) === 0) await new Promise((resolve) => setTimeout(resolve, next(6)));
  }
  await Promise.all([...running].map(({ done }) => done));
  await eventually('nothing is in flight', () => pool.pool.inFlight === 0);
  assert.equal(pool.table.inUse, 0);
  assert.ok(finished.every(({ reports }) => reports === 1));
  assert.ok(cancelled.every(({ reports }) => reports === 0));
  assert.equal(finished.length + cancelled.length, calls);
  assert.ok(cancelled.length > 0);
  for (const { response, id } of finished) if (response !== undefined) assert.equal(Number(response.id), id);
  return finished;
}

for (const family of ['legacy', 'modern'] as const) {
  test(`${family} HTTP: every call has one outcome, whatever the upstream does`, async (t) => {
    const next = random(SEED + 1);
    const script: Script = async (request, answer) => {
      if (request.message?.method !== 'tools/call') {
        answer.response.writeHead(202).end();
        return;
      }
      const { id, params } = request.message;
      const result = JSON.stringify({ jsonrpc: '2.0', id, result: { n: params.arguments.n } });
      await new Promise((resolve) => setTimeout(resolve, next(30)));
      switch (next(12)) {
        case 0:
          answer.reset();
          break;
        case 1:
          break;
        case 2:
          answer.json('garbage');
          break;
        case 3:
          answer.sse().raw(`data: ${result.slice(0, 20)}`);
          setTimeout(() => answer.socket.destroy(), 5);
          break;
        case 4:
          answer.response.writeHead(404, { 'content-type': 'text/plain' }).end('gone');
          break;
        case 5: {
          const stream = answer.sse();
          const progress = { progressToken: id, progress: 1 };
          stream.event({ jsonrpc: '2.0', method: 'notifications/progress', params: progress });
          stream.raw(`data: ${result}\n\ndata: ${result}\n\n`);
          setTimeout(() => stream.end(), next(20));
          break;
        }
        case 6:
          answer.sse().raw(`data: ${result}\n\n`);
          break;
        default:
          answer.json(result);
      }
    };
    const upstream = await rawUpstream(t, script, { family });
    const pool = startPool(t, [
      serverOf([httpOf(upstream.url), httpOf(upstream.url)], { maxConnections: 8, maxQueue: 200 }),
    ]);
    await pool.ready();
    const finished = await run(pool, 400, (pick) => ({ n: pick(1_000) }));
    const outcomes = new Set(finished.map(({ error }) => error));
    for (const expected of [null, 'GW_UPSTREAM_TIMEOUT', 'GW_UPSTREAM_PROTOCOL']) {
      assert.ok(outcomes.has(expected as never), `${expected} among ${[...outcomes]}`);
    }
  });
}

for (const transport of ['stdio', 'sse', 'websocket'] as const) {
  test(`${transport}: every call has one outcome, whatever the server does`, async (t) => {
    const endpoints = [await channelEndpoint(t, transport), await channelEndpoint(t, transport)];
    const pool = startPool(t, [serverOf(endpoints, { maxConnections: 8, maxQueue: 50 })]);
    await pool.ready();
    const deeds = ['hang', 'junk', 'bad', 'twice', 'stranger', 'string-id', 'log', 'progress', 'updated', 'more-tools'];
    const finished = await run(pool, 400, (pick, count) => {
      if (count === 200) return { do: 'close', code: 1_011 };
      if (count === 350) return { do: 'cut' };
      if (pick(2) === 0) return { do: 'wait', ms: pick(40) };
      return { do: deeds[pick(deeds.length)], text: 'x', ms: 1 };
    });
    const outcomes = new Set(finished.map(({ error }) => error));
    for (const expected of [null, 'GW_UPSTREAM_TIMEOUT', 'GW_UPSTREAM_PROTOCOL', 'GW_UPSTREAM_CLOSED']) {
      assert.ok(outcomes.has(expected as never), `${expected} among ${[...outcomes]}`);
    }
  });
}
