import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { PassThrough } from 'node:stream';
import { it } from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { compileSnapshot } from '../../src/config/compile/index.js';
import { loadConfigObject } from '../../src/config/load.js';
import { ConfigError, Gateway, type GatewayConfig } from '../../src/index.js';
import { eventually } from '../support/process.js';
import { countingStdio } from '../support/upstreams.js';

const MINUTE = 60_000;
const SECRET = 'a-secret-of-at-least-256-bits-for-HS256';
const PUBLIC_KEY = generateKeyPairSync('rsa', { modulusLength: 2048 })
  .publicKey.export({ type: 'spki', format: 'pem' })
  .toString();

/** One server for the examples that are about something else. */
const one = (): Gateway => new Gateway().addServer('server', { url: 'http://127.0.0.1:8001/mcp' });
const SERVER = { mcpServers: { server: { url: 'http://127.0.0.1:8001/mcp' } } };

/** What people write who know the proxies in Python, and the configuration that it stands for. */
const EXAMPLES: Readonly<Record<string, readonly [Gateway, GatewayConfig]>> = {
  'a basic proxy': [
    new Gateway({ name: 'My MCP Proxy' })
      .addServer('server1', { transportType: 'stdio', command: 'python', args: ['server1.py'] })
      .addRoute({ upstreamName: 'server1', toolPattern: '*' }),
    {
      name: 'My MCP Proxy',
      mcpServers: { server1: { transport: 'stdio', command: 'python', args: ['server1.py'] } },
      routes: [{ match: { tools: '*' }, servers: 'server1' }],
    },
  ],
  'a server with a token, a pool and time limits': [
    new Gateway().addServer('math-server', {
      transportType: 'http',
      url: 'http://localhost:8000',
      authToken: 'bearer-token',
      maxConnections: 10,
      connectTimeoutMs: 5000,
      requestTimeoutMs: 30_000,
    }),
    {
      mcpServers: {
        'math-server': {
          transport: 'http',
          url: 'http://localhost:8000',
          auth: { type: 'bearer', token: 'bearer-token' },
          maxConnections: 10,
          connectTimeoutMs: 5000,
          requestTimeoutMs: 30_000,
        },
      },
    },
  ],
  'servers of several transports, with weights and tags': [
    new Gateway()
      .addServer('http-server', { url: 'http://api.example.com:8000', transport: 'http', tags: ['production'] })
      .addServer('stdio-server', { command: 'python', args: ['local_server.py'], transport: 'stdio' })
      .addServer('ws-server', { url: 'ws://realtime.example.com:8080', transport: 'websocket' })
      .addServer('replicas', {
        endpoints: [
          { url: 'http://server1:8001', weight: 3 },
          { url: 'http://server2:8001', weight: 1 },
        ],
      }),
    {
      mcpServers: {
        'http-server': { url: 'http://api.example.com:8000', transport: 'http', tags: ['production'] },
        'stdio-server': { command: 'python', args: ['local_server.py'], transport: 'stdio' },
        'ws-server': { url: 'ws://realtime.example.com:8080', transport: 'websocket' },
        replicas: {
          endpoints: [
            { url: 'http://server1:8001', weight: 3 },
            { url: 'http://server2:8001', weight: 1 },
          ],
        },
      },
    },
  ],
  'routes by tool, resource and prompt, and one for the rest': [
    one()
      .addRoute({ upstreamName: 'server', toolPattern: 'calculate' })
      .addRoute({ upstreamName: 'server', toolPattern: 'math_*' })
      .addRoute({ upstreamName: 'server', resourcePattern: 'data://*' })
      .addRoute({ upstreamName: 'server', resourcePattern: 'config://app/*' })
      .addRoute({ upstreamName: 'server', promptPattern: 'code_*' })
      .addRoute({ upstreamName: 'server' }),
    {
      ...SERVER,
      routes: [
        { match: { tools: 'calculate' }, servers: 'server' },
        { match: { tools: 'math_*' }, servers: 'server' },
        { match: { resources: 'data://*' }, servers: 'server' },
        { match: { resources: 'config://app/*' }, servers: 'server' },
        { match: { prompts: 'code_*' }, servers: 'server' },
        { servers: 'server' },
      ],
    },
  ],
  'routes with a scope and a limit of their own': [
    one()
      .addRoute({ upstreamName: 'server', toolPattern: 'admin_*', rateLimitOverride: 10 })
      .addRoute({ upstreamName: 'server', resourcePattern: 'data://*', requiredScope: 'read_data' })
      .addRoute({
        match: { principals: 'ann' },
        toolPattern: '*',
        rateLimitOverride: { maxRequests: 5, windowMs: 1000 },
      }),
    {
      ...SERVER,
      routes: [
        { match: { tools: 'admin_*' }, servers: 'server', rateLimitOverride: { limit: 10, windowMs: MINUTE } },
        { match: { resources: 'data://*' }, servers: 'server', requiredScopes: 'read_data' },
        { match: { principals: 'ann', tools: '*' }, rateLimitOverride: { limit: 5, windowMs: 1000 } },
      ],
    },
  ],
  'two servers, the second one for when the first is down': [
    new Gateway()
      .addServer('primary', { transportType: 'stdio', command: 'python', args: ['primary_server.py'] })
      .addServer('backup', { transportType: 'stdio', command: 'python', args: ['backup_server.py'] })
      .addRoute({ upstreamName: 'primary', toolPattern: '*' })
      .addRoute({ upstreamName: 'backup', toolPattern: '*' }),
    {
      mcpServers: {
        primary: { transport: 'stdio', command: 'python', args: ['primary_server.py'] },
        backup: { transport: 'stdio', command: 'python', args: ['backup_server.py'] },
      },
      routes: [
        { match: { tools: '*' }, servers: 'primary' },
        { match: { tools: '*' }, servers: 'backup' },
      ],
    },
  ],
  'limits for all and for a tool': [
    one()
      .setRateLimit({ maxRequests: 1, windowMs: 1000 })
      .setRateLimit({ maxRequests: 1000, windowMs: MINUTE, burst: 100, algorithm: 'token-bucket' })
      .setToolRateLimit('expensive_calculation', { maxRequests: 5, windowMs: MINUTE })
      .setToolRateLimit('frequent_tool', { maxRequests: 1000, windowMs: MINUTE })
      .setToolRateLimit('expensive_calculation', { maxRequests: 4, windowMs: MINUTE, cost: 2 }),
    {
      ...SERVER,
      rateLimits: {
        global: { limit: 1000, windowMs: MINUTE, burst: 100, algorithm: 'token-bucket' },
        perTool: [
          { tools: 'expensive_calculation', limit: 4, windowMs: MINUTE, cost: 2 },
          { tools: 'frequent_tool', limit: 1000, windowMs: MINUTE },
        ],
      },
    },
  ],
  'a bucket with a capacity, and limits for single clients': [
    new Gateway({
      ...SERVER,
      rateLimits: {
        perClient: { key: { header: 'X-Client-ID' }, rate: 100 / 60, burst: 100, clients: { basic: { rate: 1 } } },
      },
    }).setRateLimit({ rate: 100 / 60, burst: 100 }),
    {
      ...SERVER,
      rateLimits: {
        perClient: { key: { header: 'X-Client-ID' }, rate: 100 / 60, burst: 100, clients: { basic: { rate: 1 } } },
        global: { rate: 100 / 60, burst: 100 },
      },
    },
  ],
  'tokens that an authorization server is asked about': [
    one().setAuth({
      type: 'oauth2',
      clientId: 'your-client-id',
      clientSecret: 'your-client-secret',
      introspectionUrl: 'https://auth.example.com/introspect',
    }),
    {
      ...SERVER,
      auth: {
        type: 'oauth2',
        clientId: 'your-client-id',
        clientSecret: 'your-client-secret',
        introspectionUrl: 'https://auth.example.com/introspect',
      },
    },
  ],
  'every other way to authenticate at once': [
    one().setAuth([
      { type: 'jwt', secret: SECRET, algorithms: 'HS256', issuer: 'your-service', audience: 'mcp-clients' },
      {
        type: 'jwt',
        publicKey: PUBLIC_KEY,
        algorithms: 'RS256',
        issuer: 'https://auth.example.com',
        audience: 'proxy',
      },
      { type: 'bearer', tokens: { admin: { token: 'token123', permissions: ['read', 'write'] }, user: 'token456' } },
      { type: 'basic', users: { admin: 'secret123', user: 'password456' } },
      { type: 'apiKey', keys: { first: { key: 'key-123-of-first', permissions: ['read', 'write'] } } },
    ]),
    {
      ...SERVER,
      auth: [
        { type: 'jwt', secret: SECRET, algorithms: 'HS256', issuer: 'your-service', audience: 'mcp-clients' },
        {
          type: 'jwt',
          publicKey: PUBLIC_KEY,
          algorithms: 'RS256',
          issuer: 'https://auth.example.com',
          audience: 'proxy',
        },
        { type: 'bearer', tokens: { admin: { token: 'token123', permissions: ['read', 'write'] }, user: 'token456' } },
        { type: 'basic', users: { admin: 'secret123', user: 'password456' } },
        { type: 'apiKey', keys: { first: { key: 'key-123-of-first', permissions: ['read', 'write'] } } },
      ],
    },
  ],
};

