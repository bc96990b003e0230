/** The printable form of one text of the configuration, and the secrets that it holds. */
import { isSecretName } from './names.js';
import { merged, type Range, secretRanges } from './shapes.js';

/** Replaces a secret of the file itself. */
export const MASK = '***';

/** A part of an expanded text that came from a variable; `name` as it was written, without its default. */
export interface VariableRun extends Range {
  readonly name: string;
}

/** A value that must not appear anywhere, and its replacement: {@link MASK}, or the name of its variable. */
export interface KnownSecret {
  readonly value: string;
  readonly shown: string;
}

/**
 * The kind of a place of the configuration. `secret`: never shown. `variables`: environment variables by name; their values
 * are never shown, and some are secret. `headers`: by name; all but a few values are credentials. `arguments`: command
 * lines, where names precede their values. `text`: anything else.
 */
export type PlaceKind = 'secret' | 'variables' | 'headers' | 'arguments' | 'text';

/** A text and its place. */
export interface PlacedText {
  readonly text: string;
  readonly runs: readonly VariableRun[];
  readonly kind: PlaceKind;
  /** Its key, '' = none. */
  readonly name: string;
  /** The argument before it, '' = none. */
  readonly before: string;
}

/** The printable form of a text, and the secrets that it holds. */
export interface ShownText {
  readonly shown: string;
  readonly secrets: readonly KnownSecret[];
}

/** Variables are shown by name, secrets of the file itself as {@link MASK}, everything else unchanged. */
export function showText(place: PlacedText): ShownText {
  const { text, runs, kind, name } = place;
  const inside = rangesOf(place);
  const whole = kind === 'variables' ? [{ start: 0, end: text.length }] : inside;
  const secret = kind === 'variables' && isSecretName(name) ? whole : inside;
  return { shown: render(text, runs, whole), secrets: [...fromVariables(text, runs), ...literals(text, runs, secret)] };
}

/** Free text, such as a message, with what looks like a secret masked. */
export function maskShapes(text: string): string {
  return render(text, [], secretRanges(text));
}

function rangesOf({ text, kind, name, before }: PlacedText): Range[] {
  if (kind === 'secret') return text === '' ? [] : [{ start: 0, end: text.length }];
  if (kind === 'headers') return merged([...headerValue(name, text, 0), ...secretRanges(text)]);
  if (kind === 'arguments') return merged([...argumentRanges(text, before), ...secretRanges(text)]);
  return secretRanges(text);
}

/** Headers that hold no credentials. */
const HARMLESS_HEADER = /^(?:accept|content-type|user-agent)/i;
const SCHEME = /^(?:Bearer|Basic|Token|ApiKey|Digest) +/i;

function headerValue(name: string, text: string, from: number): Range[] {
  if (HARMLESS_HEADER.test(name)) return [];
  const start = from + (SCHEME.exec(text.slice(from, from + 64))?.[0].length ?? 0);
  return start < text.length ? [{ start, end: text.length }] : [];
}

/** Options after which `NAME=VALUE` or `NAME: VALUE` follows (docker, curl, mcp-remote). */
const VARIABLE_FLAG = /^(?:-e|--env|--build-arg)$/;
const HEADER_FLAG = /^(?:-H|--headers?)$/;

function argumentRanges(text: string, before: string): Range[] {
  const flag = /^(--?[\w.-]{1,128})=/.exec(text)?.[1];
  if (flag !== undefined) {
    const start = flag.length + 1;
    if (isSecretName(flag)) return [{ start, end: text.length }];
    return pairRanges(text, start, flag);
  }
  const isFlag = text.startsWith('--') || /^-[A-Za-z]$/.test(text);
  if (/^--?[\w.-]{2,128}$/.test(before) && isSecretName(before) && !isFlag) return [{ start: 0, end: text.length }];
  return pairRanges(text, 0, before);
}

/** `NAME=VALUE` and `NAME: VALUE` from `from` on, behind an option. */
function pairRanges(text: string, from: number, option: string): Range[] {
  const [, name, separator] = /^([A-Za-z_][\w.-]{0,127})(=|: ?)/.exec(text.slice(from, from + 140)) ?? [];
  if (name === undefined || separator === undefined) return [];
  const start = from + name.length + separator.length;
  if (separator === '=') {
    const secret = VARIABLE_FLAG.test(option) || isSecretName(name);
    return secret && start < text.length ? [{ start, end: text.length }] : [];
  }
  const isHeader = HEADER_FLAG.test(option) || (separator === ': ' && isSecretName(name));
  return isHeader ? headerValue(name, text, start) : [];
}

function render(text: string, runs: readonly VariableRun[], ranges: readonly Range[]): string {
  let result = '';
  let next = 0;
  const literal = (from: number, to: number): void => {
    for (let at = from; at < to; ) {
      while ((ranges[next]?.end ?? Number.POSITIVE_INFINITY) <= at) next += 1;
      const range = ranges[next];
      const start = range === undefined ? to : Math.min(range.start, to);
      if (start > at) result += text.slice(at, start);
      if (range === undefined || start >= to) return;
      result += MASK;
      at = range.end;
    }
  };
  let at = 0;
  for (const run of runs) {
    literal(at, run.start);
    result += `\${${run.name}}`;
    at = run.end;
  }
  literal(at, text.length);
  return result;
}

function* fromVariables(text: string, runs: readonly VariableRun[]): Generator<KnownSecret> {
  for (const { start, end, name } of runs) {
    const value = text.slice(start, end);
    const shown = `\${${name}}`;
    yield { value, shown };
    // A variable may hold a whole address, parts of which appear in errors and derived addresses.
    for (const range of secretRanges(value)) yield { value: value.slice(range.start, range.end), shown };
    const path = /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*(\/[^?#]*)/i.exec(value)?.[1];
    if (path !== undefined && path.length >= MIN_PATH) yield { value: path, shown };
  }
}

/** Least length of a path that is secret; shorter ones are common: /mcp, /api/mcp. */
const MIN_PATH = 12;

function* literals(text: string, runs: readonly VariableRun[], ranges: readonly Range[]): Generator<KnownSecret> {
  for (const range of ranges) {
    let at = range.start;
    for (const run of [...runs.filter(({ start, end }) => end > range.start && start < range.end), null]) {
      const value = text.slice(at, run === null ? range.end : Math.max(at, run.start));
      if (value !== '') yield { value, shown: MASK };
      if (run !== null) at = Math.max(at, run.end);
    }
  }
}
