/** Masks known secrets in running text: log lines, messages of errors. */
import type { KnownSecret } from './show.js';

/**
 * Least length of a secret that is searched for. Shorter values occur in harmless words (`8080`, `true`, `info`) and are
 * masked only where the configuration itself is shown.
 */
const MIN_LENGTH = 6;

/** Least length of a line of a secret with several lines (a key in PEM) that is searched for by itself. */
const MIN_LINE = 16;

/** The end of a text that was truncated. */
const CUT = '...';

/** Characters of a secret that the filter hashes; at most {@link MIN_LENGTH}. */
const LEAD = 4;

/** A number below `size` (a power of two) made of the characters at `at`. */
function leadHash(text: string, at: number, size: number): number {
  let hash = text.charCodeAt(at);
  for (let index = 1; index < LEAD; index += 1) hash = Math.imul(hash, 0x01000193) ^ text.charCodeAt(at + index);
  return (hash ^ (hash >>> 15)) & (size - 1);
}

/** The spellings of a value: as it is and in JSON, both also escaped for the log, in a URL, and its lines. */
function* spellingsOf(value: string): Generator<string> {
  const plain = decoded(value);
  for (const text of plain === value ? [value] : [value, plain]) {
    for (const spelling of [text, JSON.stringify(text).slice(1, -1)]) {
      yield spelling;
      if (/[^\x20-\x5b\x5d-\x7e]/.test(spelling)) yield logSpelling(spelling);
    }
    yield encoded(text);
  }
  if (value.includes('\n')) {
    for (const line of value.split(/\r?\n/)) if (line.length >= MIN_LINE && !line.startsWith('-----')) yield line;
  }
}

/** A lone surrogate has no spelling in a URL. */
function encoded(text: string): string {
  try {
    return encodeURIComponent(text);
  } catch {
    return text;
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The form in which bytes of a child's standard error are logged (`escaped` of the upstreams). */
function logSpelling(text: string): string {
  return Array.from(Buffer.from(text), (byte) => {
    if (byte === 0x5c) return '\\\\';
    return byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`;
  }).join('');
}

/**
 * Replaces every secret of at least {@link MIN_LENGTH} characters in a text, the longest first, in all its spellings, and the
 * beginning of a secret at the end of a truncated text (one that ends with `...`). The cost depends on the text, not on the
 * number of secrets, of which there may be thousands.
 */
export class Scrubber {
  /** The replacement of each spelling. */
  readonly #shownBy = new Map<string, string>();
  /** Spellings, and their lengths in descending order, by their first {@link LEAD} characters. */
  readonly #byLead = new Map<string, { readonly spellings: string[]; lengths: readonly number[] }>();
  /** 1 at the hash of every lead: most positions of a text need no further look-up. */
  readonly #filter: Uint8Array;
  #longest = 0;

  constructor(secrets: Iterable<KnownSecret>) {
    for (const { value, shown } of secrets) {
      if (value.length < MIN_LENGTH) continue;
      for (const spelling of spellingsOf(value)) {
        if (spelling.length >= MIN_LENGTH && !this.#shownBy.has(spelling)) this.#shownBy.set(spelling, shown);
      }
    }
    let size = this.#shownBy.size === 0 ? 0 : 1 << 16;
    while (size < this.#shownBy.size * 64 && size < 1 << 22) size *= 2;
    this.#filter = new Uint8Array(size);
    for (const spelling of this.#shownBy.keys()) {
      this.#filter[leadHash(spelling, 0, size)] = 1;
      const lead = spelling.slice(0, LEAD);
      const group = this.#byLead.get(lead);
      if (group === undefined) this.#byLead.set(lead, { spellings: [spelling], lengths: [] });
      else group.spellings.push(spelling);
      this.#longest = Math.max(this.#longest, spelling.length);
    }
    // A secret may begin with another one.
    for (const group of this.#byLead.values()) {
      group.lengths = [...new Set(group.spellings.map(({ length }) => length))].sort((a, b) => b - a);
    }
  }

  /** `text` without secrets. */
  scrub(text: string): string {
    const size = this.#filter.length;
    if (size === 0) return text;
    const end = text.endsWith(CUT) ? text.length - CUT.length : -1;
    let result = '';
    let from = 0;
    for (let at = 0; at + LEAD <= text.length; at += 1) {
      if (this.#filter[leadHash(text, at, size)] === 0) continue;
      const length = this.#lengthAt(text, at);
      if (length > 0) {
        result += text.slice(from, at) + this.#shownBy.get(text.slice(at, at + length));
        at += length - 1;
        from = at + 1;
      } else if (end - at >= MIN_LENGTH && end - at < this.#longest) {
        const rest = text.slice(at, end);
        const group = this.#byLead.get(text.slice(at, at + LEAD));
        const whole = group?.spellings.find((spelling) => spelling.startsWith(rest));
        if (whole === undefined) continue;
        result += text.slice(from, at) + this.#shownBy.get(whole);
        from = end;
        break;
      }
    }
    return from === 0 ? text : result + text.slice(from);
  }

  /** Length of the longest secret that starts at `at`; 0 = none. */
  #lengthAt(text: string, at: number): number {
    const lengths = this.#byLead.get(text.slice(at, at + LEAD))?.lengths ?? [];
    return lengths.find((length) => this.#shownBy.has(text.slice(at, at + length))) ?? 0;
  }
}
