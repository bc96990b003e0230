/**
 * The forms of one name of a tool or prompt: renamed by the configuration, in the characters that model APIs accept, and
 * shortened. What is decided about all names together is in names.ts.
 */
import { createHash } from 'node:crypto';

/** The rules for one name; the same words as in the configuration (`catalog`). */
export interface NameRules {
  /** `strict` = letters, digits, `_` and `-` of ASCII only, which every model API accepts; `as-is` = any. */
  readonly names: 'strict' | 'as-is';
  /** Longest public name, characters, together with what clients put in front. */
  readonly maxNameLength: number;
  /** Characters that are left free for what clients put in front. */
  readonly namePrefixRoom: number;
}

/** Other names for the entries of one server, by the upstream's name, or a template with `{name}` and `{server}`. */
export type Rename = Readonly<Record<string, string>> | string;

/** Longest name that model APIs accept. */
const MODEL_API_LENGTH = 64;
/** A shortened name still has something readable beside its digest. */
const LEAST_LENGTH = 16;
const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';
const HASH_LENGTH = 8;

/** Characters that MCP allows in names (SEP-986). */
const PORTABLE = /^[A-Za-z0-9_./-]+$/;

/** Whether `name` holds only characters that MCP allows. */
export function isPortableName(name: string): boolean {
  return PORTABLE.test(name);
}

/** Length of the longest public name, at least 16 characters. */
export function longestName({ names, maxNameLength, namePrefixRoom }: NameRules): number {
  const length = names === 'strict' ? Math.min(maxNameLength, MODEL_API_LENGTH) : maxNameLength;
  return Math.max(LEAST_LENGTH, length - namePrefixRoom);
}

/** `name` in accepted characters, in its whole length: each other character becomes `_`. */
export function acceptedForm(name: string, { names }: NameRules): string {
  return names === 'strict' ? name.replace(/[^A-Za-z0-9_-]/gu, '_') : name;
}

/** The name that the configuration gives an entry of a server; `name` itself where it gives none. */
export function renamed(rename: Rename | null, server: string, name: string): string {
  if (rename === null) return name;
  if (typeof rename !== 'string') return Object.hasOwn(rename, name) ? (rename[name] ?? name) : name;
  return rename.replace(/\{(name|server)\}/g, (_, key) => (key === 'name' ? name : server));
}

/** Letters that have no decomposition, each before its spelling in ASCII: Latin, Greek, Cyrillic. */
const LETTERS =
  'ßss æae øo œoe đd ðd þth łl ħh ıi ŋng ' +
  'αa βv γg δd εe ζz ηi θth ιi κk λl μm νn ξx οo πp ρr σs ςs τt υy φf χch ψps ωo ' +
  'аa бb вv гg дd еe жzh зz иi кk лl мm нn оo пp рr сs тt уu фf хkh цts чch шsh щshch ъ ыy ь эe юyu яya єye іi ґg ђdj љlj њnj ћc џdz';
const SPELLINGS = new Map(LETTERS.split(' ').map((pair) => [pair.slice(0, 1), pair.slice(1)]));

/**
 * The name of a server in characters that model APIs accept, for its prefix: accents are dropped, Greek and Cyrillic are transliterated;
 * what cannot be spelled becomes `filler`, and a digest stands for it if nothing readable is left.
 */
export function readablePrefix(name: string, filler: string): string {
  let isUnspelled = false;
  const spelled = name
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .replace(/[^\p{ASCII}]/gu, (letter) => {
      const lower = letter.toLowerCase();
      const spelling = SPELLINGS.get(lower);
      if (spelling === undefined) isUnspelled ||= /[\p{L}\p{N}]/u.test(letter);
      else return lower === letter ? spelling : spelling.charAt(0).toUpperCase() + spelling.slice(1);
      return filler;
    });
  const accepted = spelled.replace(/[^A-Za-z0-9_.-]/g, filler);
  if (!isUnspelled && /[A-Za-z0-9]/.test(accepted)) return accepted;
  const rest = accepted.replace(/[^A-Za-z0-9]+/g, filler).replace(/^[_-]|[_-]$/g, '');
  return `${rest === '' ? 'server' : rest}${filler}${shortDigest(name)}`;
}

/** 40 bits of a digest as 8 letters and digits. */
export function shortDigest(text: string): string {
  let digest = '';
  for (const byte of createHash('sha256').update(text).digest().subarray(0, HASH_LENGTH)) {
    digest += BASE32.charAt(byte & 31);
  }
  return digest;
}

/**
 * The first characters of `name`, `_` and a digest of `full`: the same on every start, and never longer than `longest`,
 * which is at least 16.
 *
 * @param attempt other values give other digests, for the case that the short name is in use
 */
export function hashedName(name: string, full: string, longest: number, attempt = 0): string {
  let head = Math.min(name.length, longest - HASH_LENGTH - 1);
  // A surrogate pair is never split.
  const last = name.charCodeAt(head - 1);
  if (head < name.length && last >= 0xd800 && last <= 0xdbff) head -= 1;
  return `${name.slice(0, head)}_${shortDigest(attempt === 0 ? full : `${full}#${attempt}`)}`;
}
