import type { BufferBudget } from '../../../shared/buffer-budget.js';
import type { Bytes, Count, Milliseconds } from '../../../units.js';
import type { Background } from '../../core/background.js';
import type { Credentials } from '../../core/credentials.js';
import type { EndpointContext } from '../../core/endpoint.js';
import { UpstreamLocation } from '../../core/http/location.js';
import type { ReadTurns } from '../../core/limits/read-turns.js';

/** Where the connections of an endpoint lead, and their limits. */
export interface ConnectionTarget {
  readonly location: UpstreamLocation;
  readonly credentials: Credentials;
  readonly connectTimeoutMs: Milliseconds;
  /** Largest response that is passed on in parts. */
  readonly maxResponseBytes: Bytes;
  /** Largest response, or message of a stream, that is held as a whole. */
  readonly maxWholeBytes: Bytes;
  /** A larger response is offered in parts. */
  readonly maxHeldBytes: Bytes;
  /** Counts the bytes that are held. */
  readonly budget: BufferBudget;
  /** Most messages of one batch. */
  readonly maxBatch: Count;
  readonly turns: ReadTurns;
  /** Scans large responses to the gateway's own requests. */
  readonly background: Background;
}

/** The target of a configured endpoint. */
export function connectionTarget(
  url: URL,
  credentials: Credentials,
  connectTimeoutMs: Milliseconds,
  { config, table, turns, background }: Pick<EndpointContext, 'config' | 'table' | 'turns' | 'background'>,
): ConnectionTarget {
  const { maxResponseBytes, maxLineBytes, maxHeldBytes, maxBatch } = config.current.limits;
  const maxWholeBytes = Math.min(maxLineBytes, maxResponseBytes);
  const limits = { maxResponseBytes, maxWholeBytes, maxHeldBytes, maxBatch };
  return {
    location: new UpstreamLocation(url),
    credentials,
    connectTimeoutMs,
    ...limits,
    budget: table.budget,
    turns,
    background,
  };
}
