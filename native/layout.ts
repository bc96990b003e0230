/**
 * The one description of what a scan writes. The C++ scan has these numbers from `native/layout.h`, which
 * `native/layout-header.ts` generates from this file.
 *
 * A scan fills an `Int32Array` of {@link SPAN_COUNT} slots. Positions are byte offsets into the scanned
 * bytes, end exclusive; `-1` in a `…Start` slot means "absent". String values are given without their
 * quotes unless the comment says "raw", which is the whole JSON token.
 */
import { type Code, type CodeOf, codes } from '../src/codes.js';

/** Slots of the span array. */
export const Span = {
  kind: 0,
  method: 1,
  flags: 2,
  idStart: 3,
  idEnd: 4,
  methodStart: 5,
  methodEnd: 6,
  paramsStart: 7,
  paramsEnd: 8,
  nameStart: 9,
  nameEnd: 10,
  nameHashLow: 11,
  nameHashHigh: 12,
  argumentsStart: 13,
  argumentsEnd: 14,
  metaStart: 15,
  metaEnd: 16,
  progressTokenStart: 17,
  progressTokenEnd: 18,
  claimStart: 19,
  claimEnd: 20,
  capabilitiesStart: 21,
  capabilitiesEnd: 22,
  clientInfoStart: 23,
  clientInfoEnd: 24,
  levelStart: 25,
  levelEnd: 26,
  cursorStart: 27,
  cursorEnd: 28,
  requestIdStart: 29,
  requestIdEnd: 30,
  inputResponsesStart: 31,
  inputResponsesEnd: 32,
  requestStateStart: 33,
  requestStateEnd: 34,
  resultStart: 35,
  resultEnd: 36,
  errorStart: 37,
  errorEnd: 38,
  errorCode: 39,
  resultTypeStart: 40,
  resultTypeEnd: 41,
  batchCount: 42,
  traceparentStart: 43,
  traceparentEnd: 44,
  ttlMsStart: 45,
  ttlMsEnd: 46,
  cacheScopeStart: 47,
  cacheScopeEnd: 48,
  structuredContentStart: 49,
  structuredContentEnd: 50,
} as const;

/** Length of the span array. */
export const SPAN_COUNT = 52;

/** The slots before a scan: -1 for positions, else 0. */
export const BLANK = new Int32Array(SPAN_COUNT).fill(-1);
for (const slot of [
  Span.kind,
  Span.method,
  Span.flags,
  Span.nameHashLow,
  Span.nameHashHigh,
  Span.errorCode,
  Span.batchCount,
]) {
  BLANK[slot] = 0;
}

/** What a message is (JSON-RPC 2.0 sections 4 to 6). */
export const Kind = codes('Kind', {
  none: 0,
  request: 1,
  notification: 2,
  /** Success or error response; see {@link Flag.isErrorResponse}. */
  response: 3,
  batch: 4,
});
export type Kind = CodeOf<typeof Kind>;

/** Bits of `Span.flags`. */
export const Flag = {
  idIsString: 1 << 0,
  /** The name contains a backslash escape: compare it decoded, never byte by byte. */
  nameEscaped: 1 << 1,
  /** The routed name came from `uri` (or `ref.uri`). */
  nameIsUri: 1 << 2,
  claimIsString: 1 << 3,
  capabilitiesIsObject: 1 << 4,
  metaIsObject: 1 << 5,
  progressTokenIsString: 1 << 6,
  /** Response carries `error`. */
  isErrorResponse: 1 << 7,
  /** `result` is an object. */
  resultIsObject: 1 << 8,
  /** `result` is `{}`. */
  resultIsEmpty: 1 << 9,
  /** `result.isError` is true. */
  isError: 1 << 10,
  /** `result` has `ttlMs` or `cacheScope`. */
  hasCacheHints: 1 << 11,
  /** `result.resultType` is the string `complete`. */
  resultComplete: 1 << 12,
  /** `result.resultType` is the string `input_required`. */
  resultInputRequired: 1 << 13,
  /** `result.structuredContent` is present and not an object. */
  structuredNotObject: 1 << 14,
  /** `params` is `{}`. */
  paramsIsEmpty: 1 << 15,
  /** `_meta` is `{}`. */
  metaIsEmpty: 1 << 16,
  /** `method` starts with `notifications/`. */
  methodIsNotification: 1 << 17,
  /** `params.name` is present but not a string (same for uri, taskId, ref of the method that routes by it). */
  nameNotString: 1 << 18,
  /** Not ASCII, or control characters, in the name after unescaping is not judged here: the name has a byte >= 0x80. */
  nameNotAscii: 1 << 19,
  /** The name is a URI that is not certain to be in normal form (native/plain-uri.ts). */
  uriNotPlain: 1 << 20,
} as const;

