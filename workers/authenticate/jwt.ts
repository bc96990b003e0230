/**
 * JSON Web Tokens (RFC 7519) as bearer tokens (RFC 6750, RFC 8725): strict where jose leaves a choice.
 *
 * Before anything is decoded: at most {@link MAX_TOKEN_BYTES}, exactly three parts, only the base64url alphabet
 * (RFC 4648 section 5) without padding, so that one token has one spelling and a digest identifies it.
 * Then: `alg` from the configured list, signature, issuer and audience when configured, times (claims.ts), no repeated name,
 * no revocation.
 * Headers that bring or name keys (`jwk`, `jku`, `x5c`, `x5u`) are ignored: keys come from the configuration alone.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { createLocalJWKSet, errors, type JWTPayload, type JWTVerifyOptions, jwtVerify } from 'jose';
import { LRUCache } from 'lru-cache';
import type { AuthSnapshot } from '../../src/config/snapshot.js';
import { errorNumber } from '../../src/errors.js';
import { Counter, type Counters } from '../../src/shared/counters.js';
import { checkNames, checkTimes } from './claims.js';
import { digestOf } from './digest.js';
import type { KeySource } from './keys.js';
import { KnownTokens } from './known-tokens.js';
import { NEVER, type Principal, principal } from './principal.js';
import type { Revoked } from './revoked.js';
import type { RefusalLog, TokenVerifier } from './verifier.js';

type JwtAuth = Extract<AuthSnapshot, { type: 'jwt' }>;
type LocalKeys = ReturnType<typeof createLocalJWKSet>;

const INVALID_TOKEN = errorNumber('GW_INVALID_TOKEN');
const AUTH_UNAVAILABLE = errorNumber('GW_AUTH_UNAVAILABLE');
const TOKEN_REVOKED = errorNumber('GW_TOKEN_REVOKED');

/** A longer token is refused without being read. */
export const MAX_TOKEN_BYTES = 8192;
/** Tokens remembered by each worker. */
const MAX_KNOWN = 10_000;
/** Refused tokens remembered, and for how long: a client that repeats one costs a look-up. */
const MAX_REFUSED = 2_000;
const REFUSED_MS = 5_000;

/** Verifies tokens and remembers the outcome until they expire. One per worker and snapshot. */
export class JwtVerifier implements TokenVerifier {
  readonly #auth: JwtAuth;
  readonly #options: JWTVerifyOptions;
  readonly #counters: Counters;
  readonly #keys: KeySource;
  readonly #recent = new KnownTokens();
  readonly #known = new LRUCache<string, Principal>({ max: MAX_KNOWN });
  /** The number of the error. */
  readonly #refused = new LRUCache<string, number>({ max: MAX_REFUSED, ttl: REFUSED_MS });
  readonly #pending = new Map<string, Promise<Principal | number>>();
  readonly #revoked: Revoked;
  readonly #refusals: RefusalLog;
  #secret: Uint8Array | null = null;
  #publicKey: KeyObject | null = null;
  #keySet: LocalKeys | null = null;
  #keyVersion = 0;
  #generation = 0;

