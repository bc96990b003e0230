/** The head of a verdict record: what a worker decided about one exchange. */

import { sameDigest } from '../digest.js';
import { CallBuckets } from '../limits/call-buckets.js';
import { VERDICT_HEAD, type Verdict, VerdictWord } from './records.js';

/** {@link VerdictRecord.rememberUntil} of what does not end by itself: the last second that a word can hold. */
export const NEVER = 0x7fffffff;

/**
 * A verdict outside a ring: a worker fills one and writes it, the front reads it into the exchange, the memo keeps its
 * words. Plain fields, since every stage reads some of them.
 */
export class VerdictRecord {
  /** 0 = there is no verdict (yet). */
  kind: Verdict | 0 = 0;
  /** Slot and generation of the exchange, as the request gave them. */
  slot = 0;
  generation = 0;
  /** Bits of {@link VerdictFlag}. */
  flags = 0;
  /** Index of the server in the snapshot, -1 none. */
  server = -1;
  /** Index of the route in the snapshot, -1 none. Its `servers` after `server` are the fallbacks. */
  route = -1;
  /** Index of the group in the variants of the route, -1 none. Its servers take the place of those of the route. */
  variant = -1;
  /** Index of the catalog entry, -1 if the name is not in the catalog. */
  entry = -1;
  /** Bytes to cut off the front of the name towards the upstream; ignored when `entry` >= 0. */
  stripBytes = 0;
  /** Catalog and snapshot versions and the revocation epoch (epochs.ts) that the decision is based on. */
  catalogVersion = 0;
  snapshotVersion = 0;
  epoch = 0;
  /** Error number (src/errors.ts) of a denial, -1 none. */
  error = -1;
  retryAfterMs = 0;
  /** Number of the rate limit (bucket-plan.ts) that refused the call, -1 none. */
  limit = -1;
  /** Seconds since the epoch until which the verdict may be remembered; 0 = not at all, {@link NEVER} = it does not end. */
  rememberUntil = 0;
  /** Number of the cache key whose leader the call is ({@link Verdict.lead}). */
  cacheKey = 0;
  /** The rate-limit buckets (buckets.ts) that every such call takes from. */
  readonly buckets = new CallBuckets();
  /** See {@link VerdictWord}. */
  hiddenLow = 0;
  hiddenHigh = 0;
  /** Bytes of the payload behind the head. */
  payloadLength = 0;
  /** 128 bits of the subject's digest; all 0 = anonymous. */
  readonly subject = new Int32Array(4);

  /** Resets every field to its default. */
  clear(): void {
    this.read(BLANK, 0);
  }

  /** Sets {@link subject}. Word by word: for four of them `set` takes longer than the rest of a look-up. */
  setSubject(digest: Int32Array): void {
    const { subject } = this;
    for (let word = 0; word < 4; word += 1) subject[word] = digest[word]!;
  }

  /** Reads the head at `words[at]`. */
  read(words: Int32Array, at: number): void {
    const { buckets, subject } = this;
    this.kind = words[at + VerdictWord.kind]! as Verdict;
    this.slot = words[at + VerdictWord.slot]!;
    this.generation = words[at + VerdictWord.generation]!;
    this.flags = words[at + VerdictWord.flags]!;
    this.server = words[at + VerdictWord.server]!;
    this.route = words[at + VerdictWord.route]!;
    this.variant = words[at + VerdictWord.variant]!;
    this.entry = words[at + VerdictWord.entry]!;
    this.stripBytes = words[at + VerdictWord.stripBytes]!;
    this.catalogVersion = words[at + VerdictWord.catalogVersion]!;
    this.snapshotVersion = words[at + VerdictWord.snapshotVersion]!;
    this.epoch = words[at + VerdictWord.epoch]!;
    this.error = words[at + VerdictWord.error]!;
    this.retryAfterMs = words[at + VerdictWord.retryAfterMs]!;
    this.limit = words[at + VerdictWord.limit]!;
    this.rememberUntil = words[at + VerdictWord.rememberUntil]!;
    this.cacheKey = words[at + VerdictWord.cacheKey]!;
    buckets.read(words, at + VerdictWord.buckets);
    this.payloadLength = words[at + VerdictWord.payloadLength]!;
    this.hiddenLow = words[at + VerdictWord.hiddenLow]!;
    this.hiddenHigh = words[at + VerdictWord.hiddenHigh]!;
    for (let word = 0; word < 4; word += 1) subject[word] = words[at + VerdictWord.subject + word]!;
  }

  /** Writes the head to `words[at]`. */
  write(words: Int32Array, at: number): void {
    const { buckets, subject } = this;
    words[at + VerdictWord.kind] = this.kind;
    words[at + VerdictWord.slot] = this.slot;
    words[at + VerdictWord.generation] = this.generation;
    words[at + VerdictWord.flags] = this.flags;
    words[at + VerdictWord.server] = this.server;
    words[at + VerdictWord.route] = this.route;
    words[at + VerdictWord.variant] = this.variant;
    words[at + VerdictWord.entry] = this.entry;
    words[at + VerdictWord.stripBytes] = this.stripBytes;
    words[at + VerdictWord.catalogVersion] = this.catalogVersion;
    words[at + VerdictWord.snapshotVersion] = this.snapshotVersion;
    words[at + VerdictWord.epoch] = this.epoch;
    words[at + VerdictWord.error] = this.error;
    words[at + VerdictWord.retryAfterMs] = this.retryAfterMs;
    words[at + VerdictWord.limit] = this.limit;
    words[at + VerdictWord.rememberUntil] = this.rememberUntil;
    words[at + VerdictWord.cacheKey] = this.cacheKey;
    buckets.write(words, at + VerdictWord.buckets);
    words[at + VerdictWord.payloadLength] = this.payloadLength;
    words[at + VerdictWord.hiddenLow] = this.hiddenLow;
    words[at + VerdictWord.hiddenHigh] = this.hiddenHigh;
    for (let word = 0; word < 4; word += 1) words[at + VerdictWord.subject + word] = subject[word]!;
  }

  /** Copies every field of `from`. */
  assign(from: VerdictRecord): void {
    from.write(SCRATCH, 0);
    this.read(SCRATCH, 0);
  }

  /** An independent copy. */
  copy(): VerdictRecord {
    const copy = new VerdictRecord();
    copy.assign(this);
    return copy;
  }

  /** Whether the verdict was made for the subject with that digest. */
  isFor(subject: Int32Array): boolean {
    return sameDigest(this.subject, subject);
  }
}

const SCRATCH = new Int32Array(VERDICT_HEAD);
const BLANK = new Int32Array(VERDICT_HEAD);
new VerdictRecord().write(BLANK, 0);
