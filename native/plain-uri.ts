/**
 * Whether a URI is in normal form, decided without building a string: RFC 3986 (6.2.2, 6.2.3) and the WHATWG URL parser leave
 * it unchanged and read the same from it. `false` means undecided: such a URI is normalised by src/protocol/uri.ts. The same as
 * scan-uri.cc.
 */
const Class = {
  scheme: 1,
  host: 2,
  /** May stand in paths, queries and fragments as it is. */
  part: 4,
  upperHex: 8,
  unreserved: 16,
  label: 32,
} as const;

const LOWER = 'abcdefghijklmnopqrstuvwxyz';
const DIGITS = '0123456789';
const UNRESERVED = `${LOWER}${LOWER.toUpperCase()}${DIGITS}-._~`;

const classes = new Uint8Array(256);

/** The classes of a byte. */
function classOf(byte: number): number {
  return classes[byte]!;
}

function mark(characters: string, bit: number): void {
  for (const character of characters) classes[character.charCodeAt(0)] = classOf(character.charCodeAt(0)) | bit;
}
mark(`${LOWER}${DIGITS}+.-`, Class.scheme);
mark(`${LOWER}${DIGITS}._~-`, Class.host);
mark(`${LOWER}${DIGITS}-`, Class.label);
mark(`${UNRESERVED}!$&'()*+,;=:@`, Class.part);
mark(UNRESERVED, Class.unreserved);
mark(`${DIGITS}ABCDEF`, Class.upperHex);

/** Rules for the rest of the URI, by its scheme. */
const Kind = {
  other: 0,
  /** The host is empty in normal form; file systems join repeated slashes. */
  file: 1,
  /** WHATWG: special schemes; their hosts are domain names or addresses. */
  special: 2,
} as const;

const FILE = Buffer.from('file');
const SPECIAL = ['http', 'https', 'ws', 'wss', 'ftp'].map((name) => Buffer.from(name));

const HASH = 0x23;
const PERCENT = 0x25;
const QUOTE = 0x27;
const DASH = 0x2d;
const DOT = 0x2e;
const SLASH = 0x2f;
const COLON = 0x3a;
const SEMICOLON = 0x3b;
const QUESTION = 0x3f;
const BACKSLASH = 0x5c;
const LOWER_A = 0x61;
const LOWER_Z = 0x7a;
const DELETE = 0x7f;

/** See the file comment; `bytes[start, end)` is the URI. */
export function isPlainUri(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start;
  if (at >= end || !isLowerLetter(bytes[at]!)) return false;
  while (at < end && (classOf(bytes[at]!) & Class.scheme) !== 0) at += 1;
  if (end - at < 3 || bytes[at] !== COLON || bytes[at + 1] !== SLASH || bytes[at + 2] !== SLASH) return false;
  const kind = kindOf(bytes, start, at);
  at += 3;
  const host = at;
  while (at < end && (classOf(bytes[at]!) & Class.host) !== 0) at += 1;
  if (kind === Kind.file ? at !== host : kind === Kind.special && !isDomain(bytes, host, at)) return false;
  if (at > host && bytes[host] === DOT) return false;
  if (at === end) return kind === Kind.other;
  const next = bytes[at];
  if (next !== SLASH && (kind !== Kind.other || (next !== QUESTION && next !== HASH))) return false;
  return isPlainRest(bytes, at, end, kind);
}

/** Path, query and fragment from their first character on. */
function isPlainRest(bytes: Uint8Array, start: number, end: number, kind: number): boolean {
  let segment = -1;
  let inQuery = false;
  let inFragment = false;
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at]!;
    const inPath: boolean = !inQuery && !inFragment;
    if (byte === SLASH) {
      if (!inPath) continue;
      if (segment >= 0 && (isDots(bytes, segment, at) || (kind === Kind.file && segment === at))) return false;
      segment = at + 1;
    } else if (byte === PERCENT) {
      if (!isPlainTriplet(bytes, at, end)) return false;
      at += 2;
    } else if (byte === QUESTION) {
      if (inPath && segment >= 0 && isDots(bytes, segment, at)) return false;
      inQuery = inQuery || inPath;
    } else if (byte === HASH) {
      if (inFragment || (inPath && segment >= 0 && isDots(bytes, segment, at))) return false;
      inFragment = true;
    } else if ((classOf(byte) & Class.part) === 0) {
      return false;
    } else if (byte === QUOTE && inQuery && !inFragment && kind !== Kind.other) {
      return false;
    }
  }
  return inQuery || inFragment || segment < 0 || !isDots(bytes, segment, end);
}

/** A segment `.` or `..`, also with parameters (`..;x`), which some servers remove first. */
function isDots(bytes: Uint8Array, start: number, end: number): boolean {
  if (start === end || bytes[start] !== DOT) return false;
  const next = start + 1 < end && bytes[start + 1] === DOT ? start + 2 : start + 1;
  return next === end || bytes[next] === SEMICOLON;
}

/** A percent-encoded ASCII character that has to be: no separator, no control character, hexadecimal in upper case. */
function isPlainTriplet(bytes: Uint8Array, at: number, end: number): boolean {
  if (end - at < 3) return false;
  const high = bytes[at + 1]!;
  const low = bytes[at + 2]!;
  if ((classOf(high) & classOf(low) & Class.upperHex) === 0) return false;
  const value = hexValue(high) * 16 + hexValue(low);
  return (
    value >= 0x20 &&
    value < DELETE &&
    value !== SLASH &&
    value !== BACKSLASH &&
    (classOf(value) & Class.unreserved) === 0
  );
}

function isLowerLetter(byte: number): boolean {
  return byte >= LOWER_A && byte <= LOWER_Z;
}

function hexValue(byte: number): number {
  return byte <= 0x39 ? byte - 0x30 : byte - 0x37;
}

/**
 * A domain name of letters, digits and single hyphens whose last label starts with a letter: none that the WHATWG
 * parser takes for an address or an internationalised name.
 */
function isDomain(bytes: Uint8Array, start: number, end: number): boolean {
  let label = start;
  for (let at = start; at <= end; at += 1) {
    const byte = at === end ? DOT : bytes[at]!;
    if (byte === DOT) {
      if (label === at || bytes[label] === DASH || bytes[at - 1] === DASH) return false;
      if (at < end) label = at + 1;
    } else if ((classOf(byte) & Class.label) === 0 || (byte === DASH && bytes[at - 1] === DASH)) {
      return false;
    }
  }
  return label < end && isLowerLetter(bytes[label]!);
}

function kindOf(bytes: Uint8Array, start: number, end: number): number {
  if (same(bytes, start, end, FILE)) return Kind.file;
  for (const name of SPECIAL) if (same(bytes, start, end, name)) return Kind.special;
  return Kind.other;
}

function same(bytes: Uint8Array, start: number, end: number, name: Uint8Array): boolean {
  if (end - start !== name.length) return false;
  for (let at = 0; at < name.length; at += 1) if (bytes[start + at] !== name[at]) return false;
  return true;
}
