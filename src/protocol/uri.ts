/**
 * The normal form of URIs, in which policy judges them: RFC 3986 (6.2.2 syntax-based, 6.2.3 scheme-based normalisation)
 * and the WHATWG URL parser at once. A URI that the two read differently, or whose target shows only after decoding, has none.
 * This is the slow path: the scan recognises URIs that are in normal form already (native/plain-uri.ts).
 */

import { isPlainUri } from '../../native/plain-uri.js';

/** Why a URI has no normal form; the end of the error sentence. */
export const URI_FAULTS = {
  scheme: 'it has no scheme',
  control: 'it holds a control character',
  space: 'it begins or ends with white space',
  backslash: 'it holds a backslash',
  slashes: 'its scheme needs // behind the colon',
  user: 'it holds user information before an @',
  dots: 'it has a dot segment (. or ..)',
  empty: 'a file URI has an empty segment (//) in its path',
  percent: 'a % is not followed by the code of a character of UTF-8 text',
  ambiguous: 'parsers differ on its host or port',
} as const;

/** A key of {@link URI_FAULTS}. */
export type UriFault = keyof typeof URI_FAULTS;

/** A URI that all parsers read in the same way. */
export interface NormalUri {
  /** The normal form: what is sent to upstreams. */
  readonly text: string;
  /**
   * What policy compares. Differs from `text` in the case of the host where the scheme is not one of the WHATWG's: for RFC 3986 the
   * case of a host means nothing, the WHATWG parser keeps it, and servers tell `greeting://Ann` from `greeting://ann`.
   */
  readonly judged: string;
}

/** Default ports of the special schemes (WHATWG URL, special scheme); null = has no port. */
const SPECIAL_PORTS: ReadonlyMap<string, string | null> = new Map([
  ['ftp', '21'],
  ['file', null],
  ['http', '80'],
  ['https', '443'],
  ['ws', '80'],
  ['wss', '443'],
]);

const SCHEME = /^([A-Za-z][A-Za-z0-9+.-]*):/;
const UNRESERVED = /[A-Za-z0-9\-._~]/;
/** Characters that stay as they are in a path, query or fragment; `/`, `?` and `#` are cut out before. */
const PART = /[A-Za-z0-9\-._~!$&'()*+,;=:@/?]/;
const HOST = /[A-Za-z0-9\-._~!$&'()*+,;=]/;
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

class Unreadable extends Error {
  readonly fault: UriFault;

  constructor(fault: UriFault) {
    super(fault);
    this.fault = fault;
  }
}

/** Reads a URI; a {@link UriFault} when it has no normal form. */
export function normalUri(text: string): NormalUri | UriFault {
  try {
    const normal = normalise(text);
    // The other reading has to come to the same end, from the text as it was sent and from its normal form.
    const other = parsed(text);
    if (parsed(normal.text) !== normal.text || (other !== normal.text && normalise(other).text !== normal.text)) {
      return 'ambiguous';
    }
    return normal;
  } catch (error) {
    if (error instanceof Unreadable) return error.fault;
    throw error;
  }
}

function parsed(text: string): string {
  if (!URL.canParse(text)) throw new Unreadable('ambiguous');
  return new URL(text).href;
}

/** The resources and templates that upstreams list (the catalog in force). */
export interface ListedResources {
  /** Whether one is listed under exactly this spelling, which is not the normal form. */
  isListed(uri: string): boolean;
}

/** The same, as far as subscriptions need it. */
export interface ListedSpellings extends ListedResources {
  /** The spelling in which an upstream lists a resource; of one that is not listed its normal form. One for all spellings. */
  listedAs(uri: string): string;
}

/**
 * Spellings that are served when an upstream lists them: nothing is hidden in them, and an upstream that lists
 * `postgres://reader@db/t` means exactly that URI.
 */
const LISTABLE: readonly UriFault[] = ['scheme', 'user'];

/**
 * {@link normalUri} of what a client sends. It is forwarded as it is spelled: what parsers read in the same way needs no other
 * spelling. Only a URI that is listed in another one is sent as listed (the send stage).
 */
export function readUri(text: string, listed: ListedResources): NormalUri | UriFault {
  if (isPlainText(text)) return { text, judged: text };
  const read = normalUri(text);
  if (typeof read !== 'string') return { text, judged: read.judged };
  return LISTABLE.includes(read) && listed.isListed(text) ? { text, judged: text } : read;
}

/** {@link isPlainUri} of a text: `true` = it is in normal form. */
export function isPlainText(uri: string): boolean {
  const bytes = Buffer.from(uri);
  return isPlainUri(bytes, 0, bytes.length);
}

/** What policy compares of a URI that an upstream lists or speaks of; the text itself where it has no normal form. */
export function judgedUri(uri: string): string {
  if (isPlainText(uri)) return uri;
  const read = normalUri(uri);
  return typeof read === 'string' ? uri : read.judged;
}

/** {@link judgedUri} of a URI template. */
export function judgedTemplate(template: string): string {
  const normal = normalPattern(template, 'template');
  return typeof normal === 'string' ? template : normal.text;
}

/** The reading of RFC 3986 (appendix B and section 6). */
function normalise(text: string): NormalUri {
  if (CONTROL.test(text)) throw new Unreadable('control');
  if (text !== text.trim()) throw new Unreadable('space');
  if (text.includes('\\')) throw new Unreadable('backslash');
  const scheme = SCHEME.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) throw new Unreadable('scheme');
  const [beforeFragment, fragment] = cut(text.slice(scheme.length + 1), '#');
  const [hierarchy, query] = cut(beforeFragment, '?');
  const isSpecial = SPECIAL_PORTS.has(scheme);
  let authority: string | null = null;
  let path = hierarchy;
  if (hierarchy.startsWith('//')) {
    const slash = hierarchy.indexOf('/', 2);
    authority = normalAuthority(hierarchy.slice(2, slash < 0 ? undefined : slash), scheme);
    path = slash < 0 ? (isSpecial ? '/' : '') : hierarchy.slice(slash);
  } else if (isSpecial) {
    throw new Unreadable('slashes');
  }
  const tail =
    normalPath(path, scheme) +
    (query === null ? '' : `?${encoded(query, isSpecial ? PART_BUT_QUOTE : PART)}`) +
    (fragment === null ? '' : `#${encoded(fragment, PART)}`);
  if (authority === null) return { text: `${scheme}:${tail}`, judged: `${scheme}:${tail}` };
  const folded = authority.replace(/%[0-9A-F]{2}|[A-Z]+/g, (part) => (part[0] === '%' ? part : part.toLowerCase()));
  return { text: `${scheme}://${authority}${tail}`, judged: `${scheme}://${folded}${tail}` };
}

const PART_BUT_QUOTE = /[A-Za-z0-9\-._~!$&()*+,;=:@/?]/;

function cut(text: string, separator: string): [string, string | null] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, null] : [text.slice(0, at), text.slice(at + 1)];
}

