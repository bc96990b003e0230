import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { compileSnapshot } from '../../../src/config/compile/index.js';
import { isLoopbackHost } from '../../../src/config/compile/loopback.js';
import { defineConfig } from '../../../src/config/define.js';
import { loadConfigObject } from '../../../src/config/load.js';
import { isLoopbackName } from '../../../src/request/accept/http/rules.js';
import { problemsOfObject, snapshotOf, snapshotOfObject } from '../support.js';

const MIB = 1024 * 1024;
const auth = (value: object) => ({ auth: value });
const firstEndpoint = (value: object) => snapshotOfObject({ mcpServers: { a: value } }).servers[0]?.endpoints[0];

test('an empty configuration has the documented defaults', () => {
  const { workers, ...snapshot } = snapshotOfObject({});
  assert.ok(workers >= 1 && workers <= 16);
  assert.deepEqual(snapshot, {
    version: 1,
    name: 'switchyard',
    host: '127.0.0.1',
    port: 8000,
    listens: true,
    path: '/mcp',
    admin: { host: '127.0.0.1', port: 9090 },
    frontEnd: 'auto',
    allowedHosts: [],
    allowedOrigins: [],
    auth: { realm: '', providers: [], resourceMetadata: null, authorizationServers: [] },
    servers: [],
    routes: [],
    views: [
      {
        path: '/mcp',
        base: '',
        servers: null,
        tools: [],
        prompts: [],
        resources: [],
        hasPrefixes: true,
        requiredScopes: [],
        auth: null,
      },
    ],
    attributes: [],
    publicUrl: null,
    logins: { folder: null, maxLogins: 10_000, publicUrl: '' },
    rateLimits: {
      count: 'calls',
      global: null,
      perClient: null,
      key: { by: 'principal' },
      clients: [],
      perTool: [],
      rules: [],
      other: null,
      headers: false,
      maxClients: 65_536,
    },
    concurrency: { global: 0, perClient: 0, key: { by: 'principal' } },
    overload: {
      enabled: false,
      eventLoopDelayMs: 500,
      maxMemoryBytes: 0,
      ringFullness: 0.75,
      order: ['low', 'lists', 'reads', 'sessions', 'calls', 'high'],
      retryAfterMs: 1_000,
    },
    cache: {
      enabled: true,
      tools: false,
      resources: false,
      prompts: false,
      rule: { ttlMs: 60_000, staleMs: 0, staleIfErrorMs: 0, public: false },
      patterns: [],
      exclude: [],
      resourcePatterns: [],
      resourceExclude: [],
      includeHeaders: [],
      respectCacheControl: true,
      headers: false,
      meta: false,
      maxBytes: 64 * MIB,
      maxEntryBytes: MIB,
      maxEntries: 10_000,
      maxWaiters: 1_000,
      waitMs: 10_000,
    },
    limits: {
      maxBodyBytes: 16 * MIB,
      maxHeaderBytes: 16 * 1024,
      maxHeaders: 100,
      maxDepth: 64,
      maxBatch: 50,
      maxInFlight: 16_384,
      maxResponseBytes: 256 * MIB,
      maxLineBytes: 64 * MIB,
      maxPipeBytes: 32 * MIB,
      readBudgetBytes: 256 * 1024,
      maxNotificationsPerSecond: 40_000,
      maxClientBufferBytes: MIB,
      slowClientMs: 30_000,
      smallFrameRate: 1_000,
      maxConnections: 10_000,
      maxSessions: 100_000,
      maxStreams: 10_000,
      maxSessionStreams: 4,
      maxMemo: 65_536,
      maxTools: 20_000,
      maxPages: 1_000,
      maxToolMetrics: 1_000,
      drainMs: 25_000,
      workerHangMs: 2_000,
      ringBytes: 4 * MIB,
      decideMs: 10_000,
      maxServerRequests: 10_000,
      answerMs: 600_000,
      maxInputRounds: 8,
      maxParked: 1_000,
      maxParkedPerPrincipal: 100,
      maxClientLists: 256,
      maxListBytes: 64 * MIB,
      taskMs: 3_600_000,
      parkMs: 300_000,
      maxHeldBytes: MIB,
      maxBufferedBytes: 256 * MIB,
      keepAliveMs: 15_000,
      maxRevoked: 10_000,
      maxSubscriptions: 1_000,
      maxManifestBytes: 16_777_216,
    },
    catalog: {
      separator: '__',
      conflict: 'prefix',
      names: 'strict',
      maxNameLength: 64,
      namePrefixRoom: 16,
      pageSize: 0,
      ttlMs: 60_000,
      startupWaitMs: 2_000,
      firstListWaitMs: 15_000,
      manifestFile: null,
      schemas: 'as-is',
      pinning: null,
    },
    lock: null,
    sessions: {
      required: true,
      secrets: [],
      ttlSeconds: 86_400,
      keyFile: null,
      isKeyFileOptional: false,
      eventLogBytes: 262_144,
      eventLogTotalBytes: 67_108_864,
      retryMs: 1_000,
    },
    transports: { sse: true, websocket: true, rest: true },
    log: { level: 'info', format: 'auto', access: false },
    ready: { require: [] },
    secrets: [],
  });
});

