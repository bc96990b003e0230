import type { ClientKey, RateLimitsSnapshot } from '../../src/config/snapshot.js';
import { ByteTable, buildByteTable } from '../../src/shared/patterns/byte-table.js';
import { digestOf } from '../authenticate/digest.js';
import { ANONYMOUS, type Principal } from '../authenticate/principal.js';
import type { LimitedRequest } from './request.js';

/** Who sent the current request, as limits that count clients apart tell them. One per guard. */
export class ClientKeys {
  #request: LimitedRequest | null = null;
  #principal: Principal = ANONYMOUS;
  readonly #address = new Int32Array(4);
  #hasAddress = false;
  readonly #key: ClientKey;
  readonly #subjects: ReadonlyMap<string, number>;
  readonly #texts: ByteTable;

  constructor({ clients, key }: RateLimitsSnapshot) {
    this.#key = key;
    this.#subjects = new Map(clients.map(({ name }, position) => [name, position]));
    this.#texts = new ByteTable(
      buildByteTable(
        clients.map(({ name }, position) => [Buffer.from(name), position]),
        false,
      ),
    );
  }

  /** Sets the request that the next questions are about. */
  begin(request: LimitedRequest, principal: Principal): void {
    this.#request = request;
    this.#principal = principal;
    this.#hasAddress = false;
  }

  /** The digest that the client is counted by; valid until the next request. */
  digest(key: ClientKey): Int32Array {
    return key.by === 'address' || this.#principal === ANONYMOUS ? this.#addressDigest() : this.#principal.digest;
  }

  /** Position in `rateLimits.clients` of the client, -1 = it is not named there. */
  named(): number {
    if (this.#subjects.size === 0) return -1;
    if (this.#key.by === 'address') {
      const { addressEnd, addressStart, bytes } = this.#request!;
      return this.#texts.get(bytes, addressStart, addressEnd);
    }
    return this.#subjects.get(this.#principal.subject) ?? -1;
  }

  #addressDigest(): Int32Array {
    const words = this.#address;
    if (this.#hasAddress) return words;
    this.#hasAddress = true;
    const { addressEnd, addressStart, bytes } = this.#request!;
    fill(words, digestOf(bytes, addressStart, addressEnd));
    return words;
  }
}

/** The first 128 bits of a digest as words. */
function fill(words: Int32Array, digest: string): void {
  for (let i = 0; i < 4; i += 1) {
    words[i] =
      digest.charCodeAt(i * 4) |
      (digest.charCodeAt(i * 4 + 1) << 8) |
      (digest.charCodeAt(i * 4 + 2) << 16) |
      (digest.charCodeAt(i * 4 + 3) << 24);
  }
}
