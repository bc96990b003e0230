/** What breaks is told clearly, nothing is lost or executed twice, and the gateway stands. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { startGateway } from '../support/gateway.js';
import { eventually, isAlive } from '../support/process.js';
import { rawUpstream, type Script } from '../support/raw-upstream.js';
import { modernRpc, openSession } from '../support/rpc.js';
import { shared } from '../support/shared.js';
import { countingHttp, countingStdio } from '../support/upstreams.js';
import { FAULTS } from '../support/worker-faults.js';

const idOf = (body: Buffer): number => JSON.parse(body.toString()).id;

interface Row {
  readonly name: string;
  readonly script: Script;
  readonly code: string;
  readonly tool?: string;
}

/** Answers of a broken HTTP upstream, and what the client is told. */
const rows: readonly Row[] = [
  {
    name: 'something that is not JSON',
    script: (_, answer) => answer.json('<html>secret-detail</html>'),
    code: 'GW_UPSTREAM_PROTOCOL',
  },
  {
    name: 'an HTML page',
    script: (_, { response }) =>
      void response.writeHead(200, { 'content-type': 'text/html' }).end('<p>secret-detail</p>'),
    code: 'GW_UPSTREAM_PROTOCOL',
  },
  {
    name: 'an answer with another id',
    script: (_, answer) => answer.json('{"jsonrpc":"2.0","id":424242,"result":{}}'),
    code: 'GW_UPSTREAM_PROTOCOL',
  },
  {
    name: 'half an answer',
    script: (request, answer) => answer.json(`{"jsonrpc":"2.0","id":${idOf(request.body)},"resu`),
    code: 'GW_UPSTREAM_PROTOCOL',
  },
  { name: 'a reset connection', script: (_, answer) => answer.reset(), code: 'GW_UPSTREAM_CLOSED' },
  {
    name: 'a server error',
    script: (_, { response }) => void response.writeHead(500, { 'content-type': 'text/plain' }).end('secret-detail'),
    code: 'GW_UPSTREAM_PROTOCOL',
  },
  {
    name: 'a refusal of our credentials',
    script: (_, { response }) =>
      void response.writeHead(401, { 'www-authenticate': 'Bearer resource_metadata="https://secret-detail"' }).end(),
    code: 'GW_UPSTREAM_REFUSED',
  },
  { name: 'no answer at all', script: () => {}, code: 'GW_UPSTREAM_TIMEOUT' },
  {
    name: 'a stream that ends without the answer',
    script: (_, answer) => {
      const stream = answer.sse();
      stream.event({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'x' } });
      stream.end();
    },
    code: 'GW_UPSTREAM_TRUNCATED',
  },
  {
    name: 'a stream that is cut within an event',
    script: (request, answer) => {
      const stream = answer.sse();
      stream.raw(`event: message\ndata: {"jsonrpc":"2.0","id":${idOf(request.body)},"result":{"content":[]}`);
      stream.end();
    },
    code: 'GW_UPSTREAM_TRUNCATED',
  },
];

/** One gateway before them all: `raw0` sends what the first row says. */
const broken = shared(async (scope) => {
  const upstreams = await Promise.all(rows.map(({ script }) => rawUpstream(scope, script)));
  const servers = upstreams.map(({ url }, index) => [`raw${index}`, { url, requestTimeoutMs: 700 }]);
  const gateway = await startGateway(scope, { mcpServers: Object.fromEntries(servers) });
  const session = await openSession(gateway.url);
  await eventually('the tools are there', async () => {
    const { message } = await session.request('tools/list');
    const names: string[] = message.result.tools.map(({ name }: { name: string }) => name);
    return names.filter((name) => name.endsWith('__call')).length === rows.length;
  });
  return { session, upstreams };
});

