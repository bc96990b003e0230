/**
 * A validating reader of JSON bytes: RFC 8259 without any leniency, UTF-8 as RFC 3629 section 3 defines it.
 *
 * Every function takes the position of a token's first byte and returns the position after its last one,
 * or -1 when the bytes are not JSON. Nothing is decoded and nothing is allocated a value: only positions move.
 */

/** Kind of a byte inside a string. */
const Byte = { plain: 0, quote: 1, backslash: 2, forbidden: 3, lead2: 4, lead3: 5, lead4: 6 } as const;

const STRING_BYTES = new Uint8Array(256);
STRING_BYTES.fill(Byte.forbidden, 0, 0x20);
STRING_BYTES[0x22] = Byte.quote;
STRING_BYTES[0x5c] = Byte.backslash;
// 0x80 to 0xc1 are continuation bytes and overlong leads; above 0xf4 a lead would pass U+10FFFF.
STRING_BYTES.fill(Byte.forbidden, 0x80, 0x100);
STRING_BYTES.fill(Byte.lead2, 0xc2, 0xe0);
STRING_BYTES.fill(Byte.lead3, 0xe0, 0xf0);
STRING_BYTES.fill(Byte.lead4, 0xf0, 0xf5);

/** 1 for the bytes that may follow a backslash, 2 for `u`. */
const ESCAPES = new Uint8Array(256);
for (const character of '"\\/bfnrt') ESCAPES[character.charCodeAt(0)] = 1;
ESCAPES[0x75] = 2;

/** Value of a hexadecimal digit, 255 for any other byte. */
const HEX = new Uint8Array(256).fill(255);
for (let digit = 0; digit < 10; digit++) HEX[0x30 + digit] = digit;
for (let digit = 10; digit < 16; digit++) {
  HEX[0x61 - 10 + digit] = digit;
  HEX[0x41 - 10 + digit] = digit;
}

const WHITESPACE = new Uint8Array(256);
for (const byte of [0x20, 0x09, 0x0a, 0x0d]) WHITESPACE[byte] = 1;

const OBJECT = 0x7b;
const ARRAY = 0x5b;

/** Levels kept between scans; a deeper document gets a longer stack for its own scan only. */
const KEPT_LEVELS = 1024;

/** The 16 bits that four hexadecimal digits at `position` denote, or -1. Reads up to four bytes. */
export function hex4(bytes: Uint8Array, position: number): number {
  const a = hexDigit(bytes, position);
  const b = hexDigit(bytes, position + 1);
  const c = hexDigit(bytes, position + 2);
  const d = hexDigit(bytes, position + 3);
  if ((a | b | c | d) > 15) return -1;
  return (a << 12) | (b << 8) | (c << 4) | d;
}

function hexDigit(bytes: Uint8Array, position: number): number {
  return HEX[bytes[position] ?? 0] ?? 255;
}

/** Reads one document at a time; the object is reused, so that a scan allocates nothing. */
export class JsonReader {
  bytes: Uint8Array = new Uint8Array(0);
  /** Position after the last byte of the document. */
  end = 0;
  /** Nesting at the current position; the outermost container counts as 1. */
  depth = 0;
  maxDepth = 0;
  /** The document went deeper than {@link maxDepth}. Reading continues: a syntax error that follows takes precedence. */
  tooDeep = false;
  /** The last string read has a backslash. */
  escaped = false;
  #stack = new Uint8Array(KEPT_LEVELS);

  open(bytes: Uint8Array, end: number, maxDepth: number): void {
    this.bytes = bytes;
    this.end = end;
    this.depth = 0;
    this.maxDepth = maxDepth;
    this.tooDeep = false;
  }

  /** Ends a document; frees a stack that an unusually deep one has grown. */
  close(): void {
    if (this.#stack.length > KEPT_LEVELS) this.#stack = new Uint8Array(KEPT_LEVELS);
  }

  /** The first position from `position` on that holds no whitespace; `end` if there is none. */
  space(position: number): number {
    const { bytes, end } = this;
    while (position < end && WHITESPACE[bytes[position]!] === 1) position++;
    return position;
  }

  /** Goes one level down. */
  enter(): void {
    if (++this.depth > this.maxDepth) this.tooDeep = true;
  }

  leave(): void {
    this.depth--;
  }

  /** Reads the string whose opening quote is at `position`. */
  string(position: number): number {
    const { bytes, end } = this;
    this.escaped = false;
    for (position++; ; ) {
      while (position < end && STRING_BYTES[bytes[position]!] === Byte.plain) position++;
      if (position >= end) return -1;
      switch (STRING_BYTES[bytes[position]!]) {
        case Byte.quote:
          return position + 1;
        case Byte.backslash:
          this.escaped = true;
          position = this.#escape(position);
          break;
        case Byte.forbidden:
          return -1;
        default:
          position = this.#multibyte(position);
      }
      if (position < 0) return -1;
    }
  }

  #escape(position: number): number {
    if (position + 1 >= this.end) return -1;
    const kind = ESCAPES[this.bytes[position + 1]!];
    if (kind === 1) return position + 2;
    if (kind !== 2 || position + 6 > this.end || hex4(this.bytes, position + 2) < 0) return -1;
    return position + 6;
  }

