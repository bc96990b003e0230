import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ConfigFormat, loadConfigFile, parseConfig } from '../../src/config/load.js';
import { ConfigError } from '../../src/errors.js';
import { tempFolder } from '../support/process.js';
import { problemsOfObject, problemsOfText } from './support.js';

/** A text, and what its first problem says. */
const TEXTS: readonly [name: string, format: ConfigFormat, text: string, problem: RegExp][] = [
  ['an empty file', 'json', '', /the file holds no value|a value is missing/],
  ['only a comment', 'jsonc', '// nothing', /a value is missing/],
  ['two documents', 'json', '{} {}', /something follows/],
  ['a bare word', 'json', 'port', /neither a value nor a key/],
  ['single quotes', 'json', "{'port': 1}", /neither a value nor a key|a key in double quotes/],
  ['a list', 'json', '[]', /a configuration is an object/],
  ['a string', 'yaml', 'hello', /a configuration is an object/],
  ['null', 'json', 'null', /a configuration is an object/],
  ['a NUL character', 'yaml', 'host: "a\0b"', /holds a NUL character/],
  ['a raw line break in a string', 'json', '{"host": "a\nb"}', /a string does not end|control character/],
  ['a \\u escape cut short', 'json', '{"host": "\\u12"}', /four hexadecimal digits/],
  ['100,000 nested lists', 'json', '['.repeat(100_000), /nested (too deeply|deeper)|the file ends/],
  ['100,000 nested objects', 'json', '{"a":'.repeat(100_000), /nested (too deeply|deeper)|a value is missing/],
  ['100,000 closed lists', 'json', '['.repeat(100_000) + ']'.repeat(100_000), /nested (too deeply|deeper)/],
  ['nested YAML lists', 'yaml', `a: ${'['.repeat(5_000)}${']'.repeat(5_000)}`, /nested (too deeply|deeper)/],
  ['nested TOML lists', 'toml', `a = ${'['.repeat(5_000)}${']'.repeat(5_000)}`, /./],
  ['70 levels', 'yaml', `${'{a: '.repeat(70)}1${'}'.repeat(70)}`, /nested deeper than 64 levels/],
  [
    'a YAML alias bomb',
    'yaml',
    `a: &a [${'x,'.repeat(50)}]\n${'bcdefgh'
      .split('')
      .map((name, i) => `${name}: &${name} [${`*${'abcdefgh'[i]},`.repeat(50)}]`)
      .join('\n')}`,
    /more than 500000 values/,
  ],
  ['a YAML alias to itself', 'yaml', 'a: &a [*a]', /nested deeper|no anchor/],
  ['a YAML merge of a list of lists', 'yaml', 'admin:\n  <<: [[1]]', /needs an object or a list of objects/],
  ['a YAML language tag', 'yaml', 'host: !!js/function "x"', /this tag is not supported/],
  ['YAML binary', 'yaml', 'host: !!binary aGk=', /this tag is not supported|cannot stand here/],
  ['a YAML list as a key', 'yaml', '? [a]\n: 1', /a key must be a string/],
  ['a YAML null key', 'yaml', '~: 1', /a key must be a string/],
  ['a repeated key in a flow', 'yaml', 'admin: {port: 1, port: 2}', /"port" is given twice/],
  ['a key repeated as an escape', 'json', '{"port": 1, "\\u0070ort": 2}', /"port" is given twice/],
  ['a TOML table twice', 'toml', '[log]\nlevel = "info"\n[log]\naccess = true\n', /./],
  ['a TOML integer past 2^53', 'toml', 'port = 99999999999999999999', /./],
  ['a TOML nan', 'toml', 'port = nan', /port: must be a number/],
  ['a YAML infinity', 'yaml', 'port: .inf', /port: must be a (whole )?number/],
  ['a number as text', 'yaml', 'port: "8000"', /port: must be a number/],
  ['__proto__ at the top', 'json', '{"__proto__": {"polluted": 1}}', /"__proto__" cannot be a name/],
  ['__proto__ as a server', 'json', '{"mcpServers": {"__proto__": {"command": "x"}}}', /"__proto__" cannot be a name/],
  ['__proto__ in the environment', 'yaml', 'mcpServers: {a: {command: x, env: {__proto__: y}}}', /cannot be a name/],
  ['constructor as a server', 'toml', '[mcpServers.constructor]\ncommand = "x"', /"constructor" cannot be a name/],
  ['prototype as a header', 'yaml', 'mcpServers: {a: {url: "http://x", headers: {prototype: y}}}', /cannot be a name/],
  ['__proto__ in TOML', 'toml', '[__proto__]\npolluted = 1', /cannot be a name/],
  [
    'a merged __proto__',
    'yaml',
    'x: &x {__proto__: {polluted: 1}}\nadmin: {<<: *x}',
    /cannot be a name|unknown key "x"/,
  ],
];

