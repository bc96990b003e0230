/**
 * Rewrites a JSON-RPC response on its way through, piece by piece: the client's id takes the place of the upstream's, and
 * the result gets the members of the client's protocol family, wherever they stand. The bytes it buffers are bounded, however
 * large the response is. The same for whole documents: src/request/write/translate.ts.
 *
 * It validates only the structure that it needs (members, strings, matching brackets); values deeper than the members of the
 * result are passed on unchanged, and the client's parser validates them.
 */
import { Composer } from './composer.js';
import { decodeString } from './json-cursor.js';

/** How a response is to be changed. */
export interface LargeRewrite {
  /** The id that the response must have: its digits. */
  readonly upstreamId: Uint8Array;
  /** The client's id token. */
  readonly id: Uint8Array;
  /** Members that a modern client's result must have and a legacy upstream does not send: added where they are missing. */
  readonly add: readonly LargeMember[];
  /** The client is legacy and the upstream modern: result type and cache hints are dropped, structured content is an object. */
  readonly toLegacy: boolean;
}

/** Members to add together unless one of the keys is there. */
export interface LargeMember {
  readonly keys: readonly string[];
  /** The members as they are written: `"key":value`, separated by commas. */
  readonly text: Uint8Array;
}

/** Deepest nesting; the same as for whole answers of upstreams. */
const MAX_DEPTH = 512;
/** Most bytes between two members, with the key behind them. */
const MAX_HELD = 65_536;
/** A longer key is none that is looked for, even if every character is escaped. */
const LONGEST_KEY = 128;
/** Longest value that is read whole: an id, a result type. */
const LONGEST_VALUE = 48;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;

/** What is read next. The first six concern the members of the message and of its result. */
const State = {
  start: 0,
  /** A key or the end of an empty object. */
  firstKey: 1,
  key: 2,
  colon: 3,
  value: 4,
  /** A comma or the end. */
  next: 5,
  inKey: 6,
  inString: 7,
  inScalar: 8,
  /** Within a value that is not looked at. */
  inside: 9,
  done: 10,
  broken: 11,
} as const;

/** What happens to the bytes. */
const Mode = { pass: 0, hold: 1, drop: 2, collect: 3 } as const;

const TOP_KEYS = ['jsonrpc', 'id', 'method', 'result', 'error'];
const MODERN_KEYS = ['resultType', 'ttlMs', 'cacheScope'];
const WRAPPED_OPEN = Buffer.from('{"result":');
const CLOSE = Buffer.from('}');
const SEPARATOR = Buffer.from(',');
const INPUT_REQUIRED = '"input_required"';
/** The first byte of `true`, and of no other value. */
const TRUE = 0x74;

/** See the file comment. One object serves one response. */
export class LargeResult {
  readonly #rewrite: LargeRewrite;
  /** Keys of the result that matter. */
  readonly #resultKeys: readonly string[];
  #state: number = State.start;
  #mode: number = Mode.pass;
  #depth = 0;
  /** 1 = array, by depth. */
  readonly #arrays = new Uint8Array(MAX_DEPTH + 1);
  /** Depth of the object whose members are looked at: 1 = the message, 2 = its result. */
  #level = 1;
  /** The next byte of the string is escaped. */
  #escaped = false;
  /** The current byte has been written already. */
  #written = false;
  #key = '';
  readonly #keyBytes = Buffer.alloc(LONGEST_KEY);
  #keyLength = 0;
  readonly #valueBytes = Buffer.alloc(LONGEST_VALUE);
  #valueLength = 0;
  /** What was held back since the last member ended. */
  readonly #held = new Composer(512);
  /** Per level: members were seen, and one of them was kept. */
  readonly #members = [false, false, false];
  readonly #kept = [false, false, false];
  readonly #seen = new Set<string>();
  #wrapped = false;
  /** The result says that the tool failed, as far as it was read (MCP, tools: `isError`). */
  isError = false;

  constructor(rewrite: LargeRewrite) {
    this.#rewrite = rewrite;
    const keys = rewrite.toLegacy
      ? [...MODERN_KEYS, 'structuredContent']
      : rewrite.add.flatMap((member) => member.keys);
    this.#resultKeys = ['isError', ...keys];
  }

  /** Whether the message has turned out to be a response with a result. */
  get isResult(): boolean {
    return this.#state !== State.broken && this.#seen.has('result');
  }

  /** Whether the response is complete and has the expected id. */
  get complete(): boolean {
    return this.#state === State.done && this.#seen.has('id') && this.#seen.has('result') && this.#seen.has('jsonrpc');
  }