for (const [name, [gateway, config]] of Object.entries(EXAMPLES)) {
  it(`builds the configuration of ${name}`, () => {
    assert.deepEqual(gateway.config, config);
    assert.deepEqual(gateway.routes, config.routes ?? []);
    assert.doesNotThrow(() => compileSnapshot(loadConfigObject(gateway.config)));
  });
}

const QUIET = { log: { level: 'silent' }, limits: { drainMs: 0 } } as const;

it('runs what was built, and says what it did', async (scope) => {
  const server = await countingStdio(scope, 'legacy');
  const gateway = new Gateway({ name: 'My MCP Proxy', admin: false, transports: { sse: false }, ...QUIET })
    .addServer('math', { ...server.entry, transportType: 'stdio', prefix: false })
    .addRoute({ upstreamName: 'math', toolPattern: 'add', requiredScope: 'admin' })
    .addRoute({ upstreamName: 'math' })
    .setAuth({
      type: 'bearer',
      tokens: { admin: { token: 'token-of-the-admin', scopes: 'admin' }, user: 'token-of-the-user' },
    })
    .setRateLimit({ maxRequests: 1000, windowMs: MINUTE, burst: 100, algorithm: 'token-bucket' })
    .setToolRateLimit('echo', { maxRequests: 1, windowMs: MINUTE });
  await assert.rejects(gateway.stats(), /does not run; call run\(\)/);
  assert.throws(() => gateway.upstreamHealth(), /does not run; call run\(\)/);

  const running = await gateway.run({ transport: 'sse', port: 0 });
  scope.after(() => running.stop());
  const [user, admin] = [new Client({ name: 'user', version: '1' }), new Client({ name: 'admin', version: '1' })];
  scope.after(() => Promise.all([user.close(), admin.close()]));
  const requestInit = { headers: { Authorization: 'Bearer token-of-the-user' } };
  await user.connect(new SSEClientTransport(new URL('/sse', running.url as string), { requestInit }) as Transport);
  await admin.connect(running.connect({ token: 'token-of-the-admin' }));
  assert.equal(user.getServerVersion()?.name, 'My MCP Proxy');

  const names = (await user.listTools()).tools.map((tool) => tool.name);
  assert.deepEqual([names.includes('echo'), names.includes('add')], [true, false]);
  const sum = await admin.callTool({ name: 'add', arguments: { a: 1, b: 2 } });
  assert.deepEqual(sum.structuredContent, { sum: 3 });
  const echo = () => user.callTool({ name: 'echo', arguments: { text: 'once' } });
  await echo();
  await assert.rejects(echo(), /rate limit/i);

  assert.deepEqual(gateway.upstreamHealth(), { math: true });
  const stats = await gateway.stats();
  assert.deepEqual(stats.upstreamRequests, { math: 2 });
  assert.deepEqual(stats.toolRequests, { add: 1, echo: 1 });
  assert.deepEqual([stats.failedRequests, stats.retriedRequests, stats.cachedResponses], [1, 0, 0]);
  assert.equal(stats.totalRequests, stats.successfulRequests + stats.failedRequests);
  assert.ok(stats.successRate > 0.5 && stats.successRate < 1, `${stats.successRate}`);
  const { minLatencyMs, avgLatencyMs, maxLatencyMs } = stats;
  assert.ok(0 < minLatencyMs && minLatencyMs < avgLatencyMs && avgLatencyMs < maxLatencyMs, JSON.stringify(stats));

  // What is built later takes effect by a reload, to which the options of `run` belong.
  gateway.setToolRateLimit('echo', { maxRequests: 5, windowMs: MINUTE });
  await running.reload(gateway.config);
  await echo();
});

