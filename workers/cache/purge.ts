import { Method } from '../../native/layout.js';
import type { CachePurge } from '../../src/shared/ring/worker-messages.js';
import type { Key } from './key.js';

/** What a purge drops, of one worker's cache. */
export class PurgeScope {
  readonly #purge: CachePurge;
  /** Names as {@link Key.name} has them, latin1 of their bytes; null = all. */
  readonly names: ReadonlySet<string> | null;

  /** @param names the names that the purge is about, every one that calls may use; null = all */
  constructor(purge: CachePurge, names: readonly string[] | null) {
    this.#purge = purge;
    this.names = names === null ? null : new Set(names.map((name) => Buffer.from(name).toString('latin1')));
  }

  /**
   * Whether an answer with that key is dropped.
   *
   * @param server index of the server that gave the answer; -1 = not known yet, it may be any
   */
  covers(key: Key, server: number): boolean {
    const { server: wanted, kinds, principal } = this.#purge;
    if (server >= 0 && wanted >= 0 && server !== wanted) return false;
    if (!kinds.includes(kindOf(key))) return false;
    if (principal !== null && principal !== key.subject) return false;
    return this.names === null || this.names.has(key.name.toString('latin1'));
  }
}

function kindOf(key: Key): CachePurge['kinds'][number] {
  const method = key.kind >> 1;
  if (method === Method.toolsCall) return 'tools';
  return method === Method.promptsGet ? 'prompts' : 'resources';
}
