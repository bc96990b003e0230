import { isUtf8 } from 'node:buffer';
import type { Bytes } from '../units.js';

/** Longest id, as the decoders have it, with quotes. */
const LONGEST_ID: Bytes = 258;
/** Steps after which the search is given up: a message has an id near its start, or few members before it. */
const MAX_STEPS = 1_000_000;
const NO_ID = Buffer.alloc(0);

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;

/** What is read next. */
const State = { start: 0, key: 1, inKey: 2, colon: 3, value: 4, inString: 5, inScalar: 6, inside: 7, done: 8 } as const;

/**
 * Finds the id of a JSON-RPC request that is not held, in the bytes that pass: for the refusal of messages that are too
 * large. It reads the members of the message only as far as it needs, and validates the id. One object serves one message.
 */
export class RequestId {
  #state: number = State.start;
  /** Of arrays and objects within the value of a member. */
  #depth = 0;
  #isInString = false;
  #isEscaped = false;
  /** The key, or the value of `id`, as far as it has come. */
  readonly #token = Buffer.allocUnsafe(LONGEST_ID);
  #length = 0;
  #isCollecting = false;
  #key = '';
  #hasMethod = false;
  #id: Buffer = NO_ID;
  #steps = 0;

  /** The token of the id; empty = the message is no request, or its id has not come. */
  get token(): Uint8Array {
    return this.#hasMethod ? this.#id : NO_ID;
  }

  /** Reads the next bytes of the message. */
  feed(bytes: Uint8Array, start = 0, end = bytes.length): void {
    let at = start;
    while (at < end && this.#state !== State.done) {
      this.#steps += 1;
      if (this.#steps > MAX_STEPS) this.#state = State.done;
      if (this.#state === State.inside && this.#isInString && !this.#isEscaped) at = this.#skipString(bytes, at, end);
      if (at < end) this.#read(bytes[at]!);
      at += 1;
    }
  }

  /** Most of what is too large is one string. @returns where its next quote is, or the end */
  #skipString(bytes: Uint8Array, from: number, end: number): number {
    const found = bytes.subarray(from, end).indexOf(QUOTE);
    const at = found < 0 ? end : from + found;
    let start = at;
    while (start > from && bytes[start - 1] === BACKSLASH) start -= 1;
    this.#isEscaped = (at - start) % 2 === 1;
    return at;
  }

  #read(byte: number): void {
    switch (this.#state) {
      case State.inside:
        this.#inside(byte);
        return;
      case State.inKey:
      case State.inString:
        this.#inString(byte);
        return;
      case State.inScalar:
        if (byte !== COMMA && byte !== CLOSE_OBJECT && !isSpace(byte)) this.#collect(byte);
        else this.#endValue(byte === CLOSE_OBJECT ? State.done : State.key);
        return;
      default:
        if (!isSpace(byte)) this.#between(byte);
    }
  }

  /** The first byte of a token at the level of the members. */
  #between(byte: number): void {
    this.#length = 0;
    this.#isCollecting = true;
    if (this.#state === State.start) {
      this.#state = byte === OPEN_OBJECT ? State.key : State.done;
    } else if (this.#state === State.colon) {
      this.#state = byte === COLON ? State.value : State.done;
    } else if (this.#state === State.key) {
      if (byte !== COMMA) this.#state = byte === QUOTE ? State.inKey : State.done;
    } else {
      this.#isCollecting = this.#key === 'id' || this.#key === 'method';
      this.#collect(byte);
      if (byte === QUOTE) this.#state = State.inString;
      else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) this.#open();
      else this.#state = State.inScalar;
    }
  }

  #open(): void {
    this.#state = State.inside;
    this.#depth = 1;
    this.#isInString = false;
  }

  #inside(byte: number): void {
    if (this.#isInString) {
      if (this.#isEscaped) this.#isEscaped = false;
      else if (byte === BACKSLASH) this.#isEscaped = true;
      else if (byte === QUOTE) this.#isInString = false;
    } else if (byte === QUOTE) {
      this.#isInString = true;
    } else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
      this.#depth += 1;
    } else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
      this.#depth -= 1;
      if (this.#depth === 0) this.#state = State.key;
    }
  }

  #inString(byte: number): void {
    const isEnd = byte === QUOTE && !this.#isEscaped;
    this.#isEscaped = byte === BACKSLASH && !this.#isEscaped;
    const isKey = this.#state === State.inKey;
    if (!isEnd || !isKey) this.#collect(byte);
    if (!isEnd) return;
    if (!isKey) {
      this.#endValue(State.key);
      return;
    }
    this.#key = this.#isCollecting ? this.#token.toString('latin1', 0, this.#length) : '';
    this.#state = State.colon;
  }

  #collect(byte: number): void {
    if (this.#length === LONGEST_ID) this.#isCollecting = false;
    if (!this.#isCollecting) return;
    this.#token[this.#length] = byte;
    this.#length += 1;
  }

  #endValue(next: number): void {
    this.#state = next;
    if (this.#key === 'method') this.#hasMethod = this.#token[0] === QUOTE;
    else if (this.#key === 'id' && this.#isCollecting) this.#id = validId(this.#token.subarray(0, this.#length));
    if (this.token.length > 0) this.#state = State.done;
  }
}

/** A copy of the token of a valid id; else nothing. */
function validId(token: Buffer): Buffer {
  if (!isUtf8(token)) return NO_ID;
  try {
    const id: unknown = JSON.parse(token.toString());
    return typeof id === 'string' || Number.isInteger(id) ? Buffer.from(token) : NO_ID;
  } catch {
    return NO_ID;
  }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d;
}