test('a gateway may have no port', () => {
  const { listens, port } = snapshotOfObject({ port: false, host: '0.0.0.0' });
  assert.deepEqual([listens, port], [false, 0]);
  assert.equal(snapshotOfObject({ port: 5 }, {}, { overrides: { port: false } }).listens, false);
});

test('every transport of an upstream has its endpoint', () => {
  const transportOf = (entry: object): unknown => {
    const endpoint = firstEndpoint(entry);
    return [endpoint?.transport, endpoint?.transport === 'stdio' ? null : endpoint?.detect];
  };
  assert.deepEqual(transportOf({ command: 'x' }), ['stdio', null]);
  assert.deepEqual(transportOf({ url: 'http://x/mcp' }), ['http', true]);
  assert.deepEqual(transportOf({ url: 'http://x/mcp', type: 'http' }), ['http', false]);
  assert.deepEqual(transportOf({ url: 'http://x/sse', type: 'sse' }), ['sse', false]);
  assert.deepEqual(transportOf({ url: 'wss://x/' }), ['websocket', false]);
});

test('a snapshot is frozen through and through, and crosses threads', () => {
  const snapshot = snapshotOfObject({
    mcpServers: { a: { command: 'x', env: { A: '1' } } },
    routes: [{ servers: 'a' }],
  });
  const check = (value: unknown, path: string): void => {
    if (typeof value !== 'object' || value === null) return;
    assert.ok(Object.isFrozen(value), path);
    for (const [key, member] of Object.entries(value)) check(member, `${path}.${key}`);
  };
  check(snapshot, 'snapshot');
  assert.deepEqual(structuredClone(snapshot), snapshot);
});

test('the command line wins over the file', () => {
  const overrides = {
    host: '0.0.0.0',
    port: 1,
    adminPort: 0,
    workers: 5,
    logLevel: 'debug',
    logFormat: 'json',
    frontEnd: 'node',
    allowUnauthenticated: true,
  } as const;
  const snapshot = snapshotOfObject(
    { port: 9, admin: false, workers: 1, log: { level: 'warn', access: true } },
    {},
    { version: 7, overrides },
  );
  assert.deepEqual(
    [snapshot.version, snapshot.host, snapshot.port, snapshot.admin, snapshot.workers, snapshot.log, snapshot.frontEnd],
    [7, '0.0.0.0', 1, { host: '127.0.0.1', port: 0 }, 5, { level: 'debug', format: 'json', access: true }, 'node'],
  );
  assert.equal(snapshotOfObject({}, {}, { overrides: { adminPort: false } }).admin, null);
  assert.equal(snapshotOfObject({ admin: { port: false } }).admin, null);
});

test('a bind beyond loopback needs authentication or an explicit word', () => {
  for (const host of ['127.0.0.1', '127.9.9.9', 'localhost', '::1', '[::1]', 'LOCALHOST']) {
    assert.equal(isLoopbackHost(host), true, host);
    snapshotOfObject({ host });
  }
  for (const host of [
    '0.0.0.0',
    '::',
    '10.0.0.1',
    'example.com',
    '128.0.0.1',
    'a.localhost',
    'localhost.example.com',
    '::ffff:10.0.0.1',
    'fe80::1',
    '::11',
  ]) {
    assert.equal(isLoopbackHost(host), false, host);
    assert.match(problemsOfObject({ host })[0] as string, /without authentication; set "auth"/, host);
    snapshotOfObject({ host, allowUnauthenticated: true });
    snapshotOfObject({ host, ...auth({ type: 'bearer', tokens: { a: 'a-token-of-a' } }) });
  }
});

