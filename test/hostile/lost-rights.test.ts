/** Streams and connections end with the right that they were opened with, on every transport of both front ends. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createGateway, type EmbeddedGateway, type GatewayConfig } from '../../src/index.js';
import { eventually, type TestScope } from '../support/process.js';
import { modernRpc } from '../support/rpc.js';
import { everyListener, getStream, type Listener, listenStream, URI, webSocket } from './listeners.js';

const WATCHED = fileURLToPath(new URL('../support/watched-server.js', import.meta.url));
const SECRET = 'a shared secret of more than thirty-two bytes';
const FRONT_ENDS = ['uws', 'node'] as const;

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const now = (): number => Math.floor(Date.now() / 1000);

function jwt(claims: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
}

const alice = (claims: object = {}): string =>
  jwt({ sub: 'alice', aud: 'first', iat: now(), exp: now() + 600, scope: 'notes', ...claims });
/** Still good after a reload that asks for the second audience. */
const bob = (): string => jwt({ sub: 'bob', aud: ['first', 'second'], iat: now(), exp: now() + 600, scope: 'notes' });

const JWT = { type: 'jwt', secret: SECRET, audience: 'first', clockToleranceSeconds: 0 } as const;

function configOf(change: Partial<GatewayConfig> = {}): GatewayConfig {
  return {
    port: 0,
    admin: { port: 0 },
    log: { level: 'silent' },
    auth: JWT,
    sessions: { secret: 'the first secret of sessions, long enough' },
    mcpServers: { up: { command: process.execPath, args: [WATCHED, 'legacy', 'stdio'] } },
    ...change,
  };
}

async function running(scope: TestScope, config: GatewayConfig): Promise<EmbeddedGateway> {
  const gateway = createGateway(config);
  scope.after(() => gateway.stop());
  await gateway.start();
  await eventually('the upstream is listed', () => gateway.upstreamHealth()[0]?.healthy);
  return gateway;
}

/** The resource changes, as `witness` hears. */
async function change(gateway: EmbeddedGateway, token: string, witness: Listener): Promise<void> {
  const { heard } = witness;
  const params = { name: 'up__touch', arguments: { uri: URI } };
  const { text } = await modernRpc(gateway.url!, 'tools/call', params, { headers: bearer(token) });
  assert.match(text, /touched/);
  await eventually('the witness hears', () => witness.heard > heard);
}

/** All listeners end, and none hears what happens afterwards, though the upstream goes on. */
async function allEnd(
  gateway: EmbeddedGateway,
  listeners: readonly Listener[],
  witness: Listener,
  witnessToken: string,
  sentence: RegExp,
): Promise<void> {
  for (const listener of listeners) await eventually(`${listener.name} ends`, () => listener.ended);
  const heard = listeners.map((listener) => listener.heard);
  for (let count = 0; count < 3; count += 1) await change(gateway, witnessToken, witness);
  assert.deepEqual(
    listeners.map((listener) => listener.heard),
    heard,
  );
  for (const listener of listeners) assert.match(listener.sentence, sentence, listener.name);
  assert.equal(witness.ended, false);
  await eventually('all is given back', async () => (await gateway.stats()).streams === 1);
}

interface Cause {
  readonly name: string;
  readonly config?: Partial<GatewayConfig>;
  /** The token of the clients. */
  token(): string;
  /** The token of the client that goes on. */
  witness?(): string;
  act?(gateway: EmbeddedGateway, config: GatewayConfig, token: string): void | Promise<void>;
  readonly sentence: RegExp;
}

const FIXED = { alice: 'the token of alice', bob: 'the token of bob' };
const fixed = (names: readonly ('alice' | 'bob')[]) => ({
  type: 'bearer' as const,
  tokens: Object.fromEntries(names.map((name) => [name, FIXED[name].replaceAll(' ', '-')])),
});
const fixedToken = (name: 'alice' | 'bob'): string => FIXED[name].replaceAll(' ', '-');

const CAUSES: readonly Cause[] = [
  { name: 'their token expires', token: () => alice({ exp: now() + 5 }), sentence: /has expired/ },
  {
    name: 'their token is revoked',
    token: alice,
    act: (gateway, _config, token) => assert.equal(gateway.revoke({ token }), true),
    sentence: /was revoked/,
  },
  {
    name: 'their subject is revoked',
    token: alice,
    act: (gateway) => assert.equal(gateway.revoke({ subject: 'alice' }), true),
    sentence: /was revoked/,
  },
  {
    name: 'a reload asks for another audience',
    token: alice,
    act: (gateway, config) => gateway.reload({ ...config, auth: { ...JWT, audience: 'second' } }),
    sentence: /is invalid/,
  },
  {
    name: 'a reload drops their fixed token',
    config: { auth: fixed(['alice', 'bob']) },
    token: () => fixedToken('alice'),
    witness: () => fixedToken('bob'),
    act: (gateway, config) => gateway.reload({ ...config, auth: fixed(['bob']) }),
    sentence: /is invalid/,
  },
  {
    name: 'a reload gives their fixed token to another subject',
    config: { auth: fixed(['alice', 'bob']) },
    token: () => fixedToken('alice'),
    witness: () => fixedToken('bob'),
    act: (gateway, config) =>
      gateway.reload({
        ...config,
        auth: { type: 'bearer', tokens: { mallory: fixedToken('alice'), bob: fixedToken('bob') } },
      }),
    sentence: /is invalid/,
  },
];

