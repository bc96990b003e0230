/** Header lines of one call as bytes. */
import type { Bytes } from '../../../units.js';

/** Characters that a header value may not hold (RFC 9110 section 5.5): a line break would inject headers. */
const BAD_VALUE = /[^\t\x20-\x7e\x80-\xff]/;
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** `name: value` and a line end; null for a name or value that cannot be sent. */
export function headerLine(name: string, value: string): Buffer | null {
  return NAME.test(name) && !BAD_VALUE.test(value) ? Buffer.from(`${name}: ${value}\r\n`, 'latin1') : null;
}

/** Longer lines are made anew each time. */
const MAX_KEPT: Bytes = 256;

/**
 * The `mcp-name` lines of the names that were called last. A catalog gives the same string for an entry each time, so that
 * finding its line costs less than checking and encoding it again.
 */
export class NameLines {
  readonly #capacity: number;
  readonly #lines = new Map<string, Buffer>();

  /** @param capacity most lines; names that no catalog lists come from clients, so there has to be a bound */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Lines that are kept. */
  get size(): number {
    return this.#lines.size;
  }

  /** @returns null when the value cannot be sent */
  of(value: string): Buffer | null {
    const known = this.#lines.get(value);
    if (known !== undefined) return known;
    const line = headerLine('mcp-name', value);
    if (line === null || line.length > MAX_KEPT) return line;
    if (this.#lines.size >= this.#capacity) this.#lines.clear();
    this.#lines.set(value, line);
    return line;
  }
}
