/** What the gateway asks its policy on its own behalf. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ERROR_CODES } from '../../../src/errors.js';
import type { Question } from '../../../src/request/dispatch/questions.js';
import { Caller } from '../../../src/request/exchange/caller.js';
import { Verdict } from '../../../src/shared/ring/records.js';
import { authOf } from '../../support/auth.js';
import { rateLimits, route, tokenBucket } from '../../workers/fixture.js';
import { DispatchFixture, type DispatchFixtureOptions } from './fixture.js';

const auth = authOf({
  type: 'bearer',
  tokens: [
    { token: 'plain', subject: 'a', scopes: [] },
    { token: 'scoped', subject: 'b', scopes: ['docs'] },
  ],
});

async function withFixture(
  run: (fixture: DispatchFixture) => Promise<void>,
  changes: ConstructorParameters<typeof DispatchFixture>[0] = {},
  options: DispatchFixtureOptions = {},
): Promise<void> {
  const fixture = new DispatchFixture({ auth, ...changes }, undefined, options);
  try {
    await run(fixture);
  } finally {
    await fixture.close();
  }
}

/** A question that takes no rate-limit tokens, unless `more` says otherwise. */
function question(token: string, uri: string | null = null, more: Partial<Question> = {}): Question {
  const about = uri === null ? 'token' : 'resource';
  return { caller: Caller.ofToken(token), address: '', about, name: uri ?? '', isMetered: false, ...more };
}

function ask(fixture: DispatchFixture, ...asked: Parameters<typeof question>): Promise<string> {
  return new Promise((resolve, reject) => {
    const isAsked = fixture.dispatcher.ask(question(...asked), (verdict) => {
      const isDenied = verdict.kind === Verdict.deny;
      resolve(isDenied ? ERROR_CODES[verdict.error]! : 'good');
    });
    if (!isAsked) reject(new Error('no exchange is free'));
  });
}

describe('a question of the gateway', () => {
  it('is answered by the policy: tokens, and resources by their scopes', () =>
    withFixture(
      async (fixture) => {
        assert.equal(await ask(fixture, 'plain'), 'good');
        assert.equal(await ask(fixture, 'wrong'), 'GW_INVALID_TOKEN');
        assert.equal(await ask(fixture, ''), 'GW_UNAUTHENTICATED');
        assert.equal(await ask(fixture, 'plain', 'file:///etc/motd'), 'GW_INSUFFICIENT_SCOPE');
        assert.equal(await ask(fixture, 'scoped', 'file:///etc/motd'), 'good');
        assert.equal(await ask(fixture, 'scoped', 'nothing://here'), 'GW_UNKNOWN_RESOURCE');
        assert.equal(fixture.nexts.size, 0, 'no stage behind hears of it');
        assert.equal(fixture.table.inUse, 0);
      },
      { routes: [route('docs', { resources: ['file:///etc/*'], requiredScopes: ['docs'] })] },
    ));

  it('is answered for tasks by the tool that made them', () =>
    withFixture(
      async (fixture) => {
        const about = { about: 'task' } as const;
        assert.equal(await ask(fixture, 'plain', 'search:find', about), 'GW_INSUFFICIENT_SCOPE');
        assert.equal(await ask(fixture, 'plain', 'search:gone', about), 'GW_INSUFFICIENT_SCOPE');
        assert.equal(await ask(fixture, 'scoped', 'search:find', about), 'good');
        assert.equal(await ask(fixture, 'plain', 'files:read', about), 'good');
        assert.equal(await ask(fixture, 'scoped', 'nobody:find', about), 'GW_UNKNOWN_TASK');
      },
      { routes: [route('docs', { tools: ['search__*'], requiredScopes: ['docs'] })] },
    ));

  it('takes no rate-limit token unless it should, and what is remembered of it stays apart from calls', () =>
    withFixture(
      async (fixture) => {
        for (let count = 0; count < 20; count += 1) assert.equal(await ask(fixture, 'plain'), 'good');
        assert.equal(await ask(fixture, 'plain', 'file:///etc/motd'), 'good');
        assert.equal(await ask(fixture, 'plain', 'file:///etc/motd', { isMetered: true }), 'good');
        assert.equal(await ask(fixture, 'plain', 'file:///etc/motd', { isMetered: true }), 'GW_RATE_LIMITED');
        assert.equal(await ask(fixture, 'plain', 'file:///etc/motd'), 'good');
        assert.equal((await fixture.call('files__read', {}, { token: 'scoped' })).verdict, 'forward');
        assert.equal((await fixture.call('files__read', {}, { token: 'scoped' })).error, 'GW_RATE_LIMITED');
        assert.equal(await ask(fixture, 'scoped'), 'good');
      },
      {
        rateLimits: rateLimits({ count: 'all', perClient: tokenBucket(1e-6, 1), maxClients: 16 }),
      },
    ));

  it('is refused when no exchange is free, and survives the death of its worker', async () => {
    await withFixture(
      async (fixture) => {
        const open = [fixture.exchange({ method: 'ping' }), fixture.exchange({ method: 'ping' })];
        assert.equal(
          fixture.dispatcher.ask(question('plain'), () => assert.fail('called')),
          false,
        );
        for (const { exchange } of open) fixture.done(exchange);
        await fixture.pool.ready();
        fixture.pool.terminate(0, 'on purpose');
        assert.equal(await ask(fixture, 'plain'), 'good');
      },
      {},
      { capacity: 2 },
    );
  });

  it('tells at once what was revoked, and a worker that starts later knows it too', () => {
    const message = { type: 'revocation', kind: 'subject', value: 'a', at: Date.now() / 1000 } as const;
    const revoked: (typeof message)[] = [];
    return withFixture(
      async (fixture) => {
        assert.equal((await fixture.call('files__read', {}, { token: 'plain' })).verdict, 'forward');
        revoked.push(message);
        fixture.pool.revoke(message);
        assert.equal((await fixture.call('files__read', {}, { token: 'plain' })).error, 'GW_TOKEN_REVOKED');
        assert.equal((await fixture.call('files__read', {}, { token: 'scoped' })).verdict, 'forward');
        await fixture.pool.ready();
        fixture.pool.terminate(0, 'on purpose');
        assert.equal(await ask(fixture, 'plain'), 'GW_TOKEN_REVOKED');
        fixture.pool.revoke({ ...message, at: null });
        assert.equal((await fixture.call('files__read', {}, { token: 'plain' })).verdict, 'forward');
      },
      {},
      { revocations: { messages: () => revoked } },
    );
  });
});
