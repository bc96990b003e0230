import type { Exchange } from '../../request/exchange/index.js';
import { VerdictFlag } from '../../shared/records.js';
import type { Milliseconds } from '../../units.js';
import type { RefusedResponse } from './refusals.js';
import { type SessionLoss, sessionLoss } from './session.js';

/** Shortest time between two sessions that are opened because of refusals that do not name the session. */
const DOUBT_MS: Milliseconds = 10_000;

/** Decides which calls are sent a second time, and which refusals mean that the session is lost. Owned by the endpoint. */
export class CallRepeats {
  /** Upstream ids of calls in flight that were sent a second time. */
  readonly #ids = new Set<number>();
  /** Until then a refusal that does not name the session is taken for what it is. */
  #doubtedUntil: Milliseconds = 0;

  /**
   * What a response says about the session of its call. The response to a call that was sent a second time says nothing.
   *
   * @param isReplaced another session is open or being opened in its place
   */
  lossOf({ status, id, sessionId, body, spans }: Omit<RefusedResponse, 'era'>, isReplaced: boolean): SessionLoss {
    if (this.#ids.has(id)) return 'none';
    const loss = sessionLoss(status, sessionId, body, spans);
    if (loss !== 'perhaps' || isReplaced) return loss;
    const now = performance.now();
    if (now < this.#doubtedUntil) return 'none';
    this.#doubtedUntil = now + DOUBT_MS;
    return loss;
  }

  /**
   * Whether a call may be sent again that the server may have executed: it is safe to repeat, was not repeated before, and the
   * client has received no events of it.
   */
  mayRepeat({ client, call, verdict }: Exchange): boolean {
    return client.events === 0 && !this.#ids.has(call.upstreamId) && (verdict.flags & VerdictFlag.safe) !== 0;
  }

  /** A call is sent a second time. */
  repeated(id: number): void {
    this.#ids.add(id);
  }

  /** A call has a response. Where it was sent a second time, the session was lost indeed. */
  answered(id: number): void {
    if (this.#ids.size > 0 && this.#ids.has(id)) this.#doubtedUntil = 0;
  }

  /** A call has ended. */
  ended(id: number): void {
    if (this.#ids.size > 0) this.#ids.delete(id);
  }
}
