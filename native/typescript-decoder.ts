/**
 * The decoder in TypeScript: used where the addon cannot be built, and compared with the addon in tests.
 * `scan-core.cc` makes the same decisions in the same order; both have to be changed together.
 */

import { writeCanonical } from './canonical.js';
import { hashBytes } from './hash.js';
import { JsonReader } from './json-reader.js';
import { equalBytes, equalDecoded, findKey, KEY_COUNT, Key, Level } from './keys.js';
import { BLANK, type Decoder, Flag, Kind, METHODS, Method, ScanStatus, Span } from './layout.js';
import { isPlainUri } from './plain-uri.js';
import { hasControl, hasLoneSurrogate, isIntegerToken, smallInteger } from './tokens.js';

/** Longest id and longest method, in bytes without quotes. */
const MAX_ID_BYTES = 256;
const MAX_METHOD_BYTES = 256;

const QUOTE = 0x22;
const OPEN_OBJECT = 0x7b;
const OPEN_ARRAY = 0x5b;

const encoder = new TextEncoder();
const VERSION_2 = encoder.encode('"2.0"');
const NOTIFICATIONS = encoder.encode('notifications/');
const TRUE = encoder.encode('true');
const COMPLETE = encoder.encode('"complete"');
const INPUT_REQUIRED = encoder.encode('"input_required"');
const REF_PROMPT = encoder.encode('ref/prompt');
const REF_RESOURCE = encoder.encode('ref/resource');

/** A method as it is looked for: its id and its bytes. */
interface KnownMethod {
  readonly id: number;
  readonly bytes: Uint8Array;
}

const KNOWN_METHODS: readonly KnownMethod[] = METHODS.map((method, id) => ({ id, bytes: encoder.encode(method) }));
const LONGEST_METHOD = Math.max(...KNOWN_METHODS.map(({ bytes }) => bytes.length));
const METHODS_BY_LENGTH: readonly (readonly KnownMethod[])[] = Array.from({ length: LONGEST_METHOD + 1 }, (_, length) =>
  KNOWN_METHODS.filter(({ bytes }) => bytes.length === length),
);
const NO_METHODS: readonly KnownMethod[] = [];

/** {@link Decoder} over plain bytes. Not re-entrant: one scan at a time. */
class TypeScriptDecoder implements Decoder {
  readonly kind = 'typescript';
  readonly canonical = writeCanonical;
  readonly #reader = new JsonReader();
  /** Where the value of each key was found; -1 when it was not. */
  readonly #starts = new Int32Array(KEY_COUNT);
  readonly #ends = new Int32Array(KEY_COUNT);
  #bytes: Uint8Array = new Uint8Array(0);
  #ambiguous = false;
  #idAmbiguous = false;
  #seedLow = 0;
  #seedHigh = 0;

  seed(low: number, high: number): void {
    this.#seedLow = low | 0;
    this.#seedHigh = high | 0;
  }
  hash(bytes: Uint8Array, start: number, end: number, out: Int32Array): void {
    hashBytes(bytes, start, end, this.#seedLow, this.#seedHigh, out, 0);
  }

  scan(bytes: Uint8Array, length: number, spans: Int32Array, maxDepth: number): number {
    const reader = this.#reader;
    spans.set(BLANK);
    this.#starts.fill(-1);
    this.#bytes = bytes;
    this.#ambiguous = false;
    this.#idAmbiguous = false;
    reader.open(bytes, length, maxDepth);
    const start = reader.space(0);
    const first = start < length ? bytes[start]! : 0;
    let count = 0;
    let end: number;
    if (first === OPEN_OBJECT) end = this.#members(start, Level.top);
    else if (first === OPEN_ARRAY) {
      count = this.#elements(start, undefined);
      end = this.#arrayEnd;
    } else end = start < length ? reader.value(start) : -1;
    const whole = end >= 0 && reader.space(end) === length;
    reader.close();
    if (!whole) return ScanStatus.notJson;
    if (first === OPEN_ARRAY) {
      if (reader.tooDeep) return ScanStatus.tooDeep;
      if (count === 0) return ScanStatus.emptyBatch;
      spans[Span.kind] = Kind.batch;
      spans[Span.batchCount] = count;
      return ScanStatus.ok;
    }
    return this.#judge(first, spans);
  }

  splitBatch(bytes: Uint8Array, length: number, out: Int32Array): number {
    this.#reader.open(bytes, length, 0);
    const start = this.#reader.space(0);
    const count = start < length && bytes[start] === OPEN_ARRAY ? this.#elements(start, out) : -1;
    this.#reader.close();
    return count;
  }

  /** Where the last array read by {@link #elements} ended, or -1. */
  #arrayEnd = -1;

  /**
   * Reads the array at `position`, writes the positions of its elements into `out`.
   *
   * @returns the number of elements, or -1 if they do not fit or the bytes are not JSON
   */
  #elements(position: number, out: Int32Array | undefined): number {
    const reader = this.#reader;
    const { bytes, end } = reader;
    this.#arrayEnd = -1;
    reader.enter();
    position = reader.space(position + 1);
    if (position < end && bytes[position] === OPEN_ARRAY + 2) {
      this.#arrayEnd = position + 1;
      return 0;
    }
    for (let count = 0; ; position = reader.space(position + 1)) {
      const start = position;
      position = reader.value(start);
      if (position < 0) return -1;
      if (out !== undefined) {
        if (2 * count + 2 > out.length) return -1;
        out[2 * count] = start;
        out[2 * count + 1] = position;
      }
      count++;
      position = reader.space(position);
      if (position >= end) return -1;
      if (bytes[position] === OPEN_ARRAY + 2) {
        this.#arrayEnd = position + 1;
        return count;
      }
      if (bytes[position] !== 0x2c) return -1;
    }
  }

