import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import type { RevocationMessage } from '../../../src/shared/ring/worker-messages.js';
import { Revoked } from '../../../workers/authenticate/revoked.js';
import { authenticatorFor, claims, hs256, judge, jwtAuth, SECRET } from './tokens.js';

const auth = jwtAuth({ secret: SECRET, algorithms: ['HS256'], clockToleranceSeconds: 5 });
const digest = (token: string): string => createHash('sha256').update(token).digest('hex');
const message = (kind: 'token' | 'subject', value: string, at: number | null): RevocationMessage => ({
  type: 'revocation',
  kind,
  value,
  at,
});
const now = Math.floor(Date.now() / 1000);

async function outcomes(revoked: Revoked, tokens: readonly string[], settings: object = auth): Promise<string[]> {
  const authenticator = authenticatorFor(settings as never, undefined, revoked);
  const found: string[] = [];
  for (const token of tokens) {
    const outcome = await judge(authenticator, token);
    assert.deepEqual(await judge(authenticator, token), outcome, 'what is remembered says the same');
    found.push(typeof outcome === 'string' ? outcome : 'good');
  }
  return found;
}

describe('a revoked token', () => {
  it('is refused by its digest, and no other', async () => {
    const [one, other] = [hs256(SECRET, claims({ jti: 1 })), hs256(SECRET, claims({ jti: 2 }))];
    const revoked = new Revoked([message('token', digest(one), now)]);
    assert.deepEqual(await outcomes(revoked, [one, other]), ['GW_TOKEN_REVOKED', 'good']);
    revoked.receive(message('token', digest(one), null));
    assert.deepEqual(await outcomes(revoked, [one]), ['good']);
  });

  it('is only known to be one when its signature is good', async () => {
    const forged = hs256('another secret, which is long enough too');
    assert.deepEqual(await outcomes(new Revoked([message('token', digest(forged), now)]), [forged]), [
      'GW_INVALID_TOKEN',
    ]);
  });

  it('may be one of a fixed list', async () => {
    const table = {
      type: 'bearer',
      tokens: [
        { token: 'token-of-alice', subject: 'alice', scopes: [] },
        { token: 'another-of-alice', subject: 'alice', scopes: [] },
        { token: 'token-of-bob', subject: 'bob', scopes: [] },
      ],
      resourceMetadata: null,
    };
    const tokens = table.tokens.map(({ token }) => token);
    const revoked = new Revoked([message('token', digest('token-of-alice'), now)]);
    assert.deepEqual(await outcomes(revoked, tokens, table), ['GW_TOKEN_REVOKED', 'good', 'good']);
    revoked.receive(message('subject', 'alice', now));
    assert.deepEqual(await outcomes(revoked, tokens, table), ['GW_TOKEN_REVOKED', 'GW_TOKEN_REVOKED', 'good']);
    revoked.receive(message('subject', 'alice', null));
    revoked.receive(message('token', digest('token-of-alice'), null));
    assert.deepEqual(await outcomes(revoked, tokens, table), ['good', 'good', 'good']);
  });

  it('of a fixed list is refused although it was accepted before', async () => {
    const revoked = new Revoked([]);
    const table = { type: 'bearer', tokens: [{ token: 'token-of-alice', subject: 'alice', scopes: [] }] };
    const authenticator = authenticatorFor(table as never, undefined, revoked);
    for (const _ of [1, 2]) assert.notEqual(typeof (await judge(authenticator, 'token-of-alice')), 'string');
    revoked.receive(message('token', digest('token-of-alice'), now));
    authenticator.forget();
    assert.equal(await judge(authenticator, 'token-of-alice'), 'GW_TOKEN_REVOKED');
  });
});

describe('a revoked subject', () => {
  it('loses the tokens issued up to then, by a clock that may be ahead, and those that do not say when', async () => {
    const at = now - 100;
    const issued = (iat: number | undefined): string => hs256(SECRET, claims({ iat }));
    const tokens = [issued(at - 1000), issued(at), issued(at + 5), issued(at + 6), issued(now), issued(undefined)];
    assert.deepEqual(await outcomes(new Revoked([message('subject', 'alice', at)]), tokens), [
      'GW_TOKEN_REVOKED',
      'GW_TOKEN_REVOKED',
      'GW_TOKEN_REVOKED',
      'good',
      'good',
      'GW_TOKEN_REVOKED',
    ]);
    assert.deepEqual(await outcomes(new Revoked([message('subject', 'bob', now)]), tokens.slice(0, 1)), ['good']);
  });

  it('is one with every issuer', async () => {
    const tokens = ['a', 'b'].map((iss) => hs256(SECRET, claims({ iss })));
    assert.deepEqual(
      await outcomes(new Revoked([message('subject', 'alice', now)]), tokens, { ...auth, issuer: null }),
      ['GW_TOKEN_REVOKED', 'GW_TOKEN_REVOKED'],
    );
  });
});
