/**
 * Rewrite: changes to requests and results. A rewriter is made once per snapshot and worker; the policy asks it for
 * every call that is about to be forwarded. What it changes travels back in the verdict's payload, and a call that a
 * rewriter wants to see is never remembered, because its verdict depends on more than token, method and name.
 */
import type { Snapshot } from '../../src/config/snapshot.js';
import type { Finder } from '../find/index.js';

/** Decides which calls are rewritten. */
export interface Rewriter {
  /** Whether calls to this target need the worker each time. Must not allocate. */
  concerns(found: Finder): boolean;
}

/** The rewriter for configurations without transformations: bytes pass as they are. */
const passThrough: Rewriter = { concerns: () => false };

/** The rewriter of a snapshot. */
export function createRewriter(_snapshot: Snapshot): Rewriter {
  return passThrough;
}
