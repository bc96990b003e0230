import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Principal } from '../../../workers/authenticate/principal.js';
import { authenticatorFor, judge } from './tokens.js';

const auth = {
  type: 'bearer',
  tokens: [
    { token: 'token-of-alice', subject: 'alice', scopes: ['read'] },
    { token: 'token-of-bob', subject: 'bob', scopes: [] },
    { token: '__proto__', subject: 'carol', scopes: [] },
  ],
  resourceMetadata: null,
} as const;

describe('token table', () => {
  it('accepts its tokens only whole and exact', async () => {
    const authenticator = authenticatorFor(auth);
    for (const { token, subject } of auth.tokens) {
      assert.equal(((await judge(authenticator, token)) as Principal).subject, subject);
    }
    const alice = (await judge(authenticator, 'token-of-alice')) as Principal;
    assert.deepEqual([...alice.scopes], ['read']);
    for (const token of [
      '',
      'token',
      'token-of-alic',
      'token-of-alice ',
      'Token-of-alice',
      'constructor',
      'x'.repeat(100_000),
    ]) {
      assert.equal(await judge(authenticator, token), 'GW_INVALID_TOKEN', token.slice(0, 20));
    }
    assert.equal(await judge(authenticator, null), 'GW_UNAUTHENTICATED');
  });

  it('gives different subjects different digests', async () => {
    const authenticator = authenticatorFor(auth);
    const digests = new Set<string>();
    for (const { token } of auth.tokens) digests.add(((await judge(authenticator, token)) as Principal).digest.join());
    assert.equal(digests.size, 3);
  });
});

describe('no authentication', () => {
  it('treats every client as anonymous, with or without a token', async () => {
    const authenticator = authenticatorFor({ type: 'none' });
    for (const token of [null, '', 'anything']) {
      const principal = (await judge(authenticator, token)) as Principal;
      assert.deepEqual([...principal.digest], [0, 0, 0, 0]);
      assert.equal(principal.scopes.size, 0);
    }
  });
});
