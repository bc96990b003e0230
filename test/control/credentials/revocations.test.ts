/** The list of revocations: its bound, its input, and which entries are removed. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { normalizeRevocation, Revocations } from '../../../src/control/credentials/revocations.js';
import { GatewayError } from '../../../src/errors.js';
import type { RevocationMessage } from '../../../src/shared/ring/worker-messages.js';

const soon = (): number => Date.now() / 1000 + 60;
const config = { current: { limits: { maxRevoked: 3 } } };
const past = (): number => Date.now() / 1000 - 1;

test('a full list refuses new entries, and removes only what has expired', () => {
  const forgotten: RevocationMessage[] = [];
  const list = new Revocations(config);
  list.attach({ removeRevocation: (message) => forgotten.push(message) });
  list.add('subject', 'alice', Number.POSITIVE_INFINITY);
  list.add('session', 'id', soon());
  list.add('token', 'aa', soon());
  const isFull = (error: unknown): boolean => error instanceof GatewayError && error.code === 'GW_REVOCATIONS_FULL';
  assert.throws(() => list.add('token', 'bb', soon()), isFull);
  assert.equal(list.size, 3);
  assert.ok(list.add('subject', 'alice', Number.POSITIVE_INFINITY), 'what is on it can be renewed');
  // The token has expired.
  list.add('token', 'aa', past());
  assert.ok(list.add('token', 'bb', soon()));
  assert.deepEqual(
    forgotten.map(({ kind, value, at }) => [kind, value, at]),
    [['token', 'aa', null]],
  );
  assert.ok(list.hasSession('id'));
  assert.deepEqual(
    list.messages().map(({ kind, value }) => [kind, value]),
    [
      ['subject', 'alice'],
      ['token', 'bb'],
    ],
    'workers hear of no sessions',
  );
});

test('a revocation is removed once', () => {
  const list = new Revocations(config);
  list.add('subject', 'alice', Number.POSITIVE_INFINITY);
  list.add('session', 'id', soon());
  assert.equal(list.remove('subject', 'alice')?.at, null);
  assert.equal(list.remove('subject', 'alice'), undefined);
  assert.equal(list.remove('session', 'id'), null);
  assert.equal(list.hasSession('id'), false);
  assert.equal(list.size, 0);
});

test('a revocation names one thing; a token is hashed at once and kept until it expires', () => {
  const hash = (text: string): string => createHash('sha256').update(text).digest('hex');
  const never = Number.POSITIVE_INFINITY;
  assert.deepEqual(normalizeRevocation({ token: 'abc' }), { kind: 'token', value: hash('abc'), until: never });
  const digest = hash('abc').toUpperCase();
  assert.deepEqual(normalizeRevocation({ tokenSha256: digest }), { kind: 'token', value: hash('abc'), until: never });
  assert.deepEqual(normalizeRevocation({ subject: '__proto__' }), {
    kind: 'subject',
    value: '__proto__',
    until: never,
  });
  const jwt = (payload: string): string => `h.${Buffer.from(payload).toString('base64url')}.s`;
  assert.equal(normalizeRevocation({ token: jwt('{"exp":100}') }).until, 160);
  for (const payload of ['{"exp":"100"}', '{}', 'null', 'not json']) {
    assert.equal(normalizeRevocation({ token: jwt(payload) }).until, never, payload);
  }
  const wrong: unknown[] = [
    null,
    'token',
    [],
    {},
    { toString: 'x' },
    { token: 'a', subject: 'b' },
    { token: '' },
    { token: 7 },
    { subject: 'x'.repeat(16_385) },
    { tokenSha256: 'secret-text' },
    { hasOwnProperty: 'x' },
  ];
  for (const revocation of wrong) {
    assert.throws(
      () => normalizeRevocation(revocation),
      (error) => error instanceof TypeError && !error.message.includes('secret-text'),
      JSON.stringify(revocation),
    );
  }
});
