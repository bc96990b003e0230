import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { compileSnapshot } from '../../src/config/compile/index.js';
import { loadConfigFile, loadConfigObject, parseConfig, readConfigFile } from '../../src/config/load.js';
import type { Snapshot } from '../../src/config/snapshot/index.js';
import { yamlText } from '../../src/config/yaml-text.js';
import { packageRoot } from '../../src/package-root.js';
import { gatewayHere } from '../support/gateway.js';
import { everythingStdio } from '../support/upstreams.js';
import { problemsOfText, snapshotOf } from './support.js';

const ENV = {
  SEARCH_TOKEN: 'search-token',
  BUILDS_PASSWORD: 'builds-password',
  MAPS_KEY: 'maps-key',
  SECOND_TOKEN: 'other',
};
const FILES = ['multiplexer.json', 'mcp-proxy.toml'] as const;
const fixture = (name: string): string => join(packageRoot, 'test/config/fixtures/gateways', name);

async function load(name: string): Promise<[Snapshot, readonly string[]]> {
  const loaded = await loadConfigFile(fixture(name), { env: ENV });
  return [compileSnapshot(loaded), loaded.warnings];
}

test("a multiplexer's file is taken as it stands: seconds, credentials, levels", async () => {
  const [snapshot, warnings] = await load('multiplexer.json');
  assert.deepEqual(
    snapshot.servers.map(({ name, requestTimeoutMs }) => [name, requestTimeoutMs]),
    [
      ['filesystem', 30_000],
      ['search', 12_500],
      ['builds', 7_200_000],
      ['maps', 30_000],
    ],
  );
  const [files, search, builds, maps] = snapshot.servers.map(({ endpoints }) => endpoints[0]);
  assert.ok(files?.transport === 'stdio');
  assert.deepEqual(
    [files.command, files.args, files.env],
    ['npx', ['-y', 'files-server', '/srv/files', '--read-only'], { LOG: 'off' }],
  );
  assert.ok(search?.transport === 'websocket' && builds?.transport === 'sse' && maps?.transport === 'sse');
  assert.equal(search.headers['authorization'], 'Bearer search-token');
  assert.equal(builds.headers['authorization'], `Basic ${Buffer.from('ann:builds-password').toString('base64')}`);
  assert.equal(maps.headers['x-maps-key'], 'maps-key');
  assert.deepEqual([snapshot.host, snapshot.port, snapshot.log.level], ['127.0.0.1', 8100, 'fatal']);
  assert.deepEqual(
    warnings.map((warning) =>
      /\/multiplexer\.json:(\d+):\d+: (\S+): (not in force yet|ignored)/.exec(warning)?.slice(1),
    ),
    [
      ['12', 'mcpServers.search.name', 'ignored'],
      ['17', 'mcpServers.search.retry', 'not in force yet'],
      ['18', 'mcpServers.search.circuit_breaker', 'not in force yet'],
      ['19', 'mcpServers.search.health_check_interval', 'not in force yet'],
      ['37', 'hot_reload', 'not in force yet'],
    ],
  );
});

test("a proxy's TOML is taken as it stands: upstreams, priorities, limits, strategies", async () => {
  const [snapshot, warnings] = await load('mcp-proxy.toml');
  assert.deepEqual(
    snapshot.servers.map(({ name, endpoints: [endpoint], include }) => [name, endpoint?.transport, include]),
    [
      ['first', 'http', ['search', 'fetch']],
      ['second', 'sse', []],
      ['local', 'stdio', []],
    ],
  );
  const [first = 0, second = 0, local = 0] = snapshot.servers.map(({ priority }) => priority);
  assert.ok(first > second && local === first, 'there 1 is the first choice and the default');
  const { port, catalog, limits, log, rateLimits } = snapshot;
  assert.deepEqual([port, catalog.conflict, limits.maxConnections, log.access], [3100, 'priority', 100, true]);
  assert.match(JSON.stringify(rateLimits.perClient), /"sliding-window".*"limit":60,"windowMs":60000/);
  assert.deepEqual(
    warnings.map((warning) => /\/mcp-proxy\.toml:(\d+):\d+: (\S+):/.exec(warning)?.slice(1)),
    [
      ['11', 'mcp.proxy.security.redact_patterns'],
      ['12', 'mcp.proxy.security.rate_limit_per_minute'],
      ['19', 'mcpServers.first.health_check_interval'],
    ],
  );
});

