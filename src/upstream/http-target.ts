import type { LimitsSnapshot } from '../config/snapshot.js';
import type { BufferBudget } from '../shared/buffer-budget.js';
import type { Bytes, Milliseconds } from '../units.js';

/** How connections reach their origin. */
export interface ConnectionTarget {
  readonly origin: string;
  readonly path: string;
  readonly connectTimeoutMs: Milliseconds;
  /** Largest answer that is passed on in parts. */
  readonly maxResponseBytes: Bytes;
  /** Largest answer, or message of a stream, that is held as a whole. */
  readonly maxWholeBytes: Bytes;
  /** An answer that is larger is offered in parts. */
  readonly maxHeldBytes: Bytes;
  /** Counts what is held. */
  readonly budget: BufferBudget;
}

/** The target of a configured endpoint. */
export function connectionTarget(
  url: URL,
  connectTimeoutMs: Milliseconds,
  limits: LimitsSnapshot,
  budget: BufferBudget,
): ConnectionTarget {
  const { maxResponseBytes, maxLineBytes, maxHeldBytes } = limits;
  const maxWholeBytes = Math.min(maxLineBytes, maxResponseBytes);
  const { origin, pathname, search } = url;
  return { origin, path: pathname + search, connectTimeoutMs, maxResponseBytes, maxWholeBytes, maxHeldBytes, budget };
}