for (const [name, format, text, problem] of TEXTS) {
  test(`${format}: ${name} is refused`, () => {
    const problems = problemsOfText(text, format);
    assert.match(problems[0] as string, problem);
    assert.equal(Reflect.get({}, 'polluted'), undefined);
  });
}

const server = (entry: object) => ({ mcpServers: { a: entry } });
const stdio = (entry: object) => server({ command: 'x', ...entry });
const http = (entry: object) => server({ url: 'http://localhost/mcp', ...entry });

/** A value, and the start of its one problem. */
const varied = (variants: object): object => ({
  mcpServers: { s: { command: 'x' } },
  routes: [{ match: { tools: '*' }, variants }],
});

const VALUES: readonly [name: string, value: unknown, problem: string][] = [
  ['a port too high', { port: 65_536 }, 'port: must be at most 65535'],
  ['a negative port', { port: -1 }, 'port: must be at least 0'],
  ['a fractional port', { port: 80.5 }, 'port: must be a whole number'],
  ['true as a port', { port: true }, 'port: must be a number'],
  ['a port list', { port: [1] }, 'port: must be a number'],
  ['null', { host: null }, 'host: must be a string'],
  ['an empty host', { host: '' }, 'host: must be not empty'],
  ['a host with a path', { host: 'localhost/x' }, 'host: must be an IP address or a host name'],
  ['no workers', { workers: 0 }, 'workers: must be at least 1'],
  ['many workers', { workers: 'many' }, 'workers: must be a number or "auto"'],
  ['true as admin', { admin: true }, 'admin: must be an object or false'],
  ['an unknown log level', { log: { level: 'loud' } }, 'log.level: must be "fatal", "error"'],
  ['a function', { mcpServers: () => 1 }, 'mcpServers: a function cannot stand here'],
  ['a Map', { mcpServers: new Map() }, 'mcpServers: a Map cannot stand here'],
  [
    'servers in a list without names',
    { mcpServers: [{ command: 'x' }] },
    'mcpServers[0]: a server in a list needs a "name"',
  ],
  [
    'a list of URLs and objects',
    { mcpServers: ['http://a', { name: 'b', command: 'x' }] },
    'mcpServers[0]: a server in a list',
  ],
  ['a server as text', { mcpServers: { a: 'npx x' } }, 'mcpServers.a: must be an object'],
  ['an empty server', server({}), 'mcpServers.a: needs "command" or "url"'],
  ['command and url', stdio({ url: 'http://x' }), 'mcpServers.a: has both "command" and "url"'],
  ['an empty command', server({ command: '' }), 'mcpServers.a.command: must be not empty'],
  [
    'an empty argument list as command',
    server({ command: [] }),
    'mcpServers.a.command: must be a list that is not empty',
  ],
  ['arguments as text', stdio({ args: '-y' }), 'mcpServers.a.args: must be a list'],
  [
    'a NUL in an argument',
    stdio({ args: ['a\0b'] }),
    'mcpServers.a: command, arguments and variables cannot hold a NUL',
  ],
  ['an env list', stdio({ env: ['A=1'] }), 'mcpServers.a.env: must be an object'],
  ['an env object', stdio({ env: { A: {} } }), 'mcpServers.a.env.A: must be a string, a number or true or false'],
  ['an env name with =', stdio({ env: { 'A=B': '1' } }), 'mcpServers.a.env: a variable name'],
  ['a missing env file', stdio({ envFile: 'no-such.env' }), 'mcpServers.a.envFile: the file cannot be read'],
  ['a relative URL', server({ url: '/mcp' }), 'mcpServers.a.url: must be an absolute URL'],
  ['an ftp URL', server({ url: 'ftp://x/' }), 'mcpServers.a.url: must start with http:// or https://'],
  ['a file URL', server({ url: 'file:///etc/passwd' }), 'mcpServers.a.url: must start with http:// or https://'],
  ['credentials in a URL', server({ url: 'http://u:p@x/' }), 'mcpServers.a.url: must not hold a user name or password'],
  ['a fragment', server({ url: 'http://x/#a' }), 'mcpServers.a.url: must not have a fragment'],
  [
    'a websocket of another scheme',
    server({ url: 'https://x/', transport: 'websocket' }),
    'mcpServers.a.url: must start with ws:// or wss://',
  ],
  [
    'SSE over a websocket',
    server({ url: 'ws://x/', type: 'sse' }),
    'mcpServers.a.url: must start with http:// or https://',
  ],
  ['an unknown transport', http({ type: 'pigeon' }), 'mcpServers.a.transport: must be "stdio"'],
  [
    'a URL over stdio',
    http({ type: 'stdio' }),
    'mcpServers.a.transport: cannot be stdio for a "url"; stdio needs "command"',
  ],
  ['a command over HTTP', stdio({ type: 'http' }), 'mcpServers.a.transport: must be stdio for a "command"'],
  ['a header that splits', http({ headers: { A: 'x\r\nB: y' } }), 'mcpServers.a.headers.A: the value holds characters'],
  [
    'a header name with a space',
    http({ headers: { 'A B': 'x' } }),
    'mcpServers.a.headers["A B"]: is not a header name',
  ],
  [
    'a framing header',
    http({ headers: { 'Content-Length': 5 } }),
    'mcpServers.a.headers.Content-Length: is set by the gateway',
  ],
  ['a session header', http({ headers: { 'mcp-session-id': 'x' } }), 'mcpServers.a.headers.mcp-session-id: is set by'],
  ['a header twice', http({ headers: { A: 'x', a: 'y' } }), 'mcpServers.a.headers.a: is given twice'],
  [
    'two credentials',
    http({ headers: { authorization: 'x' }, auth: { type: 'bearer', token: 'y' } }),
    'mcpServers.a.auth: cannot stand beside a header',
  ],
  ['credentials without a type', http({ auth: { token: 'y' } }), 'mcpServers.a.auth.type: needs a known "type"'],
  [
    'a token with a line break',
    http({ auth: { type: 'bearer', token: 'a\nb' } }),
    'mcpServers.a.auth.token: must be printable',
  ],
  [
    'a user with a colon',
    http({ auth: { type: 'basic', user: 'a:b', password: '' } }),
    'mcpServers.a.auth.username: must not',
  ],
  ['no endpoints', server({ endpoints: [] }), 'mcpServers.a.endpoints: must be a list that is not empty'],
  [
    'endpoints beside a url',
    http({ endpoints: [{ url: 'http://x' }] }),
    'mcpServers.a.url: cannot stand beside "endpoints"',
  ],
  [
    'weight 0',
    server({ endpoints: [{ url: 'http://x', weight: 0 }] }),
    'mcpServers.a.endpoints[0].weight: must be at least 1',
  ],
  ['a server name with a colon', { mcpServers: { 'a:b': { command: 'x' } } }, 'mcpServers["a:b"]: a server name has'],
  ['an empty server name', { mcpServers: { '': { command: 'x' } } }, 'mcpServers[""]: a server name has'],
  ['a prefix with a space', stdio({ prefix: 'a b' }), 'mcpServers.a.prefix: may hold only letters'],
  ['a prefix with the separator', stdio({ prefix: 'a__b' }), 'mcpServers.a.prefix: must not contain catalog.separator'],
  ['prefix true', stdio({ prefix: true }), 'mcpServers.a.prefix: must be a string or false'],
  [
    'a prefix twice',
    { mcpServers: { a: { command: 'x' }, b: { command: 'x', prefix: 'a' } } },
    'mcpServers.b.prefix: has the same prefix as "a"',
  ],
  [
    'names that give one prefix',
    { mcpServers: { 'a b': { command: 'x' }, a_b: { command: 'x' } } },
    'mcpServers.a_b: has the same prefix as "a b"',
  ],
  ['an empty separator', { catalog: { separator: '' } }, 'catalog.separator: has characters that are not allowed here'],
  [
    'a separator with a colon',
    { catalog: { separator: ':' } },
    'catalog.separator: has characters that are not allowed',
  ],
  [
    'a timeout past a day',
    stdio({ requestTimeoutMs: 86_400_001 }),
    'mcpServers.a.requestTimeoutMs: must be at most 86400000',
  ],
  ['an unlimited body', { limits: { maxBodyBytes: 0 } }, 'limits.maxBodyBytes: must be at least 1024'],
  ['a route to nowhere', { routes: [{ servers: 'x' }] }, 'routes[0].servers: there is no server "x" in mcpServers'],
  [
    'a route to a typo',
    { mcpServers: { files: { command: 'x' } }, routes: [{ server: 'flies' }] },
    'routes[0].servers: there is no server "flies" in mcpServers; did you mean "files"?',
  ],
  [
    'a route to a server that is off',
    { mcpServers: { a: { command: 'x', enabled: false } }, routes: [{ server: 'a' }] },
    'routes[0].servers: the server "a" is not enabled',
  ],
  [
    'a route that matches nothing',
    { routes: [{ match: {} }] },
    'routes[0].match: needs "tools", "prompts", "resources", "methods" or another member',
  ],
  [
    'a regular expression that is none',
    { routes: [{ match: { tools: { regex: '(a' } } }] },
    'routes[0].match.tools: is no regular expression of RE2 (error parsing regexp: missing closing )',
  ],
  [
    'a regular expression that looks back',
    { routes: [{ match: { principals: [{ regex: '(.)\\1' }] } }] },
    'routes[0].match.principals: is no regular expression of RE2',
  ],
  [
    'a regular expression that is too large',
    { routes: [{ match: { headers: { 'X-A': { regex: '([a-z]{100}){100}' } } } }] },
    'routes[0].match.headers.X-A: is',
  ],
  [
    'a route by a header with a credential',
    { routes: [{ match: { headers: { Authorization: '*' } } }] },
    'routes[0].match.headers.Authorization: is a header with credentials',
  ],
  [
    'a route by a path where there is nothing',
    { routes: [{ match: { paths: '/user/mcp' } }] },
    'routes[0].match.paths: "/user/mcp" is the path of no endpoint; there is /mcp',
  ],
  [
    'a route by a tag that no server has',
    { mcpServers: { a: { command: 'x', tags: ['internal'] } }, routes: [{ match: { tags: 'intrenal' } }] },
    'routes[0].match.tags: no server of mcpServers has a tag that matches "intrenal"; did you mean "internal"?',
  ],
  [
    'a route by an argument without a pointer',
    { routes: [{ match: { arguments: { force: true } } }] },
    'routes[0].match.arguments.force: must be a JSON pointer into the arguments',
  ],
  [
    'variants without a share',
    varied({ groups: [{ name: 'a', weight: 0, servers: 's' }] }),
    'routes[0].variants.groups: needs a group with a weight above 0',
  ],
  [
    'two groups of one name',
    varied({ groups: ['a', 'a'].map((name) => ({ name, servers: 's' })) }),
    'routes[0].variants.groups[1].name: is the name of another group',
  ],
  [
    'a group without a server',
    varied({ groups: [{ name: 'a', servers: 't' }] }),
    'routes[0].variants.groups[0].servers: there is no server "t" in mcpServers',
  ],
  [
    'variants in a header of MCP',
    varied({ responseHeader: 'Mcp-Session-Id', groups: [{ name: 'a', servers: 's' }] }),
    'routes[0].variants.responseHeader: is a header with a meaning of its own',
  ],
  [
    'two routes of one name',
    { routes: [{ name: 'a' }, { name: 'a' }] },
    'routes[1].name: is the name of another route',
  ],
  ['an empty pattern', { routes: [{ match: { tools: '' } }] }, 'routes[0].match.tools: must be not empty'],
  [
    'an endless pattern',
    { routes: [{ match: { tools: '*'.repeat(1_025) } }] },
    'routes[0].match.tools: a pattern has at most 1024',
  ],
  ['a rate of 0', { rateLimits: { global: { rate: 0 } } }, 'rateLimits.global.rate: must be more than 0'],
  ['a burst of 0', { rateLimits: { global: { rate: 1, burst: 0 } } }, 'rateLimits.global.burst: must be at least 1'],
  [
    'a rate without tools',
    { rateLimits: { perTool: [{ rate: 1 }] } },
    'rateLimits.perTool[0].tools: must be a string or a list',
  ],
  ['a short session secret', { sessions: { secret: 'short' } }, 'sessions.secret: must be at least 32 characters long'],
  [
    'an origin with a path',
    { allowedOrigins: 'https://a.example/x' },
    'allowedOrigins: an origin is scheme, host and port only',
  ],
  [
    '0.0.0.0 without authentication',
    { host: '0.0.0.0' },
    'host: is reachable from other machines without authentication; set "auth"',
  ],
  [':: without authentication', { host: '::' }, 'host: is reachable from other machines'],
  ['a name without authentication', { host: 'gateway.example' }, 'host: is reachable from other machines'],
  [
    'an open admin listener',
    { admin: { host: '0.0.0.0' } },
    'admin.host: is reachable from other machines without auth',
  ],
  ['one port for both', { port: 9090 }, 'admin.port: is the port of the MCP endpoint'],
  [
    'a key in two spellings',
    { mcpServers: {}, mcp_servers: {} },
    'mcpServers: given twice, as "mcpServers" and "mcp_servers"',
  ],
  ['a key under two names', { mcpServers: {}, servers: {} }, 'mcpServers: given twice, as "mcpServers" and "servers"'],
];

