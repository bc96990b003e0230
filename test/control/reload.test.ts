import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createGateway, type EmbeddedGateway, type GatewayConfig } from '../../src/index.js';
import { startGateway } from '../support/gateway.js';
import { eventually, isAlive, type TestScope } from '../support/process.js';
import { rawUpstream } from '../support/raw-upstream.js';
import { type Message, modernRpc, openSession } from '../support/rpc.js';

const program = fileURLToPath(new URL('./named-server.js', import.meta.url));

/** A stdio server that calls itself `name`; another `variant` is another configuration of it. */
const named = (name: string, variant = '') => ({
  command: process.execPath,
  args: [program, name],
  env: { VARIANT: variant },
});

const BASE = { port: 0, admin: false, log: { level: 'silent' } } as const;

async function running(scope: TestScope, config: GatewayConfig): Promise<EmbeddedGateway> {
  const gateway = createGateway(config);
  scope.after(() => gateway.stop());
  await gateway.start();
  return gateway;
}

async function call(url: string, server: string, text: string, waitMs = 0): Promise<Message> {
  const { message } = await modernRpc(url, 'tools/call', { name: `${server}__who`, arguments: { text, waitMs } });
  return message;
}

const textOf = (message: Message): string => message.result?.content[0].text ?? JSON.stringify(message);
const pidOf = (message: Message): number => Number(textOf(message).split(' ')[1]);