/** Result of a scan: 0 is success. The order is the order of precedence when several apply. */
export const ScanStatus = codes('ScanStatus', {
  ok: 0,
  /** Not one JSON document in UTF-8 (syntax, encoding, trailing bytes, BOM, empty). */
  notJson: 1,
  /** Nested deeper than the limit. */
  tooDeep: 2,
  /** A key that policy reads is duplicated or spelled with escapes. */
  ambiguous: 3,
  /** JSON, but not a JSON-RPC 2.0 message: `jsonrpc` missing or not "2.0", not an object, both result and error, ... */
  notJsonRpc: 4,
  /** `id` is null, a fraction, an exponent form that is no integer, an object, or longer than 256 bytes. */
  badId: 5,
  /** `method` is not a string, is empty, longer than 256 bytes, has an escape, or a control or lone surrogate. */
  badMethod: 6,
  /** `params` is present and not an object; its span is filled. */
  badParams: 7,
  /** `[]`. */
  emptyBatch: 8,
});
export type ScanStatus = CodeOf<typeof ScanStatus>;

/**
 * Methods of the protocol, by id (index). New ones are appended:
 * ids are stored in memo tables and records.
 */
export const METHODS = [
  '',
  'initialize',
  'ping',
  'server/discover',
  'tools/list',
  'tools/call',
  'prompts/list',
  'prompts/get',
  'resources/list',
  'resources/templates/list',
  'resources/read',
  'resources/subscribe',
  'resources/unsubscribe',
  'subscriptions/listen',
  'completion/complete',
  'logging/setLevel',
  'tasks/get',
  'tasks/result',
  'tasks/list',
  'tasks/cancel',
  'tasks/update',
  'sampling/createMessage',
  'roots/list',
  'elicitation/create',
  'notifications/initialized',
  'notifications/cancelled',
  'notifications/progress',
  'notifications/message',
  'notifications/tools/list_changed',
  'notifications/prompts/list_changed',
  'notifications/resources/list_changed',
  'notifications/resources/updated',
  'notifications/roots/list_changed',
  'notifications/subscriptions/acknowledged',
  'notifications/elicitation/complete',
  'notifications/tasks/status',
  'notifications/tasks',
] as const;

/** Ids of {@link METHODS} by a short name. */
export const Method = codes('Method', {
  unknown: 0,
  initialize: 1,
  ping: 2,
  discover: 3,
  toolsList: 4,
  toolsCall: 5,
  promptsList: 6,
  promptsGet: 7,
  resourcesList: 8,
  templatesList: 9,
  resourcesRead: 10,
  resourcesSubscribe: 11,
  resourcesUnsubscribe: 12,
  subscriptionsListen: 13,
  complete: 14,
  setLevel: 15,
  tasksGet: 16,
  tasksResult: 17,
  tasksList: 18,
  tasksCancel: 19,
  tasksUpdate: 20,
  createMessage: 21,
  rootsList: 22,
  elicit: 23,
  initialized: 24,
  cancelled: 25,
  progress: 26,
  message: 27,
  toolsListChanged: 28,
  promptsListChanged: 29,
  resourcesListChanged: 30,
  resourceUpdated: 31,
  rootsListChanged: 32,
  acknowledged: 33,
  elicitationComplete: 34,
  tasksStatus: 35,
  tasksNotification: 36,
});
/** Id of a method, or of what takes a method's place (Operation). */
export type Method = Code<'Method'>;

/** A byte-level reader of JSON-RPC messages: the addon's, or the TypeScript one with the same results. */
export interface Decoder {
  readonly kind: 'native' | 'typescript';
  /**
   * Reads `bytes[0, length)` once, validates the whole document (RFC 8259, UTF-8) and fills `spans`.
   * All `…Start` slots are reset to -1 first. On a failure `spans` still holds the id when it could be read.
   *
   * @param maxDepth deepest nesting allowed; the outermost object counts as 1.
   * @returns one of {@link ScanStatus}
   */
  scan(bytes: Uint8Array, length: number, spans: Int32Array, maxDepth: number): number;
  /**
   * Splits a batch that `scan` has accepted as {@link Kind.batch}: writes start and end of each element
   * into `out` (two slots an element).
   *
   * @returns the number of elements, or -1 if they do not fit into `out`
   */
  splitBatch(bytes: Uint8Array, length: number, out: Int32Array): number;
  /**
   * A seeded 64-bit hash of `bytes[start, end)` into `out[0]`, `out[1]`; the same in both decoders. For tables only:
   * equal hashes do not mean equal bytes, and with the seed collisions can be constructed.
   */
  hash(bytes: Uint8Array, start: number, end: number, out: Int32Array): void;
  /**
   * Writes the canonical form of the JSON value `bytes[start, end)` (canonical.ts), the same in both decoders.
   *
   * @param out at least as long as the value, and other memory
   * @returns the length of the form; -1 when the bytes are no JSON value, or one that is nested more than 1,024 levels deep
   */
  canonical(bytes: Uint8Array, start: number, end: number, out: Uint8Array): number;
  /** Sets the seed of {@link hash} and of `nameHash…`; called once per process and thread, before any scan. */
  seed(low: number, high: number): void;
}

/** Wakes the event loop of another thread (see native/doorbell.ts). */
export interface Doorbell {
  /** The number by which other threads ring. */
  readonly handle: number;
  /** Shared memory for rings without the addon, to be sent along with the handle; null with the addon. */
  readonly cell: SharedArrayBuffer | null;
  /** Stops the bell; later rings do nothing. */
  close(): void;
}