  /** Reads the object at `position` and records the members that policy reads at that level. */
  #members(position: number, level: number): number {
    const reader = this.#reader;
    const bytes = this.#bytes;
    const { end } = reader;
    reader.enter();
    position = reader.space(position + 1);
    if (position < end && bytes[position] === OPEN_OBJECT + 2) {
      reader.leave();
      return position + 1;
    }
    for (;;) {
      if (position >= end || bytes[position] !== QUOTE) return -1;
      const keyStart = position + 1;
      position = reader.string(position);
      if (position < 0) return -1;
      const { escaped } = reader;
      const key = findKey(level, bytes, keyStart, position - 1, escaped);
      position = reader.colon(position);
      if (position < 0) return -1;
      const start = position;
      if (key < 0) position = reader.value(start);
      else {
        const below = start < end && bytes[start] === OPEN_OBJECT ? levelBelow(key) : Level.top;
        position = below === Level.top ? reader.value(start) : this.#members(start, below);
        if (escaped || this.#has(key)) {
          this.#ambiguous = true;
          if (key === Key.id) this.#idAmbiguous = true;
        }
        this.#starts[key] = start;
        this.#ends[key] = position;
      }
      if (position < 0) return -1;
      position = reader.space(position);
      if (position >= end) return -1;
      if (bytes[position] === OPEN_OBJECT + 2) {
        reader.leave();
        return position + 1;
      }
      if (bytes[position] !== 0x2c) return -1;
      position = reader.space(position + 1);
    }
  }

  /** Decides which message a valid JSON document is. */
  #judge(first: number, spans: Int32Array): number {
    const idGood = this.#readId(spans);
    if (this.#reader.tooDeep) return ScanStatus.tooDeep;
    if (this.#ambiguous) return ScanStatus.ambiguous;
    if (first !== OPEN_OBJECT || !this.#is(Key.jsonrpc, VERSION_2)) return ScanStatus.notJsonRpc;
    const hasId = this.#has(Key.id);
    const hasResult = this.#has(Key.result);
    const hasError = this.#has(Key.error);
    if (this.#has(Key.method)) {
      if (hasResult || hasError) return ScanStatus.notJsonRpc;
      spans[Span.kind] = hasId ? Kind.request : Kind.notification;
      if (hasId && !idGood) return ScanStatus.badId;
      return this.#judgeCall(spans);
    }
    if (hasResult === hasError || (hasError && this.#first(Key.error) !== OPEN_OBJECT)) return ScanStatus.notJsonRpc;
    // An error may come without an id, when the other side could not read it (JSON-RPC 2.0 section 5); a result may not.
    if (hasResult && !hasId) return ScanStatus.notJsonRpc;
    spans[Span.kind] = Kind.response;
    if (hasId && !idGood && this.#first(Key.id) !== 0x6e) return ScanStatus.badId;
    this.#describeResponse(spans, hasError);
    return ScanStatus.ok;
  }

  /** Writes the span of the id. @returns whether there is a valid one */
  #readId(spans: Int32Array): boolean {
    const start = this.#start(Key.id);
    if (start < 0 || this.#idAmbiguous) return false;
    const end = this.#end(Key.id);
    if (this.#bytes[start] === QUOTE) {
      if (end - start - 2 > MAX_ID_BYTES) return false;
      mark(spans, Flag.idIsString);
    } else if (end - start > MAX_ID_BYTES || !isIntegerToken(this.#bytes, start, end)) return false;
    spans[Span.idStart] = start;
    spans[Span.idEnd] = end;
    return true;
  }

  /** The rest of a request or notification. */
  #judgeCall(spans: Int32Array): number {
    const bytes = this.#bytes;
    const methodStart = this.#start(Key.method) + 1;
    const methodEnd = this.#end(Key.method) - 1;
    const length = methodEnd - methodStart;
    if (bytes[methodStart - 1] !== QUOTE || length < 1 || length > MAX_METHOD_BYTES) return ScanStatus.badMethod;
    if (hasControl(bytes, methodStart, methodEnd)) return ScanStatus.badMethod;
    const method = findMethod(bytes, methodStart, methodEnd);
    spans[Span.method] = method;
    spans[Span.methodStart] = methodStart;
    spans[Span.methodEnd] = methodEnd;
    if (length >= NOTIFICATIONS.length && startsWithNotifications(bytes, methodStart)) {
      mark(spans, Flag.methodIsNotification);
    }
    if (!this.#has(Key.params)) return ScanStatus.ok;
    if (this.#first(Key.params) !== OPEN_OBJECT) {
      this.#copy(Key.params, spans, Span.paramsStart);
      return ScanStatus.badParams;
    }
    if (!this.#describeName(method, spans)) return ScanStatus.badParams;
    this.#describeParams(method, spans);
    return ScanStatus.ok;
  }

  /** Writes what the method routes by. False when it holds a lone surrogate, which parsers read differently. */
  #describeName(method: number, spans: Int32Array): boolean {
    let key: number = -1;
    switch (method) {
      case Method.toolsCall:
      case Method.promptsGet:
        key = Key.name;
        break;
      case Method.resourcesRead:
      case Method.resourcesSubscribe:
      case Method.resourcesUnsubscribe:
        key = Key.uri;
        break;
      case Method.tasksGet:
      case Method.tasksResult:
      case Method.tasksCancel:
      case Method.tasksUpdate:
        key = Key.taskId;
        break;
      case Method.complete:
        key = this.#first(Key.ref) === OPEN_OBJECT ? this.#refKey() : Key.ref;
        break;
    }
    if (key < 0 || !this.#has(key)) return true;
    const bytes = this.#bytes;
    const start = this.#start(key) + 1;
    const end = this.#end(key) - 1;
    if (bytes[start - 1] !== QUOTE || key === Key.ref) {
      mark(spans, Flag.nameNotString);
      return true;
    }
    let flags = key === Key.uri || key === Key.refUri ? Flag.nameIsUri : 0;
    for (let at = start; at < end; at++) {
      const byte = bytes[at]!;
      if (byte === 0x5c) flags |= Flag.nameEscaped;
      else if (byte >= 0x80) flags |= Flag.nameNotAscii;
    }
    if ((flags & Flag.nameEscaped) !== 0 && hasLoneSurrogate(bytes, start, end)) return false;
    if ((flags & Flag.nameIsUri) !== 0 && !isPlainUri(bytes, start, end)) flags |= Flag.uriNotPlain;
    mark(spans, flags);
    spans[Span.nameStart] = start;
    spans[Span.nameEnd] = end;
    hashBytes(bytes, start, end, this.#seedLow, this.#seedHigh, spans, Span.nameHashLow);
    return true;
  }

  /** The member of `params.ref` that its type routes by; -1 for a type the protocol does not have. */
  #refKey(): number {
    const start = this.#start(Key.refType);
    const end = this.#end(Key.refType);
    if (start < 0 || this.#bytes[start] !== QUOTE) return -1;
    if (equalDecoded(this.#bytes, start + 1, end - 1, REF_PROMPT)) return Key.refName;
    return equalDecoded(this.#bytes, start + 1, end - 1, REF_RESOURCE) ? Key.refUri : -1;
  }

  #describeParams(method: number, spans: Int32Array): void {
    let flags = 0;
    this.#copy(Key.params, spans, Span.paramsStart);
    if (this.#isEmpty(Key.params)) {
      mark(spans, Flag.paramsIsEmpty);
      return;
    }
    this.#copy(Key.arguments, spans, Span.argumentsStart);
    this.#copy(Key.cursor, spans, Span.cursorStart);
    this.#copy(Key.requestId, spans, Span.requestIdStart);
    this.#copy(Key.inputResponses, spans, Span.inputResponsesStart);
    this.#copy(Key.requestState, spans, Span.requestStateStart);
    if (this.#has(Key.meta)) {
      flags |= this.#describeMeta(Key.meta, spans);
      this.#copy(Key.claim, spans, Span.claimStart);
      if (this.#first(Key.claim) === QUOTE) flags |= Flag.claimIsString;
      this.#copy(Key.capabilities, spans, Span.capabilitiesStart);
      if (this.#first(Key.capabilities) === OPEN_OBJECT) flags |= Flag.capabilitiesIsObject;
      this.#copy(Key.clientInfo, spans, Span.clientInfoStart);
      this.#copy(Key.traceparent, spans, Span.traceparentStart);
    }
    const token = method === Method.progress ? Key.progressToken : Key.metaProgressToken;
    this.#copy(token, spans, Span.progressTokenStart);
    if (this.#first(token) === QUOTE) flags |= Flag.progressTokenIsString;
    const level = method === Method.setLevel || method === Method.message ? Key.level : Key.logLevel;
    this.#copy(level, spans, Span.levelStart);
    mark(spans, flags);
  }

  #describeResponse(spans: Int32Array, isError: boolean): void {
    let flags = 0;
    if (isError) {
      this.#copy(Key.error, spans, Span.errorStart);
      const code = this.#start(Key.errorCode);
      spans[Span.errorCode] = code < 0 ? 0 : smallInteger(this.#bytes, code, this.#end(Key.errorCode));
      flags = Flag.isErrorResponse;
    } else {
      this.#copy(Key.result, spans, Span.resultStart);
      if (this.#first(Key.result) === OPEN_OBJECT) flags = this.#describeResult(spans);
    }
    mark(spans, flags);
  }

  #describeResult(spans: Int32Array): number {
    if (this.#isEmpty(Key.result)) return Flag.resultIsObject | Flag.resultIsEmpty;
    let flags: number = Flag.resultIsObject;
    if (this.#has(Key.resultMeta)) flags |= this.#describeMeta(Key.resultMeta, spans);
    if (this.#is(Key.isError, TRUE)) flags |= Flag.isError;
    if (this.#has(Key.ttlMs) || this.#has(Key.cacheScope)) flags |= Flag.hasCacheHints;
    this.#copy(Key.resultType, spans, Span.resultTypeStart);
    this.#copy(Key.ttlMs, spans, Span.ttlMsStart);
    this.#copy(Key.cacheScope, spans, Span.cacheScopeStart);
    this.#copy(Key.structuredContent, spans, Span.structuredContentStart);
    if (this.#is(Key.resultType, COMPLETE)) flags |= Flag.resultComplete;
    if (this.#is(Key.resultType, INPUT_REQUIRED)) flags |= Flag.resultInputRequired;
    if (this.#has(Key.structuredContent) && this.#first(Key.structuredContent) !== OPEN_OBJECT) {
      flags |= Flag.structuredNotObject;
    }
    return flags;
  }

  #describeMeta(key: number, spans: Int32Array): number {
    this.#copy(key, spans, Span.metaStart);
    if (this.#first(key) !== OPEN_OBJECT) return 0;
    return this.#isEmpty(key) ? Flag.metaIsObject | Flag.metaIsEmpty : Flag.metaIsObject;
  }

  #has(key: number): boolean {
    return this.#starts[key]! >= 0;
  }

  /** Where a key's value starts, -1 when it is absent. */
  #start(key: number): number {
    return this.#starts[key]!;
  }

  #end(key: number): number {
    return this.#ends[key]!;
  }

  #copy(key: number, spans: Int32Array, slot: number): void {
    const start = this.#start(key);
    if (start < 0) return;
    spans[slot] = start;
    spans[slot + 1] = this.#end(key);
  }

  /** First byte of a key's value; 0 when the key is absent. */
  #first(key: number): number {
    const start = this.#start(key);
    return start < 0 ? 0 : this.#bytes[start]!;
  }

  #is(key: number, token: Uint8Array): boolean {
    const start = this.#start(key);
    return start >= 0 && equalBytes(this.#bytes, start, this.#end(key), token);
  }

  /** Whether a key's value, which is an object, has no members. */
  #isEmpty(key: number): boolean {
    return this.#reader.space(this.#start(key) + 1) === this.#end(key) - 1;
  }
}

/** Sets bits of {@link Flag}. */
function mark(spans: Int32Array, flags: number): void {
  spans[Span.flags] = spans[Span.flags]! | flags;
}

/** The level of the members of an object under `key`; `top` when they are not looked at. */
function levelBelow(key: number): number {
  switch (key) {
    case Key.params:
      return Level.params;
    case Key.ref:
      return Level.ref;
    case Key.meta:
      return Level.meta;
    case Key.result:
      return Level.result;
    case Key.error:
      return Level.error;
    default:
      return Level.top;
  }
}

function findMethod(bytes: Uint8Array, start: number, end: number): number {
  const candidates = METHODS_BY_LENGTH[end - start] ?? NO_METHODS;
  for (let index = 0; index < candidates.length; index++) {
    const method = candidates[index]!;
    if (equalBytes(bytes, start, end, method.bytes)) return method.id;
  }
  return Method.unknown;
}

function startsWithNotifications(bytes: Uint8Array, start: number): boolean {
  return equalBytes(bytes, start, start + NOTIFICATIONS.length, NOTIFICATIONS);
}

/** A decoder with its own buffers and seed. */
export function createTypeScriptDecoder(): Decoder {
  return new TypeScriptDecoder();
}

/** The decoder of this thread. */
export const typescriptDecoder: Decoder = createTypeScriptDecoder();