describe('a broken HTTP upstream', () => {
  for (const [index, row] of rows.entries()) {
    it(`that sends ${row.name} is reported as ${row.code}`, async () => {
      const { session, upstreams } = await broken();
      const upstream = upstreams[index]!;
      const name = `raw${index}__call`;
      const reply = await session.request('tools/call', { name, arguments: {} }, { id: 'mine' });
      assert.equal(reply.status, 200);
      assert.equal(reply.message.id, 'mine');
      assert.equal(reply.message.error.code, -32603, reply.text);
      assert.equal(reply.message.error.data.code, row.code);
      assert.equal(reply.message.error.data.upstream, `raw${index}`);
      assert.ok(reply.message.error.data.correlationId);
      assert.ok(!reply.text.includes('secret-detail'), 'nothing of the upstream is reflected');
      assert.equal(upstream.received('tools/call').length, 1, 'a call whose bytes left is not repeated');
      upstream.script((_, answer) => answer.result({ content: [{ type: 'text', text: 'well again' }] }));
      await eventually('the next call succeeds', async () => {
        const next = await session.request('tools/call', { name, arguments: {} });
        return next.message?.result?.content[0].text === 'well again';
      });
    });
  }
});

describe('a killed upstream', () => {
  it('fails the calls in flight at once and serves the next ones after its restart (stdio)', async (scope) => {
    const server = await countingStdio(scope, 'legacy');
    const gateway = await startGateway(scope, { mcpServers: { child: server.entry } });
    const session = await openSession(gateway.url);
    const echo = () => session.request('tools/call', { name: 'child__echo', arguments: { text: 'x' } });
    await eventually('a call succeeds', async () => (await echo()).message?.result !== undefined);
    const hanging = session.request('tools/call', { name: 'child__hang', arguments: {} });
    const [called] = await eventually('the call arrived', () => {
      const calls = server.calls('hang');
      return calls.length > 0 ? calls : null;
    });
    process.kill(called!.pid, 'SIGKILL');
    const failed = await hanging;
    assert.equal(failed.message.error.data.code, 'GW_UPSTREAM_CLOSED', failed.text);
    await eventually('a call succeeds again', async () => (await echo()).message?.result !== undefined);
    assert.equal(server.calls('hang').length, 1, 'the lost call was not repeated');
  });

  it('is noticed over HTTP, and served again once it is back', async (scope) => {
    const server = await countingHttp(scope, 'legacy');
    const gateway = await startGateway(scope, { mcpServers: { remote: server.entry } });
    const session = await openSession(gateway.url);
    const echo = () => session.request('tools/call', { name: 'remote__echo', arguments: { text: 'x' } });
    await eventually('a call succeeds', async () => (await echo()).message?.result !== undefined);
    const hanging = session.request('tools/call', { name: 'remote__hang', arguments: {} });
    await eventually('the call arrived', () => server.calls('hang').length > 0);
    await server.restart();
    const failed = await hanging;
    assert.ok(['GW_UPSTREAM_CLOSED', 'GW_UPSTREAM_TRUNCATED'].includes(failed.message.error.data.code), failed.text);
    await eventually(
      'a call succeeds in the new upstream session',
      async () => (await echo()).message?.result !== undefined,
      20_000,
    );
    assert.equal(server.calls('hang').length, 1);
  });
});

describe('replicas', () => {
  it('take over what an unreachable one never received', async (scope) => {
    const answered: Script = (_, answer) => answer.result({ content: [{ type: 'text', text: 'here' }] });
    const [one, two] = [await rawUpstream(scope, answered), await rawUpstream(scope, answered)];
    const gateway = await startGateway(scope, {
      mcpServers: { pair: { endpoints: [{ url: one.url }, { url: two.url }] } },
    });
    const call = () => modernRpc(gateway.url, 'tools/call', { name: 'pair__call', arguments: {} });
    await eventually('both replicas get calls', async () => {
      await call();
      return one.received('tools/call').length > 0 && two.received('tools/call').length > 0;
    });
    await one.close();
    for (let index = 0; index < 20; index += 1) {
      const { message } = await call();
      assert.equal(message.result?.content[0].text, 'here', JSON.stringify(message));
    }
  });
});