for (const [name, value, problem] of VALUES) {
  test(`${name} is refused`, () => {
    const problems = problemsOfObject(value);
    assert.ok(problems[0]?.startsWith(problem), `${problems[0]}\ndoes not start with\n${problem}`);
    assert.equal(problems.length, 1, problems.join('\n'));
  });
}

test('files that cannot be read are reported in one sentence', async (t) => {
  const folder = await tempFolder(t);
  const at = (name: string, content: Uint8Array | string | null): string => {
    const file = join(folder, name);
    if (content !== null) writeFileSync(file, content);
    return file;
  };
  const folderNamed = join(folder, 'folder.json');
  mkdirSync(folderNamed);
  const rows: [string, RegExp][] = [
    [at('missing.json', null), /missing\.json: the file does not exist$/],
    [at('config.ini', ''), /config\.ini: the extension must be \.json/],
    [at('config', ''), /config: the extension must be/],
    [at('latin1.yaml', Buffer.from([0x6e, 0x3a, 0xe9])), /latin1\.yaml: the file is not valid UTF-8$/],
    [at('utf16.json', Buffer.from('{}', 'utf16le')), /utf16\.json: the file holds a NUL character$/],
    [at('huge.yaml', Buffer.alloc(16 * 1024 * 1024 + 1, 32)), /huge\.yaml: the file is larger than 16777216 bytes$/],
    [folderNamed, /folder\.json: this is a folder, not a file$/],
  ];
  for (const [file, problem] of rows) {
    await assert.rejects(loadConfigFile(file, { env: {} }), (error: unknown) => {
      assert.ok(error instanceof ConfigError);
      assert.match(error.problems[0] as string, problem);
      return true;
    });
  }
});

