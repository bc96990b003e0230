import { Era } from '../../protocol/revisions.js';
import type { Exchange } from '../../request/exchange/index.js';
import { cancelledParams, controlMessage } from '../core/control.js';
import type { LateTasks } from '../core/late-tasks.js';
import type { Attribution } from '../messages/attribution.js';
import type { CallStream } from './call-stream.js';
import type { HttpCalls } from './calls.js';
import type { HttpControl } from './control.js';

/** Cancels calls at the server, in the way of its family. Owned by the endpoint. */
export class Withdrawals {
  readonly #calls: HttpCalls;
  readonly #control: HttpControl;
  readonly #attribution: Attribution;
  readonly #lateTasks: LateTasks;

  constructor(calls: HttpCalls, control: HttpControl, attribution: Attribution, lateTasks: LateTasks) {
    this.#calls = calls;
    this.#control = control;
    this.#attribution = attribution;
    this.#lateTasks = lateTasks;
  }

  /** See `BaseEndpoint.withdraw`. @param era of the server */
  withdraw(exchange: Exchange, era: Era, reason: string): void {
    if (this.#calls.remove(exchange)) return;
    const stream = exchange.call.connection as CallStream | null;
    if (stream === null || stream.exchange !== exchange) return;
    // A modern server takes the end of the stream as cancellation, a legacy one needs a notification (MCP, cancellation).
    if (era === Era.legacy && exchange.call.sent) {
      if (this.#lateTasks.expect(exchange.call)) {
        stream.readOn();
        return;
      }
      this.#attribution.cancelled();
      const params = cancelledParams(exchange.call.upstreamId, reason);
      const cancellation = controlMessage(null, 'notifications/cancelled', params, false);
      void this.#control.notify(cancellation, this.#calls.heads.forControl(''));
    }
    stream.abandon();
  }
}
