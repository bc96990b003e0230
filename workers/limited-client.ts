import type { ClientKey, RateLimitsSnapshot } from '../src/config/snapshot/index.js';
import { ByteTable, buildByteTable } from '../src/shared/patterns/byte-table.js';
import { digestOf } from './authenticate/digest.js';
import { KnownBytes } from './authenticate/known-bytes.js';
import { ANONYMOUS, type Principal } from './authenticate/principal.js';
import type { LimitedClient } from './guard/client.js';
import { RequestRecord } from './request-record.js';

/** Keeps the digests of headers apart from those of addresses, which clients without the header are counted by. */
const HEADER_MARK = 0x5bd1e995;

/** The client of a request, as rate limits see it. One per decider and snapshot, reused for each request. */
export class CurrentClient implements LimitedClient {
  #request = new RequestRecord();
  #principal: Principal = ANONYMOUS;
  readonly #digest = new Int32Array(4);
  /** Digests of addresses and header values, by their bytes. */
  readonly #known = new KnownBytes<string>();
  readonly #key: ClientKey;
  readonly #subjects: ReadonlyMap<string, number>;
  readonly #texts: ByteTable;

  constructor({ clients, key }: RateLimitsSnapshot) {
    this.#key = key;
    this.#subjects = new Map(clients.map(({ name }, position) => [name, position]));
    const names = clients.map(({ name }, position) => [Buffer.from(name), position] as [Uint8Array, number]);
    this.#texts = new ByteTable(buildByteTable(names, false));
  }

  /** Sets the request that the next questions are about. */
  begin(request: RequestRecord, principal: Principal): void {
    this.#request = request;
    this.#principal = principal;
  }

  get principal(): Principal {
    return this.#principal;
  }

  get view(): number {
    return this.#request.view;
  }

  get bytes(): Uint8Array {
    return this.#request.bytes;
  }

  get valueStart(): number {
    return this.#request.valueStart;
  }

  get valueEnd(): number {
    return this.#request.valueEnd;
  }

  findAttribute(position: number): boolean {
    return this.#request.findAttribute(position);
  }

  digest(key: ClientKey): Int32Array {
    const request = this.#request;
    if (key.by === 'header' && request.findAttribute(key.attribute)) {
      const digest = this.#digestOf(request.valueStart, request.valueEnd);
      digest[3]! ^= HEADER_MARK;
      return digest;
    }
    if (key.by !== 'address' && this.#principal !== ANONYMOUS) return this.#principal.digest;
    return this.#digestOf(request.addressStart, request.addressEnd);
  }

  named(): number {
    if (this.#subjects.size === 0) return -1;
    const key = this.#key;
    const request = this.#request;
    if (key.by === 'header') {
      if (!request.findAttribute(key.attribute)) return -1;
      return this.#texts.get(request.bytes, request.valueStart, request.valueEnd);
    }
    if (key.by === 'address') return this.#texts.get(request.bytes, request.addressStart, request.addressEnd);
    return this.#subjects.get(this.#principal.subject) ?? -1;
  }

  #digestOf(start: number, end: number): Int32Array {
    const { bytes, words: memory } = this.#request;
    // Of the headers only the first one is sure to begin at a word.
    const isAligned = (start & 3) === 0;
    let digest = isAligned ? this.#known.find(memory, start, end) : null;
    if (digest === null) {
      digest = digestOf(bytes, start, end).slice(0, 16);
      if (isAligned) this.#known.keep(memory, start, end, digest);
    }
    const words = this.#digest;
    for (let i = 0; i < 4; i += 1) {
      words[i] =
        digest.charCodeAt(i * 4) |
        (digest.charCodeAt(i * 4 + 1) << 8) |
        (digest.charCodeAt(i * 4 + 2) << 16) |
        (digest.charCodeAt(i * 4 + 3) << 24);
    }
    return words;
  }
}