  /**
   * Reads the next piece and appends its rewritten bytes to `out`.
   *
   * @returns false when the response cannot be passed on any further: it is no JSON, has no result or another id, repeats a
   *   member that matters, or requests input from a legacy client
   */
  feed(bytes: Uint8Array, start: number, end: number, out: Composer): boolean {
    let at = start;
    let from = start;
    while (at < end) {
      switch (this.#state) {
        case State.inString:
        case State.inKey: {
          at = this.#string(bytes, at, end);
          if (at < 0) return this.#break();
          // Strings that are neither a key nor the value of a member need no attention.
          const state = this.#state as number;
          if (state === State.colon || state === State.next) {
            this.#flush(bytes, from, at, out);
            from = at;
            if (!(state === State.colon ? this.#keyEnd(out) : this.#valueEnd(out))) return this.#break();
          }
          break;
        }
        case State.inScalar: {
          while (at < end && !endsScalar(bytes[at]!)) at += 1;
          if (at === end) break;
          this.#flush(bytes, from, at, out);
          from = at;
          if (!this.#valueEnd(out)) return this.#break();
          break;
        }
        case State.inside: {
          const next = this.#inside(bytes, at, end);
          if (next < 0) return this.#break();
          at = next;
          if (this.#state !== State.inside && this.#state !== State.inString) {
            this.#flush(bytes, from, at, out);
            from = at;
            if (!this.#valueEnd(out)) return this.#break();
          }
          break;
        }
        default: {
          const byte = bytes[at]!;
          if (isSpace(byte)) {
            at += 1;
            break;
          }
          this.#flush(bytes, from, at, out);
          from = at;
          if (!this.#token(byte, out)) return this.#break();
          // The first byte of a scalar belongs to it.
          if (this.#state !== State.inScalar) at += 1;
          if (this.#written) {
            this.#written = false;
            from = at;
          }
        }
      }
      if (this.#held.length > MAX_HELD) return this.#break();
    }
    this.#flush(bytes, from, end, out);
    return this.#held.length <= MAX_HELD || this.#break();
  }

  #break(): boolean {
    this.#state = State.broken;
    return false;
  }

  /** Structure at the level of members; `byte` is no white space. What was before it has been flushed. */
  #token(byte: number, out: Composer): boolean {
    switch (this.#state) {
      case State.start:
        if (byte !== OPEN_OBJECT) return false;
        return this.#open();
      case State.firstKey:
        if (byte === CLOSE_OBJECT) return this.#close(out);
        return byte === QUOTE && this.#keyStart();
      case State.key:
        return byte === QUOTE && this.#keyStart();
      case State.colon:
        this.#state = State.value;
        return byte === COLON;
      case State.value:
        return this.#valueStart(byte, out);
      case State.next:
        if (byte === CLOSE_OBJECT) return this.#close(out);
        this.#state = State.key;
        return byte === COMMA;
      default:
        // Behind the message only white space may follow.
        return false;
    }
  }

  #open(): boolean {
    this.#depth += 1;
    this.#arrays[this.#depth] = 0;
    this.#state = State.firstKey;
    this.#mode = Mode.pass;
    return true;
  }

  #keyStart(): boolean {
    // A dropped first member is removed with the comma after it (json-cursor.ts, removeMembers; member-cuts.ts).
    if (this.#members[this.#level] && !this.#kept[this.#level]) this.#held.reset();
    this.#members[this.#level] = true;
    this.#mode = Mode.hold;
    this.#keyLength = 0;
    this.#escaped = false;
    this.#state = State.inKey;
    return true;
  }

  /** Reads on in a string. @returns the position behind it or `end`, -1 for a byte that may not stand in one */
  #string(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    const isKey = this.#state === State.inKey;
    // The opening quote is read with the token before.
    for (; at < end; at += 1) {
      const byte = bytes[at]!;
      if (byte < 0x20) return -1;
      if (this.#escaped) this.#escaped = false;
      else if (byte === BACKSLASH) this.#escaped = true;
      else if (byte === QUOTE) {
        this.#state = isKey ? State.colon : this.#depth > this.#level ? State.inside : State.next;
        return at + 1;
      }
      if (isKey) {
        if (this.#keyLength < LONGEST_KEY) this.#keyBytes[this.#keyLength] = byte;
        this.#keyLength += 1;
      }
    }
    return at;
  }

  #keyEnd(out: Composer): boolean {
    const known = this.#level === 1 ? TOP_KEYS : this.#resultKeys;
    this.#key = this.#keyLength > LONGEST_KEY ? '' : this.#keyBytes.toString('latin1', 0, this.#keyLength);
    if (this.#key.includes('\\')) {
      // A key that matters must be written without escapes, so that every parser reads the same.
      if (known.includes(decodedKey(this.#keyBytes, this.#keyLength))) return false;
      this.#key = '';
    }
    if (!known.includes(this.#key)) this.#key = '';
    if (this.#key !== '') {
      if (this.#level === 1 && (this.#key === 'method' || this.#key === 'error')) return false;
      const name = this.#level === 1 ? this.#key : `result.${this.#key}`;
      if (this.#seen.has(name)) return false;
      this.#seen.add(name);
    }
    if (this.#level === 2 && this.#rewrite.toLegacy && MODERN_KEYS.includes(this.#key)) {
      this.#held.reset();
      this.#mode = Mode.drop;
      return true;
    }
    this.#kept[this.#level] = true;
    this.#release(out);
    this.#mode = Mode.pass;
    return true;
  }

  #valueStart(byte: number, out: Composer): boolean {
    const { toLegacy } = this.#rewrite;
    this.#valueLength = 0;
    if (this.#level === 1 && this.#key === 'id') this.#mode = Mode.collect;
    else if (this.#level === 2 && this.#key === 'resultType' && toLegacy) this.#mode = Mode.collect;
    if (this.#level === 1 && this.#key === 'result' && byte === OPEN_OBJECT) {
      this.#level = 2;
      return this.#open();
    }
    if (this.#level === 2 && this.#key === 'structuredContent' && toLegacy && byte !== OPEN_OBJECT) {
      out.put(WRAPPED_OPEN);
      this.#wrapped = true;
    }
    if (this.#level === 2 && this.#key === 'isError') this.isError = byte === TRUE;
    if (byte === QUOTE) {
      this.#escaped = false;
      this.#state = State.inString;
      return true;
    }
    if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
      this.#depth += 1;
      this.#arrays[this.#depth] = byte === OPEN_ARRAY ? 1 : 0;
      this.#state = State.inside;
      return true;
    }
    this.#state = State.inScalar;
    return !endsScalar(byte) && byte !== COLON && byte !== CLOSE_ARRAY;
  }

  /** Reads on within a value. @returns the position behind what was read, -1 for brackets that do not match */
  #inside(bytes: Uint8Array, start: number, end: number): number {
    let depth = this.#depth;
    for (let at = start; at < end; at += 1) {
      const byte = bytes[at]!;
      if (byte === QUOTE) {
        this.#depth = depth;
        this.#escaped = false;
        this.#state = State.inString;
        return at + 1;
      }
      if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
        if (depth === MAX_DEPTH) return -1;
        depth += 1;
        this.#arrays[depth] = byte === OPEN_ARRAY ? 1 : 0;
      } else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
        if (this.#arrays[depth] !== (byte === CLOSE_ARRAY ? 1 : 0)) return -1;
        depth -= 1;
        if (depth === this.#level) {
          this.#depth = depth;
          this.#state = State.next;
          return at + 1;
        }
      }
    }
    this.#depth = depth;
    return end;
  }

  /** A member's value has ended; its bytes have been flushed. */
  #valueEnd(out: Composer): boolean {
    this.#state = State.next;
    if (this.#mode === Mode.collect) {
      const text = this.#valueBytes.toString('latin1', 0, Math.min(this.#valueLength, LONGEST_VALUE));
      if (this.#key === 'id') {
        if (!this.#isExpected()) return false;
        out.put(this.#rewrite.id);
      } else if (text === INPUT_REQUIRED) return false;
    }
    if (this.#wrapped) {
      this.#wrapped = false;
      out.put(CLOSE);
    }
    this.#mode = Mode.hold;
    this.#held.reset();
    return true;
  }

  /** Some servers return ids as strings, which are accepted as in whole responses. */
  #isExpected(): boolean {
    const { upstreamId } = this.#rewrite;
    const quoted = this.#valueBytes[0] === QUOTE ? 1 : 0;
    if (this.#valueLength !== upstreamId.length + 2 * quoted) return false;
    for (let index = 0; index < upstreamId.length; index += 1) {
      if (this.#valueBytes[index + quoted] !== upstreamId[index]) return false;
    }
    return true;
  }

  /** The object whose members are looked at ends. */
  #close(out: Composer): boolean {
    const level = this.#level;
    if (level === 2) this.#addMissing(out);
    this.#release(out);
    this.#mode = Mode.pass;
    this.#depth -= 1;
    if (level === 1) {
      this.#state = State.done;
      return true;
    }
    // The object was a member of the message, which ends too.
    this.#level = 1;
    this.#key = '';
    out.put(CLOSE);
    this.#written = true;
    return this.#valueEnd(out);
  }

  #addMissing(out: Composer): void {
    let needsComma = this.#kept[2];
    for (const { keys, text } of this.#rewrite.add) {
      if (keys.some((key) => this.#seen.has(`result.${key}`))) continue;
      if (needsComma) out.put(SEPARATOR);
      out.put(text);
      needsComma = true;
    }
  }

  /** Writes the bytes that were held back. */
  #release(out: Composer): void {
    out.range(this.#held.bytes, 0, this.#held.length);
    this.#held.reset();
  }

  #flush(bytes: Uint8Array, from: number, to: number, out: Composer): void {
    if (to <= from) return;
    if (this.#mode === Mode.pass) out.range(bytes, from, to);
    else if (this.#mode === Mode.hold) this.#held.range(bytes, from, to);
    else if (this.#mode === Mode.collect) this.#collect(bytes, from, to);
  }

  #collect(bytes: Uint8Array, from: number, to: number): void {
    const room = LONGEST_VALUE - this.#valueLength;
    if (room > 0) this.#valueBytes.set(bytes.subarray(from, Math.min(to, from + room)), this.#valueLength);
    this.#valueLength += to - from;
  }
}

function decodedKey(bytes: Uint8Array, length: number): string {
  try {
    return decodeString(bytes, 0, length);
  } catch {
    return '';
  }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function endsScalar(byte: number): boolean {
  return byte === COMMA || byte === CLOSE_OBJECT || isSpace(byte);
}
