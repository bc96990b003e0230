/** Limits on calls at once, through whole gateways: exact with several workers, and given back however a call ends. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Worker } from 'node:worker_threads';
import { createGateway } from '../../src/index.js';
import { listed, statsOf } from '../faults/observe.js';
import { gatewayHere, startGateway } from '../support/gateway.js';
import { eventually } from '../support/process.js';
import { type Answer, rawUpstream } from '../support/raw-upstream.js';
import { modernRpc, openSession, type RpcReply } from '../support/rpc.js';

const ASKING = fileURLToPath(new URL('../support/asking-server.js', import.meta.url));
const DONE = { content: [{ type: 'text', text: 'done' }] };

function assertRefused({ status, headers, message }: RpcReply, code: string, sentence: RegExp): void {
  assert.deepEqual([status, headers.get('retry-after')], [code === 'GW_CONCURRENCY' ? 429 : 503, '1']);
  const { data, message: said } = message.error;
  assert.deepEqual([data.code, data.retryable, data.retryAfterMs], [code, true, 1_000]);
  assert.match(said, sentence);
}

describe('calls at once', () => {
  it('of one client are as many as allowed, over all workers, and every end of a call makes room', async (t) => {
    const open: Answer[] = [];
    const upstream = await rawUpstream(t, (_request, answer) => void open.push(answer), { family: 'modern' });
    const gateway = await gatewayHere(t, {
      workers: 4,
      auth: {
        type: 'bearer',
        tokens: [
          { token: 'token-of-ann', subject: 'ann' },
          { token: 'another-of-ann', subject: 'ann' },
          { token: 'token-of-bob', subject: 'bob' },
        ],
      },
      mcpServers: { peer: { url: upstream.url } },
      rateLimits: {
        perClient: { rate: 1e-6, burst: 60 },
        headers: true,
        concurrency: { global: 3, perClient: 2 },
      },
    });
    await listed(gateway);
    const call = (token: string, signal?: AbortSignal): Promise<RpcReply> =>
      modernRpc(
        gateway.url,
        'tools/call',
        { name: 'peer__call', arguments: {} },
        { headers: { authorization: `Bearer ${token}` }, ...(signal === undefined ? {} : { signal }) },
      );
    const arrived = (count: number): Promise<unknown> =>
      eventually(`${count} calls have arrived`, async () => open.length === count);

    const flood = Array.from({ length: 40 }, (_, i) => call(i % 2 === 0 ? 'token-of-ann' : 'another-of-ann'));
    await arrived(2);
    await eventually('the others are refused', async () => (await statsOf(gateway)).limiter.concurrency.client === 38);
    assert.equal(open.length, 2);
    assertRefused(
      await call('token-of-ann'),
      'GW_CONCURRENCY',
      /rateLimits\.concurrency\.perClient allows each client 2/,
    );

    // Another client has room of its own, as long as there is room for all.
    const ofBob = call('token-of-bob');
    await arrived(3);
    assertRefused(await call('token-of-bob'), 'GW_CONCURRENCY', /rateLimits\.concurrency\.global allows 3 calls/);

    // An answer, a broken connection of the server and a client that leaves.
    open[0]!.result({ resultType: 'complete', ...DONE });
    open[1]!.reset();
    open[2]!.result({ resultType: 'complete', ...DONE });
    const ended = await Promise.all(flood);
    assert.equal(ended.filter(({ status }) => status === 429).length, 38);
    assert.equal((await ofBob).status, 200);

    const leaving = new AbortController();
    const left = [call('token-of-ann', leaving.signal), call('token-of-ann', leaving.signal)];
    await arrived(5);
    assertRefused(await call('another-of-ann'), 'GW_CONCURRENCY', /perClient/);
    leaving.abort();
    await Promise.all(left.map((reply) => assert.rejects(reply)));
    await eventually('the calls are cancelled', async () => (await statsOf(gateway)).requests.inFlight === 0);
    const last = [call('token-of-ann'), call('token-of-ann')];
    await arrived(7);
    for (const answer of open.slice(5)) answer.result({ resultType: 'complete', ...DONE });
    for (const { status } of await Promise.all(last)) assert.equal(status, 200);

    // Of more than forty calls of ann seven were sent, this one included: the others have taken no tokens.
    const counted = call('token-of-ann');
    await arrived(8);
    open[7]!.result({ resultType: 'complete', ...DONE });
    assert.equal((await counted).headers.get('ratelimit'), '"rateLimits.perClient";r=53');
  });

  it('on a route and at a server are limited, and a call goes to the fallback while its server is full', async (t) => {
    const open: { server: string; answer: Answer }[] = [];
    const upstreamOf = (server: string) =>
      rawUpstream(t, ({ message }, answer) => {
        if (message.method === 'tools/call') open.push({ server, answer });
        else answer.response.writeHead(202).end();
      });
    const [first, second] = [await upstreamOf('first'), await upstreamOf('second')];
    const config = {
      mcpServers: { first: { url: first.url, maxConcurrent: 1 }, second: { url: second.url, maxConcurrent: 1 } },
      routes: [
        { name: 'reading', match: { tools: '*__read' }, maxConcurrent: 1 },
        { name: 'calling', match: { tools: '*__call' }, servers: ['first', 'second'] },
      ],
      // As many tokens as calls that are sent.
      rateLimits: {
        perClient: { key: 'address', rate: 1e-6, burst: 3 },
        concurrency: { perClient: 1, key: { header: 'X-Client-ID' } },
      },
    };
    // Without memo each call takes its tokens in a worker.
    const gateway = await startGateway(t, config, { env: { SWITCHYARD_MEMO: 'off' } });
    await listed(gateway);
    const session = await openSession(gateway.url);
    let id = 100;
    const call = (name: string, client = `client ${id}`): Promise<RpcReply> =>
      session.request('tools/call', { name }, { id: ++id, headers: { 'x-client-id': client } });
    const arrived = (count: number): Promise<unknown> =>
      eventually(`${count} calls have arrived`, async () => open.length === count);

    const reading = call('first__read', 'ann');
    await arrived(1);
    assertRefused(
      await call('first__call', 'ann'),
      'GW_CONCURRENCY',
      /concurrency\.perClient allows each client 1 call/,
    );
    assertRefused(await call('first__read'), 'GW_CONCURRENCY', /maxConcurrent of the route "reading" allows 1 call/);
    // The first server is full, and the second one takes the call.
    const calling = call('first__call');
    await arrived(2);
    assert.deepEqual(
      open.map(({ server }) => server),
      ['first', 'second'],
    );
    assertRefused(await call('first__call'), 'GW_UPSTREAM_FULL', /upstream "second" .*mcpServers\.NAME\.maxConcurrent/);

    // A legacy client cancels: its place is free at once.
    await session.notify('notifications/cancelled', { requestId: 101 });
    assert.deepEqual((await reading).messages, []);
    const again = call('first__read');
    await arrived(3);
    for (const { answer } of open.slice(1)) answer.result(DONE);
    assert.deepEqual([(await again).status, (await calling).status], [200, 200]);
    assert.deepEqual((await statsOf(gateway)).limiter.concurrency, { global: 0, client: 1, route: 1, server: 1 });
    assert.equal((await call('first__read')).message.error.data.code, 'GW_RATE_LIMITED');
  });

  it('are counted while a worker is replaced, and of parked calls only for the server, until it ends', async (t) => {
    const open: Answer[] = [];
    const peer = await rawUpstream(t, (_request, answer) => void open.push(answer), { family: 'modern' });
    const threads: Worker[] = [];
    const keep = (thread: Worker): void => void threads.push(thread);
    process.on('worker', keep);
    const gateway = createGateway({
      port: 0,
      admin: false,
      log: { level: 'silent' },
      workers: 1,
      mcpServers: {
        peer: { url: peer.url },
        ask: { command: process.execPath, args: [ASKING, 'stdio'], isolation: 'principal', maxConcurrent: 1 },
      },
      rateLimits: { concurrency: { perClient: 1 } },
    });
    t.after(() => gateway.stop());
    await gateway.start();
    process.off('worker', keep);
    await eventually('the tools are listed', async () => (await gateway.stats()).catalog.undiscovered.length === 0);
    const call = (name: string, more: object = {}): Promise<RpcReply> =>
      modernRpc(
        gateway.url!,
        'tools/call',
        { name, arguments: {}, ...more },
        { clientCapabilities: { elicitation: {} } },
      );
    const arrived = (count: number): Promise<unknown> =>
      eventually(`${count} calls have arrived`, async () => open.length === count);

    const held = call('peer__call');
    await arrived(1);
    for (const thread of threads) await thread.terminate();
    await eventually('the worker is replaced', async () => {
      const [worker] = (await gateway.stats()).workers;
      return worker!.ready && worker!.incarnation > 1;
    });
    assertRefused(await call('peer__call'), 'GW_CONCURRENCY', /perClient allows each client 1 call/);
    open[0]!.result({ resultType: 'complete', ...DONE });
    assert.equal((await held).message.result.resultType, 'complete');

    // The server waits for input: its place is taken, the client's is not.
    const { result } = (await call('ask__greet')).message;
    assert.equal(result.resultType, 'input_required');
    assertRefused(await call('ask__greet'), 'GW_UPSTREAM_FULL', /"ask"/);
    const other = call('peer__call');
    await arrived(2);
    // The request that brings the input counts for the client again.
    const input = { requestState: result.requestState, inputResponses: { q1: { action: 'decline' } } };
    assertRefused(await call('ask__greet', input), 'GW_CONCURRENCY', /perClient/);
    open[1]!.result({ resultType: 'complete', ...DONE });
    assert.equal((await other).status, 200);
    assert.equal((await call('ask__greet', input)).message.result.resultType, 'complete');

    // The end of a server that waits for input makes room, too.
    assert.equal((await call('ask__exit')).message.result.resultType, 'input_required');
    await eventually('it has ended', async () => (await gateway.stats()).requests.inFlight === 0);
    const again = await eventually('it is back', async () => {
      const { message } = await call('ask__greet');
      return message.result ?? null;
    });
    assert.equal(again.resultType, 'input_required');
  });
});