  constructor(auth: JwtAuth, counters: Counters, keys: KeySource, revoked: Revoked, refusals: RefusalLog) {
    this.#auth = auth;
    this.#counters = counters;
    this.#keys = keys;
    this.#revoked = revoked;
    this.#refusals = refusals;
    const shared = auth.secret !== null;
    this.#options = {
      // A secret is never used with an asymmetric algorithm, nor a public key with HMAC (RFC 8725 section 3.1).
      algorithms: auth.algorithms.filter((algorithm) => algorithm.startsWith('HS') === shared && algorithm !== 'none'),
      requiredClaims: auth.audience.length > 0 ? ['aud'] : [],
      clockTolerance: auth.clockToleranceSeconds,
      ...(auth.issuer === null ? {} : { issuer: auth.issuer }),
      ...(auth.audience.length === 0 ? {} : { audience: [...auth.audience] }),
    };
    if (auth.secret !== null) this.#secret = new TextEncoder().encode(auth.secret);
    else if (auth.publicKey !== null) this.#setPublicKey(auth.publicKey);
  }

  /**
   * The principal of `bytes[start, end)` or the number of an error, if the outcome is known; undefined = to be verified.
   *
   * @param words the memory of `bytes` as words; `start` is a multiple of four
   * @param seconds wall clock, seconds since the epoch
   */
  find(
    bytes: Buffer,
    words: Int32Array | null,
    start: number,
    end: number,
    seconds: number,
  ): Principal | number | undefined {
    const recent = words === null ? null : this.#recent.find(words, start, end);
    if (recent !== null && recent.expiresAt > seconds) {
      this.#counters.add(Counter.tokensRemembered);
      return recent;
    }
    if (!isCompact(bytes, start, end)) return INVALID_TOKEN;
    const digest = digestOf(bytes, start, end);
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

  /** Verifies a token, once for all requests that present it at the same time. Never rejects. */
  verify(token: string): Promise<Principal | number> {
    const bytes = Buffer.from(token, 'latin1');
    const digest = digestOf(bytes, 0, bytes.length);
    let pending = this.#pending.get(digest);
    if (pending === undefined) {
      pending = this.#judge(token, digest).finally(() => this.#pending.delete(digest));
      this.#pending.set(digest, pending);
    }
    return pending;
  }

  /** Removes all remembered tokens, after a revocation. */
  forget(): void {
    this.#generation += 1;
    this.#recent.clear();
    this.#known.clear();
    this.#refused.clear();
    this.#pending.clear();
  }

  async #judge(token: string, digest: string): Promise<Principal | number> {
    const generation = this.#generation;
    try {
      const payload = await this.#payload(token);
      const { clockToleranceSeconds } = this.#auth;
      checkTimes(payload, Date.now() / 1000, clockToleranceSeconds);
      checkNames(token);
      const found = this.#principal(payload);
      if (this.#revoked.covers(digest, found.subject, payload.iat ?? null, clockToleranceSeconds)) {
        this.#counters.add(Counter.tokensRejected);
        if (generation === this.#generation) this.#refused.set(digest, TOKEN_REVOKED);
        return TOKEN_REVOKED;
      }
      if (generation === this.#generation) this.#known.set(digest, found);
      this.#counters.add(Counter.tokensVerified);
      return found;
    } catch (error) {
      if (error instanceof KeysUnavailable) return AUTH_UNAVAILABLE;
      this.#counters.add(Counter.tokensRejected);
      // The next refresh may bring the key, so a token without a key is not remembered as invalid.
      if (!(error instanceof errors.JWKSNoMatchingKey) && generation === this.#generation) {
        this.#refused.set(digest, INVALID_TOKEN);
      }
      // These are thrown only after the signature has been verified: the issuer makes tokens that cannot be used here.
      if (error instanceof errors.JWTClaimValidationFailed || error instanceof errors.JWTInvalid)
        this.#refusals.tokenRefused(error.message);
      return INVALID_TOKEN;
    }
  }

  async #payload(token: string): Promise<JWTPayload> {
    if (this.#secret !== null) return (await jwtVerify(token, this.#secret, this.#options)).payload;
    if (this.#publicKey !== null) return (await jwtVerify(token, this.#publicKey, this.#options)).payload;
    if (this.#keySet !== null && this.#auth.jwksUrl === null) return this.#withSet(token, this.#keySet);
    let keys = this.#loadedKeys();
    if (keys === null) {
      await this.#keys.refresh();
      keys = this.#loadedKeys();
      if (keys === null) throw new KeysUnavailable();
    }
    try {
      return await this.#withSet(token, keys);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      const before = this.#keys.version;
      await this.#keys.refresh();
      const newer = this.#loadedKeys();
      if (newer === null) throw new KeysUnavailable();
      if (this.#keys.version === before) throw error;
      return this.#withSet(token, newer);
    }
  }

  async #withSet(token: string, keys: LocalKeys): Promise<JWTPayload> {
    try {
      return (await jwtVerify(token, keys, this.#options)).payload;
    } catch (error) {
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
      // Several keys without a distinguishing kid: the right one verifies (RFC 7515 section 4.1.4).
      for await (const key of error) {
        try {
          return (await jwtVerify(token, key, this.#options)).payload;
        } catch (inner) {
          if (!(inner instanceof errors.JWSSignatureVerificationFailed)) throw inner;
        }
      }
      throw new errors.JWSSignatureVerificationFailed();
    }
  }

  #loadedKeys(): LocalKeys | null {
    if (this.#keys.jwks === null) return null;
    if (this.#keyVersion !== this.#keys.version) {
      this.#keySet = createLocalJWKSet(JSON.parse(this.#keys.jwks));
      this.#keyVersion = this.#keys.version;
    }
    return this.#keySet;
  }

  #setPublicKey(text: string): void {
    const trimmed = text.trim();
    if (!trimmed.startsWith('{')) {
      this.#publicKey = createPublicKey(trimmed);
      return;
    }
    const parsed = JSON.parse(trimmed) as { keys?: unknown };
    this.#keySet = createLocalJWKSet((Array.isArray(parsed.keys) ? parsed : { keys: [parsed] }) as never);
  }

  #principal(payload: JWTPayload): Principal {
    const subject = payload[this.#auth.subjectClaim];
    if (typeof subject !== 'string' || subject === '')
      throw new errors.JWTInvalid('the claim that names the subject is missing or no text');
    const exp = payload.exp!;
    // Seconds may be fractions (RFC 7519 section 2); the last whole second counts, and the word has 31 bits.
    const expiresAt = Math.min(NEVER, Math.floor(exp + this.#auth.clockToleranceSeconds));
    return principal(payload.iss ?? '', subject, scopesOf(payload, this.#auth.scopeClaims), expiresAt);
  }
}

/** There are no keys, and they cannot be loaded at the moment. */
class KeysUnavailable extends Error {}

/** The scopes of the first claim that is there: a space-separated text (RFC 8693 section 4.2) or a list. */
function scopesOf(payload: JWTPayload, claims: readonly string[]): string[] {
  for (const claim of claims) {
    const value = payload[claim];
    if (typeof value === 'string') return value.split(' ').filter((scope) => scope !== '');
    if (Array.isArray(value)) return value.filter((scope) => typeof scope === 'string');
  }
  return [];
}

/** Whether the bytes have the form of the JWS compact serialisation (RFC 7515 section 7.1). */
function isCompact(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start > MAX_TOKEN_BYTES) return false;
  let dots = 0;
  let part = start;
  for (let i = start; i <= end; i += 1) {
    const byte = i < end ? bytes[i]! : DOT;
    if (byte === DOT) {
      if (!isWhole(bytes, part, i)) return false;
      part = i + 1;
      if (i < end) dots += 1;
    } else if (base64Value(byte) < 0) {
      return false;
    }
  }
  return dots === 2;
}

/** Whether a part is not empty, has a possible length, and has no unused bits set in its last character. */
function isWhole(bytes: Uint8Array, start: number, end: number): boolean {
  const length = end - start;
  const over = length % 4;
  if (length === 0 || over === 1) return false;
  const unused = over === 2 ? 15 : over === 3 ? 3 : 0;
  return (base64Value(bytes[end - 1]!) & unused) === 0;
}

/** The six bits of a base64url character, -1 for any other byte. */
function base64Value(byte: number): number {
  return VALUES[byte]!;
}

const DOT = 0x2e;
const VALUES = new Int8Array(256).fill(-1);
Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_').forEach((byte, value) => {
  VALUES[byte] = value;
});
