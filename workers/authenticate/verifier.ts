import type { Counters } from '../../src/shared/counters.js';
import type { KeySource } from './keys.js';
import type { Principal } from './principal.js';
import type { Revoked } from './revoked.js';

/** Turns bearer tokens of one kind into principals; the {@link Authenticator} has at most one. */
export interface TokenVerifier {
  /**
   * The principal of the token `bytes[start, end)` or the number of an error; undefined = call {@link verify}. Runs for each
   * request: the bytes may lie in shared memory and are valid during the call only.
   *
   * @param words the memory of `bytes` as words, if it lies on a boundary of four and so does `start`
   * @param seconds wall clock, seconds since the epoch
   */
  find(
    bytes: Buffer,
    words: Int32Array | null,
    start: number,
    end: number,
    seconds: number,
  ): Principal | number | undefined;
  /** Verifies a token that {@link find} did not decide. Resolves to the principal or the number of an error; never rejects. */
  verify(token: string): Promise<Principal | number>;
  /** Removes all remembered outcomes, after a revocation. */
  forget(): void;
}

/** Where refusals are logged that the issuer of a token can do something about. */
export interface RefusalLog {
  /** A token with a good signature was refused. @param why one sentence that holds nothing of the token */
  tokenRefused(why: string): void;
}

/** What a verifier may use of the worker. */
export interface VerifierContext {
  readonly counters: Counters;
  readonly keys: KeySource;
  readonly revoked: Revoked;
  readonly refusals: RefusalLog;
}
