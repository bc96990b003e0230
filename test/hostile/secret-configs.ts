import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestScope, tempFolder } from '../support/process.js';
import type { Canaries } from './secret-places.js';

/** What JSON, URLs and the log spell differently. */
const ODD = (canary: string): string => `${canary} "q\\é/&`;

/** A server that says on both outputs everything it was given, in several spellings. */
const TALKATIVE = `
const said = [...process.argv.slice(2), process.env.API_KEY ?? '', process.env.FILE_TOKEN ?? ''];
for (const text of said) {
  for (const line of [text, JSON.stringify({ text }), encodeURIComponent(text), 'x'.repeat(988) + text]) console.error(line);
  console.log('no message: ' + text);
}
console.error('everything was said');
process.stdin.setEncoding('utf8').on('data', (chunk) => {
  for (const line of chunk.split('\\n')) {
    if (line === '') continue;
    const { id, method } = JSON.parse(line);
    if (id === undefined) continue;
    const result = method === 'initialize'
      ? { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'talkative', version: '1' } }
      : { tools: [] };
    console.log(JSON.stringify(method === 'server/discover' ? { jsonrpc: '2.0', id, error: { code: -32601, message: '' } } : { jsonrpc: '2.0', id, result }));
  }
});
process.stdin.on('end', () => process.exit(0));
`;

const limitMatch = 'rateLimits.rules[].match';

export interface DispatchFixture {
  readonly folder: string;
  readonly script: string;
  /** Port of an upstream that answers every request with what it was sent, and status 500. */
  readonly echoPort: number;
}

export async function fixture(t: TestScope): Promise<DispatchFixture> {
  const folder = await tempFolder(t);
  const script = join(folder, 'talkative.mjs');
  await writeFile(script, TALKATIVE);
  const echo = createServer((request, response) => {
    const said = JSON.stringify([request.url, request.headers]);
    response.writeHead(500, { 'content-type': 'text/plain', 'x-said': encodeURIComponent(said) }).end(said);
  }).listen(0, '127.0.0.1');
  await once(echo, 'listening');
  t.after(() => {
    echo.closeAllConnections();
    echo.close();
  });
  return { folder, script, echoPort: (echo.address() as AddressInfo).port };
}

async function program(folder: string, canary: string): Promise<void> {
  await mkdir(join(folder, canary));
  await symlink(process.execPath, join(folder, canary, 'node'));
  await writeFile(join(folder, canary, '.env'), 'FILE_TOKEN=canary-file-0123456789abcdef\n');
  await writeFile(join(folder, canary, 'lock.json'), '{"format":1,"servers":{}}');
}

