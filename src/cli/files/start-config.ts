import { type ConfigOverrides, compileSnapshot } from '../../config/compile/index.js';
import { loadConfigFile, loadConfigObject } from '../../config/load.js';
import type { LoadedConfig } from '../../config/loaded.js';
import type { Snapshot } from '../../config/snapshot/index.js';
import { ConfigError } from '../../errors.js';
import { checkKeyFile } from './key-file.js';
import { checkPrograms } from './programs.js';

/** The configuration of `switchyard start`: a file or the demo, overridden by options. Owns the servers of the demo. */
export class StartConfig {
  readonly #file: string | undefined;
  readonly #overrides: ConfigOverrides;
  #demo: { close(): Promise<void> } | null = null;

  /** @param file undefined = the demo */
  constructor(file: string | undefined, overrides: ConfigOverrides) {
    this.#file = file;
    this.#overrides = overrides;
  }

  get isDemo(): boolean {
    return this.#file === undefined;
  }

  /** Reads the file, or starts the servers of the demo. @throws ConfigError */
  async load(): Promise<LoadedConfig> {
    if (this.#file !== undefined) return loadConfigFile(this.#file);
    // Loaded here: only the demo needs the examples.
    const { startDemoServers } = await import('../../../examples/demo.js');
    const demo = await startDemoServers();
    this.#demo = demo;
    return loadConfigObject(demo.config);
  }

  /** @throws ConfigError */
  async compile(loaded: LoadedConfig): Promise<Snapshot> {
    const snapshot = compileSnapshot(loaded, { overrides: this.#overrides });
    await checkKeyFile(loaded, snapshot);
    checkPrograms(loaded, snapshot);
    return snapshot;
  }

  /** Reads and compiles the file again. @throws ConfigError, also for the demo */
  async reload(): Promise<Snapshot> {
    if (this.isDemo) throw new ConfigError(['the demo has no file to read again']);
    return this.compile(await this.load());
  }

  /** Stops the servers of the demo. */
  async close(): Promise<void> {
    await this.#demo?.close();
  }
}