for (const file of FILES) {
  test(`what is printed for ${file} means the same, needs no variable and leaves nothing to warn of`, async () => {
    const { value, warnings } = await readConfigFile(fixture(file));
    const text = yamlText(value, warnings);
    assert.match(text, /\$\{\w+\}/);
    const loaded = parseConfig(text, 'yaml', { fileName: fixture('printed.yaml'), env: ENV });
    assert.deepEqual(loaded.warnings, []);
    const [before] = await load(file);
    const after = compileSnapshot(loaded);
    const parts = ({ host, port, servers, catalog, limits, log, rateLimits }: Snapshot) => {
      const { manifestFile, ...names } = catalog as { manifestFile?: unknown };
      return { host, port, servers, names, limits, log, rateLimits };
    };
    assert.deepEqual(parts(after), parts(before));
  });
}

test("a gateway runs on a multiplexer's file, under the names and paths of there", async (t) => {
  const { command, args } = everythingStdio();
  const server = { transport: 'stdio', command: [command, ...args], circuit_breaker: { failure_threshold: 5 } };
  const { origin } = await gatewayHere(t, { mcpServers: { demo: server }, hot_reload: true });
  const body = JSON.stringify({ name: 'demo__echo', arguments: { message: 'hello' } });
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${origin}/tools/call`, { method: 'POST', headers, body });
  assert.match(await answer.text(), /Echo: hello/);
  assert.match(await (await fetch(`${origin}/tools`)).text(), /demo__echo/);
});

test('levels of a log by their names there', () => {
  const rows = { DEBUG: 'debug', INFO: 'info', WARNING: 'warn', error: 'error', CRITICAL: 'fatal' };
  for (const [log_level, level] of Object.entries(rows)) {
    assert.equal(loadConfigObject({ mcpServers: {}, log_level } as object).config.log.level, level);
  }
});

test("a client's file is no multiplexer's: its timeouts stay what they are there", () => {
  const text = '{ "mcpServers": { "a": { "command": "x", "timeout": 7200 }, "b": { "command": "x" } } }';
  assert.deepEqual(
    snapshotOf(text, 'json').servers.map(({ requestTimeoutMs }) => requestTimeoutMs),
    [7_200, 300_000],
  );
});

test('a server of a client that is called "proxy" is no proxy', () => {
  const { servers } = snapshotOf(
    '{ "mcp": { "proxy": { "type": "local", "command": ["x"], "enabled": true } } }',
    'json',
  );
  assert.deepEqual(
    servers.map(({ name }) => name),
    ['proxy'],
  );
});

test('a proxy without a strategy prefixes names that collide, and has its port', () => {
  const { catalog, port } = snapshotOf('[mcp.proxy]\nenable = true\n', 'toml');
  assert.deepEqual([catalog.conflict, port], ['auto-prefix', 3000]);
});

const FAULTS: readonly [text: string, problem: RegExp][] = [
  [
    '[mcp.proxy]\nenable = true\ntransport = "pipe"\n',
    /:3:13: mcp\.proxy\.transport: must be "http", "sse" or "stdio"/,
  ],
  ['[mcp.proxy]\nenable = true\nconflict_strategy = "Any"\n', /conflict_strategy: must be "AutoPrefix"/],
  ['[mcp.proxy]\nenable = true\nretries = 1\n', /:3:1: mcp\.proxy\.retries: unknown key "retries"/],
  ['[mcp.proxy]\nenable = true\nsecurity = 1\n', /mcp\.proxy\.security: must be a table/],
  ['[mcp.proxy]\nupstreams = 1\n', /mcp\.proxy\.upstreams: must be a list of tables/],
  ['[[mcp.proxy.upstreams]]\nurl = "http://a/"\n', /upstreams\[0\]: an upstream needs a "name"/],
  [
    '[[mcp.proxy.upstreams]]\nname = "a"\nurl = "http://a/"\n[[mcp.proxy.upstreams]]\nname = "a"\nurl = "http://b/"\n',
    /:5:1: mcp\.proxy\.upstreams\[1\]: another upstream is called "a", too/,
  ],
  ['log_level = "INFO"\n[log]\nlevel = "warn"\n[mcpServers]\n', /log_level: means the same as "log\.level"/],
];

for (const [text, problem] of FAULTS) {
  test(`${problem.source} is told with its place`, () => {
    assert.match(problemsOfText(text, 'toml').join('\n'), problem);
  });
}
