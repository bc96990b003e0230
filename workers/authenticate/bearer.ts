import type { AuthSnapshot } from '../../src/config/snapshot.js';
import { errorNumber } from '../../src/errors.js';
import { digestOf } from './digest.js';
import { NEVER, type Principal, principal } from './principal.js';
import type { Revoked } from './revoked.js';
import type { TokenVerifier } from './verifier.js';

type Tokens = Extract<AuthSnapshot, { type: 'bearer' }>['tokens'];

const INVALID_TOKEN = errorNumber('GW_INVALID_TOKEN');
const TOKEN_REVOKED = errorNumber('GW_TOKEN_REVOKED');

/**
 * A table of tokens, looked up by SHA-256: the time of a look-up depends on the digest, which cannot be chosen byte by byte,
 * and not on how many bytes of a token were guessed. One per worker and authentication settings.
 */
export class BearerTable implements TokenVerifier {
  readonly #principals = new Map<string, Principal>();

  readonly #revoked: Revoked;

  constructor(tokens: Tokens, revoked: Revoked) {
    this.#revoked = revoked;
    for (const { token, subject, scopes, permissions } of tokens) {
      const bytes = Buffer.from(token);
      this.#principals.set(digestOf(bytes, 0, bytes.length), principal('bearer', subject, scopes, NEVER, permissions));
    }
  }

  find(bytes: Buffer, _words: Int32Array | null, start: number, end: number): Principal | number {
    const digest = digestOf(bytes, start, end);
    const found = this.#principals.get(digest);
    if (found === undefined) return INVALID_TOKEN;
    return this.#revoked.covers(digest, found.subject, null, 0) ? TOKEN_REVOKED : found;
  }

  /** Not called: {@link find} decides about every token. */
  verify(token: string): Promise<Principal | number> {
    const bytes = Buffer.from(token, 'latin1');
    return Promise.resolve(this.find(bytes, null, 0, bytes.length));
  }

  /** Nothing is remembered: the revocations are read for each token. */
  forget(): void {}
}