it('serves one client on pipes and stops after it', async (scope) => {
  const [input, output] = [new PassThrough(), new PassThrough()];
  const gateway = new Gateway({ name: 'pipes', port: 0, log: QUIET.log });
  const running = await gateway.run({ transport: 'stdio', input, output });
  scope.after(() => running.stop());
  assert.deepEqual([running.address, running.adminAddress], [null, null]);
  input.end('{"jsonrpc":"2.0","id":1,"method":"ping"}\n');
  await eventually('it has stopped by itself', () =>
    gateway.stats().then(
      () => false,
      () => true,
    ),
  );
  assert.deepEqual(JSON.parse(String(output.read())), { jsonrpc: '2.0', id: 1, result: {} });
});

it('refuses a key under two names, and a server twice', () => {
  const problem = (build: () => unknown): string => {
    try {
      build();
    } catch (error) {
      assert.ok(error instanceof ConfigError);
      return error.message;
    }
    return '';
  };
  const gateway = one().addRoute({});
  assert.deepEqual(
    [
      problem(() => gateway.addServer('server', { command: 'python' })),
      problem(() => gateway.addServer('two words', { url: 'http://a/', auth: { type: 'oauth' }, authToken: 'x' })),
      problem(() => gateway.addServer('b', { url: 'http://a/', transport: 'sse', transportType: 'http' })),
      problem(() => gateway.addRoute({ match: { tools: 'a' }, toolPattern: 'b' })),
      problem(() => gateway.addRoute({ servers: 'server', upstreamName: 'server' })),
      problem(() => gateway.setRateLimit({ limit: 1, maxRequests: 1, windowMs: MINUTE })),
      problem(() => gateway.setToolRateLimit('a', { limit: 1, maxRequests: 1, windowMs: MINUTE })),
    ],
    [
      'mcpServers.server: there is a server of this name already',
      'mcpServers["two words"].auth: given twice, as "auth" and "authToken"',
      'mcpServers.b.transport: given twice, as "transport" and "transportType"',
      'routes[1].match.tools: given twice, as "tools" and "toolPattern"',
      'routes[1].servers: given twice, as "servers" and "upstreamName"',
      'rateLimits.global.limit: given twice, as "limit" and "maxRequests"',
      'rateLimits.perTool[0].limit: given twice, as "limit" and "maxRequests"',
    ],
  );
  assert.deepEqual(gateway.config, { ...SERVER, routes: [{}] }, 'what was refused left nothing behind');
});