  /** One well-formed sequence of table 3-7 of the Unicode standard: no overlong form, no surrogate, nothing past U+10FFFF. */
  #multibyte(position: number): number {
    const { bytes } = this;
    const lead = bytes[position]!;
    const length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (position + length > this.end) return -1;
    const second = bytes[position + 1]!;
    const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
    const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
    if (second < low || second > high) return -1;
    for (let at = position + 2; at < position + length; at++) {
      if ((bytes[at]! & 0xc0) !== 0x80) return -1;
    }
    return position + length;
  }

  /** Reads a number, `true`, `false` or `null`. */
  scalar(position: number): number {
    const { bytes, end } = this;
    switch (bytes[position]) {
      case 0x74:
        return position + 4 <= end && isWord(bytes, position, 0x72, 0x75, 0x65) ? position + 4 : -1;
      case 0x6e:
        return position + 4 <= end && isWord(bytes, position, 0x75, 0x6c, 0x6c) ? position + 4 : -1;
      case 0x66:
        return position + 5 <= end && isWord(bytes, position, 0x61, 0x6c, 0x73) && bytes[position + 4] === 0x65
          ? position + 5
          : -1;
      default:
        return this.#number(position);
    }
  }

  #number(position: number): number {
    const { bytes, end } = this;
    if (bytes[position] === 0x2d) position++;
    if (position >= end) return -1;
    if (bytes[position] === 0x30) position++;
    else {
      position = this.#digits(position);
      if (position < 0) return -1;
    }
    if (position < end && bytes[position] === 0x2e) {
      position = this.#digits(position + 1);
      if (position < 0) return -1;
    }
    if (position < end && (bytes[position]! | 0x20) === 0x65) {
      position++;
      if (position < end && (bytes[position] === 0x2b || bytes[position] === 0x2d)) position++;
      return this.#digits(position);
    }
    return position;
  }

  #digits(position: number): number {
    const { bytes, end } = this;
    const start = position;
    while (position < end && (bytes[position]! ^ 0x30) < 10) position++;
    return position === start ? -1 : position;
  }

  /** Reads any value, however deep, with a stack of its own instead of recursion. */
  value(position: number): number {
    const { bytes, end } = this;
    let stack = this.#stack;
    let open = 0;
    for (;;) {
      // A value begins at `position`.
      if (position >= end) return -1;
      const first = bytes[position]!;
      if (first === 0x22) position = this.string(position);
      else if (first === OBJECT || first === ARRAY) {
        this.enter();
        position = this.space(position + 1);
        if (position >= end) return -1;
        if (bytes[position] === first + 2) {
          this.leave();
          position++;
        } else {
          if (open === stack.length) stack = this.#grow();
          stack[open++] = first;
          if (first === OBJECT) position = this.#key(position);
          if (position < 0) return -1;
          continue;
        }
      } else position = this.scalar(position);
      if (position < 0) return -1;

      // A value has ended at `position`: close containers until another value must follow.
      for (;;) {
        if (open === 0) return position;
        position = this.space(position);
        if (position >= end) return -1;
        const container = stack[open - 1]!;
        const byte = bytes[position];
        if (byte === 0x2c) {
          position = this.space(position + 1);
          if (container === OBJECT) position = this.#key(position);
          if (position < 0) return -1;
          break;
        }
        if (byte !== container + 2) return -1;
        this.leave();
        open--;
        position++;
      }
    }
  }

  /** Reads a key and its colon; returns the position of the member's value. */
  #key(position: number): number {
    if (position >= this.end || this.bytes[position] !== 0x22) return -1;
    position = this.string(position);
    return position < 0 ? -1 : this.colon(position);
  }

  /** Reads the colon after a key that ended at `position`; returns the position of the member's value. */
  colon(position: number): number {
    position = this.space(position);
    if (position >= this.end || this.bytes[position] !== 0x3a) return -1;
    return this.space(position + 1);
  }

  #grow(): Uint8Array<ArrayBuffer> {
    const grown = new Uint8Array(this.#stack.length * 4);
    grown.set(this.#stack);
    this.#stack = grown;
    return grown;
  }
}

function isWord(bytes: Uint8Array, position: number, second: number, third: number, fourth: number): boolean {
  return bytes[position + 1] === second && bytes[position + 2] === third && bytes[position + 3] === fourth;
}
