import { ConfigError } from '../errors.js';
import { maskShapes } from '../secrets/show.js';
import { type Position, quoteKey } from './source/index.js';

/** Keys and indexes from the root of the configuration, in canonical spelling. */
export type ConfigPath = readonly (string | number)[];

/** A path as shown: `mcpServers.files.args[0]`; unusual names in brackets and quotes. */
export function showPath(path: ConfigPath): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (/^[A-Za-z_][\w-]{0,63}$/.test(part)) text += text === '' ? part : `.${part}`;
    else text += `[${quoteKey(part)}]`;
  }
  return text;
}

/** Something that is left out, or was understood in another way than it is written. */
export interface Warning {
  readonly path: ConfigPath;
  readonly at: Position | null;
  readonly sentence: string;
}

/** `file:line:column: path: sentence`, as far as known; `file` null = made by a program. */
export function lineOf(file: string | null, { path, at, sentence }: Warning): string {
  const where = file === null ? '' : `${file}${at === null ? '' : `:${at.line}:${at.column}`}: `;
  // A token in the place of a key would be in the path, or quoted as an unknown key.
  return `${where}${maskShapes(`${path.length === 0 ? '' : `${showPath(path)}: `}${sentence}`)}`;
}

const MAX_SHOWN = 50;

/** Collects the problems of a configuration, so that all are reported at once. */
export class Problems {
  readonly #file: string | null;
  /** Positions by text: the same sentence about the same place is reported once. */
  readonly #found = new Map<string, Position | null>();

  constructor(file: string | null) {
    this.#file = file;
  }

  get count(): number {
    return this.#found.size;
  }

  /** Whether there are more than will be shown, so that advice about further ones is not needed. */
  get full(): boolean {
    return this.#found.size >= MAX_SHOWN;
  }

  add(path: ConfigPath, at: Position | null, sentence: string): void {
    this.#found.set(lineOf(this.#file, { path, at, sentence }), at);
  }

  /** @throws ConfigError with the problems in the order of the file, if there are any */
  throwIfAny(): void {
    if (this.#found.size === 0) return;
    const order = (at: Position | null): number => (at === null ? 0 : at.line * 65_536 + Math.min(at.column, 65_535));
    const texts = [...this.#found].sort((a, b) => order(a[1]) - order(b[1])).map(([text]) => text);
    const shown = texts.slice(0, MAX_SHOWN);
    if (texts.length > shown.length) shown.push(`and ${texts.length - shown.length} more problems`);
    throw new ConfigError(shown);
  }
}
