/**
 * Walks raw JSON bytes that a scan has already validated, for code that reads or edits a few members of a document and
 * leaves the rest unchanged. Positions are byte offsets, end exclusive. On bytes that are not valid JSON the results
 * are meaningless, but every function ends and stays within the bytes.
 */

/** The type of a value, by its first byte. */
export type ValueType = 'object' | 'array' | 'string' | 'number' | 'boolean' | 'null';

/** A piece of a document: `[start, end)`. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** Replaces `[start, end)` by `text`; an empty `text` removes, an empty range inserts. */
export interface Edit extends Range {
  readonly text: Uint8Array;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
export const COMMA = 0x2c;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const NOTHING = new Uint8Array(0);

const encoder = new TextEncoder();
// A string may begin with U+FEFF, which is text there and no byte order mark.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Whether a byte is white space of JSON (RFC 8259 section 2). */
export function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** Position of the first byte from `position` on that is no white space. */
export function skipSpace(bytes: Uint8Array, position: number): number {
  while (position < bytes.length && isSpace(bytes[position]!)) position++;
  return position;
}

/** Position after the string whose opening quote is at `position`. */
function skipString(bytes: Uint8Array, position: number): number {
  for (position++; position < bytes.length; position++) {
    const byte = bytes[position];
    if (byte === QUOTE) return position + 1;
    if (byte === BACKSLASH) position++;
  }
  return bytes.length;
}

/** Position after the value that begins at `position`. */
export function skipValue(bytes: Uint8Array, position: number): number {
  if (position >= bytes.length) return bytes.length;
  const first = bytes[position];
  if (first === QUOTE) return skipString(bytes, position);
  if (first !== OPEN_OBJECT && first !== OPEN_ARRAY) {
    while (position < bytes.length && !endsScalar(bytes[position]!)) position++;
    return position;
  }
  for (let depth = 0; position < bytes.length; ) {
    const byte = bytes[position];
    if (byte === QUOTE) {
      position = skipString(bytes, position);
      continue;
    }
    position++;
    if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) depth++;
    else if ((byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) && --depth === 0) return position;
  }
  return bytes.length;
}

function endsScalar(byte: number): boolean {
  return byte === COMMA || byte === CLOSE_OBJECT || byte === CLOSE_ARRAY || isSpace(byte);
}

/** The type of the value that begins at `position`. */
export function valueType(bytes: Uint8Array, position: number): ValueType {
  switch (bytes[position]) {
    case OPEN_OBJECT:
      return 'object';
    case OPEN_ARRAY:
      return 'array';
    case QUOTE:
      return 'string';
    case 0x74:
    case 0x66:
      return 'boolean';
    case 0x6e:
      return 'null';
    default:
      return 'number';
  }
}

/**
 * Steps through the members of an object or the elements of an array:
 *
 *     const cursor = new JsonCursor(bytes, start);
 *     while (cursor.next()) if (cursor.keyIs('name')) ...
 *
 * One object serves any number of containers through {@link JsonCursor.open}.
 */
export class JsonCursor {
  bytes: Uint8Array = NOTHING;
  /** The key's content without quotes, escapes included; -1 in arrays. */
  keyStart = -1;
  keyEnd = -1;
  /** Where the member begins: the key's opening quote; in arrays the same as `start`. */
  memberStart = -1;
  /** The raw value. */
  start = -1;
  end = -1;
  #inObject = false;
  #next = -1;

  /** @param start - position of the `{` or `[` */
  constructor(bytes?: Uint8Array, start?: number) {
    if (bytes !== undefined) this.open(bytes, start ?? 0);
  }

  /** Starts over in another container; one that is neither object nor array has no members. */
  open(bytes: Uint8Array, start: number): void {
    this.bytes = bytes;
    this.keyStart = this.keyEnd = this.memberStart = this.start = this.end = -1;
    this.#inObject = bytes[start] === OPEN_OBJECT;
    this.#next = this.#inObject || bytes[start] === OPEN_ARRAY ? skipSpace(bytes, start + 1) : bytes.length;
  }

  /** Goes to the next member or element; false when there is none. */
  next(): boolean {
    const { bytes } = this;
    let position = this.#next;
    const byte = position < bytes.length ? bytes[position] : CLOSE_OBJECT;
    if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) return false;
    this.memberStart = position;
    if (this.#inObject) {
      this.keyStart = position + 1;
      position = skipString(bytes, position);
      this.keyEnd = position - 1;
      // Over the colon.
      position = skipSpace(bytes, skipSpace(bytes, position) + 1);
    }
    this.start = position;
    this.end = skipValue(bytes, position);
    position = skipSpace(bytes, this.end);
    if (bytes[position] === COMMA) position = skipSpace(bytes, position + 1);
    // Only bytes that are no JSON can hold the cursor in place.
    this.#next = position > this.memberStart ? position : bytes.length;
    return true;
  }

  /** The type of the current value. */
  get type(): ValueType {
    return valueType(this.bytes, this.start);
  }

  /** Whether the current key decodes to `key`. */
  keyIs(key: string): boolean {
    return contentIs(this.bytes, this.keyStart, this.keyEnd, key);
  }
}

