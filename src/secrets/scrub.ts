/** Masks known secrets in running text: log lines, messages of errors. */
import type { KnownSecret } from './show.js';

/**
 * Least length of a secret that is searched for. Shorter values occur in harmless words (`8080`, `true`, `info`) and are
 * masked only where the configuration itself is shown.
 */
export const MIN_LENGTH = 6;

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
 * A function that replaces every secret of at least {@link MIN_LENGTH} characters in a text, the longest first, in all its
 * spellings, and the beginning of a secret at the end of a truncated text (one that ends with `...`). Its cost depends on
 * the text, not on the number of secrets, of which there may be thousands.
 */
export function scrubber(secrets: Iterable<KnownSecret>): (text: string) => string {
  const shownBy = new Map<string, string>();
  for (const { value, shown } of secrets) {
    if (value.length < MIN_LENGTH) continue;
    for (const spelling of spellingsOf(value)) {
      if (spelling.length >= MIN_LENGTH && !shownBy.has(spelling)) shownBy.set(spelling, shown);
    }
  }
  if (shownBy.size === 0) return (text) => text;
  let size = 1 << 16;
  while (size < shownBy.size * 64 && size < 1 << 22) size *= 2;
  const filter = new Uint8Array(size);
  const byLead = new Map<string, string[]>();
  const lengths = new Map<string, number[]>();
  let longest = 0;
  for (const spelling of shownBy.keys()) {
    filter[leadHash(spelling, 0, size)] = 1;
    const lead = spelling.slice(0, LEAD);
    const list = byLead.get(lead);
    if (list === undefined) byLead.set(lead, [spelling]);
    else list.push(spelling);
    longest = Math.max(longest, spelling.length);
  }
  for (const [lead, spellings] of byLead) {
    // The longest first: a secret may begin with another one.
    lengths.set(
      lead,
      [...new Set(spellings.map(({ length }) => length))].sort((a, b) => b - a),
    );
  }
  const match = (text: string, at: number): string | undefined => {
    for (const length of lengths.get(text.slice(at, at + LEAD)) ?? []) {
      const found = text.slice(at, at + length);
      if (shownBy.has(found)) return found;
    }
    return undefined;
  };
  return (text) => {
    const end = text.endsWith(CUT) ? text.length - CUT.length : -1;
    let result = '';
    let from = 0;
    for (let at = 0; at + LEAD <= text.length; at += 1) {
      if (filter[leadHash(text, at, size)] === 0) continue;
      const found = match(text, at);
      if (found !== undefined) {
        result += text.slice(from, at) + (shownBy.get(found) ?? '');
        at += found.length - 1;
        from = at + 1;
      } else if (end - at >= MIN_LENGTH && end - at < longest) {
        const rest = text.slice(at, end);
        const whole = byLead.get(text.slice(at, at + LEAD))?.find((spelling) => spelling.startsWith(rest));
        if (whole === undefined) continue;
        result += text.slice(from, at) + (shownBy.get(whole) ?? '');
        from = end;
        break;
      }
    }
    return from === 0 ? text : result + text.slice(from);
  };
}
