import { LRUCache } from 'lru-cache';
import type { AuthProvider } from '../../src/config/snapshot/auth.js';
import { errorNumber } from '../../src/errors.js';
import { Counter, type Counters } from '../../src/shared/counters.js';
import { credentialWait } from '../../src/shared/credential-wait.js';
import type { Seconds } from '../../src/units.js';
import { digestOf } from './digest.js';
import type { Inquiries } from './inquiries.js';
import type { KeySources } from './keys.js';
import { KnownBytes } from './known-bytes.js';
import type { Principal } from './principal.js';
import type { Revoked } from './revoked.js';
import type { CredentialTable } from './table.js';

const INVALID_TOKEN = errorNumber('GW_INVALID_TOKEN');
const TOKEN_REVOKED = errorNumber('GW_TOKEN_REVOKED');
const AUTH_UNAVAILABLE = errorNumber('GW_AUTH_UNAVAILABLE');
const NO_TEXT = Buffer.alloc(0);

/** Credentials remembered by each worker and scheme. */
const MAX_KNOWN = 10_000;
/** Refused ones remembered, and for how long: a client that repeats one costs a look-up. */
const MAX_REFUSED = 2_000;
const REFUSED_MS = 5_000;

/** A credential was accepted. */
export interface Accepted {
  readonly principal: Principal;
  /** When it was issued; null = it does not say, which makes it older than every revocation of its subject. */
  readonly issuedAt: Seconds | null;
  /** How far the issuer's clock may be ahead. */
  readonly tolerance: Seconds;
}

/** A credential was refused. */
export interface Refused {
  readonly principal: null;
  /** The number of the error. */
  readonly error: number;
  /** Whether asking again soon would give the same. */
  readonly isFinal: boolean;
  /** What the answer says besides the sentence of the error, in UTF-8. */
  readonly detail: Buffer;
}

/** The outcome for a credential of another provider. */
export const NOT_MINE = null;

/** Judges credentials of one provider that are not remembered. */
export interface Judge {
  /** Whether `bytes[start, end)` has the form of such a credential. Runs before anything is hashed or decoded. */
  fits(bytes: Uint8Array, start: number, end: number): boolean;
  /**
   * Judges a credential that {@link fits}. Never rejects.
   *
   * @param digest see {@link digestOf}
   * @returns {@link NOT_MINE} = the next provider of the scheme decides
   */
  judge(credential: string, digest: string): Promise<Accepted | Refused | null>;
}

/** Where refusals are logged that the issuer of a token can do something about. */
export interface RefusalLog {
  /** A token that its issuer takes for good was refused. @param sentence holds nothing of the token */
  tokenRefused(sentence: string): void;
}

/** What verifiers may use of the worker. */
export interface VerifierContext {
  readonly counters: Counters;
  readonly keys: KeySources;
  readonly inquiries: Inquiries;
  readonly revoked: Revoked;
  readonly refusals: RefusalLog;
}

/** The same for one provider. */
export interface ProviderContext extends VerifierContext {
  /** See `AuthSnapshot.realm`. */
  readonly realm: string;
}

/**
 * Turns credentials of one scheme into principals: by a table, or by the first judge whose credential it is. What judges
 * accept is remembered until it expires, by digest. One per worker, scheme and authentication settings.
 */
export class CredentialVerifier {
  readonly #table: CredentialTable | null;
  readonly #judges: readonly Judge[];
  readonly #counters: Counters;
  readonly #revoked: Revoked;
  /** Accepted ones, in front of their digests. */
  readonly #recent = new KnownBytes<Principal>();
  readonly #known = new LRUCache<string, Principal>({ max: MAX_KNOWN });
  /** The number of the error. */
  readonly #refused = new LRUCache<string, number>({ max: MAX_REFUSED, ttl: REFUSED_MS });
  readonly #pending = new Map<string, Promise<Principal | Refused>>();
  #generation = 0;

  /** @param table null = none */
  constructor(table: CredentialTable | null, judges: readonly Judge[], context: VerifierContext) {
    this.#table = table;
    this.#judges = judges;
    this.#counters = context.counters;
    this.#revoked = context.revoked;
  }

