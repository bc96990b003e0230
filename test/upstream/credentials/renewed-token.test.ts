import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { TokenEndpointSnapshot } from '../../../src/config/snapshot/index.js';
import { CredentialError } from '../../../src/upstream/core/credentials.js';
import { CallerTokens } from '../../../src/upstream/credentials/caller-tokens.js';
import { RenewedToken, tokenIn } from '../../../src/upstream/credentials/renewed-token.js';
import { type IssuedToken, TokenError } from '../../../src/upstream/credentials/token-endpoint.js';
import { TokenLog } from '../../../src/upstream/credentials/token-log.js';
import { startAuthorizationServer } from '../../support/authorization-server.js';

const SILENT = { issued: () => {}, failed: () => {}, tokenRefused: () => {} };

/** Requests that the test settles. */
class Source {
  requests = 0;
  most = 0;
  #pending: { resolve(token: IssuedToken): void; reject(error: Error): void }[] = [];

  request(): Promise<IssuedToken> {
    this.requests += 1;
    return new Promise((resolve, reject) => {
      this.#pending.push({ resolve, reject });
      this.most = Math.max(this.most, this.#pending.length);
    });
  }

  settle(lifetimeMs: number | null): void {
    for (const { resolve, reject } of this.#pending.splice(0)) {
      if (lifetimeMs === null) reject(new TokenError('The token endpoint answered 503.'));
      else resolve({ accessToken: `token-${this.requests}`, lifetimeMs });
    }
  }
}

/** What happens to a token; times are those of `current`, relative to the moment of the step. */
const step = fc.oneof(
  fc.record({ do: fc.constant('use' as const), inMs: fc.constantFrom(0, 10_000, 3_000_000, 3_590_000, 3_700_000) }),
  fc.record({ do: fc.constant('fetch' as const) }),
  fc.record({ do: fc.constant('settle' as const), lifetimeMs: fc.constantFrom(null, 0, 3_600_000) }),
  fc.record({ do: fc.constant('refuse' as const) }),
);

test('property: one request at a time, no token after its end, and failures leave what there is', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const source = new Source();
      const token = new RenewedToken(source, SILENT);
      let known: readonly string[] | null = null;
      let endsAt = 0;
      for (const one of steps) {
        const now = performance.now();
        if (one.do === 'use') {
          const headers = token.current(now + one.inMs);
          if (known === null || now + one.inMs >= endsAt) {
            assert.equal(headers, null);
            known = null;
          } else {
            assert.equal(headers, known);
            assert.equal(tokenIn(known), token);
          }
        } else if (one.do === 'fetch') {
          token.fetch().catch((error: unknown) => assert.ok(error instanceof CredentialError));
        } else if (one.do === 'refuse' && known !== null) {
          if (token.refused(known)) known = null;
        } else if (one.do === 'settle') {
          const wasAsked = source.requests;
          source.settle(one.lifetimeMs);
          await new Promise((resolve) => setImmediate(resolve));
          assert.equal(source.requests, wasAsked);
          const headers = token.current(performance.now());
          if (headers !== null && headers !== known) {
            known = headers;
            endsAt = one.lifetimeMs === 0 ? Number.POSITIVE_INFINITY : now + (one.lifetimeMs ?? 0);
          }
        }
        assert.ok(source.most <= 1, 'two requests at once');
      }
      source.settle(null);
    }),
    { numRuns: 300 },
  );
});

test('a token that is refused again and again is replaced at growing intervals', async () => {
  const source = new Source();
  const token = new RenewedToken(source, SILENT);
  const renew = async (): Promise<readonly string[]> => {
    const fetched = token.fetch();
    source.settle(3_600_000);
    await fetched;
    return token.current(performance.now()) ?? [];
  };
  const first = await renew();
  assert.equal(token.refused(first), true);
  assert.equal(token.current(performance.now()), null);
  const second = await renew();
  assert.notEqual(second, first);
  assert.equal(token.refused(first), true, 'a call that was sent with the one before takes the new one');
  assert.equal(token.refused(second), false);
  assert.equal(token.current(performance.now()), second, 'it is used on');
});

const ENDPOINT: Omit<TokenEndpointSnapshot, 'tokenUrl'> = {
  clientId: 'gateway',
  clientSecret: 'gateway-secret',
  clientAuth: 'basic',
  scope: '',
  audience: '',
  resource: '',
};

test('tokens of callers are bounded in number, and end with the token of the caller', async (t) => {
  const authority = await startAuthorizationServer(t);
  const endpoint = { ...ENDPOINT, tokenUrl: authority.url('token') };
  const log = new TokenLog({ info: () => {}, warn: () => {} }, endpoint);
  const exchange = {
    type: 'tokenExchange',
    endpoint,
    subjectTokenType: 'urn:ietf:params:oauth:token-type:jwt',
    requestedTokenType: 'urn:ietf:params:oauth:token-type:access_token',
    discovery: 'none',
    maxTokens: 2,
  } as const;
  const tokens = new CallerTokens(exchange, log);
  const short = await authority.issue({ subject: 'ann', expiresIn: 100 });
  await tokens.of(short).fetch();
  assert.ok(tokens.of(short).leftMs <= 100_000);
  assert.equal(authority.tokenRequests()[0]?.form['requested_token_type'], exchange.requestedTokenType);
  authority.subjects.set('opaque', 'bob');
  await tokens.of('opaque').fetch();
  assert.ok(tokens.of('opaque').leftMs > 3_500_000);
  const kept = tokens.of('opaque');
  tokens.of('third');
  assert.equal(tokens.size, 2);
  assert.equal(tokens.of('opaque'), kept);
});
