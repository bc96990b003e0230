import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { compileSnapshot } from '../../src/config/compile/index.js';
import { loadConfigFile } from '../../src/config/load.js';
import type { LoadedConfig } from '../../src/config/loaded.js';
import type { EndpointSnapshot, Snapshot } from '../../src/config/snapshot.js';
import { packageRoot } from '../../src/package-root.js';
import { tempFolder } from '../support/process.js';
import { problemsOfObject, snapshotOfObject } from './support.js';

const fixture = (name: string): string => join(packageRoot, 'test/config/fixtures', name);

function only(snapshot: Snapshot, name: string): EndpointSnapshot {
  const server = snapshot.servers.find((candidate) => candidate.name === name);
  assert.equal(server?.endpoints.length, 1, `${name} has one endpoint`);
  return server?.endpoints[0] as EndpointSnapshot;
}

async function load(file: string, env: Record<string, string> = {}): Promise<[Snapshot, LoadedConfig]> {
  const loaded = await loadConfigFile(file, { env });
  return [compileSnapshot(loaded), loaded];
}

test("Claude Desktop's file works unchanged", async () => {
  const [snapshot, loaded] = await load(fixture('claude_desktop_config.json'));
  assert.deepEqual(
    snapshot.servers.map((server) => [server.name, server.prefix]),
    [
      ['filesystem', 'filesystem'],
      ['Brave Search', 'Brave_Search'],
    ],
  );
  assert.deepEqual(only(snapshot, 'Brave Search'), {
    transport: 'stdio',
    command: 'npx',
    args: ['-y', '@brave/brave-search-mcp-server'],
    env: { BRAVE_API_KEY: 'made-up-key' },
    cwd: null,
    weight: 1,
    shownCommand: 'npx',
  });
  assert.deepEqual(loaded.warnings, []);
});

test("Claude Code's project file works unchanged, and what it cannot have is said", async () => {
  const [snapshot, loaded] = await load(fixture('claude-code.mcp.json'), { ISSUES_TOKEN: 'abc123' });
  assert.deepEqual(only(snapshot, 'issues'), {
    transport: 'http',
    detect: false,
    url: 'https://issues.example.com/mcp',
    headers: { authorization: 'Bearer abc123' },
    weight: 1,
  });
  const database = snapshot.servers.find((server) => server.name === 'database');
  assert.equal(database?.requestTimeoutMs, 600_000);
  assert.equal(loaded.warnings.length, 1);
  assert.match(loaded.warnings[0] as string, /claude-code\.mcp\.json:18:7: mcpServers\.design\.oauth: ignored: /);
});

/** With comments and trailing commas, which VS Code allows. */
const VSCODE_FILE = `{
  // VS Code asks for the inputs and keeps them.
  "inputs": [{ "type": "promptString", "id": "search-key", "description": "Search API key", "password": true }],
  "servers": {
    "search": {
      "type": "stdio",
      "command": "npx",
      "args": ["-y", "search-server"],
      "env": { "SEARCH_API_KEY": "\${input:search-key}" },
      "envFile": "\${workspaceFolder}/search.env",
      "dev": { "watch": "src/**/*.ts", "debug": { "type": "node" } },
    },
    "remote": { "type": "http", "url": "https://remote.example.com/mcp", "gallery": true, "version": "1.2.0" },
  },
}
`;

test("VS Code's file works unchanged: servers, inputs, env files and the workspace folder", async (t) => {
  const workspace = await tempFolder(t);
  await mkdir(join(workspace, '.vscode'));
  await writeFile(join(workspace, '.vscode/mcp.json'), VSCODE_FILE);
  await writeFile(join(workspace, 'search.env'), 'REGION="eu west"\nSEARCH_API_KEY=loses\n# comment\n');
  const [snapshot] = await load(join(workspace, '.vscode/mcp.json'), { SEARCH_KEY: 'from-the-environment' });
  const search = only(snapshot, 'search');
  assert.equal(search.transport === 'stdio' && search.env['SEARCH_API_KEY'], 'from-the-environment');
  assert.equal(search.transport === 'stdio' && search.env['REGION'], 'eu west');
  assert.equal(only(snapshot, 'remote').transport, 'http');
});

test("Cursor's file works unchanged, with its variables", async () => {
  const [snapshot] = await load(fixture('cursor.mcp.json'), { CURSOR_KEY: 'k' });
  const local = only(snapshot, 'local');
  assert.deepEqual(local.transport === 'stdio' && local.args, [fixture('server.py'), '--home', homedir()]);
  assert.deepEqual(local.transport === 'stdio' && local.env, { API_KEY: 'k' });
  const remote = only(snapshot, 'remote');
  assert.deepEqual(remote.transport === 'http' && remote.headers, { 'x-api-key': 'made-up' });
});

test("Cline's file works unchanged: disabled servers are left out, timeouts are seconds", async () => {
  const [snapshot] = await load(fixture('cline_mcp_settings.json'));
  assert.deepEqual(
    snapshot.servers.map((server) => [server.name, server.prefix, server.requestTimeoutMs]),
    [
      ['github.com/example/docs-mcp', 'github.com_example_docs-mcp', 60_000],
      ['builder', 'builder', 120_000],
    ],
  );
});

test("Windsurf's file works unchanged", async () => {
  const [snapshot] = await load(fixture('windsurf_mcp_config.json'));
  const remote = only(snapshot, 'remote');
  assert.equal(remote.transport === 'http' && remote.url, 'https://remote.example.com/mcp');
  assert.deepEqual(snapshot.servers[0]?.exclude, ['delete_everything']);
});

test('"disabled" and "enabled" say the same or are refused', () => {
  const server = (flags: object) => ({ mcpServers: { a: { command: 'x', ...flags } } });
  assert.equal(snapshotOfObject(server({ enabled: true, disabled: false })).servers.length, 1);
  assert.equal(snapshotOfObject(server({ enabled: false, disabled: true })).servers.length, 0);
  assert.equal(snapshotOfObject(server({ disabled: true })).servers.length, 0);
  assert.match(problemsOfObject(server({ enabled: true, disabled: true }))[0] as string, /contradicts "enabled"/);
  assert.match(problemsOfObject(server({ enabled: false, disabled: false }))[0] as string, /contradicts "enabled"/);
});

test('a timeout of a client file beside requestTimeoutMs is refused', () => {
  const config = { mcpServers: { a: { command: 'x', timeout: 5, requestTimeoutMs: 5_000 } } };
  assert.match(problemsOfObject(config)[0] as string, /^mcpServers\.a\.timeout: means the same as "requestTimeoutMs"/);
});
