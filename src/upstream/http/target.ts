import type { BufferBudget } from '../../shared/buffer-budget.js';
import type { Bytes, Milliseconds } from '../../units.js';
import type { Background } from '../core/background.js';
import type { EndpointContext } from '../core/endpoint.js';
import type { ReadTurns } from '../core/read-turns.js';

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
  readonly turns: ReadTurns;
  /** Reads large answers to the gateway's own requests. */
  readonly background: Background;
}

/** The target of a configured endpoint. */
export function connectionTarget(
  url: URL,
  connectTimeoutMs: Milliseconds,
  { limits, table, turns, background }: Pick<EndpointContext, 'limits' | 'table' | 'turns' | 'background'>,
): ConnectionTarget {
  const { maxResponseBytes, maxLineBytes, maxHeldBytes } = limits;
  const maxWholeBytes = Math.min(maxLineBytes, maxResponseBytes);
  const { origin, pathname, search } = url;
  const sizes = { maxResponseBytes, maxWholeBytes, maxHeldBytes };
  return { origin, path: pathname + search, connectTimeoutMs, ...sizes, budget: table.budget, turns, background };
}
