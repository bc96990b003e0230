import type { KnownSecret } from '../../secrets/show.js';
import type { LoadedConfig } from '../loaded.js';
import { type ConfigPath, Problems } from '../problems.js';

/** Shared by the steps of one compilation: the configuration, its problems and its secrets. */
export class Compilation {
  readonly loaded: LoadedConfig;
  readonly problems: Problems;
  /** Those of the file, and those that the steps derive or read from other files. */
  readonly secrets: KnownSecret[];

  constructor(loaded: LoadedConfig) {
    this.loaded = loaded;
    this.secrets = [...loaded.secrets];
    this.problems = new Problems(loaded.file);
  }

  problem(path: ConfigPath, sentence: string): void {
    this.loaded.addProblem(this.problems, path, sentence);
  }

  /** Whether the file itself gives a value at `path`, as opposed to a default. */
  isWritten(path: ConfigPath): boolean {
    return this.loaded.isWritten(path);
  }
}
