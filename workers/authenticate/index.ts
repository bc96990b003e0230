/**
 * Authenticate: the principal of a request. The usual outcome is synchronous (no authentication, a token that was verified
 * before, a token table); only a new token needs asynchronous verification.
 */
import type { AuthSnapshot } from '../../src/config/snapshot.js';
import { errorNumber } from '../../src/errors.js';
import { Counter, type Counters } from '../../src/shared/counters.js';
import { BearerTable } from './bearer.js';
import { JwtVerifier } from './jwt.js';
import type { KeySource } from './keys.js';
import { ANONYMOUS, type Principal } from './principal.js';
import type { Revoked } from './revoked.js';
import type { RefusalLog, TokenVerifier, VerifierContext } from './verifier.js';

const UNAUTHENTICATED = errorNumber('GW_UNAUTHENTICATED');

type VerifierTable = {
  readonly [Type in AuthSnapshot['type']]: (
    auth: Extract<AuthSnapshot, { type: Type }>,
    context: VerifierContext,
  ) => TokenVerifier | null;
};

/** One row for each `auth.type`; null = every client is anonymous. */
const VERIFIERS: VerifierTable = {
  none: () => null,
  bearer: ({ tokens }, { revoked }) => new BearerTable(tokens, revoked),
  jwt: (auth, { counters, keys, revoked, refusals }) => new JwtVerifier(auth, counters, keys, revoked, refusals),
};

/** Outcome of {@link Authenticator.check}. */
export const Outcome = { pending: 0, known: 1, refused: 2 } as const;

/** Checks tokens against the authentication settings. `principal` and `error` are the last outcome. One per worker and settings. */
export class Authenticator {
  principal: Principal = ANONYMOUS;
  /** Error number of a refusal. */
  error = -1;
  readonly #counters: Counters;
  /** null = every client is anonymous. */
  readonly #verifier: TokenVerifier | null;

  constructor(auth: AuthSnapshot, counters: Counters, keys: KeySource, revoked: Revoked, refusals: RefusalLog) {
    this.#counters = counters;
    // The row of a type takes the settings of that type, which the compiler cannot see through the index.
    const create = VERIFIERS[auth.type] as (auth: AuthSnapshot, context: VerifierContext) => TokenVerifier | null;
    this.#verifier = create(auth, { counters, keys, revoked, refusals });
  }

  /**
   * Checks the token `bytes[start, end)`.
   *
   * @param hasToken whether one was presented; an empty one is invalid
   * @param seconds wall clock, seconds since the epoch
   * @param words the memory of `bytes` as words, if it lies on a boundary of four and so does `start`
   * @returns an {@link Outcome}; after `pending`, call {@link verify} with a copy of the token
   */
  check(
    bytes: Buffer,
    start: number,
    end: number,
    hasToken: boolean,
    seconds: number,
    words: Int32Array | null = null,
  ): number {
    const verifier = this.#verifier;
    if (verifier === null) {
      this.principal = ANONYMOUS;
      return Outcome.known;
    }
    if (!hasToken) {
      this.error = UNAUTHENTICATED;
      return Outcome.refused;
    }
    const found = verifier.find(bytes, words, start, end, seconds);
    if (found === undefined) return Outcome.pending;
    if (typeof found === 'number') {
      this.error = found;
      this.#counters.add(Counter.tokensRejected);
      return Outcome.refused;
    }
    this.principal = found;
    return Outcome.known;
  }

  /** Verifies a token after `pending`. Resolves to the principal or the number of an error; never rejects. */
  verify(token: string): Promise<Principal | number> {
    return this.#verifier!.verify(token);
  }

  /** Removes all remembered tokens. */
  forget(): void {
    this.#verifier?.forget();
  }
}
