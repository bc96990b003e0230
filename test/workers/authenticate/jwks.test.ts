/** Keys from a URL: one load for all workers, rare refreshes, cached keys while the endpoint is down, never open. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { KeySets } from '../../../src/control/credentials/key-sets.js';
import { fetchKeys } from '../../../src/control/threads/fetch-keys.js';
import { Counter, Counters, counterMemory } from '../../../src/shared/counters.js';
import type { KeyMessage } from '../../../src/shared/ring/worker-messages.js';
import type { Authenticator } from '../../../workers/authenticate/index.js';
import { KeySources } from '../../../workers/authenticate/keys.js';
import { DispatchFixture } from '../../request/dispatch/fixture.js';
import { authOf } from '../../support/auth.js';
import { authenticatorFor, claims, type JwtAuth, judge, jwtAuth, LoopbackServer, rs256, rsaKey } from './tokens.js';

const first = rsaKey('first');
const second = rsaKey('second');

describe('loading keys', () => {
  let server: LoopbackServer;
  let answer: (response: ServerResponse, url: string) => void;
  before(async () => {
    server = await LoopbackServer.start((request, response) => answer(response, request.url ?? ''));
  });
  after(() => server.stop());

  it('takes a key set', async () => {
    answer = (response) => response.end(JSON.stringify({ keys: [first.jwk] }));
    assert.deepEqual(JSON.parse(await fetchKeys(server.url())), { keys: [first.jwk] });
  });

  for (const [name, reply] of [
    ['another status', (response: ServerResponse) => response.writeHead(500).end('{"keys":[]}')],
    ['a page', (response: ServerResponse) => response.end('<html>')],
    ['JSON that is no key set', (response: ServerResponse) => response.end('{"keys":{}}')],
    ['null', (response: ServerResponse) => response.end('null')],
    ['more than 1 MiB', (response: ServerResponse) => response.end(`{"keys":[],"filler":"${'x'.repeat(1_100_000)}"}`)],
    [
      'an answer that breaks off',
      (response: ServerResponse) => {
        response.writeHead(200, { 'content-length': 100 });
        response.write('{"keys":[]');
        setImmediate(() => response.destroy());
      },
    ],
  ] as const) {
    it(`refuses ${name}`, async () => {
      answer = reply;
      await assert.rejects(fetchKeys(server.url()));
    });
  }

  it('follows no redirect', async () => {
    answer = (response, url) => {
      if (url === '/jwks') response.writeHead(302, { location: server.url('/elsewhere') }).end();
      else response.end(JSON.stringify({ keys: [first.jwk] }));
    };
    const before = server.requests.length;
    await assert.rejects(fetchKeys(server.url()));
    assert.deepEqual(server.requests.slice(before), ['/jwks']);
  });

  it('gives up on an answer that stops in the middle, whatever is collected meanwhile', async () => {
    answer = (response) => {
      response.writeHead(200, { 'content-length': 100 });
      response.write('{"keys":[]');
    };
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const collecting = setInterval(collect, 100);
    try {
      await assert.rejects(fetchKeys(server.url()), { name: 'TimeoutError' });
    } finally {
      clearInterval(collecting);
    }
  });

  it('refuses http to other machines, and other schemes, without a connection', async () => {
    for (const url of [
      'http://192.0.2.1/jwks',
      'http://localhost.example/jwks',
      'http://127.0.0.1.example/',
      'file:///etc/passwd',
      'data:application/json,{"keys":[]}',
    ]) {
      await assert.rejects(fetchKeys(url), /https/, url);
    }
  });
});

describe('stored keys', () => {
  let server: LoopbackServer;
  let keys: readonly unknown[] | null;
  let counters: Counters;
  let keeper: KeySets;
  let sources: KeySources[];
  let logged: string[];
  before(async () => {
    server = await LoopbackServer.start((_request, response) => {
      if (keys === null) response.writeHead(503).end();
      else response.end(JSON.stringify({ keys }));
    });
  });
  after(() => server.stop());
  beforeEach(() => {
    keys = [first.jwk];
    server.requests.length = 0;
    counters = new Counters(counterMemory(1, 1), 0);
    sources = [];
    logged = [];
    const receiver = {
      useKeys: (message: KeyMessage) => {
        for (const source of sources) source.receive(message);
      },
    };
    keeper = new KeySets(counters, receiver, { warn: (sentence) => void logged.push(sentence) });
  });
  afterEach(() => keeper.close());

  function worker(changes: Partial<JwtAuth>): Authenticator {
    const auth = jwtAuth({ jwksUrl: server.url(), ...changes });
    const requests = { requestKeys: (url: string, version: number) => void keeper.request(url, version) };
    const source = new KeySources(requests, keeper.current());
    sources.push(source);
    keeper.configure(authOf(auth).providers);
    return authenticatorFor(auth, source);
  }

  const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

  it('loads once for all workers and all tokens', async () => {
    const workers = [worker({}), worker({}), worker({})];
    const results = await Promise.all(
      workers.flatMap((each) =>
        Array.from({ length: 10 }, (_, i) => judge(each, rs256(first, claims({ jti: `${i}` })))),
      ),
    );
    for (const result of results) assert.notEqual(typeof result, 'string');
    assert.equal(server.requests.length, 1);
  });

  it('refreshes at most once in a cooldown, however many unknown key ids come', async () => {
    const each = worker({ jwksCooldownMs: 60_000 });
    assert.notEqual(typeof (await judge(each, rs256(first))), 'string');
    for (let i = 0; i < 30; i += 1) {
      assert.equal(await judge(each, rs256(second, claims(), { kid: `unknown ${i}` })), 'GW_INVALID_TOKEN');
    }
    assert.equal(server.requests.length, 1);
  });

  it('finds a new key after the cooldown, and what was refused before is accepted then', async () => {
    const each = worker({ jwksCooldownMs: 150 });
    assert.notEqual(typeof (await judge(each, rs256(first))), 'string');
    keys = [first.jwk, second.jwk];
    const token = rs256(second);
    assert.equal(await judge(each, token), 'GW_INVALID_TOKEN');
    await pause(160);
    assert.notEqual(typeof (await judge(each, token)), 'string');
    assert.equal(server.requests.length, 2);
  });

  it('uses the keys it has while the endpoint is down, for new tokens too', async () => {
    const each = worker({ jwksCooldownMs: 10 });
    assert.notEqual(typeof (await judge(each, rs256(first))), 'string');
    keys = null;
    await pause(20);
    assert.equal(await judge(each, rs256(second)), 'GW_INVALID_TOKEN');
    assert.notEqual(typeof (await judge(each, rs256(first, claims({ jti: 'new' })))), 'string');
    assert.ok(counters.total(Counter.jwksFailures) >= 1);
  });

  it('stops using keys at their greatest age, and never opens', async () => {
    const each = worker({ jwksCooldownMs: 20, jwksMaxAgeMs: 400 });
    assert.notEqual(typeof (await judge(each, rs256(first))), 'string');
    keys = null;
    let result: unknown;
    for (let i = 0; result !== 'GW_AUTH_UNAVAILABLE'; i += 1) {
      await pause(50);
      result = await judge(each, rs256(first, claims({ jti: `${i}` })));
      assert.notEqual(result, 'GW_INVALID_TOKEN');
    }
    keys = [first.jwk];
    await pause(50);
    assert.notEqual(typeof (await judge(each, rs256(first, claims({ jti: 'again' })))), 'string');
    assert.deepEqual(logged, [
      `auth: the key set ${server.url()} cannot be used, and the last keys stay in use: it answered with status 503`,
      `auth: the key set ${server.url()} can be used again`,
    ]);
  });

  it('lets no token wait for keys of an address that is not configured any more', async () => {
    const source = new KeySources({ requestKeys() {} }, []);
    const waiting = judge(authenticatorFor(jwtAuth({ jwksUrl: server.url() }), source), rs256(first));
    await new Promise(setImmediate);
    source.keep(new Set());
    assert.equal(await waiting, 'GW_AUTH_UNAVAILABLE');
  });

  it('answers that it is unavailable when no keys were ever loaded', async () => {
    keys = null;
    const each = worker({ jwksUrl: server.url('/jwks?key=secret') });
    for (let i = 0; i < 5; i += 1) {
      assert.equal(await judge(each, rs256(first, claims({ jti: `${i}` }))), 'GW_AUTH_UNAVAILABLE');
    }
    assert.equal(server.requests.length, 1);
    const meanwhile = 'tokens of its issuer cannot be checked: it answered with status 503';
    assert.deepEqual(logged, [`auth: the key set ${server.url()} cannot be used, and ${meanwhile}`]);
  });
});

describe('keys through the whole pool', () => {
  it('a token whose key was withdrawn is refused, although it was verified and remembered before', async () => {
    let keys = [first.jwk, second.jwk];
    const server = await LoopbackServer.start((_request, response) => response.end(JSON.stringify({ keys })));
    const fixture = new DispatchFixture({
      workers: 2,
      auth: authOf(jwtAuth({ jwksUrl: server.url(), jwksMaxAgeMs: 1000, jwksCooldownMs: 50 })),
    });
    try {
      const [kept, withdrawn] = [rs256(first), rs256(second)];
      const verdicts = async (token: string): Promise<string[]> => {
        const results = [];
        for (let i = 0; i < 3; i += 1) results.push((await fixture.call('files__read', {}, { token })).verdict);
        return results;
      };
      assert.deepEqual(await verdicts(kept), ['forward', 'forward', 'forward']);
      assert.deepEqual(await verdicts(withdrawn), ['forward', 'forward', 'forward']);
      assert.ok(fixture.pool.counters.total(Counter.memoHits) > 0);
      keys = [first.jwk];
      const loads = server.requests.length;
      while (server.requests.length === loads) await new Promise((resolve) => setTimeout(resolve, 10));
      while ((await fixture.call('files__read', {}, { token: withdrawn })).verdict === 'forward') {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      assert.deepEqual(await verdicts(withdrawn), ['deny', 'deny', 'deny']);
      assert.deepEqual(await verdicts(kept), ['forward', 'forward', 'forward']);
    } finally {
      await fixture.close();
      await server.stop();
    }
  });

  it('3 workers load once; a silent endpoint refuses at the deadline and delays no other request', async () => {
    const server = await LoopbackServer.start((_request, response) =>
      response.end(JSON.stringify({ keys: [first.jwk] })),
    );
    const fixture = new DispatchFixture({ workers: 3, auth: authOf(jwtAuth({ jwksUrl: server.url() })) });
    try {
      const tokens = Array.from({ length: 30 }, (_, i) => rs256(first, claims({ jti: `${i}` })));
      const results = await Promise.all(tokens.map((token) => fixture.call('files__read', {}, { token })));
      assert.ok(results.every(({ verdict }) => verdict === 'forward'));
      assert.equal((await fixture.call('files__read', {}, { token: rs256(second) })).error, 'GW_INVALID_TOKEN');
      assert.equal(server.requests.length, 1);
    } finally {
      await fixture.close();
      await server.stop();
    }
    const silent = createServer(() => {});
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}/`;
    const waiting = new DispatchFixture({ auth: authOf(jwtAuth({ jwksUrl: url })) });
    try {
      await waiting.pool.ready();
      waiting.dispatcher.reconfigure({
        ...waiting.pool.snapshot,
        version: 2,
        limits: { ...waiting.pool.snapshot.limits, decideMs: 300 },
      });
      const slow = waiting.call('files__read', {}, { token: rs256(first) });
      assert.equal((await waiting.call('files__read')).error, 'GW_UNAUTHENTICATED');
      const { error, payload } = await slow;
      assert.deepEqual([error, payload], ['GW_AUTH_UNAVAILABLE', 'Its check waits for the keys of auth.jwksUrl.']);
    } finally {
      await waiting.close();
      silent.close();
    }
  });
});