/** Whether string content without quotes decodes to `text`; allocates nothing for plain ASCII. */
function contentIs(bytes: Uint8Array, start: number, end: number, text: string): boolean {
  const length = end - start;
  for (let index = 0; index < length; index++) {
    const byte = bytes[start + index]!;
    if (byte === BACKSLASH || byte >= 0x80) return decodeString(bytes, start, end) === text;
    if (byte !== text.charCodeAt(index)) return false;
  }
  return length === text.length;
}

/**
 * The value of a member of the object at `start`; undefined when there is none, or no object. Of equal keys
 * the last one counts, as in `JSON.parse`.
 *
 * @param end - position after the object
 */
export function findMember(bytes: Uint8Array, start: number, end: number, key: string): Range | undefined {
  if (start < 0 || start >= end || bytes[start] !== OPEN_OBJECT) return undefined;
  const cursor = new JsonCursor(bytes, start);
  let found: Range | undefined;
  while (cursor.next()) {
    if (cursor.keyIs(key)) found = { start: cursor.start, end: cursor.end };
  }
  return found;
}

/** The value of the member at the end of a path of keys; undefined when any step is missing. */
export function findPath(bytes: Uint8Array, start: number, end: number, ...keys: string[]): Range | undefined {
  let range: Range | undefined = { start, end };
  for (const key of keys) {
    range = findMember(bytes, range.start, range.end, key);
    if (range === undefined) return undefined;
  }
  return range;
}

/**
 * Edits that remove the named members of the object at `start`, each with one comma, in ascending order;
 * what is left is valid JSON and otherwise unchanged.
 *
 * @param drop - names, or a test that is called with the cursor on each member
 */
export function removeMembers(
  bytes: Uint8Array,
  start: number,
  drop: readonly string[] | ((cursor: JsonCursor) => boolean),
): Edit[] {
  const unwanted = typeof drop === 'function' ? drop : (at: JsonCursor) => drop.some((key) => at.keyIs(key));
  const edits: Edit[] = [];
  const cursor = new JsonCursor(bytes, start);
  let anyKept = false;
  let previousEnd = -1;
  // A leading member is removed with the comma after it, so its edit ends where the next member begins.
  let pending = -1;
  while (cursor.next()) {
    if (pending >= 0) edits.push({ start: pending, end: cursor.memberStart, text: NOTHING });
    pending = -1;
    if (!unwanted(cursor)) anyKept = true;
    else if (anyKept) edits.push({ start: previousEnd, end: cursor.end, text: NOTHING });
    else pending = cursor.memberStart;
    previousEnd = cursor.end;
  }
  if (pending >= 0) edits.push({ start: pending, end: previousEnd, text: NOTHING });
  return edits;
}

/**
 * The edit that adds a member as the first of the object at `start`.
 *
 * @param value - the member's value, raw JSON
 */
export function insertMember(bytes: Uint8Array, start: number, key: string, value: Uint8Array | string): Edit {
  const isEmpty = bytes[skipSpace(bytes, start + 1)] === CLOSE_OBJECT;
  const text = concat([
    encoder.encode(`${JSON.stringify(key)}:`),
    typeof value === 'string' ? encoder.encode(value) : value,
    isEmpty ? NOTHING : Uint8Array.of(COMMA),
  ]);
  return { start: start + 1, end: start + 1, text };
}

/**
 * The bytes `[start, end)` with `edits` applied; a new array.
 *
 * @throws RangeError when edits overlap or leave the range
 */
export function applyEdits(bytes: Uint8Array, start: number, end: number, edits: readonly Edit[]): Uint8Array {
  const parts: Uint8Array[] = [];
  let position = start;
  for (const edit of edits.toSorted((a, b) => a.start - b.start || a.end - b.end)) {
    if (edit.start < position || edit.end < edit.start || edit.end > end) {
      throw new RangeError(`Edit [${edit.start}, ${edit.end}) overlaps another or leaves the document`);
    }
    parts.push(bytes.subarray(position, edit.start), edit.text);
    position = edit.end;
  }
  parts.push(bytes.subarray(position, end));
  return concat(parts);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let position = 0;
  for (const part of parts) {
    whole.set(part, position);
    position += part.length;
  }
  return whole;
}

/** The text of string content `[start, end)` without quotes; lone surrogate escapes become lone surrogates. */
export function decodeString(bytes: Uint8Array, start: number, end: number): string {
  const content = bytes.subarray(start, end);
  const text = decoder.decode(content);
  return content.includes(BACKSLASH) ? (JSON.parse(`"${text}"`) as string) : text;
}

/** The text of a raw value that is a string; undefined for any other value. */
export function stringValue(bytes: Uint8Array, start: number, end: number): string | undefined {
  return end - start >= 2 && bytes[start] === QUOTE ? decodeString(bytes, start + 1, end - 1) : undefined;
}

/** A value as JavaScript has it: only for small documents off the path of a call. */
export function parseValue(bytes: Uint8Array, start: number, end: number): unknown {
  return JSON.parse(decoder.decode(bytes.subarray(start, end)));
}
