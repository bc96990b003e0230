import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { compileSnapshot } from '../../src/config/compile/index.js';
import { loadConfigFile } from '../../src/config/load.js';
import type { LoadedConfig } from '../../src/config/loaded.js';
import type { EndpointSnapshot, Snapshot } from '../../src/config/snapshot/index.js';
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

/** A file with that name and text. */
async function written(t: TestContext, name: string, text: string): Promise<string> {
  const file = join(await tempFolder(t), name);
  await writeFile(file, text);
  return file;
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

test("Claude Code's project file works unchanged, logins too", async () => {
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
  assert.deepEqual(loaded.warnings, []);
  const { auth } = only(snapshot, 'design') as { auth?: { type: string; clientId?: string; redirectPort?: number } };
  assert.deepEqual([auth?.type, auth?.clientId, auth?.redirectPort], ['oauth', 'abc', 8765]);
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
      ['github.com/example/docs-mcp', 'github.com_example_docs-mcp', 300_000],
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

test("OpenCode's file works: local and remote servers, other settings are left out", async (t) => {
  const file = await written(
    t,
    'opencode.jsonc',
    `{
      "$schema": "https://opencode.ai/config.json", "theme": "dark", "model": "x/y", "server": { "port": 1 },
      "mcp": {
        "files": { "type": "local", "command": ["npx", "-y", "files"], "environment": { "A": "1" }, "enabled": true },
        "off": { "type": "local", "command": ["x"], "enabled": false },
        "docs": { "type": "remote", "url": "https://docs.example.com/mcp", "headers": { "X-Key": "{env:KEY}" } }
      }
    }`,
  );
  const [snapshot, { warnings }] = await load(file, { KEY: 'from-the-environment' });
  assert.deepEqual(
    snapshot.servers.map(({ name }) => name),
    ['files', 'docs'],
  );
  const files = only(snapshot, 'files');
  assert.deepEqual(files.transport === 'stdio' && [files.command, files.args, files.env], [
    'npx',
    ['-y', 'files'],
    { A: '1' },
  ]);
  const docs = only(snapshot, 'docs');
  assert.ok(docs.transport === 'http' && docs.detect, 'HTTP or SSE is found out');
  assert.deepEqual(docs.headers, { 'x-key': 'from-the-environment' });
  assert.deepEqual(warnings.length, 1);
  assert.match(
    warnings[0] as string,
    /opencode\.jsonc:2:\d+: ignored: "theme", "model", "server"; settings of another program/,
  );
});

test("Zed's settings work: both forms of a command, and servers of extensions are left out", async (t) => {
  const file = await written(
    t,
    'settings.json',
    `{
      "buffer_font_size": 15,
      "context_servers": {
        "new": { "source": "custom", "enabled": true, "command": "npx", "args": ["-y", "a"], "env": {} },
        "old": { "command": { "path": "node", "args": ["b.js"], "env": { "K": "v" } }, "settings": {} },
        "remote": { "url": "https://zed.example.com/mcp", "headers": { "Authorization": "Bearer abcdefgh" } },
        "extension": { "source": "extension", "settings": { "database_url": "x" } }
      }
    }`,
  );
  const [snapshot, { warnings }] = await load(file);
  const old = only(snapshot, 'old');
  assert.deepEqual(old.transport === 'stdio' && [old.command, old.args, old.env], ['node', ['b.js'], { K: 'v' }]);
  assert.deepEqual(
    snapshot.servers.map(({ name }) => name),
    ['new', 'old', 'remote'],
  );
  assert.match(warnings.join('\n'), /mcpServers\.extension: ignored: an extension of the editor provides this server/);
  assert.match(warnings.join('\n'), /"buffer_font_size"/);
});

test("Codex's file works: seconds, tokens and headers from variables, inherited variables", async (t) => {
  const file = await written(
    t,
    'config.toml',
    `model = "gpt"
approval_policy = "never"

[mcp_servers.docs]
command = "npx"
args = ["-y", "docs"]
env_vars = ["DOCS_REGION", "NOT_SET"]
startup_timeout_sec = 20.5
tool_timeout_sec = 45
enabled_tools = ["search"]
disabled_tools = ["delete"]
[mcp_servers.docs.env]
DOCS_KEY = "k"

[mcp_servers.remote]
url = "https://codex.example.com/mcp"
bearer_token_env_var = "REMOTE_TOKEN"
http_headers = { "X-Region" = "eu" }
env_http_headers = { "X-Team" = "TEAM" }
required = true
`,
  );
  const env = { DOCS_REGION: 'eu', REMOTE_TOKEN: 'secret-token-1', TEAM: 'blue' };
  const [snapshot, loaded] = await load(file, env);
  const docs = snapshot.servers.find(({ name }) => name === 'docs');
  assert.deepEqual([docs?.connectTimeoutMs, docs?.requestTimeoutMs], [20_500, 45_000]);
  assert.deepEqual([docs?.include, docs?.exclude], [['search'], ['delete']]);
  const local = only(snapshot, 'docs');
  assert.deepEqual(local.transport === 'stdio' && local.env, { DOCS_KEY: 'k', DOCS_REGION: 'eu', NOT_SET: '' });
  const remote = only(snapshot, 'remote');
  assert.deepEqual(remote.transport === 'http' && remote.headers, {
    'x-region': 'eu',
    'x-team': 'blue',
    authorization: 'Bearer secret-token-1',
  });
  assert.ok(!JSON.stringify(loaded.printable()).includes('secret-token-1'));
  await assert.rejects(load(file, {}), /mcpServers\.remote\.auth\.token: .*REMOTE_TOKEN.*not set/);
});

test("Goose's file works: its own extensions are left out", async (t) => {
  const file = await written(
    t,
    'config.yaml',
    `GOOSE_PROVIDER: x
extensions:
  developer: { type: builtin, bundled: true, enabled: true, name: developer }
  fetch: { type: stdio, cmd: uvx, args: [mcp-server-fetch], envs: { A: "1" }, env_keys: [FETCH_KEY], timeout: 300, enabled: true }
  web: { type: streamable_http, uri: "https://goose.example.com/mcp", headers: {}, available_tools: [search] }
  old: { type: sse, uri: "https://goose.example.com/sse", enabled: false }
`,
  );
  const [snapshot, { warnings }] = await load(file, { FETCH_KEY: 'k' });
  const fetch = only(snapshot, 'fetch');
  assert.deepEqual(fetch.transport === 'stdio' && [fetch.command, fetch.env], ['uvx', { A: '1', FETCH_KEY: 'k' }]);
  assert.equal(snapshot.servers.find(({ name }) => name === 'fetch')?.requestTimeoutMs, 300_000);
  assert.deepEqual(
    snapshot.servers.map(({ name, include }) => [name, include]),
    [
      ['fetch', []],
      ['web', ['search']],
    ],
  );
  assert.match(warnings.join('\n'), /mcpServers\.developer: ignored: an extension of type "builtin"/);
});

test("Gemini's settings, LM Studio's file and the settings of VS Code work", async (t) => {
  const gemini = await written(
    t,
    'gemini.json',
    `{ "general": { "vimMode": true }, "security": {}, "mcp": { "allowed": ["a"] },
       "mcpServers": { "a": { "httpUrl": "https://a.example.com/mcp", "timeout": 600000, "trust": false, "includeTools": ["x"] },
                       "b": { "url": "https://b.example.com/sse" } } }`,
  );
  const [snapshot, { warnings }] = await load(gemini);
  assert.deepEqual(
    snapshot.servers.map(({ name, requestTimeoutMs }) => [name, requestTimeoutMs]),
    [
      ['a', 600_000],
      ['b', (await load(gemini))[0].servers[1]?.requestTimeoutMs],
    ],
  );
  assert.match(warnings.join('\n'), /ignored: "general", "security", "mcp"; settings of another program/);
  const studio = await written(t, 'mcp.json', '{ "mcpServers": { "hf": { "url": "https://hf.co/mcp" } } }');
  assert.equal(only((await load(studio))[0], 'hf').transport, 'http');
  const code = await written(
    t,
    'code.json',
    '{ "editor.fontSize": 12, "mcp": { "inputs": [], "servers": { "s": { "command": "x" } } } }',
  );
  assert.equal(only((await load(code))[0], 's').transport, 'stdio');
});

test("Continue's file works: a list of servers with names", async (t) => {
  const file = await written(
    t,
    'continue.yaml',
    `name: mine
version: 1.0.0
schema: v1
models: []
mcpServers:
  - name: SQLite MCP
    command: npx
    args: [-y, mcp-sqlite]
    connectionTimeout: 5000
  - name: remote
    type: streamable-http
    url: https://continue.example.com/mcp
    requestOptions: { headers: { X-Key: abc } }
`,
  );
  const [snapshot] = await load(file);
  assert.deepEqual(
    snapshot.servers.map(({ name, connectTimeoutMs }) => [name, connectTimeoutMs]),
    [
      ['SQLite MCP', 5000],
      ['remote', (await load(file))[0].servers[1]?.connectTimeoutMs],
    ],
  );
  const remote = only(snapshot, 'remote');
  assert.deepEqual(remote.transport === 'http' && remote.headers, { 'x-key': 'abc' });
  const unnamed = await written(t, 'unnamed.yaml', 'mcpServers:\n  - command: npx\n');
  await assert.rejects(load(unnamed), /unnamed\.yaml:2:5: mcpServers\[0\]: a server in a list needs a "name"/);
});

test('a list of URLs is one server with replicas, and its names have no prefix', async (t) => {
  const file = await written(t, 'replicas.yaml', 'servers: ["http://127.0.0.1:1/mcp", "http://127.0.0.1:2/mcp"]\n');
  const [snapshot] = await load(file);
  assert.deepEqual(
    snapshot.servers.map(({ name, prefix, endpoints }) => [name, prefix, endpoints.length]),
    [['server', null, 2]],
  );
  const one = await written(t, 'one.yaml', 'servers: ["http://127.0.0.1:1/mcp"]\n');
  assert.equal(only((await load(one))[0], 'server').transport, 'http');
  const wrong = await written(t, 'wrong.yaml', 'servers: ["http://127.0.0.1:1/mcp", nonsense]\n');
  await assert.rejects(
    load(wrong),
    /wrong\.yaml:1:\d+: mcpServers\.server\.endpoints\[1\]\.url: must be an absolute URL/,
  );
});

test('a key of another program in a file of ours is an error that says what to copy', () => {
  const [problem] = problemsOfObject({ mcpServers: {}, keybinds: {} } as never);
  assert.match(problem as string, /unknown key "keybinds"; .* copy only its servers, under "mcpServers"/);
});
