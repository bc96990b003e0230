import type { BufferBudget } from '../../shared/buffer-budget.js';
import type { Bytes, Milliseconds } from '../../units.js';
import type { Background } from '../core/background.js';
import type { EndpointContext } from '../core/endpoint.js';
import type { ReadTurns } from '../core/read-turns.js';

/** Where the connections of an endpoint lead, and their limits. */
export interface ConnectionTarget {
  readonly origin: string;
  readonly path: string;
  readonly connectTimeoutMs: Milliseconds;
  /** Largest response that is passed on in parts. */
  readonly maxResponseBytes: Bytes;
  /** Largest response, or message of a stream, that is held as a whole. */
  readonly maxWholeBytes: Bytes;
  /** A larger response is offered in parts. */
  readonly maxHeldBytes: Bytes;
  /** Counts the bytes that are held. */
  readonly budget: BufferBudget;
  readonly turns: ReadTurns;
  /** Scans large responses to the gateway's own requests. */
  readonly background: Background;
}

/** The target of a configured endpoint. */
export function connectionTarget(
  url: URL,
  connectTimeoutMs: Milliseconds,
  { config, table, turns, background }: Pick<EndpointContext, 'config' | 'table' | 'turns' | 'background'>,
): ConnectionTarget {
  const { maxResponseBytes, maxLineBytes, maxHeldBytes } = config.current.limits;
  const maxWholeBytes = Math.min(maxLineBytes, maxResponseBytes);
  const { origin, pathname, search } = url;
  const sizes = { maxResponseBytes, maxWholeBytes, maxHeldBytes };
  return { origin, path: pathname + search, connectTimeoutMs, ...sizes, budget: table.budget, turns, background };
}
