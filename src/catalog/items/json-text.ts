/**
 * Edits of JSON documents that leave all other bytes unchanged. Texts are latin-1 strings (one character per byte) of
 * documents that `JSON.parse` has accepted.
 */

/** A member of an object: positions of the key and value tokens, end exclusive. */
export interface Member {
  /** Decoded. */
  readonly key: string;
  readonly keyStart: number;
  readonly keyEnd: number;
  readonly valueStart: number;
  readonly valueEnd: number;
}

/** Replace `[start, end)` with `text`. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** `value` as the latin-1 text of its UTF-8 bytes. */
export function toLatin1(value: string): string {
  return Buffer.from(value, 'utf8').toString('latin1');
}

/** The inverse of {@link toLatin1}. */
export function fromLatin1(text: string): string {
  return Buffer.from(text, 'latin1').toString('utf8');
}

/** Applies edits that do not overlap, in any order. */
export function applyEdits(text: string, edits: readonly Edit[]): string {
  if (edits.length === 0) return text;
  const sorted = [...edits].sort((a, b) => a.start - b.start || a.end - b.end);
  let result = '';
  let at = 0;
  for (const edit of sorted) {
    result += text.slice(at, edit.start) + edit.text;
    at = edit.end;
  }
  return result + text.slice(at);
}

/** The members of the object that starts at `start`. */
export function objectMembers(text: string, start: number): Member[] {
  const members: Member[] = [];
  let at = skipSpace(text, start + 1);
  while (text.charCodeAt(at) === 0x22) {
    const keyStart = at;
    const keyEnd = stringEnd(text, at);
    const raw = text.slice(keyStart + 1, keyEnd - 1);
    const key = raw.includes('\\') ? (JSON.parse(fromLatin1(`"${raw}"`)) as string) : fromLatin1(raw);
    const valueStart = skipSpace(text, skipSpace(text, keyEnd) + 1);
    const end = valueEnd(text, valueStart);
    members.push({ key, keyStart, keyEnd, valueStart, valueEnd: end });
    at = skipSpace(text, end);
    if (text.charCodeAt(at) === 0x2c) at = skipSpace(text, at + 1);
  }
  return members;
}

/** Start positions of the elements of the array that starts at `start`. */
export function arrayElements(text: string, start: number): number[] {
  const elements: number[] = [];
  let at = skipSpace(text, start + 1);
  while (text.charCodeAt(at) !== 0x5d) {
    elements.push(at);
    at = skipSpace(text, valueEnd(text, at));
    if (text.charCodeAt(at) === 0x2c) at = skipSpace(text, at + 1);
  }
  return elements;
}

/** Edits that remove members together with their commas; adjacent members are removed by one edit. */
export function removeMembers(members: readonly Member[], remove: (member: Member) => boolean): Edit[] {
  const edits: Edit[] = [];
  /** The last member that stays. */
  let kept: Member | undefined;
  /** The first and last member of the current run. */
  let first: Member | undefined;
  let last: Member | undefined;
  for (const member of members) {
    if (remove(member)) {
      first ??= member;
      last = member;
      continue;
    }
    if (first !== undefined) edits.push({ start: first.keyStart, end: member.keyStart, text: '' });
    first = undefined;
    kept = member;
  }
  if (first !== undefined && last !== undefined) {
    edits.push({ start: kept?.valueEnd ?? first.keyStart, end: last.valueEnd, text: '' });
  }
  return edits;
}

/** Position after white space. */
function skipSpace(text: string, start: number): number {
  let at = start;
  for (;;) {
    const code = text.charCodeAt(at);
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return at;
    at += 1;
  }
}

function stringEnd(text: string, start: number): number {
  let at = start + 1;
  for (;;) {
    const quote = text.indexOf('"', at);
    let escapes = 0;
    while (text.charCodeAt(quote - 1 - escapes) === 0x5c) escapes += 1;
    if (escapes % 2 === 0) return quote + 1;
    at = quote + 1;
  }
}

/** End of the value that starts at `start`. */
function valueEnd(text: string, start: number): number {
  const first = text.charCodeAt(start);
  if (first === 0x22) return stringEnd(text, start);
  let at = start;
  if (first !== 0x7b && first !== 0x5b) {
    for (;;) {
      const code = text.charCodeAt(at);
      // A number or a literal ends at `,`, `]`, `}`, white space or the end of the text (NaN).
      if (code <= 0x20 || code === 0x2c || code === 0x5d || code === 0x7d || Number.isNaN(code)) return at;
      at += 1;
    }
  }
  let depth = 0;
  for (;;) {
    const code = text.charCodeAt(at);
    if (code === 0x22) {
      at = stringEnd(text, at);
      continue;
    }
    if (code === 0x7b || code === 0x5b) depth += 1;
    else if (code === 0x7d || code === 0x5d) {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
    at += 1;
  }
}
