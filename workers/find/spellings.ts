/** Other spellings of a target: a rule for any of them applies to it. */
import type { ServerSnapshot, Snapshot } from '../../src/config/snapshot/index.js';
import { acceptedForm, hashedName, longestName, renamed } from '../../src/protocol/names/forms.js';
import { looseReading } from '../../src/protocol/uri.js';

const COLON = 0x3a;
const SLASH = 0x2f;
const PERCENT = 0x25;
const QUESTION = 0x3f;
const HASH = 0x23;

/** The names that the entry `own` of a server may have while the server's lists are not known; the likeliest first. */
export function everyName(catalog: Snapshot['catalog'], server: ServerSnapshot, own: string): string[] {
  const longest = longestName(catalog);
  const names: string[] = [];
  for (const full of unchangedNames(catalog, server, own)) {
    const accepted = acceptedForm(full, catalog);
    if (accepted.length <= longest) names.push(accepted);
    if (accepted !== full || accepted.length > longest) names.push(hashedName(accepted, full, longest), full);
  }
  names.push(`${server.name}:${own}`);
  // A name that is changed can be called as the upstream has it.
  if (!names.slice(0, -1).every((name) => name.endsWith(own))) names.push(own);
  // Some servers ignore the case of names: another case must not bypass a rule.
  return [...new Set([...names, ...names.map((text) => text.toLowerCase())])];
}

/** The names of the entry `own` of a server before characters or length are changed; the likeliest first. */
export function unchangedNames(
  { separator, conflict }: Snapshot['catalog'],
  { name, prefix, rename }: Pick<ServerSnapshot, 'name' | 'prefix' | 'rename'>,
  own: string,
): string[] {
  const names: string[] = [];
  for (const text of new Set([renamed(rename, name, own), own])) {
    if (prefix !== null) names.push(`${prefix}${separator}${text}`);
    if (prefix === null || conflict !== 'prefix') names.push(text);
  }
  return names;
}

/** The text that {@link looseReading} makes of the URI `bytes[start, end)`, or null where that is the URI itself. */
export function otherReading(bytes: Uint8Array, start: number, end: number): Buffer | null {
  return hasOtherReading(bytes, start, end)
    ? Buffer.from(looseReading(Buffer.from(bytes.subarray(start, end)).toString('utf8')))
    : null;
}

function hasOtherReading(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start;
  while (at < end && bytes[at] !== COLON) at += 1;
  if (bytes[at + 1] !== SLASH || bytes[at + 2] !== SLASH || at + 2 >= end) return true;
  for (at += 3; at < end; at += 1) {
    const byte = bytes[at];
    if (byte === QUESTION || byte === HASH) return false;
    if (byte === SLASH && bytes[at + 1] === SLASH && at + 1 < end) return true;
    if (byte === PERCENT && isSeparator(bytes[at + 1], bytes[at + 2])) return true;
  }
  return false;
}

/** `2F` or `5C`: in normal form, hexadecimal digits are in upper case. */
function isSeparator(high: number | undefined, low: number | undefined): boolean {
  return (high === 0x32 && low === 0x46) || (high === 0x35 && low === 0x43);
}
