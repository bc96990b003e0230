/**
 * Authenticate: the principal of a request. The usual outcome is synchronous (no authentication, a token that was verified
 * before, a token table); only a new token needs asynchronous verification.
 */
import type { AuthSnapshot } from '../../src/config/snapshot.js';
import { errorNumber } from '../../src/errors.js';
import { Counter, type Counters } from '../../src/shared/counters.js';
import { BearerTable } from './bearer.js';
import { JwtVerifier, type RefusalLog } from './jwt.js';
import type { KeySource } from './keys.js';
import { ANONYMOUS, type Principal } from './principal.js';
import type { Revoked } from './revoked.js';

const UNAUTHENTICATED = errorNumber('GW_UNAUTHENTICATED');

/** Outcome of {@link Authenticator.check}. */
export const Outcome = { pending: 0, known: 1, refused: 2 } as const;

/** Checks tokens against the authentication settings. `principal` and `error` are the last outcome. One per worker and settings. */
export class Authenticator {
  principal: Principal = ANONYMOUS;
  /** Error number of a refusal. */
  error = -1;
  readonly #counters: Counters;
  readonly #bearer: BearerTable | null;
  readonly #jwt: JwtVerifier | null;

  constructor(auth: AuthSnapshot, counters: Counters, keys: KeySource, revoked: Revoked, refusals: RefusalLog) {
    this.#counters = counters;
    this.#bearer = auth.type === 'bearer' ? new BearerTable(auth.tokens, revoked) : null;
    this.#jwt = auth.type === 'jwt' ? new JwtVerifier(auth, counters, keys, revoked, refusals) : null;
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
    if (this.#bearer === null && this.#jwt === null) {
      this.principal = ANONYMOUS;
      return Outcome.known;
    }
    if (!hasToken) {
      this.error = UNAUTHENTICATED;
      return Outcome.refused;
    }
    const found =
      this.#bearer !== null ? this.#bearer.find(bytes, start, end) : this.#jwt!.find(bytes, words, start, end, seconds);
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
    return this.#jwt!.verify(token);
  }

  /** Removes all remembered tokens. */
  forget(): void {
    this.#jwt?.forget();
  }
}