/** A configuration with a canary wherever it takes text, all of it valid. */
export async function everywhere({ folder, script, echoPort }: DispatchFixture, canaries: Canaries) {
  const folders: string[] = [];
  const inFolder = (name: string) => (canary: string) => {
    folders.push(canary);
    return join(folder, canary, name);
  };
  const at = canaries.at.bind(canaries);
  const url = (canary: string) =>
    `http://127.0.0.1:${echoPort}/${canaries.literal ? 'mcp' : canary}?api_key=${canary}&x=${canary}`;
  const server = 'mcpServers.*';
  const endpoint = 'mcpServers.*.endpoints[]';
  const listed = (place: string) => [at(`${place}[]`)];
  const config = {
    name: canaries.published('name', 'published-name'),
    host: canaries.published('host', '127.0.0.1'),
    port: 0,
    admin: { host: canaries.published('admin.host', '127.0.0.1'), port: 0 },
    workers: 1,
    allowedHosts: [at('allowedHosts[]', (canary) => `${canary}.example`)],
    allowedOrigins: [at('allowedOrigins[]', (canary) => `https://${canary}.example`)],
    publicUrl: canaries.published('publicUrl', 'https://published.example'),
    path: canaries.published('path', '/mcp'),
    ready: { require: [canaries.published('ready.require[]', 'child')] },
    catalog: {
      separator: canaries.published('catalog.separator', '__'),
      manifestFile: at('catalog.manifestFile', (canary) => join(folder, canary, 'manifest.json')),
      pinning: { lock: at('catalog.pinning.lock', inFolder('lock.json')), onChange: 'flag', onNew: 'flag' },
      startupWaitMs: 0,
      firstListWaitMs: 0,
    },
    log: { level: 'trace', access: true },
    auth: {
      type: 'bearer',
      tokens: [
        {
          token: at('auth.tokens[].token'),
          subject: at('auth.tokens[].subject', ODD),
          scopes: [at('auth.tokens[].scopes[]')],
        },
      ],
      resourceMetadata: canaries.published('auth.resourceMetadata', 'https://published.example/metadata'),
    },
    sessions: {
      secret: listed('sessions.secret'),
      keyFile: at('sessions.keyFile', (canary) => join(folder, canary, 'session.key')),
    },
    routes: [
      {
        name: at('routes[].name', ODD),
        match: {
          tools: listed('routes[].match.tools'),
          prompts: listed('routes[].match.prompts'),
          resources: listed('routes[].match.resources'),
          methods: listed('routes[].match.methods'),
        },
        servers: [canaries.published('routes[].servers[]', 'child')],
        requiredScopes: listed('routes[].requiredScopes'),
      },
    ],
    rateLimits: {
      perClient: { key: { header: canaries.published('rateLimits.perClient.key.header', 'X-Client-ID') }, rate: 1 },
      concurrency: { key: { header: canaries.published('rateLimits.concurrency.key.header', 'X-Client-ID') } },
      perTool: [{ tools: listed('rateLimits.perTool[].tools'), rate: 1 }],
      rules: [
        {
          match: {
            headers: { 'X-Kind': listed(`${limitMatch}.headers.*`) },
            paths: listed(`${limitMatch}.paths`),
            principals: listed(`${limitMatch}.principals`),
            scopes: listed(`${limitMatch}.scopes`),
            tools: listed(`${limitMatch}.tools`),
          },
          key: { header: canaries.published('rateLimits.rules[].key.header', 'X-Client-ID') },
          rate: 1,
        },
      ],
    },
    mcpServers: {
      child: {
        command: at(`${server}.command`, inFolder('node')),
        args: [script, `--api-key=${at(`${server}.args[]`, ODD)}`, '--token', at(`${server}.args[]`, ODD)],
        env: { API_KEY: at(`${server}.env.*`, ODD) },
        envFile: at(`${server}.envFile`, inFolder('.env')),
        cwd: at(`${server}.cwd`, inFolder('.')),
        prefix: canaries.published(`${server}.prefix`, 'published-prefix'),
        tags: listed(`${server}.tags`),
        include: listed(`${server}.include`),
        exclude: listed(`${server}.exclude`),
        methods: listed(`${server}.methods`),
        rename: { say: canaries.published(`${server}.rename.*`, 'published-tool') },
      },
      remote: {
        url: at(`${server}.url`, url),
        headers: { 'X-Key': at(`${server}.headers.*`) },
        auth: { type: 'bearer', token: at(`${server}.auth.token`) },
      },
      basic: {
        url: at(`${server}.url`, url),
        auth: {
          type: 'basic',
          username: at(`${server}.auth.username`),
          password: at(`${server}.auth.password`, ODD),
        },
      },
      many: {
        endpoints: [
          {
            command: [at(`${endpoint}.command[]`, inFolder('node')), script],
            args: [
              '-e',
              `API_TOKEN=${at(`${endpoint}.args[]`)}`,
              '--header',
              `Authorization: Bearer ${at(`${endpoint}.args[]`)}`,
            ],
            env: { API_KEY: at(`${endpoint}.env.*`) },
            cwd: at(`${endpoint}.cwd`, inFolder('.')),
          },
          { command: at(`${endpoint}.command`, inFolder('node')), args: [script] },
          {
            url: at(`${endpoint}.url`, url),
            headers: { Authorization: `Bearer ${at(`${endpoint}.headers.*`)}` },
          },
          { url: at(`${endpoint}.url`, url), auth: { type: 'bearer', token: at(`${endpoint}.auth.token`) } },
          {
            url: at(`${endpoint}.url`, url),
            auth: {
              type: 'basic',
              username: at(`${endpoint}.auth.username`),
              password: at(`${endpoint}.auth.password`, ODD),
            },
          },
        ],
      },
    },
  };
  await Promise.all(folders.map((canary) => program(folder, canary).catch(() => {})));
  return config;
}

/** Other authentication, for the places that the first configuration cannot have; in a list and of a view, too. */
export function otherAuth(canaries: Canaries, publicKeyFile: string): object[] {
  const at = (base: string): object[] => otherProviders(canaries, publicKeyFile, base);
  const views = [...at('views.*.auth'), ...at('views.*.auth[]').map((one) => [one])];
  const auths = [...at('auth'), ...at('auth[]').map((one) => [one])];
  return auths.map((auth, i) => ({ auth, views: { '/own': { auth: views[i] } } }));
}