it('compiles no wrong key, and has the faults of the configuration', async () => {
  const gateway = new Gateway()
    // @ts-expect-error: a key that servers do not have
    .addServer('a', { comand: 'node' })
    // @ts-expect-error: a key that routes do not have
    .addRoute({ toolPatern: 'x' })
    // @ts-expect-error: no algorithm
    .setRateLimit({ maxRequests: 0, windowMs: MINUTE, algorithm: 'leaky' })
    // @ts-expect-error: a key that limits do not have
    .setToolRateLimit('x', { maxRequest: 1, windowMs: MINUTE })
    // @ts-expect-error: a key that the provider does not have
    .setAuth({ type: 'bearer', tokens: {}, token: 'x' });
  // @ts-expect-error: a client on pipes has no port
  const run = gateway.run({ transport: 'stdio', port: 1 });
  await assert.rejects(run, (error: ConfigError) => {
    const keys = error.problems.map((line) => line.slice(0, line.indexOf(': '))).sort();
    const limits = ['rateLimits.global.algorithm', 'rateLimits.global.limit', 'rateLimits.perTool[0]'];
    assert.deepEqual(keys, ['auth', 'mcpServers.a', ...limits, 'routes[0]']);
    return true;
  });
  await assert.rejects(one().run({ host: '0.0.0.0', port: 0 }), /^ConfigError: .*allowUnauthenticated/);
});