function normalAuthority(text: string, scheme: string): string {
  if (text.includes('@')) throw new Unreadable('user');
  const port = /:([0-9]*)$/.exec(text);
  const host = port === null ? text : text.slice(0, port.index);
  const defaultPort = SPECIAL_PORTS.get(scheme);
  if (defaultPort === undefined) {
    const name = encoded(host, HOST);
    refuseHidden(name);
    return name + (port === null || port[1] === '' ? '' : `:${port[1]}`);
  }
  // The host of a special scheme has to be a plain name or address to be read alike; the comparison above sees to it.
  const name = host.toLowerCase();
  // RFC 8089, 2: no host and localhost are the same.
  if (scheme === 'file') return text.toLowerCase() === 'localhost' ? '' : name + (port === null ? '' : port[0]);
  return name + (port === null || port[1] === '' || port[1] === defaultPort ? '' : `:${port[1]}`);
}

function normalPath(path: string, scheme: string): string {
  const normal = encoded(path, PART);
  refuseHidden(normal);
  if (scheme === 'file') {
    const segments = separated(normal).slice(1).split('/');
    if (segments.slice(0, -1).includes('')) throw new Unreadable('empty');
  }
  return normal;
}

/** Refuses dot segments and control characters that only decoding shows. */
function refuseHidden(normal: string): void {
  if (/%(?:[01][0-9A-F]|7F|C2%[89])/.test(normal)) throw new Unreadable('control');
  for (const segment of separated(normal).split('/')) {
    // Some servers cut off parameters (`;…`) before they look at a segment.
    if (/^\.\.?(?:;.*)?$/.test(segment)) throw new Unreadable('dots');
  }
}

/** The path as servers see it that decode it before they split it. */
function separated(normal: string): string {
  return normal.replace(/%2F|%5C/g, '/');
}

/**
 * Percent-encodes what is not in `allowed`, decodes what need not be encoded, and writes hexadecimal digits in upper case
 * (RFC 3986, 6.2.2.1 and 6.2.2.2).
 */
