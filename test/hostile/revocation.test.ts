/** What is revoked is refused at once, whichever memory holds something older; over the admin listener and in a program. */
import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createGateway, type EmbeddedGateway, type GatewayConfig } from '../../src/index.js';
import { openAnswer } from '../support/event-stream.js';
import { gatewayHere, startGateway } from '../support/gateway.js';
import { eventually, type TestScope } from '../support/process.js';
import { type Message, modernRpc, rpc } from '../support/rpc.js';
import { getStream, listenStream, URI } from './listeners.js';

const fileOf = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const WATCHED = { command: process.execPath, args: [fileOf('../support/watched-server.js'), 'legacy', 'stdio'] };
const ASKING = { command: process.execPath, args: [fileOf('../support/asking-server.js'), 'stdio'] };
const SECRET = 'a shared secret of more than thirty-two bytes';
const AUTH = { type: 'jwt', secret: SECRET, audience: 'gateway', clockToleranceSeconds: 0 } as const;

const now = (): number => Math.floor(Date.now() / 1000);
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

function jwt(sub: string, claims: object = {}): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const payload = { sub, aud: 'gateway', iat: now(), exp: now() + 600, ...claims };
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(payload)}`;
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
}

async function running(scope: TestScope, change: Partial<GatewayConfig> = {}): Promise<EmbeddedGateway> {
  const gateway = createGateway({
    port: 0,
    admin: { port: 0 },
    auth: AUTH,
    log: { level: 'silent' },
    mcpServers: { up: WATCHED },
    ...change,
  });
  scope.after(() => gateway.stop());
  await gateway.start();
  await eventually('the upstream is listed', () => gateway.upstreamHealth()[0]?.healthy);
  return gateway;
}

const list = async (url: string, token: string): Promise<string> => {
  const { status, message, headers } = await modernRpc(url, 'tools/list', {}, { headers: bearer(token) });
  if (status === 401) assert.match(headers.get('www-authenticate') ?? '', /error="invalid_token"/);
  return status === 200 ? 'good' : message.error.data.code;
};

async function post(origin: string, path: string, body: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(`${origin}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: response.status, answer: (await response.json()) as Message };
}

describe('a revocation', () => {
  it('counts for the next request, with the memo and every known token warm, and is undone', async (scope) => {
    const gateway = await running(scope, { workers: 3 });
    const tokens = Array.from({ length: 12 }, (_, index) => jwt('alice', { jti: index }));
    const url = gateway.url!;
    for (let round = 0; round < 3; round += 1) {
      for (const token of tokens) assert.equal(await list(url, token), 'good');
    }
    gateway.revoke({ token: tokens[0]! });
    assert.equal(await list(url, tokens[0]!), 'GW_TOKEN_REVOKED');
    for (const token of tokens.slice(1)) assert.equal(await list(url, token), 'good');
    gateway.revoke({ subject: 'alice' });
    for (const token of tokens) assert.equal(await list(url, token), 'GW_TOKEN_REVOKED');
    assert.equal(await list(url, jwt('bob')), 'good');
    assert.equal((await gateway.stats()).revoked, 2);
    await eventually('a token issued later is good', async () => (await list(url, jwt('alice'))) === 'good');
    assert.equal(gateway.unrevoke({ subject: 'alice' }), true);
    assert.equal(gateway.unrevoke({ subject: 'alice' }), false);
    assert.equal(await list(url, tokens[0]!), 'GW_TOKEN_REVOKED', 'the token was revoked by itself too');
    for (const token of tokens.slice(1)) assert.equal(await list(url, token), 'good');
  });

  it('is refused when the list is full, and does not push out an older one', async (scope) => {
    const gateway = await running(scope, { limits: { maxRevoked: 2 } });
    gateway.revoke({ subject: 'alice' });
    gateway.revoke({ subject: 'bob' });
    assert.throws(() => gateway.revoke({ subject: 'carol' }), { code: 'GW_REVOCATIONS_FULL' });
    assert.equal(await list(gateway.url!, jwt('alice')), 'GW_TOKEN_REVOKED');
    assert.equal(await list(gateway.url!, jwt('carol')), 'good');
    const full = await post(`http://127.0.0.1:${gateway.adminAddress!.port}`, '/revoke', { subject: 'carol' });
    assert.equal(full.status, 507);
    assert.match(full.answer.error.message, /limits\.maxRevoked/);
  });

  it('leaves nothing to come back for: neither a stream nor its events', async (scope) => {
    const gateway = await running(scope);
    const token = jwt('alice');
    const { session, stream } = await getStream(scope, gateway.url!, token);
    const id = await eventually('an event id', () => stream.events().at(-1)?.id);
    gateway.revoke({ token });
    await eventually('the stream ends', () => stream.ended);
    const resume = { ...session.headers, accept: 'text/event-stream', 'last-event-id': id };
    assert.equal((await openAnswer(scope, gateway.url!, { headers: resume })).status, 401);
    // The subject is as good as before: with another token it hears what it has missed.
    const call = { name: 'up__touch', arguments: { uri: URI } };
    await modernRpc(gateway.url!, 'tools/call', call, { headers: bearer(jwt('bob')) });
    const again = await openAnswer(scope, gateway.url!, {
      headers: { ...resume, ...bearer(jwt('alice', { jti: 2 })) },
    });
    assert.equal(again.status, 200);
    await again.until('resources/updated');
    gateway.revoke({ session: session.id });
    await eventually('it ends with its session', () => again.ended);
    const gone = await openAnswer(scope, gateway.url!, { headers: { ...resume, ...bearer(jwt('alice', { jti: 2 })) } });
    assert.equal(gone.status, 404);
  });

  it('ends parked calls of the token, and no others', async (scope) => {
    const gateway = await running(scope, { mcpServers: { ask: { ...ASKING, isolation: 'principal', prefix: false } } });
    const call = async (token: string): Promise<void> => {
      const options = { headers: bearer(token), clientCapabilities: { elicitation: { form: {} } } };
      const { message, text } = await modernRpc(gateway.url!, 'tools/call', { name: 'greet', arguments: {} }, options);
      assert.equal(message.result?.resultType, 'input_required', text);
    };
    const [alice, bob] = [jwt('alice'), jwt('bob')];
    await call(alice);
    await call(bob);
    assert.equal((await gateway.stats()).parkedCalls, 2);
    gateway.revoke({ token: alice });
    await eventually('one is left', async () => (await gateway.stats()).parkedCalls === 1);
    assert.equal(await list(gateway.url!, bob), 'good');
  });
});

