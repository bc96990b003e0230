/**
 * Rewrite: the place of transformations of requests and results. There are none yet, and every call passes unchanged. The
 * decider has one rewriter per snapshot and does not let the front remember the verdicts of calls that it concerns.
 */
import type { Snapshot } from '../../src/config/snapshot/index.js';
import type { Finder } from '../find/index.js';

/** Decides which calls are transformed. */
export interface Rewriter {
  /** Whether calls to this target need a decision of the worker each time. Must not allocate. */
  concerns(found: Finder): boolean;
}

/** The rewriter of snapshots without transformations. */
const passThrough: Rewriter = { concerns: () => false };

/** The rewriter of a snapshot. */
export function createRewriter(_snapshot: Snapshot): Rewriter {
  return passThrough;
}
