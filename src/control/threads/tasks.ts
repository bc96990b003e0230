/** The tasks of the control pool: work that would block the front for too long. Each task is a function of its data. */
import { decoder } from '../../../native/index.js';
import { buffersOf, buildCatalog } from '../../catalog/build.js';
import { compileLists } from '../../catalog/compile-lists.js';
import type { CatalogBuild } from '../../catalog/types.js';
import type { ExplainInput, Explanation } from '../../explain/index.js';
import type { ObservedState } from '../../observe/state.js';
import { buildStats, renderStats } from '../../observe/stats.js';
import { scanResponse } from '../../upstream/core/control.js';
import { type ListPage, type PageSource, readPage } from '../../upstream/core/lists/page.js';
import { checkPassword } from './check-password.js';
import { fetchKeys } from './fetch-keys.js';

/** The tasks by name. */
export const TASKS = {
  compileLists,
  buildCatalog,
  // Loaded by the first question as well: prom-client takes longer than the rest of the thread.
  renderMetrics: async (state: ObservedState): Promise<string> =>
    (await import('../../observe/metrics.js')).renderMetrics(state),
  renderStats,
  buildStats,
  fetchKeys,
  // Loaded by the first question: it has the whole policy, and each thread is started with every gateway.
  explain: async ({ call, snapshot, catalog }: ExplainInput): Promise<Explanation> =>
    (await import('../../explain/index.js')).explain(call, snapshot, catalog),
  checkPassword,
  // Copied, because the bytes arrive as shared memory, which not every API of Node.js accepts.
  readPage: (source: PageSource): ListPage => readPage({ ...source, bytes: new Uint8Array(source.bytes) }),
  scanResponse: (bytes: Uint8Array): Int32Array | null => scanResponse(decoder, bytes)?.words ?? null,
} as const;

/** Name of a task. */
export type TaskName = keyof typeof TASKS;

/** The memory of a result that is transferred instead of copied. */
export function transferables(task: TaskName, result: unknown): ArrayBuffer[] {
  return task === 'buildCatalog' ? buffersOf(result as CatalogBuild) : [];
}
