/**
 * Detection of secrets in a text by their shape: tokens of well-known services, random strings, credentials and query values of
 * addresses, values beside names that announce one. Every search is linear in the length of the text: quantifiers are
 * bounded or end their pattern.
 */
import { isSecretName } from './names.js';

/** Part of a text, from `start` to before `end`. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** Tokens with the prefixes of well-known services. */
const TOKEN =
  /(?<![A-Za-z0-9])(?:(?:gh[oprsu]_|npm_|hf_|dop_v1_|gsk_|r8_|shp(?:at|ss|ca|pa)_)[A-Za-z0-9]{16,}|(?:github_pat_|glpat-|sk-|[rs]k_(?:live|test)_|xox[abeprs]-|xapp-|pypi-|lin_api_|ntn_|tvly-|xai-|whsec_|ya29\.|SG\.)[A-Za-z0-9_.-]{16,}|A[KS]IA[A-Z0-9]{16,}|AIza[A-Za-z0-9_-]{30,}|eyJ[A-Za-z0-9_.-]{16,})/g;
const RUN = /[A-Za-z0-9_+]+(?:-{1,2}[A-Za-z0-9_+]+)*={0,2}/g;
const MIN_RUN = 32;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** RFC 9110 11.4: the scheme says that credentials follow. */
const CREDENTIALS = /\b(?:bearer|basic) {1,4}([A-Za-z0-9._~+/=-]{8,})/gi;
const PAIR = /([A-Za-z_][\w.-]{0,127})=/g;
const JSON_PAIR = /"([\w.-]{1,128})(\\?)"\s{0,8}:\s{0,8}\\?"/g;
const FLAG = /(?:^|\s)--([\w-]{2,128})\s{1,8}(?=[^\s-])/g;
const PRIVATE_KEY = 'PRIVATE KEY-----';

/** The parts of `text` that look like secrets, in order and apart from each other. */
export function secretRanges(text: string): Range[] {
  const found: Range[] = [];
  const add = (start: number, end: number): void => {
    if (end > start) found.push({ start, end });
  };
  for (const { index, 0: token } of text.matchAll(TOKEN)) if (/\d/.test(token)) add(index, index + token.length);
  for (const { index, 0: run } of text.matchAll(RUN)) {
    if (run.length >= MIN_RUN && isRandom(run) && !isDigest(text, index)) add(index, index + run.length);
  }
  for (const { index, 0: whole, 1: value = '' } of text.matchAll(CREDENTIALS)) {
    if (/\d/.test(value) || value.length >= 24) add(index + whole.length - value.length, index + whole.length);
  }
  for (const { index, 0: whole, 1: name = '' } of text.matchAll(PAIR)) {
    if (isSecretName(name)) add(index + whole.length, endOfValue(text, index + whole.length));
  }
  for (const { index, 0: whole, 1: name = '', 2: slash } of text.matchAll(JSON_PAIR)) {
    if (isSecretName(name)) add(index + whole.length, endOfString(text, index + whole.length, slash !== ''));
  }
  for (const { index, 0: whole, 1: name = '' } of text.matchAll(FLAG)) {
    if (isSecretName(name)) add(index + whole.length, endOfValue(text, index + whole.length));
  }
  addPrivateKeys(text, add);
  addUrls(text, add);
  return merged(found);
}

/** Ranges in order; those that overlap or touch become one. */
export function merged(ranges: readonly Range[]): Range[] {
  const result: Range[] = [];
  for (const range of [...ranges].sort((a, b) => a.start - b.start)) {
    const last = result.at(-1);
    if (last === undefined || range.start > last.end) result.push(range);
    else if (range.end > last.end) result[result.length - 1] = { start: last.start, end: range.end };
  }
  return result;
}

function endOfValue(text: string, from: number): number {
  const quote = text[from];
  if (quote === '"' || quote === "'") {
    const end = text.indexOf(quote, from + 1);
    if (end >= 0) return end + 1;
  }
  let end = from;
  while (end < text.length && !' \t\r\n;&'.includes(text.charAt(end))) end += 1;
  return end;
}