test('commands become argument vectors, never shell lines', () => {
  const vector = (value: object) => {
    const endpoint = firstEndpoint(value);
    return endpoint?.transport === 'stdio' ? [endpoint.command, ...endpoint.args] : null;
  };
  assert.deepEqual(vector({ command: 'npx', args: ['-y', 8080] }), ['npx', '-y', '8080']);
  assert.deepEqual(vector({ command: ['npx', '-y', 'x y'], args: ['z'] }), ['npx', '-y', 'x y', 'z']);
  assert.deepEqual(vector({ command: 'npx -y x; rm -rf /' }), ['npx -y x; rm -rf /']);
});

test('credentials become one Authorization header', () => {
  const header = (value: object) => {
    const endpoint = firstEndpoint({ url: 'http://localhost/', ...value });
    return endpoint?.transport === 'http' ? endpoint.headers['authorization'] : null;
  };
  assert.equal(header({ auth: { type: 'bearer', token: 'abc' } }), 'Bearer abc');
  assert.equal(
    header({ auth: { type: 'basic', username: 'Aladdin', password: 'open sesame' } }),
    'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==',
  );
  assert.equal(header({ auth: { type: 'basic', user: 'test', password: '123£' } }), 'Basic dGVzdDoxMjPCow==');
  assert.equal(header({ headers: { Authorization: 'Custom x' } }), 'Custom x');
});

test('endpoints take what they leave out from their server', () => {
  const [server] = snapshotOfObject({
    mcpServers: {
      a: {
        headers: { 'X-A': 'shared', 'X-B': 'shared' },
        auth: { type: 'bearer', token: 'shared' },
        env: { A: '1', B: '1' },
        endpoints: [
          { url: 'http://localhost:1/', weight: 3 },
          { url: 'http://localhost:2/', headers: { 'x-a': 'own' }, auth: { type: 'bearer', token: 'own' } },
          { command: 'x', env: { B: '2' } },
        ],
      },
    },
  }).servers;
  assert.deepEqual(server?.endpoints, [
    {
      transport: 'http',
      detect: true,
      url: 'http://localhost:1/',
      headers: { 'x-a': 'shared', 'x-b': 'shared', authorization: 'Bearer shared' },
      weight: 3,
    },
    {
      transport: 'http',
      detect: true,
      url: 'http://localhost:2/',
      headers: { 'x-b': 'shared', 'x-a': 'own', authorization: 'Bearer own' },
      weight: 1,
    },
    { transport: 'stdio', command: 'x', args: [], env: { A: '1', B: '2' }, cwd: null, weight: 1, shownCommand: 'x' },
  ]);
});

test('prefixes are the names in characters that tools may have, without the separator', () => {
  const prefixes = (value: object) => snapshotOfObject(value).servers.map((server) => server.prefix);
  const server = { command: 'x' };
  assert.deepEqual(
    prefixes({
      mcpServers: {
        'My Files!': server,
        a__b: server,
        c: { ...server, prefix: 'd.e' },
        f: { ...server, prefix: false },
      },
    }),
    ['My_Files_', 'a_b', 'd.e', null],
  );
  assert.deepEqual(prefixes({ catalog: { separator: '_' }, mcpServers: { a_b: server } }), ['a-b']);
});