function encoded(text: string, allowed: RegExp): string {
  let normal = '';
  for (let at = 0; at < text.length; ) {
    const character = String.fromCodePoint(text.codePointAt(at)!);
    if (character !== '%') {
      normal += allowed.test(character) ? character : encodeCharacter(character);
      at += character.length;
      continue;
    }
    const hex = /^[0-9A-Fa-f]{2}/.exec(text.slice(at + 1, at + 3))?.[0];
    if (hex === undefined) throw new Unreadable('percent');
    const decoded = String.fromCharCode(Number.parseInt(hex, 16));
    if (decoded === '\0') throw new Unreadable('control');
    normal += UNRESERVED.test(decoded) ? decoded : `%${hex.toUpperCase()}`;
    at += 3;
  }
  try {
    decodeURIComponent(normal);
  } catch {
    // Not UTF-8: lax decoders read separators from overlong codes.
    throw new Unreadable('percent');
  }
  return normal;
}

/** UTF-8 in percent-encoding, of `'` too, which encodeURIComponent leaves alone. */
function encodeCharacter(character: string): string {
  return character === "'" ? '%27' : encodeURIComponent(character);
}

/**
 * How a server may read a URI in normal form that decodes the path before it splits it, joins repeated slashes, or takes
 * `scheme:rest` for `scheme://rest`; the same text when it reads nothing else.
 */
export function looseReading(judged: string): string {
  const parts = /^([^:]*):(?:\/\/)?([^?#]*)(.*)$/s.exec(judged);
  if (parts === null) return judged;
  const [, scheme, path, tail] = parts;
  return `${scheme}://${separated(path!).replace(/\/{2,}/g, '/')}${tail}`;
}

/** Whether a URI template or glob has something besides literal text. */
const SPECIAL_OF = {
  glob: /\\.?|\*+|\?/su,
  template: /\{[^{}]*\}/su,
};

/**
 * The normal form of a pattern over URIs: of its literal parts, so that it matches URIs in normal form.
 *
 * @param kind the language of the pattern
 * @returns a {@link UriFault} when no URI in normal form can match
 */
export function normalPattern(text: string, kind: keyof typeof SPECIAL_OF): { readonly text: string } | UriFault {
  try {
    return { text: patternText(text, kind) };
  } catch (error) {
    if (error instanceof Unreadable) return error.fault;
    throw error;
  }
}

function patternText(text: string, kind: keyof typeof SPECIAL_OF): string {
  const special = new RegExp(SPECIAL_OF[kind].source, 'gsu');
  let normal = '';
  let inHead = true;
  let from = 0;
  const literal = (part: string): void => {
    if (CONTROL.test(part)) throw new Unreadable('control');
    const [head, rest] = inHead ? headOf(normal, part) : ['', part];
    if (rest !== '') inHead = false;
    normal += head.toLowerCase() + encodedPattern(rest);
  };
  for (const match of text.matchAll(special)) {
    literal(text.slice(from, match.index));
    // A backslash takes the meaning from the character behind it, which then is a literal.
    normal += match[0];
    from = match.index + match[0].length;
  }
  literal(text.slice(from));
  const plain = normal.replace(/^file:\/\/localhost\//, 'file:///');
  const scheme = SCHEME.exec(plain)?.[1];
  if (scheme !== undefined) {
    if (SPECIAL_PORTS.has(scheme) && /^[a-z]+:\/?[^/*?\\{]/.test(plain)) throw new Unreadable('slashes');
    if (/^[^:]+:\/\/[^/?#*{]*@/.test(plain)) throw new Unreadable('user');
  }
  if (/(?:^|\/)\.\.?(?:\/|$)/.test(plain)) throw new Unreadable('dots');
  return plain;
}

/** Cuts scheme and host, whose case means nothing, off the front of the next literal part of a pattern. */
function headOf(before: string, part: string): [string, string] {
  let host = 0;
  if (!before.includes('://')) {
    const start = /^(?:[A-Za-z][A-Za-z0-9+.-]*)?:(\/\/)?/.exec(part);
    if (start === null) return ['', part];
    host = start[0].length;
    if (start[1] === undefined) return [start[0], part.slice(host)];
  }
  const end = part.slice(host).search(/[/?#]/);
  return end < 0 ? [part, ''] : [part.slice(0, host + end), part.slice(host + end)];
}

/** As {@link encoded}, but a `%` that starts no code is a literal percent sign. */
function encodedPattern(text: string): string {
  const escaped = text.replace(/%(?![0-9A-Fa-f]{2})/g, '%25');
  const [path, fragment] = cut(escaped, '#');
  const of = (part: string): string => encoded(part, PART);
  return fragment === null ? of(path) : `${of(path)}#${of(fragment)}`;
}
