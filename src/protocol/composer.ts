/** Short ranges are cheaper to copy in a loop than through a native call (measured: break-even near 32 bytes). */
const SHORT = 32;

/**
 * Puts messages together from byte ranges in one growing scratch buffer: no strings, no intermediate buffers.
 * The content is valid until the next `reset`; one composer serves one thread and is never held across a callback.
 */
export class Composer {
  bytes: Buffer;
  length = 0;
  readonly initial: number;

  /** @param initial first capacity in bytes; it doubles as needed and shrinks back after a very large message */
  constructor(initial: number = 64 * 1024) {
    this.initial = initial;
    this.bytes = Buffer.allocUnsafeSlow(initial);
  }

  reset(): this {
    this.length = 0;
    if (this.bytes.length > this.initial * 64) this.bytes = Buffer.allocUnsafeSlow(this.initial);
    return this;
  }

  /** Makes room for `more` bytes behind the content. */
  reserve(more: number): void {
    const needed = this.length + more;
    if (needed <= this.bytes.length) return;
    let size = this.bytes.length * 2;
    while (size < needed) size *= 2;
    const larger = Buffer.allocUnsafeSlow(size);
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
  }

  /** Appends `source[start, end)`. */
  range(source: Uint8Array, start: number, end: number): this {
    const count = end - start;
    if (count <= 0) return this;
    this.reserve(count);
    const target = this.bytes;
    let at = this.length;
    if (count <= SHORT) {
      for (let index = start; index < end; index += 1) {
        target[at] = source[index]!;
        at += 1;
      }
    } else if (start === 0 && end === source.length) {
      target.set(source, at);
    } else {
      target.set(source.subarray(start, end), at);
    }
    this.length += count;
    return this;
  }

  /** Appends all of `source`. */
  put(source: Uint8Array): this {
    return this.range(source, 0, source.length);
  }

  /** Appends a non-negative integer below 2^53 in decimal. */
  integer(value: number): this {
    this.reserve(17);
    const target = this.bytes;
    let digits = 1;
    for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) digits += 1;
    let rest = value;
    for (let at = this.length + digits - 1; at >= this.length; at -= 1) {
      const next = Math.floor(rest / 10);
      target[at] = 48 + (rest - next * 10);
      rest = next;
    }
    this.length += digits;
    return this;
  }

  /** Appends text as UTF-8; for cold paths. */
  text(value: string): this {
    this.reserve(value.length * 3);
    this.length += this.bytes.write(value, this.length);
    return this;
  }

  /** A copy of the content. */
  take(): Buffer {
    const copy = Buffer.allocUnsafe(this.length);
    copy.set(this.bytes.subarray(0, this.length));
    return copy;
  }
}
