import { sameDigest } from '../../src/shared/digest.js';

/** The parts of a cache key, over bytes in place. */
export interface CacheQuery {
  readonly bytes: Buffer;
  readonly nameStart: number;
  readonly nameEnd: number;
  readonly argumentsStart: number;
  readonly argumentsEnd: number;
  /** Hash of the arguments. */
  readonly hashLow: number;
  readonly hashHigh: number;
  readonly route: number;
  /** Group of the route's variants, -1 = it has none. */
  readonly variant: number;
  /** Digest of the principal, four words; all 0 for public entries. */
  readonly digest: Int32Array;
  /** Method and family. */
  readonly kind: number;
}

/** The exact key of an entry: a query with bytes of its own. */
export interface Key {
  /** {@link hashQuery} of the query. */
  readonly number: number;
  readonly name: Buffer;
  readonly arguments: Buffer;
  readonly route: number;
  readonly variant: number;
  readonly digest: Int32Array;
  readonly kind: number;
}

/** A hash of 53 bits over all parts of a query. */
export function hashQuery(query: CacheQuery): number {
  const { bytes, digest } = query;
  let low = query.hashLow ^ Math.imul(digest[0]! ^ digest[2]!, 0x9e3779b1) ^ Math.imul(query.route + 1, 0x85ebca6b);
  let high =
    query.hashHigh ^
    Math.imul(digest[1]! ^ digest[3]!, 0xc2b2ae35) ^
    Math.imul(query.kind, 0x27d4eb2f) ^
    Math.imul(query.variant + 1, 0x165667b1);
  for (let i = query.nameStart; i < query.nameEnd; i += 1) {
    low = Math.imul(low ^ bytes[i]!, 0x01000193);
    high = Math.imul(high ^ low, 0x2c1b3c6d);
  }
  return (high & 0x1fffff) * 4_294_967_296 + (low >>> 0);
}

/** Whether all parts of a query equal those of the key, whatever their hashes. */
export function isKeyOf(key: Key, query: CacheQuery): boolean {
  const { bytes, nameStart, nameEnd, argumentsStart, argumentsEnd } = query;
  return (
    key.route === query.route &&
    key.variant === query.variant &&
    key.kind === query.kind &&
    sameDigest(key.digest, query.digest) &&
    bytes.compare(key.name, 0, key.name.length, nameStart, nameEnd) === 0 &&
    bytes.compare(key.arguments, 0, key.arguments.length, argumentsStart, argumentsEnd) === 0
  );
}

/** The key of a query. @param number its {@link hashQuery} */
export function copyKey(query: CacheQuery, number: number): Key {
  const { bytes, nameStart, nameEnd, argumentsStart, argumentsEnd, route, variant, kind, digest } = query;
  return {
    number,
    name: copyOf(bytes, nameStart, nameEnd),
    arguments: copyOf(bytes, argumentsStart, argumentsEnd),
    route,
    variant,
    kind,
    digest: Int32Array.from(digest),
  };
}

function copyOf(bytes: Buffer, start: number, end: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(end - start);
  bytes.copy(copy, 0, start, end);
  return copy;
}
