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
import type { JwtProvider } from '../../src/config/snapshot/auth.js';
import { errorNumber } from '../../src/errors.js';
import { checkNames, checkTimes, claimList } from './claims.js';
import type { KeySource } from './keys.js';
import { NEVER, type Principal, principal } from './principal.js';
import {
  type Accepted,
  type Judge,
  NOT_MINE,
  type ProviderContext,
  type RefusalLog,
  type Refused,
  refused,
  unavailable,
} from './verifier.js';

type LocalKeys = ReturnType<typeof createLocalJWKSet>;

const INVALID_TOKEN = errorNumber('GW_INVALID_TOKEN');

/** A longer token is refused without being read. */
export const MAX_TOKEN_BYTES = 8192;

/** Verifies tokens of one issuer. One per worker, provider and authentication settings. */
export class JwtIssuer implements Judge {
  readonly #auth: JwtProvider;
  readonly #realm: string;
  readonly #options: JWTVerifyOptions;
  /** Keys of `jwksUrl`; null = the configuration has the key. */
  readonly #keys: KeySource | null;
  readonly #refusals: RefusalLog;
  /** Whether other providers take bearer tokens too: those of other issuers are left to them. */
  readonly #hasOthers: boolean;
  #secret: Uint8Array | null = null;
  #publicKey: KeyObject | null = null;
  #keySet: LocalKeys | null = null;
  #keyVersion = 0;

  /** @param isOnly no other provider takes bearer tokens */
  constructor(auth: JwtProvider, { keys, realm, refusals }: ProviderContext, isOnly: boolean) {
    this.#auth = auth;
    this.#realm = realm;
    this.#keys = auth.jwksUrl === null ? null : keys.of(auth.jwksUrl);
    this.#refusals = refusals;
    this.#hasOthers = !isOnly;
    const shared = auth.secret !== null;
    this.#options = {
      // A secret is never used with an asymmetric algorithm, nor a public key with HMAC (RFC 8725 section 3.1).
      algorithms: auth.algorithms.filter((algorithm) => algorithm.startsWith('HS') === shared && algorithm !== 'none'),
      clockTolerance: auth.clockToleranceSeconds,
      ...(auth.issuer === null ? {} : { issuer: auth.issuer }),
      ...(auth.audience.length === 0 ? {} : { audience: [...auth.audience] }),
    };
    if (auth.secret !== null) this.#secret = new TextEncoder().encode(auth.secret);
    else if (auth.publicKey !== null) this.#setPublicKey(auth.publicKey);
  }

  fits(bytes: Uint8Array, start: number, end: number): boolean {
    return isCompact(bytes, start, end);
  }

  async judge(token: string): Promise<Accepted | Refused | null> {
    if (this.#hasOthers && this.#auth.issuer !== null && issuerOf(token) !== this.#auth.issuer) return NOT_MINE;
    try {
      const payload = await this.#payload(token);
      const { clockToleranceSeconds, verifyExpiry } = this.#auth;
      checkTimes(payload, Date.now() / 1000, clockToleranceSeconds, verifyExpiry);
      checkNames(token);
      return {
        principal: this.#principal(payload),
        issuedAt: payload.iat ?? null,
        tolerance: clockToleranceSeconds,
      };
    } catch (error) {
      if (error instanceof KeysUnavailable) return unavailable(this.#auth);
      // The next refresh may bring the key, so a token without a key is not remembered as invalid.
      if (error instanceof errors.JWKSNoMatchingKey) return refused(INVALID_TOKEN, false);
      // These are thrown only after the signature has been verified: the issuer makes tokens that cannot be used here.
      if (error instanceof errors.JWTClaimValidationFailed || error instanceof errors.JWTInvalid)
        this.#refusals.tokenRefused(`a token with a good signature was refused: ${error.message}`);
      return refused(INVALID_TOKEN);
    }
  }

  async #payload(token: string): Promise<JWTPayload> {
    if (this.#secret !== null) return this.#verified(token, this.#secret);
    if (this.#publicKey !== null) return this.#verified(token, this.#publicKey);
    const source = this.#keys;
    if (source === null) {
      if (this.#keySet === null) throw new KeysUnavailable();
      return this.#withSet(token, this.#keySet);
    }
    let keys = this.#loadedKeys(source);
    if (keys === null) {
      await source.refresh();
      keys = this.#loadedKeys(source);
      if (keys === null) throw new KeysUnavailable();
    }
    try {
      return await this.#withSet(token, keys);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      const before = source.version;
      await source.refresh();
      const newer = this.#loadedKeys(source);
      if (newer === null) throw new KeysUnavailable();
      if (source.version === before) throw error;
      return this.#withSet(token, newer);
    }
  }

  async #withSet(token: string, keys: LocalKeys): Promise<JWTPayload> {
    try {
      return await this.#verified(token, keys);
    } catch (error) {
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
      // Several keys without a distinguishing kid: the right one verifies (RFC 7515 section 4.1.4).
      for await (const key of error) {
        try {
          return await this.#verified(token, key);
        } catch (inner) {
          if (!(inner instanceof errors.JWSSignatureVerificationFailed)) throw inner;
        }
      }
      throw new errors.JWSSignatureVerificationFailed();
    }
  }

  async #verified(token: string, key: unknown): Promise<JWTPayload> {
    try {
      return (await jwtVerify(token, key as KeyObject, this.#options)).payload;
    } catch (error) {
      // The library checks `exp` last: everything else is right.
      if (error instanceof errors.JWTExpired && !this.#auth.verifyExpiry) return error.payload;
      throw error;
    }
  }

  #loadedKeys(source: KeySource): LocalKeys | null {
    if (source.jwks === null) return null;
    if (this.#keyVersion !== source.version) {
      this.#keySet = createLocalJWKSet(JSON.parse(source.jwks));
      this.#keyVersion = source.version;
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
    const { clockToleranceSeconds, permissionClaims, scopeClaims, verifyExpiry } = this.#auth;
    // Seconds may be fractions (RFC 7519 section 2); the last whole second counts, and the word has 31 bits.
    const expiresAt = verifyExpiry ? Math.min(NEVER, Math.floor(payload.exp! + clockToleranceSeconds)) : NEVER;
    const grant = {
      subject,
      scopes: claimList(payload, scopeClaims),
      permissions: claimList(payload, permissionClaims),
    };
    return principal(this.#realm, 'jwt', payload.iss ?? '', grant, expiresAt);
  }
}

/** The `iss` that a token claims, before anything of it is verified; null = none. */
function issuerOf(token: string): string | null {
  try {
    const claims = JSON.parse(Buffer.from(token.split('.', 2)[1] ?? '', 'base64url').toString()) as {
      iss?: unknown;
    } | null;
    return typeof claims?.iss === 'string' ? claims.iss : null;
  } catch {
    return null;
  }
}

/** There are no keys, and they cannot be loaded at the moment. */
class KeysUnavailable extends Error {}

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