test('routes name servers by position and fill in what they leave out', () => {
  const { routes } = snapshotOfObject({
    mcpServers: { off: { command: 'x', enabled: false }, a: { command: 'x' }, b: { command: 'x' } },
    routes: [
      { servers: ['b', 'a'], requiredScopes: 'read write', rateLimit: { rate: 2.5 }, cache: {} },
      {
        name: 'tools',
        match: { tools: 'x*' },
        clientRateLimit: { rate: 0.1, burst: 4 },
        requestTimeoutMs: 5,
        idempotent: true,
      },
    ],
  });
  assert.deepEqual(routes, [
    {
      name: 'route-1',
      tools: ['**'],
      prompts: ['**'],
      resources: ['**'],
      methods: ['**'],
      conditions: null,
      servers: [1, 0],
      requiredScopes: ['read', 'write'],
      whenDenied: 'hide',
      permissions: [],
      variants: null,
      rateLimit: { algorithm: 'token-bucket', rate: 2.5, burst: 3 },
      clientRateLimit: null,
      rateLimitOverride: null,
      maxConcurrent: 0,
      priority: 'normal',
      cache: { ttlMs: 60_000, staleMs: 0, staleIfErrorMs: 0, public: false },
      requestTimeoutMs: 0,
      idempotent: false,
    },
    {
      name: 'tools',
      tools: ['x*'],
      prompts: [],
      resources: [],
      methods: [],
      conditions: null,
      servers: [],
      requiredScopes: [],
      whenDenied: 'hide',
      permissions: [],
      variants: null,
      rateLimit: null,
      clientRateLimit: { algorithm: 'token-bucket', rate: 0.1, burst: 4 },
      rateLimitOverride: null,
      maxConcurrent: 0,
      priority: 'normal',
      cache: null,
      requestTimeoutMs: 5,
      idempotent: true,
    },
  ]);
});

test('defineConfig gives a program the same checks', () => {
  const config = defineConfig({ port: 0, mcpServers: { a: { url: 'http://localhost:1/mcp' } } });
  assert.equal(compileSnapshot(loadConfigObject(config)).servers[0]?.name, 'a');
});

test('allowed hosts are kept as they stand in the Host header', () => {
  const allowedHosts = ['MCP.Example.com', '[2001:DB8::1]', '::2', '10.0.0.1'];
  assert.deepEqual(snapshotOfObject({ allowedHosts }).allowedHosts, [
    'mcp.example.com',
    '[2001:db8::1]',
    '[::2]',
    '10.0.0.1',
  ]);
  for (const wrong of ['*', '*.example.com', 'example.com:443', 'https://example.com', 'a b', 'a/b']) {
    assert.match(problemsOfObject({ allowedHosts: wrong })[0] as string, /^allowedHosts: must be host names/, wrong);
  }
});

test('the bind check and the check of the Host header agree on what loopback is', () => {
  const hosts = [
    'localhost',
    '127.0.0.1',
    '127.1.2.3',
    '::1',
    '0.0.0.0',
    '::',
    'a.localhost',
    '0:0:0:0:0:0:0:1',
    '127.1',
    '::ffff:127.0.0.1',
  ];
  for (const host of hosts) assert.equal(isLoopbackHost(host), isLoopbackName(host), host);
});

test('origins are kept as browsers write them', () => {
  const { allowedOrigins } = snapshotOfObject({
    allowedOrigins: ['https://App.Example:443/', 'vscode-webview://abc', '*'],
  });
  assert.deepEqual(allowedOrigins, ['https://app.example', 'vscode-webview://abc', '*']);
});

test('a server may have any number of replicas, but at least one', () => {
  const replicas = (count: number) => ({
    mcpServers: {
      a: { endpoints: Array.from({ length: count }, (_, index) => ({ url: `http://127.0.0.1:${index + 1}/` })) },
    },
  });
  assert.equal(snapshotOfObject(replicas(1_000)).servers[0]?.endpoints.length, 1_000);
  assert.equal(problemsOfObject(replicas(0)).length, 1);
});

test('the manifest has the name of the configuration, and is beside the key file', () => {
  const placeOf = (config: object): unknown => snapshotOf(JSON.stringify(config), 'json').catalog.manifestFile;
  assert.equal(placeOf({}), resolve('.gateway.json.manifest.json'));
  assert.equal(placeOf({ sessions: { keyFile: '/state/key' } }), '/state/.gateway.json.manifest.json');
  assert.equal(placeOf({ catalog: { manifestFile: 'x/y' }, sessions: { keyFile: '/state/key' } }), resolve('x/y'));
  assert.equal(placeOf({ catalog: { manifestFile: false } }), false);
  assert.equal(snapshotOfObject({ sessions: { keyFile: '/state/key' } }).catalog.manifestFile, null);
  assert.equal(snapshotOfObject({ catalog: { manifestFile: '/x/y' } }).catalog.manifestFile, '/x/y');
});
