/** The tree that every file format is read into, with the position of each key and value. */

/** A place in a file, both counted from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** One member of an object. */
export interface SourceEntry {
  readonly key: string;
  readonly at: Position | null;
  readonly value: SourceNode;
}

/** A value and its place; `null` where there is no file. */
export type SourceNode =
  | { readonly kind: 'object'; readonly at: Position | null; readonly entries: readonly SourceEntry[] }
  | { readonly kind: 'array'; readonly at: Position | null; readonly items: readonly SourceNode[] }
  | { readonly kind: 'scalar'; readonly at: Position | null; readonly value: string | number | boolean | null }
  /** Something JSON cannot hold, such as a date of TOML. */
  | { readonly kind: 'other'; readonly at: Position | null; readonly what: string };

/** A syntax error. The sentence never quotes the text: it could be a secret. */
export class SourceError extends Error {
  readonly at: Position | null;

  constructor(at: Position | null, sentence: string) {
    super(sentence);
    this.at = at;
  }
}

/** Deepest nesting that any format may have. */
const MAX_SOURCE_DEPTH = 64;
/** Most values a document may hold after YAML aliases are resolved. */
const MAX_SOURCE_NODES = 500_000;
/** Largest configuration file. */
export const MAX_SOURCE_BYTES = 16 * 1024 * 1024;

/** Counts nodes and depth while a tree is built. */
export class SourceBudget {
  #nodes = 0;

  /** @throws SourceError when the document is too deep or too large. */
  spend(depth: number, at: Position | null): void {
    if (depth > MAX_SOURCE_DEPTH) throw new SourceError(at, `nested deeper than ${MAX_SOURCE_DEPTH} levels`);
    this.#nodes += 1;
    if (this.#nodes > MAX_SOURCE_NODES) {
      throw new SourceError(at, `the document holds more than ${MAX_SOURCE_NODES} values`);
    }
  }
}

/** Line starts of a text, for positions from offsets. */
export class LineIndex {
  readonly #starts: number[] = [0];

  constructor(text: string) {
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) this.#starts.push(at + 1);
  }

  position(offset: number): Position {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: offset - (this.#starts[low] ?? 0) + 1 };
  }
}

/** The fault of a repeated key. */
export function repeatedKey(at: Position | null, key: string): SourceError {
  return new SourceError(at, `the key ${quoteKey(key)} is given twice in one object`);
}

/** A key as shown in messages: bounded, without control characters. */
export function quoteKey(key: string): string {
  const clean = key.replace(/[\p{C}]/gu, '?');
  return `"${clean.length > 64 ? `${clean.slice(0, 61)}...` : clean}"`;
}

/** The tree of a value made by a program; functions and other non-data become `other`. */
export function readValue(value: unknown, budget = new SourceBudget(), depth = 0): SourceNode {
  budget.spend(depth, null);
  if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
    return { kind: 'scalar', at: null, value };
  }
  if (Array.isArray(value)) {
    return { kind: 'array', at: null, items: value.map((item) => readValue(item, budget, depth + 1)) };
  }
  if (typeof value !== 'object') return { kind: 'other', at: null, what: typeof value };
  const prototype = Object.getPrototypeOf(value) as object | null;
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    return { kind: 'other', at: null, what: value.constructor?.name ?? 'object' };
  }
  const entries: SourceEntry[] = [];
  for (const [key, member] of Object.entries(value)) {
    if (member === undefined) continue;
    entries.push({ key, at: null, value: readValue(member, budget, depth + 1) });
  }
  return { kind: 'object', at: null, entries };
}