  /**
   * The principal of the credential `bytes[start, end)` or the number of an error; undefined = call {@link verify}. Runs for each
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
  ): Principal | number | undefined {
    const isJudged = this.#judges.length > 0;
    const recent = words === null ? null : this.#recent.find(words, start, end);
    if (recent !== null && recent.expiresAt > seconds) {
      this.#counters.add(Counter.tokensRemembered);
      return recent;
    }
    const fits = isJudged && this.#fits(bytes, start, end);
    if (!fits && this.#table === null) return INVALID_TOKEN;
    const digest = digestOf(bytes, start, end);
    const listed = this.#table?.find(digest);
    if (listed !== undefined) {
      if (this.#revoked.covers(digest, listed.subject, null, 0)) return TOKEN_REVOKED;
      if (words !== null) this.#recent.keep(words, start, end, listed);
      return listed;
    }
    if (!fits) return INVALID_TOKEN;
    const known = this.#known.get(digest);
    if (known !== undefined) {
      if (known.expiresAt > seconds) {
        this.#counters.add(Counter.tokensRemembered);
        if (words !== null) this.#recent.keep(words, start, end, known);
        return known;
      }
      this.#known.delete(digest);
    }
    return this.#refused.get(digest);
  }

  /**
   * Verifies a credential that {@link find} did not decide, once for all requests that present it at the same time. Never
   * rejects.
   */
  verify(credential: string): Promise<Principal | Refused> {
    const bytes = Buffer.from(credential, 'latin1');
    const digest = digestOf(bytes, 0, bytes.length);
    let pending = this.#pending.get(digest);
    if (pending === undefined) {
      pending = this.#verify(credential, bytes, digest).finally(() => this.#pending.delete(digest));
      this.#pending.set(digest, pending);
    }
    return pending;
  }

  /** Removes all remembered outcomes, after a revocation. */
  forget(): void {
    this.#generation += 1;
    this.#recent.clear();
    this.#known.clear();
    this.#refused.clear();
    this.#pending.clear();
  }

  #fits(bytes: Uint8Array, start: number, end: number): boolean {
    for (let i = 0; i < this.#judges.length; i += 1) if (this.#judges[i]!.fits(bytes, start, end)) return true;
    return false;
  }

  async #verify(credential: string, bytes: Buffer, digest: string): Promise<Principal | Refused> {
    const generation = this.#generation;
    const outcome = await this.#judge(credential, bytes, digest);
    const isCurrent = generation === this.#generation;
    if (outcome.principal === null) {
      if (outcome.error === INVALID_TOKEN) this.#counters.add(Counter.tokensRejected);
      if (outcome.isFinal && isCurrent) this.#refused.set(digest, outcome.error);
      return outcome;
    }
    const { principal, issuedAt, tolerance } = outcome;
    if (this.#revoked.covers(digest, principal.subject, issuedAt, tolerance)) {
      this.#counters.add(Counter.tokensRejected);
      if (isCurrent) this.#refused.set(digest, TOKEN_REVOKED);
      return refused(TOKEN_REVOKED);
    }
    if (isCurrent) this.#known.set(digest, principal);
    this.#counters.add(Counter.tokensVerified);
    return principal;
  }

  async #judge(credential: string, bytes: Buffer, digest: string): Promise<Accepted | Refused> {
    for (const judge of this.#judges) {
      if (!judge.fits(bytes, 0, bytes.length)) continue;
      const outcome = await judge.judge(credential, digest);
      if (outcome !== NOT_MINE) return outcome;
    }
    return refused(INVALID_TOKEN);
  }
}

/** A refusal. @param isFinal see {@link Refused.isFinal} */
export function refused(error: number, isFinal = true): Refused {
  return { principal: null, error, isFinal, detail: NO_TEXT };
}

/** The refusal of credentials that cannot be checked at the moment. */
export function unavailable(provider: AuthProvider): Refused {
  return { principal: null, error: AUTH_UNAVAILABLE, isFinal: false, detail: Buffer.from(credentialWait([provider])) };
}
