/** The control pool: a small second piscina pool for work that would block the main thread. */
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import type { CompiledList, ListsInput } from '../../catalog/compile-lists.js';
import type { CatalogThreads } from '../../catalog/index.js';
import type { CatalogBuild, CatalogInput } from '../../catalog/types.js';
import type { ExplainInput, Explanation } from '../../explain/index.js';
import type { ObservedState } from '../../observe/state.js';
import type { Stats } from '../../observe/stats.js';
import type { Count } from '../../units.js';
import type { Background } from '../../upstream/core/background.js';
import type { ListPage, PageSource } from '../../upstream/core/lists/page.js';
import type { PasswordCheck, PasswordChecker } from './check-password.js';
import type { KeyLoader } from './fetch-keys.js';
import type { TASKS, TaskName } from './tasks.js';

/** Queued tasks; more are refused with an error. */
const MAX_QUEUE: Count = 64;

/**
 * Runs the tasks of src/control/threads/tasks.ts; a thread ends after 30 s without work. Two threads, so that the lists of a
 * large server do not delay other lists, keys and statistics. One per gateway.
 */
export class ControlPool implements CatalogThreads, Background, KeyLoader, PasswordChecker {
  readonly #piscina = newPool(2, MAX_QUEUE);
  /** For passwords alone: guessing must not hold up lists, keys and statistics. Made when the first one is checked. */
  #passwords: Piscina | null = null;

  compileLists(input: ListsInput): Promise<CompiledList[]> {
    return this.#run('compileLists', input);
  }

  buildCatalog(input: CatalogInput): Promise<CatalogBuild> {
    return this.#run('buildCatalog', input);
  }

  fetchKeys(url: string): Promise<string> {
    return this.#run('fetchKeys', url);
  }

  checkPassword(check: PasswordCheck): Promise<boolean> {
    // Who asks bounds what waits (`auth.maxWaiting`).
    this.#passwords ??= newPool(1, Number.POSITIVE_INFINITY);
    return this.#passwords.run({ task: 'checkPassword', data: check });
  }

  scanResponse(bytes: Uint8Array): Promise<Int32Array | null> {
    return this.#run('scanResponse', bytes);
  }

  readPage(source: PageSource): Promise<ListPage> {
    return this.#run('readPage', source);
  }

  buildStats(state: ObservedState): Promise<Stats> {
    return this.#run('buildStats', state);
  }

  renderStats(state: ObservedState): Promise<string> {
    return this.#run('renderStats', state);
  }

  explain(input: ExplainInput): Promise<Explanation> {
    return this.#run('explain', input);
  }

  renderMetrics(state: ObservedState): Promise<string> {
    return this.#run('renderMetrics', state);
  }

  /** @throws the error of the task; an Error when the queue is full, or when the thread dies */
  #run<Name extends TaskName>(
    task: Name,
    data: Parameters<(typeof TASKS)[Name]>[0],
  ): Promise<Awaited<ReturnType<(typeof TASKS)[Name]>>> {
    return this.#piscina.run({ task, data });
  }

  /** Ends the threads; queued tasks fail. */
  async close(): Promise<void> {
    await Promise.all([this.#piscina.destroy(), this.#passwords?.destroy()]);
  }
}

function newPool(maxThreads: Count, maxQueue: Count): Piscina {
  return new Piscina({
    filename: fileURLToPath(new URL('./entry.cjs', import.meta.url)),
    minThreads: 0,
    maxThreads,
    maxQueue,
    idleTimeout: 30_000,
    concurrentTasksPerWorker: 1,
    atomics: 'disabled',
    recordTiming: false,
    workerHistogram: false,
    resourceLimits: { maxOldGenerationSizeMb: 512 },
  });
}
