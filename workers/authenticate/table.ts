import type { Grant } from '../../src/config/snapshot/auth.js';
import { digestOf } from './digest.js';
import { NEVER, type Principal, principal } from './principal.js';

/**
 * A table of credentials, looked up by SHA-256: the time of a look-up depends on the digest, which cannot be chosen byte by byte,
 * and not on how many bytes of a credential were guessed. One per worker, provider and authentication settings.
 */
export class CredentialTable {
  readonly #principals = new Map<string, Principal>();

  /** @param realm, kind of the provider: subjects of others are other principals */
  constructor(realm: string, kind: string, entries: readonly (Grant & { readonly token: string })[]) {
    for (const entry of entries) {
      const bytes = Buffer.from(entry.token);
      this.#principals.set(digestOf(bytes, 0, bytes.length), principal(realm, kind, '', entry, NEVER));
    }
  }

  /** The principal of a credential by its digest. */
  find(digest: string): Principal | undefined {
    return this.#principals.get(digest);
  }
}