function otherProviders(canaries: Canaries, publicKeyFile: string, base: string): Record<string, unknown>[] {
  const at = (place: string, make?: (canary: string) => string): string => canaries.at(`${base}.${place}`, make);
  const published = (place: string, value: string): string => canaries.published(`${base}.${place}`, value);
  const lists = (place: string) => ({
    scopes: [at(`${place}.scopes[]`)],
    permissions: [at(`${place}.permissions[]`)],
    metadata: { team: at(`${place}.metadata.*`) },
  });
  const texts = (place: string) => ({ scopes: at(`${place}.scopes`), permissions: at(`${place}.permissions`) });
  const claims = () => ({
    audience: [at('audience[]')],
    issuer: at('issuer', ODD),
    subjectClaim: at('subjectClaim'),
    scopeClaims: [at('scopeClaims[]')],
    permissionClaims: [at('permissionClaims[]')],
    resourceMetadata: published('resourceMetadata', 'https://published.example/metadata'),
  });
  const url = (canary: string) => `https://127.0.0.1:1/${canary}?key=${canary}`;
  const { publicKey } = generateKeyPairSync('ed25519');
  const pem = publicKey.export({ type: 'spki', format: 'pem' }) as string;
  return [
    { type: 'bearer', tokens: { alice: at('tokens.*'), bob: { token: at('tokens.*.token'), ...lists('tokens.*') } } },
    { type: 'bearer', tokens: { alice: { token: at('tokens.*.token'), ...texts('tokens.*') } } },
    {
      type: 'bearer',
      tokens: [{ token: at('tokens[].token'), subject: at('tokens[].subject'), ...lists('tokens[]') }],
    },
    {
      type: 'bearer',
      tokens: [{ token: at('tokens[].token'), subject: at('tokens[].subject'), ...texts('tokens[]') }],
    },
    {
      type: 'apiKey',
      header: at('header'),
      keys: { alice: at('keys.*'), bob: { key: at('keys.*.key'), ...lists('keys.*') } },
    },
    { type: 'apiKey', keys: { alice: { key: at('keys.*.key'), ...texts('keys.*') } } },
    { type: 'apiKey', keys: [{ key: at('keys[].key'), subject: at('keys[].subject'), ...lists('keys[]') }] },
    { type: 'apiKey', keys: [{ key: at('keys[].key'), subject: at('keys[].subject'), ...texts('keys[]') }] },
    {
      type: 'basic',
      users: { alice: at('users.*', ODD), bob: { password: at('users.*.password', ODD), ...lists('users.*') } },
    },
    { type: 'basic', users: { alice: { password: at('users.*.password'), ...texts('users.*') } } },
    { type: 'jwt', secret: at('secret'), ...claims(), audience: at('audience'), verifyExpiry: false },
    { type: 'jwt', jwksUrl: at('jwksUrl', url), ...claims() },
    { type: 'jwt', publicKey: published('publicKey', pem), ...claims() },
    { type: 'jwt', publicKeyFile: published('publicKeyFile', publicKeyFile), ...claims() },
    {
      type: 'oauth2',
      introspectionUrl: at('introspectionUrl', url),
      clientId: at('clientId'),
      clientSecret: at('clientSecret', ODD),
      ...claims(),
    },
    {
      type: 'proxyHeader',
      trustedProxies: published('trustedProxies', '10.0.0.0/8'),
      subjectHeader: at('subjectHeader'),
      scopesHeader: at('scopesHeader'),
      permissionsHeader: at('permissionsHeader'),
    },
    { type: 'proxyHeader', trustedProxies: [published('trustedProxies[]', '10.0.0.0/8')] },
  ];
}

/** One text where a list may stand as well. */
export function singleTexts(canaries: Canaries): Record<string, unknown> {
  const at = canaries.at.bind(canaries);
  return {
    allowedHosts: at('allowedHosts', (canary) => `${canary}.example`),
    allowedOrigins: at('allowedOrigins', (canary) => `https://${canary}.example`),
    sessions: { secret: at('sessions.secret') },
    ready: { require: canaries.published('ready.require', 'a') },
    routes: [
      {
        match: {
          tools: at('routes[].match.tools'),
          prompts: at('routes[].match.prompts'),
          resources: at('routes[].match.resources'),
          methods: at('routes[].match.methods'),
        },
        servers: canaries.published('routes[].servers', 'a'),
        requiredScopes: at('routes[].requiredScopes'),
      },
    ],
    rateLimits: {
      perTool: [{ tools: at('rateLimits.perTool[].tools'), rate: 1 }],
      rules: [
        {
          match: {
            headers: { 'X-Kind': at(`${limitMatch}.headers.*`) },
            paths: at(`${limitMatch}.paths`),
            principals: at(`${limitMatch}.principals`),
            scopes: at(`${limitMatch}.scopes`),
            tools: at(`${limitMatch}.tools`),
          },
          rate: 1,
        },
      ],
    },
    mcpServers: {
      a: {
        command: [process.execPath, at('mcpServers.*.command[]')],
        include: at('mcpServers.*.include'),
        exclude: at('mcpServers.*.exclude'),
        methods: at('mcpServers.*.methods'),
        rename: canaries.published('mcpServers.*.rename', 'other-{name}'),
      },
    },
  };
}
