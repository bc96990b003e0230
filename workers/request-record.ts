import { type Ask, REQUEST_HEAD, type RequestFlag, RequestWord } from '../src/shared/ring/records.js';
import { ANONYMOUS } from './authenticate/principal.js';
import type { CacheQuery } from './cache/index.js';

const EMPTY = Buffer.alloc(0);
/** Between the values of the attributes: a line feed (`ATTRIBUTE_SEPARATOR`). */
const SEPARATOR = 0x0a;

/**
 * A request record where it lies, on the ring or in a copy: the words of its head, and where its byte fields are in `bytes`.
 * One per worker, reused for each record.
 */
export class RequestRecord implements CacheQuery {
  /** The memory of the record as words, and the word at which its head starts. */
  words: Int32Array = new Int32Array(REQUEST_HEAD);
  at = 0;
  /** The same memory as bytes. */
  bytes: Buffer = EMPTY;

  ask = 0 as Ask;
  slot = 0;
  generation = 0;
  /** Method id (native/layout.ts) or Operation. */
  method = 0;
  /** Bits of {@link RequestFlag}. */
  flags = 0;
  catalogVersion = 0;
  /** Hash of the arguments, if {@link RequestFlag.hasArguments}. */
  hashLow = 0;
  hashHigh = 0;
  /** Number of the cache key that a report of a leader is about. */
  cacheKey = 0;

  tokenStart = 0;
  tokenEnd = 0;
  nameStart = 0;
  nameEnd = 0;
  addressStart = 0;
  addressEnd = 0;
  argumentsStart = 0;
  argumentsEnd = 0;
  attributesStart = 0;
  attributesEnd = 0;
  payloadStart = 0;
  payloadEnd = 0;
  /** Of the credential in the token field (src/request/exchange/caller.ts). */
  scheme = 0;
  /** Position in `Snapshot.views`. */
  view = 0;

  /** The value that {@link findAttribute} found is `bytes[valueStart, valueEnd)`. */
  valueStart = 0;
  valueEnd = 0;

  /** The rest of the cache query; set before a look-up (cached-calls.ts). */
  server = -1;
  route = -1;
  digest: Int32Array = ANONYMOUS.digest;
  subject = '';
  kind = 0;
  group = -1;
  headers: Buffer = EMPTY;
  headersLength = 0;

  /** Whether a {@link RequestFlag} is set. */
  has(flag: number): boolean {
    return (this.flags & flag) !== 0;
  }

  /** Reads the record whose head starts at word `at`; `bytes` is the memory of `words`. */
  locate(words: Int32Array, at: number, bytes: Buffer): void {
    this.words = words;
    this.at = at;
    this.bytes = bytes;
    this.ask = words[at + RequestWord.ask]! as Ask;
    this.slot = words[at + RequestWord.slot]!;
    this.generation = words[at + RequestWord.generation]!;
    this.method = words[at + RequestWord.method]!;
    this.flags = words[at + RequestWord.flags]!;
    this.catalogVersion = words[at + RequestWord.catalogVersion]!;
    this.hashLow = words[at + RequestWord.argumentsHashLow]!;
    this.hashHigh = words[at + RequestWord.argumentsHashHigh]!;
    this.cacheKey = words[at + RequestWord.cacheKey]!;
    this.scheme = words[at + RequestWord.scheme]!;
    this.view = words[at + RequestWord.view]!;
    let start = (at + REQUEST_HEAD) * 4;
    this.tokenStart = start;
    this.tokenEnd = start + words[at + RequestWord.tokenLength]!;
    start = aligned(this.tokenEnd);
    this.nameStart = start;
    this.nameEnd = start + words[at + RequestWord.nameLength]!;
    start = aligned(this.nameEnd);
    this.addressStart = start;
    this.addressEnd = start + words[at + RequestWord.addressLength]!;
    start = aligned(this.addressEnd);
    this.argumentsStart = start;
    this.argumentsEnd = start + words[at + RequestWord.argumentsLength]!;
    start = aligned(this.argumentsEnd);
    this.attributesStart = start;
    this.attributesEnd = start + words[at + RequestWord.attributesLength]!;
    start = aligned(this.attributesEnd);
    this.payloadStart = start;
    this.payloadEnd = start + words[at + RequestWord.payloadLength]!;
  }

  /**
   * Finds the value of a request header: sets {@link valueStart} and {@link valueEnd}.
   *
   * @param position in `Snapshot.attributes`
   * @returns false when the header was not sent, or is empty
   */
  findAttribute(position: number): boolean {
    const { bytes, attributesEnd } = this;
    let start = this.attributesStart;
    for (let i = 0; i < position && start < attributesEnd; start += 1) {
      if (bytes[start] === SEPARATOR) i += 1;
    }
    let end = start;
    while (end < attributesEnd && bytes[end] !== SEPARATOR) end += 1;
    this.valueStart = start;
    this.valueEnd = end;
    return end > start;
  }

  /** A copy in memory of its own, for a decision that has to wait. */
  copy(): RequestRecord {
    const start = this.at * 4;
    const memory = new ArrayBuffer(aligned(this.payloadEnd - start));
    const bytes = Buffer.from(memory);
    this.bytes.copy(bytes, 0, start, this.payloadEnd);
    const copy = new RequestRecord();
    copy.locate(new Int32Array(memory), 0, bytes);
    return copy;
  }
}

/** The next multiple of four. */
function aligned(position: number): number {
  return (position + 3) & ~3;
}