describe('a reload', () => {
  it('fails no request and sends none to another server, fifty times under load', async (scope) => {
    const remote = async (name: string) =>
      rawUpstream(
        scope,
        (request, answer) => {
          const { text, waitMs } = request.message.params.arguments;
          const result = { content: [{ type: 'text', text: `${name} 0 ${text}` }] };
          setTimeout(() => answer.result(result), waitMs / 10);
        },
        { tools: [{ name: 'who', inputSchema: { type: 'object' } }] },
      );
    const [here, there] = [await remote('moving'), await remote('moving')];
    const round = (number: number): GatewayConfig => {
      const servers: [string, object][] = [
        ['steady', named('steady')],
        ['other', named('other')],
        // Other children, and other addresses, every few rounds.
        ['fickle', named('fickle', String(Math.floor(number / 5)))],
        // Few connections: more than the machine accepts at once would wait for TCP to try again.
        ['moving', { url: number % 10 < 5 ? here.url : there.url, maxConnections: 50 }],
      ];
      if (number % 6 < 3) servers.unshift([`guest${number % 6}`, named(`guest${number % 6}`)]);
      const cut = number % servers.length;
      return {
        ...BASE,
        mcpServers: Object.fromEntries([...servers.slice(cut), ...servers.slice(0, cut)]) as never,
        routes: [
          ...(number % 3 === 0 ? [{ match: { tools: ['nothing*'] }, requestTimeoutMs: 1 }] : []),
          { match: { tools: ['other__*'] }, cache: { ttlMs: 60_000 } },
          { match: { tools: ['*__who'] }, rateLimit: { rate: 1_000_000 + number } },
        ],
        limits: { maxMemo: 1_000 + number },
        catalog: { startupWaitMs: 300 },
      };
    };
    const gateway = await running(scope, round(0));
    const url = gateway.url!;
    for (const server of ['other', 'fickle', 'moving', 'steady']) {
      await eventually(`${server} is there`, async () => textOf(await call(url, server, 'first')).startsWith(server));
    }
    const steady = pidOf(await call(url, 'steady', 'first'));

    const wrong: string[] = [];
    let answered = 0;
    let isOver = false;
    const worker = async (number: number): Promise<void> => {
      const servers = ['steady', 'other', 'fickle', 'moving', 'guest0', 'guest1', 'guest2'];
      for (let turn = 0; !isOver; turn += 1) {
        const server = servers[(number + turn) % servers.length]!;
        const text = `${number}.${turn}`;
        const message = await call(url, server, text, 500 + ((number * 7 + turn * 13) % 500));
        const isGone = ['GW_UNKNOWN_TOOL', 'GW_UPSTREAM_DOWN', 'GW_UPSTREAM_NOT_CONNECTED'].includes(
          message.error?.data.code,
        );
        const [name, , echoed] = textOf(message).split(' ');
        const isRight = name === server && echoed === text;
        if (!isRight && !(isGone && server.startsWith('guest'))) wrong.push(`${server} ${text}: ${textOf(message)}`);
        answered += 1;
      }
    };
    const load = Promise.all(Array.from({ length: 500 }, (_, number) => worker(number)));
    for (let number = 1; number <= 50; number += 1) await gateway.reload(round(number));
    isOver = true;
    await load;
    assert.deepEqual(wrong.slice(0, 5), [], `${wrong.length} of ${answered} are wrong`);
    assert.equal((await gateway.stats()).configuration, 51);
    assert.equal(pidOf(await call(url, 'steady', 'last')), steady, 'what did not change was left alone');
    assert.deepEqual(
      gateway.upstreamHealth().map(({ name }) => name),
      Object.keys(round(50).mcpServers ?? {}),
    );
  });

  it('lets a removed server finish its calls, then stops it', async (scope) => {
    const gateway = await running(scope, { ...BASE, mcpServers: { a: named('a'), b: named('b') } });
    const url = gateway.url!;
    const pid = pidOf(await call(url, 'b', 'hello'));
    const slow = call(url, 'b', 'slow', 500);
    await eventually('the call is under way', () => gateway.upstreamHealth()[1]?.endpoints[0]?.inFlight === 1);
    await gateway.reload({ ...BASE, mcpServers: { a: named('a') } });
    assert.equal((await call(url, 'b', 'late')).error.data.code, 'GW_UNKNOWN_TOOL');
    assert.equal(await isAlive(pid), true);
    assert.equal(textOf(await slow), `b ${pid} slow`);
    await eventually('the child ends', async () => !(await isAlive(pid)));
    await gateway.reload({ ...BASE, mcpServers: { c: named('c'), a: named('a') } });
    assert.match(textOf(await call(url, 'c', 'new')), /^c \d+ new$/);
    assert.match(textOf(await call(url, 'a', 'old')), /^a \d+ old$/);
  });

  it('ends the calls of a removed server at limits.drainMs', async (scope) => {
    const limits = { drainMs: 100 };
    const gateway = await running(scope, { ...BASE, limits, mcpServers: { a: named('a') } });
    const endless = call(gateway.url!, 'a', 'endless', 60_000);
    await eventually('the call is under way', () => gateway.upstreamHealth()[0]?.endpoints[0]?.inFlight === 1);
    await gateway.reload({ ...BASE, limits, mcpServers: {} });
    assert.equal((await endless).error.data.code, 'GW_UPSTREAM_CLOSED');
  });

  it('keeps a server whose child is the same though its rules changed, and sessions with it', async (scope) => {
    const gateway = await running(scope, { ...BASE, mcpServers: { a: named('a') } });
    const session = await openSession(gateway.url!);
    const pid = pidOf(await call(gateway.url!, 'a', 'before'));
    const renamed = { ...named('a'), prefix: 'z', requestTimeoutMs: 50 };
    await gateway.reload({ ...BASE, mcpServers: { new: named('new'), a: renamed } });
    const { message } = await session.request('tools/call', { name: 'z__who', arguments: { text: 'after' } });
    assert.equal(textOf(message), `a ${pid} after`);
    const late = await call(gateway.url!, 'z', 'late', 5_000);
    assert.equal(late.error.data.code, 'GW_UPSTREAM_TIMEOUT');
  });

  it('starts the replacement of a changed server before it is needed', async (scope) => {
    const gateway = await running(scope, { ...BASE, mcpServers: { a: named('a', '1') } });
    const pid = pidOf(await call(gateway.url!, 'a', 'before'));
    await gateway.reload({ ...BASE, mcpServers: { a: named('a', '2') } });
    const next = pidOf(await call(gateway.url!, 'a', 'after'));
    assert.notEqual(next, pid);
    await eventually('the old child ends', async () => !(await isAlive(pid)));
  });

  it('brings changed rules into force: tokens, scopes, hosts, log level, views', async (scope) => {
    const tokens = (token: string) => ({ type: 'bearer', tokens: { alice: { token } } }) as const;
    const gateway = await running(scope, {
      ...BASE,
      auth: tokens('first-token-0123456789'),
      mcpServers: { a: named('a') },
      views: { '/team/mcp': {} },
    });
    const status = async (token: string, headers = {}, url = gateway.url!): Promise<number> =>
      (
        await modernRpc(
          url,
          'tools/call',
          { name: 'a__who', arguments: {} },
          { headers: { authorization: `Bearer ${token}`, ...headers } },
        )
      ).status;
    const view = gateway.url!.replace(/\/mcp$/, '/team/mcp');
    assert.deepEqual([await status('first-token-0123456789'), await status('second-token-0123456789')], [200, 401]);
    assert.equal(await status('first-token-0123456789', {}, view), 200);
    const auth = tokens('second-token-0123456789');
    await gateway.reload({ ...BASE, auth, mcpServers: { a: named('a') }, allowedOrigins: ['https://app.example'] });
    assert.deepEqual([await status('first-token-0123456789'), await status('second-token-0123456789')], [401, 200]);
    assert.equal(await status('second-token-0123456789', {}, view), 404, 'a view that was removed');
    assert.equal(await status('second-token-0123456789', { origin: 'https://app.example' }), 200);
    const routes = [{ match: { tools: ['a__*'] }, requiredScopes: ['admin'], whenDenied: 'challenge' as const }];
    await gateway.reload({ ...BASE, auth, routes, mcpServers: { a: named('a') } });
    assert.equal(await status('second-token-0123456789'), 403);
    assert.equal(await status('second-token-0123456789', { origin: 'https://app.example' }), 403);
  });

  it('refuses what only a restart can change, with every key', async (scope) => {
    const gateway = await running(scope, { ...BASE, mcpServers: { a: named('a') } });
    const wanted: GatewayConfig = {
      ...BASE,
      port: 1,
      host: 'localhost',
      workers: 3,
      admin: { port: 0 },
      limits: { maxInFlight: 7, ringBytes: 2_097_152 },
      mcpServers: {},
    };
    await assert.rejects(gateway.reload(wanted), (error: { problems: string[] }) => {
      const keys = error.problems.map((problem) => problem.split(':')[0]);
      assert.deepEqual(keys, ['host', 'port', 'admin', 'workers', 'limits.maxInFlight', 'limits.ringBytes']);
      return true;
    });
    assert.match(textOf(await call(gateway.url!, 'a', 'still')), /^a \d+ still$/);
    assert.equal((await gateway.stats()).configuration, 1);
  });
});

