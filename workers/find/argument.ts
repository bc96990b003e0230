/** One argument of a call, found in the bytes of the arguments by a JSON pointer (RFC 6901). */
import { decodeString, JsonCursor } from '../../src/protocol/json-cursor.js';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** See the file comment. One per worker, reused. */
export class ArgumentReader {
  /** The raw value is `bytes[start, end)`. */
  start = -1;
  end = -1;
  /** A member on the way has the same name as another one: parsers differ in which of them counts. */
  isAmbiguous = false;
  /** The text of the value is `text[textStart, textEnd)`: a string without its quotes and escapes, anything else as it is spelled. */
  text: Uint8Array = new Uint8Array(0);
  textStart = 0;
  textEnd = 0;
  readonly #cursor = new JsonCursor();

  /** Finds the value of `pointer` in the arguments `bytes[start, end)`; false = there is none. Leaves {@link isAmbiguous} set. */
  find(bytes: Uint8Array, start: number, end: number, pointer: readonly string[]): boolean {
    this.start = start;
    this.end = end;
    if (start >= end) return false;
    for (let i = 0; i < pointer.length; i += 1) if (!this.#step(bytes, pointer[i]!)) return false;
    return true;
  }

  #step(bytes: Uint8Array, token: string): boolean {
    const cursor = this.#cursor;
    const isList = bytes[this.start] === 0x5b;
    const index = isList && /^(?:0|[1-9]\d{0,8})$/.test(token) ? Number(token) : -1;
    cursor.open(bytes, this.start);
    let found = false;
    for (let i = 0; cursor.next(); i += 1) {
      if (isList ? i !== index : !cursor.keyIs(token)) continue;
      if (found) this.isAmbiguous = true;
      found = true;
      this.start = cursor.start;
      this.end = cursor.end;
    }
    return found;
  }

  /** Reads the value that was found as text; false = it is an object or a list. */
  readText(bytes: Uint8Array): boolean {
    const first = bytes[this.start];
    if (first === 0x7b || first === 0x5b) return false;
    this.text = bytes;
    this.textStart = this.start;
    this.textEnd = this.end;
    if (first !== QUOTE) return true;
    this.textStart += 1;
    this.textEnd -= 1;
    for (let at = this.textStart; at < this.textEnd; at += 1) {
      if (bytes[at] !== BACKSLASH) continue;
      this.text = Buffer.from(decodeString(bytes, this.textStart, this.textEnd));
      this.textStart = 0;
      this.textEnd = this.text.length;
      break;
    }
    return true;
  }

  /** Whether the value that was found is that number, boolean or null. */
  isValue(bytes: Uint8Array, value: number | boolean | null): boolean {
    const first = bytes[this.start]!;
    const isNumber = first === 0x2d || (first >= 0x30 && first <= 0x39);
    if (typeof value === 'number') return isNumber && Number(spelled(bytes, this.start, this.end)) === value;
    return !isNumber && spelled(bytes, this.start, this.end) === String(value);
  }
}

function spelled(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.subarray(start, end)).toString('latin1');
}