/** A configuration that uses much of the grammar, to be damaged. */
const SEEDS: Readonly<Record<ConfigFormat, string>> = {
  json: `{"port": 1, "mcpServers": {"a": {"command": "x", "args": ["-y", 3], "env": {"A": "\${B:-c}"}}}, "routes": [{"match": {"tools": ["*"]}}]}`,
  jsonc: '// c\n{"auth": {"type": "bearer", "tokens": {"alice": "alice-token-1"}}, /* x */ "log": {"level": "info",},}',
  yaml: `port: 1\nadmin: &a {port: 0}\nmcpServers:\n  a:\n    url: "http://x/\${Y}"\n    headers: {X: |\n      text}\n`,
  toml: 'port = 1\n[mcpServers."a b"]\ncommand = ["x", \'y\']\nenv = { A = """b""" }\n[[routes]]\nname = "r"\n',
};

for (const [format, seed] of Object.entries(SEEDS) as [ConfigFormat, string][]) {
  test(`damaged ${format.toUpperCase()} never ends in anything but a ConfigError`, () => {
    const edit = fc.record({
      at: fc.nat(seed.length),
      cut: fc.nat(5),
      put: fc.oneof(
        fc.constantFrom(
          '{',
          '}',
          '[',
          ']',
          '"',
          "'",
          '\n',
          ':',
          '=',
          ',',
          '${',
          '}',
          '&a',
          '*a',
          '<<: ',
          '#',
          '"""',
          '\\',
          '\t',
        ),
        fc.string({ unit: 'binary', maxLength: 4 }),
      ),
    });
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 6 }), (edits) => {
        let text = seed;
        for (const { at, cut, put } of edits) text = text.slice(0, at) + put + text.slice(at + cut);
        try {
          parseConfig(text, format, { fileName: `x.${format}`, env: { B: 'b', Y: 'y' } });
        } catch (error) {
          if (!(error instanceof ConfigError)) throw error;
          assert.ok(error.problems.length > 0 && error.problems.every((problem) => !problem.includes('undefined')));
        }
        assert.deepEqual(Object.keys(Object.prototype), []);
      }),
      { numRuns: 700 },
    );
  });
}
