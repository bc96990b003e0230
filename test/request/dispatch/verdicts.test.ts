/** What the policy says about each kind of request, through real rings and a real worker. */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Kind } from '../../../native/layout.js';
import { Caller } from '../../../src/request/exchange/caller.js';
import { Phase, Verb } from '../../../src/request/exchange/index.js';
import { Operation } from '../../../src/shared/ring/records.js';
import { authOf } from '../../support/auth.js';
import { catalog, rateLimits, route, server, tokenBucket } from '../../workers/fixture.js';
import { DispatchFixture } from './fixture.js';

describe('verdicts', () => {
  let fixture: DispatchFixture;
  before(() => {
    fixture = new DispatchFixture({
      auth: authOf({
        type: 'bearer',
        tokens: [
          { token: 'plain', subject: 'a', scopes: [] },
          { token: 'scoped', subject: 'b', scopes: ['find', 'more'] },
        ],
      }),
      routes: [route('guarded', { tools: ['search__*'], requiredScopes: ['find'] })],
    });
  });
  after(() => fixture.close());

  it('need a token for everything, and tell a missing one from a wrong one', async () => {
    for (const method of ['tools/call', 'tools/list', 'initialize', 'nonsense']) {
      const params = { name: 'files__read' };
      assert.equal((await fixture.ask({ method, params })).error, 'GW_UNAUTHENTICATED');
      assert.equal((await fixture.ask({ method, params, token: 'wrong' })).error, 'GW_INVALID_TOKEN');
    }
  });

  it('ask for the scopes of the route, and say which', async () => {
    const denied = await fixture.call('search__find', {}, { token: 'plain' });
    assert.deepEqual([denied.verdict, denied.error, denied.payload], ['deny', 'GW_INSUFFICIENT_SCOPE', 'find']);
    assert.equal((await fixture.call('search:find', {}, { token: 'plain' })).error, 'GW_INSUFFICIENT_SCOPE');
    assert.equal((await fixture.call('search__find', {}, { token: 'scoped' })).verdict, 'forward');
  });

  it('tell an unknown name nothing more than that', async () => {
    for (const [method, params, error] of [
      ['tools/call', { name: 'search__nope' }, 'GW_UNKNOWN_TOOL'],
      ['prompts/get', { name: 'nope' }, 'GW_UNKNOWN_PROMPT'],
      ['resources/read', { uri: 'file:///root' }, 'GW_UNKNOWN_RESOURCE'],
    ] as const) {
      const { words, ...result } = await fixture.ask({ method, params, token: 'plain' });
      assert.equal(result.error, error);
      assert.deepEqual([result.server, result.route, result.entry, result.payload], [-1, -1, -1, '']);
      assert.equal(words.rememberUntil, 0);
    }
  });

  it('leave lists, handshakes, pings and notifications to the front', async () => {
    for (const method of ['initialize', 'ping', 'tools/list', 'resources/templates/list', 'logging/setLevel']) {
      assert.equal(
        (await fixture.ask({ method, params: { uri: 'x:y', level: 'info' }, token: 'plain' })).verdict,
        'local',
        method,
      );
    }
    for (const method of ['server/discover', 'prompts/list', 'subscriptions/listen']) {
      assert.equal((await fixture.ask({ method, params: {}, token: 'plain', modern: true })).verdict, 'local', method);
    }
    for (const method of ['notifications/initialized', 'notifications/something/new']) {
      const raw = JSON.stringify({ jsonrpc: '2.0', method });
      assert.equal((await fixture.ask({ raw, token: 'plain' })).verdict, 'local', method);
    }
  });

  it('let a legacy client follow a resource that it may read, at the server that has it', async () => {
    for (const method of ['resources/subscribe', 'resources/unsubscribe']) {
      const known = await fixture.ask({ method, params: { uri: 'file:///etc/motd' }, token: 'plain' });
      assert.deepEqual([known.verdict, known.server], ['local', 0], method);
      const unknown = await fixture.ask({ method, params: { uri: 'x:y' }, token: 'plain' });
      assert.equal(unknown.error, 'GW_UNKNOWN_RESOURCE', method);
    }
  });

  it('know no method of the other era, and none they do not know', async () => {
    for (const method of [
      'server/discover',
      'subscriptions/listen',
      'tasks/list',
      'tasks/update',
      'sampling/createMessage',
      'nonsense',
    ]) {
      assert.equal((await fixture.ask({ method, params: {}, token: 'plain' })).error, 'GW_METHOD_NOT_FOUND', method);
    }
    for (const method of ['initialize', 'ping', 'resources/subscribe', 'tasks/list', 'tasks/result', 'nonsense']) {
      const { error } = await fixture.ask({ method, params: { uri: 'x:y' }, token: 'plain', modern: true });
      assert.equal(error, 'GW_METHOD_NOT_FOUND_MODERN', method);
    }
  });

  it('cover streams and the end of sessions, which have no body', async () => {
    for (const [operation, verb] of [
      [Operation.stream, Verb.get],
      [Operation.terminate, Verb.delete],
    ] as const) {
      for (const [token, expected] of [
        ['plain', 'local'],
        ['wrong', 'deny'],
      ] as const) {
        const { exchange } = fixture.exchange({ method: 'ping' });
        exchange.message.spans.clear();
        exchange.message.spans.flags = 0;
        exchange.message.spans.kind = Kind.none;
        exchange.message.spans.method = operation;
        exchange.message.verb = verb;
        exchange.client.caller = Caller.ofToken(token);
        const decided = fixture.wait(exchange);
        fixture.dispatcher.dispatch(exchange, new Uint8Array(0), 0);
        assert.equal((await decided).verdict, expected);
        fixture.done(exchange);
      }
    }
  });

  it('refuse a name beyond all measure before any worker sees it', async () => {
    const { error } = await fixture.call('n'.repeat(20_000), {}, { token: 'plain' });
    assert.equal(error, 'GW_INVALID_PARAMS');
    assert.equal((await fixture.call('n'.repeat(10_000), {}, { token: 'plain' })).error, 'GW_UNKNOWN_TOOL');
  });

  it('take a token of any size without harm', async () => {
    for (const length of [8_000, 20_000, 300_000]) {
      assert.equal((await fixture.call('files__read', {}, { token: 'x'.repeat(length) })).error, 'GW_INVALID_TOKEN');
    }
  });

  it('keep the exchange in one shape', async () => {
    const shapes = new Set<string>();
    const look = (value: object): void => {
      shapes.add(Object.keys(value).join());
    };
    const { exchange } = fixture.exchange({ method: 'ping' });
    look(exchange);
    fixture.done(exchange);
    for (const ask of [
      { method: 'tools/call', params: { name: 'files__read' }, token: 'plain' },
      { method: 'tools/call', params: { name: 'files__read' }, token: 'plain' },
      { method: 'tools/call', params: { name: 'nope' }, token: 'plain' },
      { method: 'tools/list', token: 'wrong' },
      { raw: '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"files\\u005f_read"}}', token: 'plain' },
    ]) {
      const opened = fixture.open(ask);
      await opened.decided;
      look(opened.exchange);
      fixture.done(opened.exchange);
      look(opened.exchange);
    }
    assert.equal(shapes.size, 1);
  });

  it('are not given to an exchange that was given up', async () => {
    const { exchange } = fixture.open({
      method: 'tools/call',
      params: { name: 'files__read' },
      token: 'scoped',
      modern: true,
    });
    const identity = `${exchange.slot}.${exchange.generation}`;
    assert.equal(exchange.phase, Phase.deciding);
    fixture.dispatcher.forget(exchange);
    fixture.done(exchange);
    // The slot's next user must get its own verdict and not the one that is still under way.
    const next = await fixture.call('search__find', {}, { token: 'plain' });
    assert.equal(next.exchange.slot, exchange.slot);
    assert.equal(next.error, 'GW_INSUFFICIENT_SCOPE');
    assert.equal(fixture.nexts.has(identity), false);
  });
});

