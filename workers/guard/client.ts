import type { ClientKey } from '../../src/config/snapshot/index.js';
import type { Principal } from '../authenticate/principal.js';

/** Who sent the request that the guard judges, and where: workers/limited-client.ts. */
export interface LimitedClient {
  readonly principal: Principal;
  /** Position of the view in the snapshot. */
  readonly view: number;
  /** The request, in which {@link findAttribute} has found something. */
  readonly bytes: Uint8Array;
  readonly valueStart: number;
  readonly valueEnd: number;
  /** Finds the value of a request header: `bytes[valueStart, valueEnd)`; false = it was not sent. */
  findAttribute(position: number): boolean;
  /** 128 bits that the client is counted by; valid until the next question. */
  digest(key: ClientKey): Int32Array;
  /** Position in `rateLimits.clients` of the client, -1 = it is not named there. */
  named(): number;
}
