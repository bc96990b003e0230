import { sameDigest } from '../../src/shared/digest.js';

/**
 * The parts of a cache key, over bytes in place. Everything that an answer may depend on is here, and nothing else decides whether a
 * call gets the answer to another one.
 */
export interface CacheQuery {
  readonly bytes: Buffer;
  readonly nameStart: number;
  readonly nameEnd: number;
  /** The arguments in canonical form. */
  readonly argumentsStart: number;
  readonly argumentsEnd: number;
  /** Hash of the arguments. */
  readonly hashLow: number;
  readonly hashHigh: number;
  /** The server that the call goes to first, so that a name that moves to another server leaves its answers behind. */
  readonly server: number;
  readonly route: number;
  /** Digest of the principal, four words; all 0 for public entries. */
  readonly digest: Int32Array;
  /** Subject of the principal, for purges; it is no part of the comparison. */
  readonly subject: string;
  /** Method and family. */
  readonly kind: number;
  /** Position of the view through which the call came, and of its group of the route's variants; -1 = it has none. */
  readonly view: number;
  readonly group: number;
  /** Values of `cache.includeHeaders`, each with the end of a line behind it, which no value has: `headers[0, headersLength)`. */
  readonly headers: Buffer;
  readonly headersLength: number;
}

/** The exact key of an entry: a query with bytes of its own. */
export interface Key {
  /** {@link hashQuery} of the query. */
  readonly number: number;
  readonly name: Buffer;
  readonly arguments: Buffer;
  readonly server: number;
  readonly route: number;
  readonly digest: Int32Array;
  readonly subject: string;
  readonly kind: number;
  readonly view: number;
  readonly group: number;
  readonly headers: Buffer;
}

/** A hash of 53 bits over all parts of a query. */
export function hashQuery(query: CacheQuery): number {
  const { bytes, digest, headers, headersLength } = query;
  let low = query.hashLow ^ Math.imul(digest[0]! ^ digest[2]!, 0x9e3779b1) ^ Math.imul(query.route + 1, 0x85ebca6b);
  let high = query.hashHigh ^ Math.imul(digest[1]! ^ digest[3]!, 0xc2b2ae35) ^ Math.imul(query.kind, 0x27d4eb2f);
  low ^= Math.imul(query.view + 1, 0x165667b1) ^ Math.imul(query.server + 1, 0x2545f491);
  high ^= Math.imul(query.group + 1, 0x9e3779b1);
  for (let i = query.nameStart; i < query.nameEnd; i += 1) {
    low = Math.imul(low ^ bytes[i]!, 0x01000193);
    high = Math.imul(high ^ low, 0x2c1b3c6d);
  }
  for (let i = 0; i < headersLength; i += 1) {
    low = Math.imul(low ^ headers[i]!, 0x01000193);
    high = Math.imul(high ^ low, 0x2c1b3c6d);
  }
  return (high & 0x1fffff) * 4_294_967_296 + (low >>> 0);
}

/** Whether all parts of a query equal those of the key, whatever their hashes. */
export function isKeyOf(key: Key, query: CacheQuery): boolean {
  const { bytes, nameStart, nameEnd, argumentsStart, argumentsEnd, headers, headersLength } = query;
  return (
    key.route === query.route &&
    key.kind === query.kind &&
    key.server === query.server &&
    key.view === query.view &&
    key.group === query.group &&
    sameDigest(key.digest, query.digest) &&
    bytes.compare(key.name, 0, key.name.length, nameStart, nameEnd) === 0 &&
    bytes.compare(key.arguments, 0, key.arguments.length, argumentsStart, argumentsEnd) === 0 &&
    headers.compare(key.headers, 0, key.headers.length, 0, headersLength) === 0
  );
}

/** The key of a query. @param number its {@link hashQuery} */
export function copyKey(query: CacheQuery, number: number): Key {
  const { bytes, nameStart, nameEnd, argumentsStart, argumentsEnd, headers, headersLength } = query;
  return {
    number,
    name: copyOf(bytes, nameStart, nameEnd),
    arguments: copyOf(bytes, argumentsStart, argumentsEnd),
    server: query.server,
    route: query.route,
    kind: query.kind,
    digest: Int32Array.from(query.digest),
    subject: query.subject,
    view: query.view,
    group: query.group,
    headers: copyOf(headers, 0, headersLength),
  };
}

/** Bytes that a key occupies besides its numbers. */
export function keyBytes({ name, arguments: args, headers }: Key): number {
  return name.length + args.length + headers.length;
}

function copyOf(bytes: Buffer, start: number, end: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(end - start);
  bytes.copy(copy, 0, start, end);
  return copy;
}
