import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { packageRoot } from '../../src/package-root.js';
import { fileWith, runHere } from '../cli/support.js';
import { startAuthorizationServer } from '../support/authorization-server.js';
import { startGateway } from '../support/gateway.js';
import { eventually } from '../support/process.js';
import { startProtectedServer } from '../support/protected-server.js';

const PAGE = readFileSync(join(packageRoot, 'docs/upstream-credentials.md'), 'utf8');
const EXAMPLE = /```yaml\n([^`]+)```/.exec(PAGE)?.[1] ?? '';
const ENV = { ANN_TOKEN: 'a-token-of-ann', BOB_TOKEN: 'a-token-of-bob', CLIENT_SECRET: 'gateway-secret' };

test('the example of the page answers as the page says', async (t) => {
  const authority = await startAuthorizationServer(t);
  authority.subjects.set(ENV.ANN_TOKEN, 'ann');
  const upstream = await startProtectedServer(
    t,
    ({ authorization }) => authority.check(authorization)?.subject ?? null,
  );
  const text = EXAMPLE.replaceAll('https://login.example.com', authority.issuer)
    .replaceAll('url: https://weather.example.com/mcp', `url: ${upstream.url}`)
    .replaceAll('https://tickets.example.com/mcp', upstream.url);
  const gateway = await startGateway(t, parse(text) as object, { env: ENV });
  const calls = [...PAGE.matchAll(/^curl -s http:\/\/127\.0\.0\.1:8000(\S+) .*-d '(.*)' \| jq -c \.content\n(.+)$/gm)];
  assert.equal(calls.length, 2);
  for (const [, path = '', body = '', expected] of calls) {
    const headers = { authorization: `Bearer ${ENV.ANN_TOKEN}`, 'content-type': 'application/json' };
    const answer = await eventually('the tool is offered', async () => {
      const response = await fetch(`${gateway.origin}${path}`, { method: 'POST', headers, body });
      return response.status === 200 ? ((await response.json()) as { content: object }).content : null;
    });
    assert.equal(JSON.stringify(answer), expected);
  }
  const stats = (await (await fetch(`${gateway.adminUrl}/stats`)).json()) as {
    upstreams: { endpoints: { credentials: Record<string, unknown> }[] }[];
  };
  const { endsInSeconds, ...credentials } = stats.upstreams[1]?.endpoints[0]?.credentials ?? {};
  assert.ok(Number(endsInSeconds) > 3_000);
  assert.deepEqual(credentials, JSON.parse(/```json\n(.+)\n```/.exec(PAGE)?.[1] ?? ''));
  assert.deepEqual(
    authority
      .tokenRequests('client_credentials')
      .map(({ form }) => [form['scope'], form['resource'], form['audience']]),
    [
      ['weather.read', 'https://weather.example.com/mcp', undefined],
      [undefined, undefined, 'tickets'],
    ],
  );
});

test('validate prints the warning about passthrough that the page has', async (t) => {
  const file = await fileWith(
    t,
    'switchyard.yaml',
    'auth: { type: bearer, tokens: { ann: a-token-of-ann } }\nmcpServers: { tickets: { url: "https://tickets.example.com/mcp", passthrough: true } }\n',
  );
  const { code, stderr } = await runHere(['validate', file]);
  assert.equal(code, 0);
  const warning = /^mcpServers\.tickets\.passthrough: .+$/m.exec(PAGE)?.[0] ?? 'none';
  assert.ok(stderr.includes(warning), stderr);
});

test('every kind of credentials in the first table is one that the schema has', () => {
  const schema = readFileSync(join(packageRoot, 'schema/switchyard.schema.json'), 'utf8');
  for (const [, type] of PAGE.matchAll(/type: (\w+)/g)) assert.ok(schema.includes(`"${type}"`), type);
});