describe('methods that the gateway does not know', () => {
  let fixture: DispatchFixture;
  before(() => {
    fixture = new DispatchFixture({
      servers: [server('files'), server('search', { methods: ['skills/*', 'x/only'] })],
      rateLimits: rateLimits({ global: tokenBucket(0.001, 30), maxClients: 10 }),
    });
  });
  after(() => fixture.close());

  it('go to the server that is configured for them, in both families, and are decided each time', async () => {
    for (const method of ['skills/list', 'x/only']) {
      for (const modern of [false, true]) {
        const { verdict, server: at, entry, words } = await fixture.ask({ method, params: {}, modern });
        assert.deepEqual([verdict, at, entry], ['forward', 1, -1]);
        assert.equal(words.rememberUntil, 0);
      }
    }
  });

  it('do not exist where none is configured', async () => {
    for (const method of ['skills', 'skills/list/more', 'x/only2', 'y/z']) {
      assert.equal((await fixture.ask({ method, params: {} })).error, 'GW_METHOD_NOT_FOUND', method);
      const { error } = await fixture.ask({ method, params: {}, modern: true });
      assert.equal(error, 'GW_METHOD_NOT_FOUND_MODERN', method);
    }
  });

  it('count as requests of their client', async () => {
    let denied = '';
    for (let calls = 0; calls < 40 && denied === ''; calls += 1) {
      denied = (await fixture.ask({ method: 'skills/list', params: {} })).error;
    }
    assert.equal(denied, 'GW_RATE_LIMITED');
  });
});

describe('a gateway before one server', () => {
  it('sends URIs there that nobody lists, since results may link to them', async () => {
    const fixture = new DispatchFixture({ servers: [server('files')] }, catalog([['tool', 0, 'files__read']]));
    try {
      for (const method of ['resources/read', 'resources/subscribe']) {
        const { verdict, server: at } = await fixture.ask({ method, params: { uri: 'made:up/1' } });
        assert.deepEqual([verdict, at], [method === 'resources/read' ? 'forward' : 'local', 0]);
      }
    } finally {
      await fixture.close();
    }
  });
});
