/**
 * The records that cross the rings between the front and the workers, in one versioned file.
 * A record is a fixed head of 32-bit integers followed by byte fields; all integers are little-endian words of
 * an `Int32Array` over the ring. A change of layout or meaning raises {@link RECORD_VERSION}, which workers compare at start.
 */
import { type CodeOf, codes } from '../../codes.js';
import { CALL_BUCKET_WORDS } from '../limits/call-buckets.js';

export const RECORD_VERSION = 6;

/** Purpose of a request record. */
export const Ask = codes('Ask', {
  /** Decide about one exchange. */
  decide: 1,
  /** The leader of a cache key has a result: store it and answer the calls that wait. Payload: its AnswerHead and the result. */
  store: 2,
  /** The leader of a cache key has no result to store: the next one becomes the leader. */
  release: 3,
  /** The exchange is cancelled: stop waiting for a leader, if it does. */
  cancel: 4,
});
export type Ask = CodeOf<typeof Ask>;

/**
 * Operations without a JSON-RPC method that need a decision; they take the place of a method id.
 */
export const Operation = codes('Method', {
  /** GET on the endpoint: a standalone stream. */
  stream: 1001,
  /** DELETE on the endpoint: end a session. */
  terminate: 1002,
  /** Client notifications and responses other than those with a meaning of their own. */
  accept: 1003,
});
export type Operation = CodeOf<typeof Operation>;

/** Words of a request record head. */
export const RequestWord = {
  ask: 0,
  /** Exchange slot and generation: they come back in the verdict. */
  slot: 1,
  generation: 2,
  /** Method id (native/layout.ts) or {@link Operation}. */
  method: 3,
  /** Bits of {@link RequestFlag}. */
  flags: 4,
  /** Number of the client's protocol revision (src/protocol/revisions.ts). */
  revision: 5,
  /** The catalog version that the front answers from. */
  catalogVersion: 6,
  argumentsHashLow: 7,
  argumentsHashHigh: 8,
  /** For {@link Ask.store} and {@link Ask.release}: the key number the lead verdict gave. */
  cacheKey: 9,
  /** Byte lengths of the fields, in this order behind the head, each padded to 4 bytes. */
  tokenLength: 10,
  nameLength: 11,
  addressLength: 12,
  argumentsLength: 13,
  /** Values of the request headers that policy reads (`Snapshot.attributes`). */
  attributesLength: 14,
  payloadLength: 15,
  /** The scheme of the credential in the token field. */
  scheme: 16,
  /** Position in `Snapshot.views`. */
  view: 17,
} as const;
/** Words of the request head. */
export const REQUEST_HEAD = 18;

export const RequestFlag = {
  /** The client speaks a modern revision. */
  modern: 1 << 0,
  /** A credential was presented (the token field may still be empty). */
  hasToken: 1 << 1,
  /** The name has escapes in the message; the record has it decoded. */
  nameDecoded: 1 << 2,
  /** The name is a URI. */
  nameIsUri: 1 << 3,
  /** The record has the arguments in canonical form and their hash (second pass of a cacheable call). */
  hasArguments: 1 << 4,
  /** The call carries `inputResponses` or `requestState`: never cached (MCP 2026-07-28, caching). */
  uncacheable: 1 << 5,
  /** A question of the gateway itself: no rate-limit token is taken. */
  unmetered: 1 << 6,
  /** The arguments are too large for the record: rules that depend on them cannot be decided. */
  argumentsTooLarge: 1 << 7,
  /** {@link Ask.release}: the upstream of the leader has failed. */
  failed: 1 << 8,
} as const;

/** Kind of a verdict. */
export const Verdict = codes('Verdict', {
  /** Forward to `server`. */
  forward: 1,
  /** The gateway answers this method itself from prepared bytes or state. */
  local: 2,
  /** Refuse with the error of number `error`. Payload: the scopes for the challenge, space separated; or a sentence that follows that of the error; or none. */
  deny: 3,
  /** The payload is an AnswerHead and the result. */
  cached: 4,
  /**
   * Forward, and report the result under `cacheKey` ({@link Ask.store} or {@link Ask.release}). Payload: as for `cached`, the answer if
   * the upstream fails; or none.
   */
  lead: 5,
  /** Cacheable, or subject to rules about arguments: send the request again with its arguments, to the worker that their hash selects. */
  needsArguments: 6,
});
export type Verdict = CodeOf<typeof Verdict>;

/** Words of a verdict record head; VerdictRecord describes them. */
export const VerdictWord = {
  kind: 0,
  slot: 1,
  generation: 2,
  flags: 3,
  server: 4,
  route: 5,
  entry: 6,
  stripBytes: 7,
  catalogVersion: 8,
  snapshotVersion: 9,
  epoch: 10,
  error: 11,
  retryAfterMs: 12,
  rememberUntil: 13,
  cacheKey: 14,
  payloadLength: 15,
  /** The first of four. */
  subject: 16,
  variant: 20,
  /** Digest of what lists hide from the client; both 0 = nothing. The payload of a verdict on a list has a bit for each entry. */
  hiddenLow: 21,
  hiddenHigh: 22,
  limit: 23,
  /** The first of {@link CALL_BUCKET_WORDS}. */
  buckets: 24,
} as const;
/** Words of the verdict head. */
export const VERDICT_HEAD = VerdictWord.buckets + CALL_BUCKET_WORDS;

export const VerdictFlag = {
  /** The upstream's answer may be retried or failed over although bytes were sent (safe method or readOnlyHint/idempotentHint). */
  safe: 1 << 0,
} as const;
