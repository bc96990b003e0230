import type { ErrorCode } from '../../../errors.js';
import type { Milliseconds } from '../../../units.js';
import type { Exchange, Peer, Reply, Verb } from '../../exchange/index.js';
import type { RequestHead } from './head.js';
import type { Target } from './paths.js';

/** Whoever has an HTTP request when it is not the exchange's own: a door. Asked at most once for each end. */
export interface CallListener {
  /** The queue towards the client is empty again. */
  drained(): void;
  /** The client is gone before the answer was given away; the call must not be used any more. */
  disconnected(): void;
}

/** One HTTP request on either front end, and the Reply to it. */
export interface HttpCall extends Reply, Peer {
  readonly head: RequestHead;
  exchange: Exchange | null;
  /** Set by the door that has the call; it is told instead of the handler. */
  listener: CallListener | null;
  readonly verb: Verb;
  readonly startedAt: Milliseconds;
  /** Where the request leads when that is not the endpoint. */
  target: Target | null;
  /** Speaks against the request, and is said when the framing of its body is known to be good. */
  refusal: Refusal | null;
}

/** A reason not to serve a request. */
export interface Refusal {
  readonly code: ErrorCode;
  /** What the path takes, for GW_METHOD_NOT_ALLOWED. */
  readonly allow: string | undefined;
}
