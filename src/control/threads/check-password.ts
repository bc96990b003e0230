/** Checks passwords against hashes of scrypt and bcrypt. Each check takes tens of milliseconds of a processor. */
import { scryptSync, timingSafeEqual } from 'node:crypto';
import { createRequire } from 'node:module';
import { MAX_SCRYPT_BYTES, parseScrypt } from '../../shared/scrypt-hash.js';

/** Loaded by the first hash of bcrypt: most configurations have none, and each gateway would load it twice. */
let bcrypt: typeof import('bcryptjs') | null = null;

/** A password and the hash that it may have. */
export interface PasswordCheck {
  readonly hash: string;
  readonly password: string;
}

/** Checks passwords in another thread. */
export interface PasswordChecker {
  /** See {@link checkPassword}. */
  checkPassword(check: PasswordCheck): Promise<boolean>;
}

/** bcrypt reads no more of a password; a longer one is wrong, instead of equal to its beginning. */
const BCRYPT_BYTES = 72;

/** Whether a password has that hash. */
export function checkPassword({ hash, password }: PasswordCheck): boolean {
  if (!hash.startsWith('$scrypt$')) {
    bcrypt ??= createRequire(import.meta.url)('bcryptjs') as typeof import('bcryptjs');
    const isRight = bcrypt.compareSync(password, hash);
    return isRight && Buffer.byteLength(password) <= BCRYPT_BYTES;
  }
  const parsed = parseScrypt(hash);
  if (parsed === null) return false;
  const { N, r, p, salt } = parsed;
  const derived = scryptSync(password, salt, parsed.hash.length, { N, r, p, maxmem: 2 * MAX_SCRYPT_BYTES });
  return timingSafeEqual(derived, parsed.hash);
}
