/** docs/authentication.md: its example runs, and answers what the page says. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { packageRoot } from '../../src/package-root.js';
import { startAuthorizationServer } from '../support/authorization-server.js';
import { startGateway } from '../support/gateway.js';
import { eventually } from '../support/process.js';
import { type Message, modernRpc } from '../support/rpc.js';

const PAGE = readFileSync(join(packageRoot, 'docs/authentication.md'), 'utf8');

/** The block or table behind a mark. */
function example(name: string): string {
  const behind = PAGE.split(`<!-- example:${name} -->\n`)[1] ?? '';
  return behind.startsWith('```')
    ? (behind.split('```')[1] ?? '').replace(/^\w*\n/, '')
    : (behind.split('\n\n')[0] ?? '');
}

describe('docs/authentication.md', () => {
  it('has an example that answers as the page says', async (scope) => {
    const authority = await startAuthorizationServer(scope);
    const audience = 'https://mcp.example.com/mcp';
    const signed = await authority.issue({ subject: 'kim', audience });
    const expiresAt = Date.now() + 600_000;
    const token = { subject: 'olga', scope: '', audience, clientId: 'c', expiresAt, active: true };
    authority.tokens.set('opaque', token);
    authority.tokens.set('of-a-client', { ...token, subject: '' });
    authority.tokens.set('not-seen-before', token);
    const env = {
      ANN: 'the-password-of-ann',
      BOB: 'the-token-of-bob',
      CARL: 'the-key-of-carl',
      SECRET: 'gateway-secret',
    };
    const here = (text: string): string => text.replaceAll('https://login.example.com', authority.issuer);
    const gateway = await startGateway(scope, {}, { env, yaml: here(example('config')), startTimeoutMs: 60_000 });

    const rows = [...example('requests').matchAll(/^\| `([A-Za-z-]+): ([^`]+)` \| (\d+)(?: (\w+))? \|$/gm)];
    assert.equal(rows.length, 12);
    for (const [, name = '', written = '', status, code] of rows) {
      const value = written
        .replace(/\{base64 of ([^}]+)\}/, (_, text: string) => Buffer.from(text).toString('base64'))
        .replace('{a token of the issuer}', signed)
        .replace('{an opaque token that is active}', 'opaque')
        .replace('{an opaque token of a client without a user}', 'of-a-client');
      const answer = await modernRpc(gateway.url, 'tools/list', {}, { headers: { [name]: value } });
      assert.deepEqual([answer.status, answer.message.error?.data.code], [Number(status), code], `${name}: ${written}`);
      if (status !== '401') continue;
      const error = code === 'GW_UNAUTHENTICATED' ? 'Bearer ' : 'Bearer error="invalid_token", ';
      assert.equal(answer.headers.get('www-authenticate'), example('challenge').trim().replace('Bearer ', error));
    }
    const metadata = await fetch(`${gateway.origin}/.well-known/oauth-protected-resource/mcp`);
    assert.deepEqual(await metadata.json(), JSON.parse(here(example('metadata'))));
    const headers = { authorization: `Bearer ${env.BOB}` };
    const document = await fetch(`${gateway.origin}/openapi.json`, { headers });
    const { components, security } = (await document.json()) as Message;
    assert.deepEqual(components.securitySchemes, JSON.parse(here(example('openapi'))));
    assert.equal(security.length, 4);
    authority.fault = 'down';
    const unknown = { headers: { authorization: 'Bearer not-seen-before' } };
    const waiting = await modernRpc(gateway.url, 'tools/list', {}, unknown);
    assert.deepEqual([waiting.status, waiting.message.error.data.code], [503, 'GW_AUTH_UNAVAILABLE']);
    assert.equal(waiting.message.error.message, example('unavailable').trim());
    await eventually('the log', () => gateway.output.includes(`${authority.url('introspect')} cannot be used`));
  });
});
