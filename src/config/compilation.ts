import type { LoadedConfig } from './load.js';
import { type ConfigPath, Problems } from './problems.js';
import { maskSecrets } from './redact.js';

/** What the steps of a compilation share: the configuration, and where problems go. */
export class Compilation {
  readonly loaded: LoadedConfig;
  readonly problems: Problems;

  constructor(loaded: LoadedConfig) {
    this.loaded = loaded;
    this.problems = new Problems(loaded.file);
  }

  problem(path: ConfigPath, sentence: string): void {
    this.problems.add(path, this.loaded.locate(path), maskSecrets(sentence, this.loaded.secrets));
  }

  /** Whether the file itself gives a value at `path`, as opposed to a default. */
  isWritten(path: ConfigPath): boolean {
    return this.loaded.isWritten(path);
  }
}
