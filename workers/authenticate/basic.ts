/**
 * User names and passwords (RFC 7617) in UTF-8. A plain password is compared in constant time; a hashed one is checked by the
 * front's password thread (src/control/credentials/passwords.ts). What was accepted is remembered by the digest of the whole credential.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { BasicProvider } from '../../src/config/snapshot/auth.js';
import { errorNumber } from '../../src/errors.js';
import type { Inquiries } from './inquiries.js';
import { NEVER, type Principal, principal } from './principal.js';
import { type Accepted, type Judge, type ProviderContext, type Refused, refused, unavailable } from './verifier.js';

const INVALID_TOKEN = errorNumber('GW_INVALID_TOKEN');

/** A longer credential is refused without being read: 256 characters of a name, 1,024 of a password, in UTF-8 and base64. */
const MAX_BYTES = 6_848;
const HASHED = /^\$(scrypt|2[aby])\$/;

interface User {
  readonly principal: Principal;
  /** SHA-256 of a plain password; null = it is hashed. */
  readonly digest: Buffer | null;
  readonly hash: string;
}

/** See the file comment. One per worker and authentication settings. */
export class BasicUsers implements Judge {
  readonly #users = new Map<string, User>();
  /** The hashes of all users; empty = all passwords are plain. */
  readonly #hashes: readonly string[];
  readonly #maxWaiting: number;
  readonly #unavailable: Refused;
  readonly #inquiries: Inquiries;

  constructor(provider: BasicProvider, { inquiries, realm }: ProviderContext) {
    const { users, maxWaiting } = provider;
    this.#unavailable = unavailable(provider);
    this.#maxWaiting = maxWaiting;
    this.#inquiries = inquiries;
    for (const user of users) {
      const isHashed = HASHED.test(user.password);
      this.#users.set(user.subject, {
        principal: principal(realm, 'basic', '', user, NEVER),
        digest: isHashed ? null : sha256(user.password),
        hash: isHashed ? user.password : '',
      });
    }
    this.#hashes = users.map(({ password }) => password).filter((password) => HASHED.test(password));
  }

  /** The alphabet, padding and last bits of base64 (RFC 4648 section 4), so that one credential has one spelling. */
  fits(bytes: Uint8Array, start: number, end: number): boolean {
    const length = end - start;
    if (length === 0 || length > MAX_BYTES) return false;
    const text = Buffer.from(bytes.subarray(start, end)).toString('latin1');
    // Decoding is lenient, and encoding gives the one right spelling.
    return Buffer.from(text, 'base64').toString('base64') === text;
  }

  async judge(credential: string): Promise<Accepted | Refused> {
    const pair = decode(credential);
    if (pair === null) return refused(INVALID_TOKEN);
    const user = this.#users.get(pair.name);
    const isPlain = timingSafeEqual(sha256(pair.password), user?.digest ?? sha256(''));
    let isRight = user?.digest != null && isPlain;
    // Whether a name is known must not be told by the time, so every attempt costs a check if any password is hashed.
    if (this.#hashes.length > 0) {
      const hash = user?.hash || this.#decoy(pair.name);
      const { password } = pair;
      const answer = await this.#inquiries.ask({ kind: 'password', hash, password, maxWaiting: this.#maxWaiting });
      if (answer.outcome === 'unavailable') return this.#unavailable;
      if (user !== undefined && user.digest === null) isRight = answer.outcome === 'match';
    }
    if (user === undefined || !isRight) return refused(INVALID_TOKEN);
    return { principal: user.principal, issuedAt: null, tolerance: 0 };
  }

  /** The hash that a name without one is checked against, always the same for one name. */
  #decoy(name: string): string {
    return this.#hashes[sha256(name).readUInt32LE(0) % this.#hashes.length]!;
  }
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** Name and password; null = they are no UTF-8, have control characters, or there is no colon (RFC 7617 section 2). */
function decode(credential: string): { readonly name: string; readonly password: string } | null {
  const bytes = Buffer.from(credential, 'base64');
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
  const colon = text.indexOf(':');
  if (colon < 0 || /[\x00-\x1f\x7f]/.test(text)) return null;
  return { name: text.slice(0, colon), password: text.slice(colon + 1) };
}
