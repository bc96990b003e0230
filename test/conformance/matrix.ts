/** Runs cells against revisions, and runs those once more that were worse than expected. */
import { join } from 'node:path';
import { packageRoot } from '../../src/package-root.js';
import type { TestScope } from '../support/process.js';
import type { Cell } from './cells.js';
import { type Expected, type Matrix, regressions } from './report.js';
import type { Revision, SuiteRun } from './suite.js';

/** Runs at once. Most of a run is waiting: scenarios look at streams for a second or so. */
const AT_ONCE = 2;

/** Runs work whose processes end with it. */
async function within<T>(work: (scope: TestScope) => Promise<T>): Promise<T> {
  const cleanUps: (() => unknown)[] = [];
  try {
    return await work({ after: (cleanUp) => void cleanUps.push(cleanUp) });
  } finally {
    for (const cleanUp of cleanUps.reverse()) await cleanUp();
  }
}

/** Runs each cell for each revision; the matrix has them in the order given. */
export async function runMatrix(
  cells: readonly Cell[],
  revisions: readonly Revision[],
  log: (line: string) => void,
): Promise<Matrix> {
  const matrix = new Map<string, Map<Revision, SuiteRun>>(cells.map(({ name }) => [name, new Map()]));
  // The last one takes longest.
  const waiting = cells.toReversed();
  const worker = async (): Promise<void> => {
    for (let cell = waiting.shift(); cell !== undefined; cell = waiting.shift()) {
      for (const [revision, run] of await runCell(cell, revisions, log)) matrix.get(cell.name)!.set(revision, run);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return matrix;
}

/**
 * Runs once more, one by one, what passed fewer scenarios than expected: some scenarios look at a stream for less than a
 * second, which a busy machine can miss. What is really worse is worse both times.
 *
 * @returns the matrix with the better run of each
 */
export async function runAgain(
  cells: readonly Cell[],
  matrix: Matrix,
  expected: Expected,
  log: (line: string) => void,
): Promise<Matrix> {
  const better = new Map([...matrix].map(([name, row]) => [name, new Map(row)]));
  for (const cell of cells) {
    const row = better.get(cell.name)!;
    const worse = [...row].filter(
      (entry) => regressions(new Map([[cell.name, new Map([entry])]]), expected).length > 0,
    );
    if (worse.length === 0) continue;
    const revisions = worse.map(([revision]) => revision);
    log(`fewer than expected, so once more: ${cell.name}, ${revisions.join(', ')}`);
    for (const [revision, second] of await runCell(cell, revisions, log)) {
      if (second.passed > row.get(revision)!.passed) row.set(revision, second);
    }
  }
  return better;
}

function runCell(
  cell: Cell,
  revisions: readonly Revision[],
  log: (line: string) => void,
): Promise<[Revision, SuiteRun][]> {
  return within(async (scope) => {
    const run = await cell.start(scope);
    const runs: [Revision, SuiteRun][] = [];
    for (const revision of revisions) {
      log(`${cell.name}, ${revision} ...`);
      const folder = `${cell.name.replace(/\W+/g, '-')}-${revision}`;
      runs.push([revision, await run(revision, join(packageRoot, '.cache/conformance-results', folder))]);
    }
    return runs;
  });
}
