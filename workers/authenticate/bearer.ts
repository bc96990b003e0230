import type { AuthSnapshot } from '../../src/config/snapshot.js';
import { digestOf } from './digest.js';
import { NEVER, type Principal, principal } from './principal.js';

type Tokens = Extract<AuthSnapshot, { type: 'bearer' }>['tokens'];

/**
 * A table of tokens, looked up by SHA-256: the time a look-up takes depends on the digest, which nobody can steer
 * byte by byte, and not on how much of a token was guessed right.
 */
export class BearerTable {
  readonly #principals = new Map<string, Principal>();

  constructor(tokens: Tokens) {
    for (const { token, subject, scopes } of tokens) {
      const bytes = Buffer.from(token);
      this.#principals.set(digestOf(bytes, 0, bytes.length), principal('bearer', subject, scopes, NEVER));
    }
  }

  /** The principal of the token `bytes[start, end)`, or null. */
  find(bytes: Buffer, start: number, end: number): Principal | null {
    return this.#principals.get(digestOf(bytes, start, end)) ?? null;
  }
}