for (const frontEnd of FRONT_ENDS) {
  describe(`streams and connections (${frontEnd})`, () => {
    for (const cause of CAUSES) {
      it(`end when ${cause.name}`, async (scope) => {
        const config = configOf({ frontEnd, ...cause.config });
        const gateway = await running(scope, config);
        const witnessToken = cause.witness?.() ?? bob();
        const witness = await listenStream(scope, gateway.url!, witnessToken);
        const token = cause.token();
        const listeners = await everyListener(scope, gateway, token);
        await change(gateway, witnessToken, witness);
        for (const listener of listeners) await eventually(`${listener.name} hears`, () => listener.heard > 0);
        await cause.act?.(gateway, config, token);
        await allEnd(gateway, listeners, witness, witnessToken, cause.sentence);
      });
    }

    it('end with a session whose secret a reload drops, and those of secrets that stay go on', async (scope) => {
      const config = configOf({ frontEnd });
      const gateway = await running(scope, config);
      const old = await getStream(scope, gateway.url!, alice());
      const connection = await webSocket(scope, gateway.url!, alice());
      const [first, second] = ['the first secret of sessions, long enough', 'a second secret of sessions, long enough'];
      await gateway.reload({ ...config, sessions: { secret: [second, first] } });
      const young = await getStream(scope, gateway.url!, bob());
      await change(gateway, bob(), young);
      await eventually('the old one goes on', () => old.heard > 0 && connection.heard > 0);
      await gateway.reload({ ...config, sessions: { secret: second } });
      assert.equal((await old.session.request('ping')).status, 404);
      await allEnd(gateway, [old, connection], young, bob(), /Session not found/);
      assert.equal((await young.session.request('ping')).status, 200);
      assert.equal((await gateway.stats()).sessions, 1, 'the state of the others is given back');
    });

    it('end with a revoked session, and with no other of the same subject', async (scope) => {
      const gateway = await running(scope, configOf({ frontEnd }));
      const [one, other] = [
        await getStream(scope, gateway.url!, alice()),
        await getStream(scope, gateway.url!, alice()),
      ];
      assert.equal(gateway.revoke({ session: one.session.id }), true);
      assert.equal((await one.session.request('ping')).status, 404);
      await allEnd(gateway, [one], other, alice(), /Session not found/);
      assert.equal((await other.session.request('ping')).status, 200);
      assert.equal(gateway.revoke({ session: 'none' }), false);
      await gateway.reload(configOf({ frontEnd, name: 'again' }));
      assert.equal((await one.session.request('ping')).status, 404, 'a reload brings nothing back');
      assert.equal(gateway.unrevoke({ session: one.session.id }), true);
      assert.equal((await one.session.request('ping')).status, 200);
    });

    it('hear no more of a resource that a reload asks another scope for', async (scope) => {
      const config = configOf({ frontEnd });
      const gateway = await running(scope, config);
      const witnessToken = jwt({ sub: 'eve', aud: 'first', exp: now() + 600, scope: 'notes secret' });
      const witness = await listenStream(scope, gateway.url!, witnessToken);
      const session = await getStream(scope, gateway.url!, alice());
      const listen = await listenStream(scope, gateway.url!, alice());
      await change(gateway, witnessToken, witness);
      await eventually('both hear', () => session.heard === 1 && listen.heard === 1);
      await gateway.reload({
        ...config,
        routes: [{ match: { resources: [URI] }, requiredScopes: ['secret'], whenDenied: 'challenge' }],
      });
      await eventually('the listen stream ends', () => listen.ended);
      assert.match(listen.sentence, /scope/);
      await change(gateway, witnessToken, witness);
      const { heard } = session;
      await change(gateway, witnessToken, witness);
      assert.equal(session.heard, heard, 'the session follows it no longer');
      assert.equal(session.ended, false, 'its stream is there for the rest');
      const again = await listenStream(scope, gateway.url!, alice());
      await change(gateway, witnessToken, witness);
      assert.equal(again.heard, 0, 'nor does a new listen stream');
    });

    it('let a call in flight finish', async (scope) => {
      const gateway = await running(
        scope,
        configOf({
          frontEnd,
          mcpServers: {
            up: { command: process.execPath, args: [WATCHED, 'legacy', 'stdio'] },
            slow: { command: process.execPath, args: [SLOW] },
          },
        }),
      );
      await eventually('both are listed', () => gateway.upstreamHealth().every(({ healthy }) => healthy));
      const token = alice();
      const socket = await webSocket(scope, gateway.url!, token);
      const call = { name: 'slow__who', arguments: { text: 'done', waitMs: 3_000 } };
      const answer = modernRpc(gateway.url!, 'tools/call', call, { headers: bearer(token) });
      socket.send({ jsonrpc: '2.0', id: 'c', method: 'tools/call', params: call });
      await eventually('both are under way', () => gateway.upstreamHealth()[1]?.endpoints[0]?.inFlight === 2);
      gateway.revoke({ token });
      assert.equal((await modernRpc(gateway.url!, 'tools/list', {}, { headers: bearer(token) })).status, 401);
      socket.send({ jsonrpc: '2.0', id: 'refused', method: 'tools/list' });
      await eventually('the answer to the one on the connection', () => socket.messages.find(({ id }) => id === 'c'));
      assert.match((await answer).text, /done/);
      await eventually('then the connection ends', () => socket.ended);
      assert.match(socket.sentence, /^1008 .*revoked/);
      const refused = socket.messages.find(({ id }) => id === 'refused');
      assert.equal(refused?.error.data.code, 'GW_TOKEN_REVOKED');
    });
  });
}

const SLOW = fileURLToPath(new URL('../control/named-server.js', import.meta.url));