describe('SIGHUP', () => {
  it('reads the file again; an invalid one changes nothing and is logged with line and column', async (scope) => {
    const gateway = await startGateway(scope, { mcpServers: { a: named('a') } }, { args: ['--json-logs'] });
    const metrics = async (outcome: string): Promise<number> => {
      const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
      return Number(new RegExp(`config_reloads_total\\{outcome="${outcome}"\\} (\\d+)`).exec(text)?.[1]);
    };
    await eventually('a is there', async () => textOf(await call(gateway.url, 'a', 'x')).startsWith('a '));
    await writeFile(gateway.configFile, JSON.stringify({ mcpServers: { b: named('b') } }));
    gateway.process.child.kill('SIGHUP');
    await gateway.process.waitForLine(/"configuration reloaded"/);
    await eventually('b is there', async () => textOf(await call(gateway.url, 'b', 'x')).startsWith('b '));
    await writeFile(gateway.configFile, '{\n  "mcpServerz": {}\n}');
    gateway.process.child.kill('SIGHUP');
    const [line] = await gateway.process.waitForLine(/.*the configuration is not reloaded.*/);
    assert.match(line, /switchyard\.json:2:3: unknown key \\"mcpServerz\\"/);
    assert.match(textOf(await call(gateway.url, 'b', 'y')), /^b \d+ y$/);
    await writeFile(gateway.configFile, JSON.stringify({ workers: 5, mcpServers: { b: named('b') } }));
    gateway.process.child.kill('SIGHUP');
    await gateway.process.waitForLine(/workers: takes effect only after a restart/);
    assert.deepEqual([await metrics('ok'), await metrics('failed')], [1, 2]);
    assert.equal(await gateway.stop(), 0);
  });
});
