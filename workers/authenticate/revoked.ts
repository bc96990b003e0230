import type { RevocationMessage } from '../../src/shared/ring/worker-messages.js';
import type { Seconds } from '../../src/units.js';

/** The revocations, for one worker; the front keeps the list and bounds it (src/control/credentials/revocations.ts). */
export class Revoked {
  /** {@link digestOf} of tokens. */
  readonly #tokens = new Set<string>();
  readonly #subjects = new Map<string, Seconds>();

  constructor(known: readonly RevocationMessage[]) {
    for (const message of known) this.receive(message);
  }

  /** Handles a revocation from the front. */
  receive({ kind, value, at }: RevocationMessage): void {
    if (kind === 'subject') {
      if (at === null) this.#subjects.delete(value);
      else this.#subjects.set(value, at);
      return;
    }
    const digest = Buffer.from(value, 'hex').toString('latin1');
    if (at === null) this.#tokens.delete(digest);
    else this.#tokens.add(digest);
  }

  /**
   * Whether a token is revoked, by itself or with its subject.
   *
   * @param issuedAt its `iat`; null when it has none, which makes it older than every revocation of its subject
   * @param tolerance how far the issuer's clock may be ahead
   */
  covers(digest: string, subject: string, issuedAt: Seconds | null, tolerance: Seconds): boolean {
    if (this.#tokens.has(digest)) return true;
    const at = this.#subjects.get(subject);
    return at !== undefined && (issuedAt === null || issuedAt <= at + tolerance);
  }
}