for (const frontEnd of ['uws', 'node'] as const) {
  describe(`the admin listener (${frontEnd})`, () => {
    it('revokes and takes back, across reloads, and logs no token', async (scope) => {
      const config = { auth: AUTH, mcpServers: { up: WATCHED }, log: { level: 'debug', access: true } };
      const gateway = await startGateway(scope, config, { frontEnd });
      const [one, other] = [jwt('alice', { jti: 1 }), jwt('alice', { jti: 2 })];
      await eventually('the upstream is there', async () => (await list(gateway.url, one)) === 'good');
      const streams = [await listenStream(scope, gateway.url, one), await listenStream(scope, gateway.url, other)];
      const revoke = (body: unknown) => post(gateway.adminUrl, '/revoke', body);
      assert.equal((await revoke({ token: one })).status, 200);
      const tokenSha256 = createHash('sha256').update(other).digest('hex');
      assert.equal((await revoke({ tokenSha256 })).status, 200);
      for (const stream of streams) await eventually('its stream ends', () => stream.ended);
      for (const token of [one, other]) assert.equal(await list(gateway.url, token), 'GW_TOKEN_REVOKED');

      await writeFile(
        gateway.configFile,
        (await readFile(gateway.configFile, 'utf8')).replace('{', '{"name":"again",'),
      );
      process.kill(gateway.process.pid, 'SIGHUP');
      const stats = async () => (await (await fetch(`${gateway.adminUrl}/stats`)).json()) as Message;
      await eventually('the reload', async () => (await stats()).configuration === 2);
      for (const token of [one, other]) assert.equal(await list(gateway.url, token), 'GW_TOKEN_REVOKED');
      assert.equal((await stats()).revoked, 2);
      assert.match(await (await fetch(`${gateway.adminUrl}/metrics`)).text(), /^switchyard_revocations 2$/m);

      assert.equal((await post(gateway.adminUrl, '/unrevoke', { tokenSha256 })).status, 200);
      assert.equal((await post(gateway.adminUrl, '/unrevoke', { tokenSha256 })).status, 404);
      assert.equal(await list(gateway.url, other), 'good');
      assert.equal((await revoke({ session: 'unknown' })).status, 404);
      for (const body of [
        '',
        'null',
        '[]',
        '{}',
        '{"token":1}',
        '{"token":"a","subject":"b"}',
        '{"tokenSha256":"x"}',
      ]) {
        assert.equal((await revoke(body)).status, 400, body);
      }
      await gateway.stop();
      assert.match(gateway.output, /revoked/);
      for (const token of [one, other]) assert.ok(!gateway.output.includes(token.slice(-40)), 'no token in the log');
    });

    it('takes no revocation from a page in a browser', async (scope) => {
      const gateway = await gatewayHere(scope, { auth: AUTH, mcpServers: { up: WATCHED } }, { frontEnd });
      const attempts: [headers: Record<string, string>, status: number][] = [
        [{ origin: 'https://evil.example' }, 403],
        [{ origin: 'null' }, 403],
        [{ 'content-type': 'text/plain' }, 415],
        [{ 'content-type': 'application/x-www-form-urlencoded' }, 415],
        [{ 'content-type': 'application/jsonp' }, 415],
      ];
      for (const [headers, status] of attempts) {
        const refused = await post(gateway.adminUrl, '/revoke', { subject: 'alice' }, headers);
        assert.equal(refused.status, status, JSON.stringify(headers));
      }
      assert.equal((await fetch(`${gateway.adminUrl}/revoke`)).status, 405);
      assert.equal((await post(gateway.adminUrl, '/revoke', `{"subject":"${'x'.repeat(40_000)}"}`)).status, 400);
      assert.equal(
        (await rpc(`${gateway.origin}/revoke`, { subject: 'alice' })).status,
        404,
        'not on the port of clients',
      );
      assert.equal(await list(gateway.url, jwt('alice')), 'good');
    });
  });
}