describe('a killed gateway', () => {
  it('leaves no child behind, however it ends', async (scope) => {
    const server = await countingStdio(scope, 'legacy');
    const gateway = await startGateway(scope, { mcpServers: { child: server.entry } });
    const session = await openSession(gateway.url);
    await eventually('a call succeeds', async () => {
      const reply = await session.request('tools/call', { name: 'child__echo', arguments: { text: 'x' } });
      return reply.message?.result !== undefined;
    });
    const { pid } = server.calls('echo').at(-1)!;
    assert.ok(await isAlive(pid));
    await gateway.process.stop('SIGKILL');
    await eventually('the child is gone', async () => !(await isAlive(pid)));
  });
});

describe('a worker that dies', () => {
  it('is replaced under load without a lost or repeated call', async (scope) => {
    const server = await countingHttp(scope, 'legacy');
    const gateway = await startGateway(
      scope,
      { mcpServers: { remote: server.entry }, workers: 2, limits: { workerHangMs: 500 } },
      {
        env: {
          SWITCHYARD_MEMO: 'off',
          NODE_OPTIONS: `--import ${new URL('../support/worker-faults.js', import.meta.url).href}`,
        },
      },
    );
    const session = await openSession(gateway.url);
    await eventually('the tools are there', async () => {
      const { message } = await session.request('tools/list');
      return message.result.tools.length > 0;
    });
    const texts: string[] = [];
    let stop = false;
    const load = Array.from({ length: 16 }, async (_, lane) => {
      for (let turn = 0; !stop; turn += 1) {
        const text = `${lane}-${turn}`;
        const { message } = await session.request('tools/call', { name: 'remote__echo', arguments: { text } });
        assert.equal(message.result?.content[0].text, text, JSON.stringify(message));
        texts.push(text);
      }
    });
    try {
      for (const fault of FAULTS) {
        // A request that ends each worker that decides about it is answered in the end; `crash` happens after the decision.
        const reply = await session.request('tools/call', { name: `remote__${fault}`, arguments: {} });
        assert.equal(reply.message.error.code, fault === 'crash' ? -32602 : -32603, `${fault}: ${reply.text}`);
      }
    } finally {
      stop = true;
      await Promise.allSettled(load);
    }
    await Promise.all(load);
    const executed = server.calls('echo').map(({ args }) => (args as { text: string }).text);
    assert.deepEqual(executed.sort(), texts.sort(), 'each call exactly once');
    assert.equal(await gateway.stop(), 0, gateway.output);
  });
});

describe('drain', () => {
  for (const frontEnd of ['uws', 'node'] as const) {
    it(`finishes what is in flight and ends with 0, ${frontEnd} front end`, async (scope) => {
      const server = await countingHttp(scope, 'legacy');
      const gateway = await startGateway(scope, { mcpServers: { remote: server.entry } }, { frontEnd });
      const session = await openSession(gateway.url);
      await eventually('the tools are there', async () => {
        const { message } = await session.request('tools/list');
        return message.result.tools.length > 0;
      });
      const slow = Array.from({ length: 20 }, (_, index) =>
        session.request(
          'tools/call',
          { name: 'remote__slow', arguments: { ms: 800, steps: 2, key: String(index) } },
          { id: index },
        ),
      );
      await eventually('all calls arrived', () => server.calls('slow').length === 20);
      const ended = gateway.stop();
      await eventually('ready turns 503', async () => {
        const ready = await fetch(`${gateway.adminUrl}/readyz`).catch(() => null);
        return ready === null || ready.status === 503;
      });
      for (const [index, reply] of (await Promise.all(slow)).entries()) {
        assert.equal(reply.message.id, index);
        assert.equal(reply.message.result?.content[0].text, 'done in 2 steps', reply.text);
      }
      assert.equal(await ended, 0, gateway.output);
      assert.ok(readFileSync(gateway.configFile).length > 0);
    });
  }
});
