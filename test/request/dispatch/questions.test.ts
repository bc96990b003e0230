/** What the gateway asks its policy on its own behalf. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ERROR_CODES } from '../../../src/errors.js';
import type { Question } from '../../../src/request/dispatch/questions.js';
import { Verdict } from '../../../src/shared/records.js';
import { route } from '../../workers/fixture.js';
import { Bed, type BedOptions } from './bed.js';

const auth = {
  type: 'bearer',
  tokens: [
    { token: 'plain', subject: 'a', scopes: [] },
    { token: 'scoped', subject: 'b', scopes: ['docs'] },
  ],
  resourceMetadata: null,
} as const;

async function withBed(
  run: (bed: Bed) => Promise<void>,
  changes: ConstructorParameters<typeof Bed>[0] = {},
  options: BedOptions = {},
): Promise<void> {
  const bed = new Bed({ auth, ...changes }, undefined, options);
  try {
    await run(bed);
  } finally {
    await bed.close();
  }
}

/** A question that takes no rate-limit tokens, unless `more` says otherwise. */
function question(token: string, uri: string | null = null, more: Partial<Question> = {}): Question {
  const about = uri === null ? 'token' : 'resource';
  return { token, address: '', about, name: uri ?? '', isMetered: false, ...more };
}

function ask(bed: Bed, ...asked: Parameters<typeof question>): Promise<string> {
  return new Promise((resolve, reject) => {
    const isAsked = bed.dispatcher.ask(question(...asked), (verdict) => {
      const isDenied = verdict.kind === Verdict.deny;
      resolve(isDenied ? ERROR_CODES[verdict.error]! : 'good');
    });
    if (!isAsked) reject(new Error('no exchange is free'));
  });
}

describe('a question of the gateway', () => {
  it('is answered by the policy: tokens, and resources by their scopes', () =>
    withBed(
      async (bed) => {
        assert.equal(await ask(bed, 'plain'), 'good');
        assert.equal(await ask(bed, 'wrong'), 'GW_INVALID_TOKEN');
        assert.equal(await ask(bed, ''), 'GW_UNAUTHENTICATED');
        assert.equal(await ask(bed, 'plain', 'file:///etc/motd'), 'GW_INSUFFICIENT_SCOPE');
        assert.equal(await ask(bed, 'scoped', 'file:///etc/motd'), 'good');
        assert.equal(await ask(bed, 'scoped', 'nothing://here'), 'GW_UNKNOWN_RESOURCE');
        assert.equal(bed.nexts.size, 0, 'no stage behind hears of it');
        assert.equal(bed.table.inUse, 0);
      },
      { routes: [route('docs', { resources: ['file:///etc/*'], requiredScopes: ['docs'] })] },
    ));

  it('is answered for tasks by the tool that made them', () =>
    withBed(
      async (bed) => {
        const about = { about: 'task' } as const;
        assert.equal(await ask(bed, 'plain', 'search:find', about), 'GW_INSUFFICIENT_SCOPE');
        assert.equal(await ask(bed, 'plain', 'search:gone', about), 'GW_INSUFFICIENT_SCOPE');
        assert.equal(await ask(bed, 'scoped', 'search:find', about), 'good');
        assert.equal(await ask(bed, 'plain', 'files:read', about), 'good');
        assert.equal(await ask(bed, 'scoped', 'nobody:find', about), 'GW_UNKNOWN_TASK');
      },
      { routes: [route('docs', { tools: ['search__*'], requiredScopes: ['docs'] })] },
    ));

  it('takes no rate-limit token unless it should, and what is remembered of it stays apart from calls', () =>
    withBed(
      async (bed) => {
        for (let count = 0; count < 20; count += 1) assert.equal(await ask(bed, 'plain'), 'good');
        assert.equal(await ask(bed, 'plain', 'file:///etc/motd'), 'good');
        assert.equal(await ask(bed, 'plain', 'file:///etc/motd', { isMetered: true }), 'good');
        assert.equal(await ask(bed, 'plain', 'file:///etc/motd', { isMetered: true }), 'GW_RATE_LIMITED');
        assert.equal(await ask(bed, 'plain', 'file:///etc/motd'), 'good');
        assert.equal((await bed.call('files__read', {}, { token: 'scoped' })).verdict, 'forward');
        assert.equal((await bed.call('files__read', {}, { token: 'scoped' })).error, 'GW_RATE_LIMITED');
        assert.equal(await ask(bed, 'scoped'), 'good');
      },
      {
        rateLimits: { global: null, perClient: { rate: 1e-6, burst: 1 }, perTool: [], maxClients: 16 },
      },
    ));

  it('is refused when no exchange is free, and survives the death of its worker', async () => {
    await withBed(
      async (bed) => {
        const open = [bed.exchange({ method: 'ping' }), bed.exchange({ method: 'ping' })];
        assert.equal(
          bed.dispatcher.ask(question('plain'), () => assert.fail('called')),
          false,
        );
        for (const { exchange } of open) bed.done(exchange);
        await bed.pool.ready();
        bed.pool.terminate(0, 'on purpose');
        assert.equal(await ask(bed, 'plain'), 'good');
      },
      {},
      { capacity: 2 },
    );
  });

  it('tells at once what was revoked, and a worker that starts later knows it too', () => {
    const message = { type: 'revocation', kind: 'subject', value: 'a', at: Date.now() / 1000 } as const;
    const revoked: (typeof message)[] = [];
    return withBed(
      async (bed) => {
        assert.equal((await bed.call('files__read', {}, { token: 'plain' })).verdict, 'forward');
        revoked.push(message);
        bed.pool.revoke(message);
        assert.equal((await bed.call('files__read', {}, { token: 'plain' })).error, 'GW_TOKEN_REVOKED');
        assert.equal((await bed.call('files__read', {}, { token: 'scoped' })).verdict, 'forward');
        await bed.pool.ready();
        bed.pool.terminate(0, 'on purpose');
        assert.equal(await ask(bed, 'plain'), 'GW_TOKEN_REVOKED');
        bed.pool.revoke({ ...message, at: null });
        assert.equal((await bed.call('files__read', {}, { token: 'plain' })).verdict, 'forward');
      },
      {},
      { revocations: { messages: () => revoked } },
    );
  });
});
