import { Scrubber } from '../secrets/scrub.js';
import type { KnownSecret } from '../secrets/show.js';
import { hasKey, type Normalised, pathKey, positionAt } from './normalise.js';
import { type ConfigPath, lineOf, type Problems } from './problems.js';
import type { ResolvedConfig } from './schema/index.js';
import type { Position } from './source/index.js';

/**
 * A configuration that passed the schema, with the positions and the secrets of its parts. Made by load.ts, read by the
 * compile step and the command line.
 */
export class LoadedConfig {
  readonly config: ResolvedConfig;
  /** The file as it was named; null for one made by a program. */
  readonly file: string | null;
  /** Relative paths in the configuration start here. */
  readonly folder: string;
  readonly #source: Normalised;
  readonly #scrubber: Scrubber;

  constructor(config: ResolvedConfig, file: string | null, folder: string, source: Normalised) {
    this.config = config;
    this.file = file;
    this.folder = folder;
    this.#source = source;
    this.#scrubber = new Scrubber(source.secrets);
  }

  /** Ignored and renamed keys, one sentence each. */
  get warnings(): readonly string[] {
    return this.#source.warnings.map((warning) => lineOf(this.file, warning));
  }

  /** Values of variables, and other secrets: they appear in no message. */
  get secrets(): readonly KnownSecret[] {
    return this.#source.secrets;
  }

  /** A message without {@link secrets}. */
  mask(text: string): string {
    return this.#scrubber.scrub(text);
  }

  /** The printable form of the text at `path`; null = as it is. */
  shownAt(path: ConfigPath): string | null {
    return this.#source.shown.get(pathKey(path)) ?? null;
  }

  /** The position of the value at `path`, or of the nearest value around it. */
  locate(path: ConfigPath): Position | null {
    return positionAt(this.#source.positions, path);
  }

  /** Whether the configuration gives a value at `path`, as opposed to a default. */
  isWritten(path: ConfigPath): boolean {
    return hasKey(this.#source.value, path);
  }

  /** Adds a problem about the value at `path`, with its position and without secrets. */
  addProblem(problems: Problems, path: ConfigPath, sentence: string): void {
    problems.add(path, this.locate(path), this.mask(sentence));
  }

  /** The whole configuration without secrets: for operators, logs, bug reports. */
  printable(): ResolvedConfig {
    return this.#printable(this.config, []) as ResolvedConfig;
  }

  #printable(value: unknown, path: ConfigPath): unknown {
    if (Array.isArray(value)) return value.map((item, i) => this.#printable(item, [...path, i]));
    if (typeof value !== 'object' || value === null) return this.shownAt(path) ?? value;
    const members = Object.entries(value).map(([key, member]) => [key, this.#printable(member, [...path, key])]);
    return Object.fromEntries(members);
  }
}
