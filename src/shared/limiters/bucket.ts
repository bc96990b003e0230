/**
 * Layout of a bucket: what one limit knows about one client, or about all clients together. It is a cache line (64 bytes) in
 * memory that all threads share:
 * ```
 *  byte 0     4            8                    40          56     60
 *  lock | generation | state of the limiter | key (128) | limit | used
 * ```
 */

/** 32-bit words of a bucket. */
export const BUCKET_WORDS = 16;
/** 64-bit floats of a bucket. */
export const BUCKET_FLOATS = 8;

/** Words of a bucket. */
export const BucketWord = {
  lock: 0,
  /** Changes when the bucket is given to another client. */
  generation: 1,
  /** The first of eight that belong to the limiter: also the floats 1 to 4. */
  state: 2,
  /** The first of four. */
  key: 10,
  /** Number of the limit within the plan (bucket-plan.ts). */
  limit: 14,
  /** 1 = a client has the bucket. */
  used: 15,
} as const;
/** The first float of the state. */
export const STATE_FLOAT = 1;

/** Views over the memory of all buckets. */
export interface BucketMemory {
  readonly words: Int32Array;
  readonly floats: Float64Array;
}