/** @param escaped the JSON is itself the content of a JSON string, its quotes spelled `\"` */
function endOfString(text: string, from: number, escaped: boolean): number {
  for (let at = text.indexOf('"', from); at >= 0; at = text.indexOf('"', at + 1)) {
    const slash = at > from && text[at - 1] === '\\';
    if (escaped && slash) return at - 1;
    if (!slash) return at;
  }
  return text.length;
}

function addPrivateKeys(text: string, add: (start: number, end: number) => void): void {
  for (let at = text.indexOf(PRIVATE_KEY); at >= 0; ) {
    const start = at + PRIVATE_KEY.length;
    let end = start;
    // The line at the end names the key too.
    if (text.slice(Math.max(0, at - 32), at).includes('-----BEGIN ')) {
      const last = text.indexOf('-----END', start);
      end = last < 0 ? text.length : last;
      add(start, end);
    }
    at = text.indexOf(PRIVATE_KEY, end);
  }
}

/** The credentials, the values of the query and the fragment of every `scheme://` in `text`. */
function addUrls(text: string, add: (start: number, end: number) => void): void {
  for (let at = text.indexOf('://'); at >= 0; ) {
    const start = at + 3;
    let end = start;
    while (end < text.length && !/[\s"'<>]/.test(text.charAt(end))) end += 1;
    addUrl(text.slice(start, end), (from, to) => add(start + from, start + to));
    at = text.indexOf('://', end);
  }
}

function addUrl(rest: string, add: (start: number, end: number) => void): void {
  const cut = rest.search(/[/?#]/);
  const authority = cut < 0 ? rest.length : cut;
  let at = rest.slice(0, authority).lastIndexOf('@');
  // A password with an unescaped slash makes the authority end too early: what follows the colon is then no port.
  const port = /^[^[\]:]*:(.*)$/.exec(rest.slice(0, authority))?.[1];
  if (at < 0 && port !== undefined && !/^\d*$/.test(port)) at = rest.lastIndexOf('@');
  if (at > 0) add(0, at);
  const hash = rest.indexOf('#', Math.max(authority, at));
  const end = hash < 0 ? rest.length : hash;
  if (hash >= 0) add(hash + 1, rest.length);
  const query = rest.indexOf('?', Math.max(authority, at));
  if (query < 0 || query > end) return;
  let from = query + 1;
  for (const pair of rest.slice(from, end).split('&')) {
    const equals = pair.indexOf('=');
    // A query without a name is one value; short ones are switches.
    if (equals >= 0) add(from + equals + 1, from + pair.length);
    else if (pair.length >= 16) add(from, from + pair.length);
    from += pair.length + 1;
  }
}

/** A digest of an image or a package is public. */
function isDigest(text: string, at: number): boolean {
  return /sha\d{1,3}[:-]$/.test(text.slice(Math.max(0, at - 8), at)) || /^sha\d{1,3}-/.test(text.slice(at, at + 8));
}

/**
 * Whether 32 characters and more are random rather than words: their kinds (capital, small letter, digit) change far more
 * often than in a name. UUIDs are identifiers and are shown.
 */
function isRandom(run: string): boolean {
  const text = run.replace(/[-_+=]/g, '');
  if (text.length < 28 || UUID.test(run) || !/\d/.test(text)) return false;
  const kinds = Array.from(text, (letter) => (letter <= '9' ? 0 : letter <= 'Z' ? 1 : 2));
  if (new Set(kinds).size < 2) return false;
  const changes = kinds.reduce<number>((sum, kind, i) => sum + (i > 0 && kind !== kinds[i - 1] ? 1 : 0), 0);
  const isHex = /^(?:[0-9a-f]+|[0-9A-F]+)$/.test(text);
  return changes >= text.length * (isHex ? 0.25 : 0.38);
}
