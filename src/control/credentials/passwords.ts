import { createHmac, randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Inquiry, InquiryAnswer } from '../../shared/ring/worker-messages.js';
import type { Count } from '../../units.js';
import type { PasswordChecker } from '../threads/check-password.js';

/** Right passwords remembered. */
const MAX_KNOWN: Count = 10_000;

/**
 * Checks hashed passwords for all workers, one after the other in a thread of its own, so that guessing costs neither the front
 * nor the workers anything. What was right is remembered by a keyed digest; a new hash in the configuration is another one.
 */
export class Passwords {
  readonly #checker: PasswordChecker;
  readonly #key = randomBytes(32);
  readonly #known = new LRUCache<string, true>({ max: MAX_KNOWN });
  #waiting: Count = 0;

  constructor(checker: PasswordChecker) {
    this.#checker = checker;
  }

  /** Whether a password has that hash. Never rejects. */
  async ask({ hash, password, maxWaiting }: Extract<Inquiry, { kind: 'password' }>): Promise<InquiryAnswer> {
    const digest = createHmac('sha256', this.#key).update(`${hash.length}:${hash}${password}`).digest('base64');
    if (this.#known.get(digest) === true) return { outcome: 'match' };
    if (this.#waiting >= maxWaiting) return { outcome: 'unavailable' };
    this.#waiting += 1;
    try {
      if (!(await this.#checker.checkPassword({ hash, password }))) return { outcome: 'mismatch' };
      this.#known.set(digest, true);
      return { outcome: 'match' };
    } catch {
      return { outcome: 'unavailable' };
    } finally {
      this.#waiting -= 1;
    }
  }
}
