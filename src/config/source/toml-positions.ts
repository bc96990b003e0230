/**
 * Where keys and values stand in a TOML text that has been parsed already: a small scanner that follows the grammar
 * just far enough (tables, dotted keys, strings, arrays, inline tables) and checks nothing.
 */
import { LineIndex, type Position } from './index.js';

type Path = readonly (string | number)[];

/** Positions by path; array elements are numbered from 0. */
export interface TomlIndex {
  key(path: Path): Position | undefined;
  value(path: Path): Position | undefined;
}

/** Finds the place of every key and value of a text that smol-toml accepted. */
export function indexToml(text: string): TomlIndex {
  const scanner = new Scanner(text);
  scanner.document();
  return {
    key: (path) => scanner.keys.get(JSON.stringify(path)),
    value: (path) => scanner.values.get(JSON.stringify(path)),
  };
}

class Scanner {
  readonly keys = new Map<string, Position>();
  readonly values = new Map<string, Position>();
  readonly #text: string;
  readonly #lines: LineIndex;
  #at = 0;
  /** Next element of each array of tables. */
  readonly #tableCounts = new Map<string, number>();

  constructor(text: string) {
    this.#text = text;
    this.#lines = new LineIndex(text);
  }

  document(): void {
    let table: Path = [];
    for (;;) {
      this.#skip(true);
      if (this.#at >= this.#text.length) return;
      const before = this.#at;
      if (this.#text[this.#at] === '[') table = this.#header();
      else this.#pair(table);
      if (this.#at === before) return;
    }
  }

  #header(): Path {
    const start = this.#at;
    const array = this.#text.startsWith('[[', this.#at);
    this.#at += array ? 2 : 1;
    const parts = this.#dotted([], true);
    while (this.#text[this.#at] === ']') this.#at += 1;
    const path = this.#throughArrays(parts, array);
    this.#note(this.values, path, start);
    return path;
  }

  /** Puts the number of the newest element after each name that is an array of tables. */
  #throughArrays(parts: readonly string[], array: boolean): Path {
    const path: (string | number)[] = [];
    parts.forEach((part, i) => {
      path.push(part);
      const key = JSON.stringify(path);
      const last = i === parts.length - 1;
      const count = this.#tableCounts.get(key);
      if (last && array) {
        this.#tableCounts.set(key, (count ?? 0) + 1);
        path.push(count ?? 0);
      } else if (count !== undefined) {
        path.push(count - 1);
      }
    });
    return path;
  }

  #pair(table: Path): void {
    const parts = this.#dotted(table, false);
    this.#skip(false);
    if (this.#text[this.#at] !== '=') return;
    this.#at += 1;
    this.#skip(false);
    this.#value([...table, ...parts]);
  }

  /** Reads `a."b c".d` and notes where each part stands below `base`. */
  #dotted(base: Path, header: boolean): string[] {
    const parts: string[] = [];
    for (;;) {
      this.#skip(false);
      const start = this.#at;
      const quote = this.#text[this.#at];
      if (quote === '"' || quote === "'") parts.push(this.#quoted());
      else {
        const bare = /[A-Za-z0-9_-]*/y;
        bare.lastIndex = this.#at;
        const word = bare.exec(this.#text)?.[0] ?? '';
        this.#at += word.length;
        parts.push(word);
      }
      const path = header ? this.#throughKnown(parts) : [...base, ...parts];
      if (!this.keys.has(JSON.stringify(path))) this.#note(this.keys, path, start);
      this.#skip(false);
      if (this.#text[this.#at] !== '.') return parts;
      this.#at += 1;
    }
  }

  #throughKnown(parts: readonly string[]): Path {
    const parents = this.#throughArrays(parts.slice(0, -1), false);
    return [...parents, parts.at(-1) as string];
  }

  #value(path: Path): void {
    this.#note(this.values, path, this.#at);
    const first = this.#text[this.#at];
    if (first === '"' || first === "'") this.#quoted();
    else if (first === '[') this.#array(path);
    else if (first === '{') this.#inlineTable(path);
    else while (this.#at < this.#text.length && !/[\n,\]}#]/.test(this.#text[this.#at] as string)) this.#at += 1;
  }

  #array(path: Path): void {
    this.#at += 1;
    for (let i = 0; ; i += 1) {
      this.#skip(true);
      if (this.#at >= this.#text.length || this.#text[this.#at] === ']') break;
      this.#value([...path, i]);
      this.#skip(true);
      if (this.#text[this.#at] !== ',') break;
      this.#at += 1;
    }
    this.#at += 1;
  }

  #inlineTable(path: Path): void {
    this.#at += 1;
    for (;;) {
      this.#skip(true);
      if (this.#at >= this.#text.length || this.#text[this.#at] === '}') break;
      this.#pair(path);
      this.#skip(true);
      if (this.#text[this.#at] !== ',') break;
      this.#at += 1;
    }
    this.#at += 1;
  }

  /** Passes a string of any of the four kinds; the text within is exact for keys without rare escapes. */
  #quoted(): string {
    const quote = this.#text[this.#at] as string;
    const fence = this.#text.startsWith(quote.repeat(3), this.#at) ? quote.repeat(3) : quote;
    const start = this.#at + fence.length;
    let end = start;
    while (end < this.#text.length && !this.#text.startsWith(fence, end)) {
      end += quote === '"' && this.#text[end] === '\\' ? 2 : 1;
    }
    // Up to two quotes may stand before the closing three (TOML 1.0, multi-line strings).
    if (fence.length === 3) while (this.#text[end + 3] === quote) end += 1;
    this.#at = end + fence.length;
    const raw = this.#text.slice(start, end);
    if (quote === "'" || !raw.includes('\\')) return raw;
    try {
      return JSON.parse(`"${raw}"`) as string;
    } catch {
      return raw;
    }
  }

  #skip(newlines: boolean): void {
    const pattern = newlines ? /(?:[ \t\r\n]|#[^\n]*)*/y : /[ \t]*/y;
    pattern.lastIndex = this.#at;
    this.#at += pattern.exec(this.#text)?.[0].length ?? 0;
  }

  #note(where: Map<string, Position>, path: Path, offset: number): void {
    where.set(JSON.stringify(path), this.#lines.position(offset));
  }
}
