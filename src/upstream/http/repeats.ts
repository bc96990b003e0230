import type { ErrorCode } from '../../errors.js';
import type { Exchange } from '../../request/exchange/index.js';
import { VerdictFlag } from '../../shared/ring/records.js';
import type { Milliseconds } from '../../units.js';
import { type Credentials, isCredentialStatus } from '../core/credentials.js';
import type { HttpHeads } from '../core/http/heads.js';
import type { HttpCalls } from './calls.js';
import type { HttpConnection } from './connection.js';
import type { RefusedResponse } from './refusals.js';
import { sessionLoss } from './session.js';

/**
 * Shortest time between two sessions that are opened because of refusals that do not name the session. It doubles up to a
 * maximum while no repeated call is answered: refusals of the server mean something else.
 */
const DOUBT_MS: Milliseconds = 10_000;
const MAX_DOUBT_MS: Milliseconds = 60_000;

/** Opens sessions: the endpoint. */
export interface SessionKeeper {
  /** Whether another session is open or being opened in the place of the one with those headers. */
  isReplaced(heads: HttpHeads | null): boolean;
  /** @returns whether another session is or will be open in the place of that one */
  recover(sessionId: string): boolean;
  fail(exchange: Exchange, error: ErrorCode, sent: boolean): void;
}

/** Decides which calls are sent a second time, and which refusals mean that the session is lost. Owned by the endpoint. */
export class CallRepeats {
  readonly #calls: HttpCalls;
  readonly #keeper: SessionKeeper;
  readonly #credentials: Credentials;
  /** Upstream ids of calls in flight that were sent a second time. */
  readonly #ids = new Set<number>();
  /** Upstream ids of calls in flight that were sent a second time with other credentials. */
  readonly #renewed = new Set<number>();
  /** Methods of the gateway's own requests that were refused as if the session was lost, and not served since. */
  readonly #refusedMethods = new Set<string>();
  /** Until then a refusal that does not name the session is taken for what it is. */
  #doubtedUntil: Milliseconds = 0;
  #doubtMs: Milliseconds = DOUBT_MS;

  constructor(calls: HttpCalls, keeper: SessionKeeper, credentials: Credentials) {
    this.#calls = calls;
    this.#keeper = keeper;
    this.#credentials = credentials;
  }

  /**
   * A call was refused with an HTTP status: sends it again where that is safe, and other credentials or another session may
   * help.
   *
   * @returns whether the call is sent again
   */
  retry(connection: HttpConnection, exchange: Exchange, refusal: Omit<RefusedResponse, 'era'>): boolean {
    const { status } = refusal;
    // A challenge is about credentials, whatever else the response says.
    if (connection.challenge !== '' && this.#renew(connection, exchange, status)) return true;
    if (this.repeat(connection, exchange, refusal, false)) return true;
    return connection.challenge === '' && this.#renew(connection, exchange, status);
  }

  /**
   * A response may mean that the upstream does not know the session: has another one opened, and sends the call again unless it
   * may have been executed and is not safe to repeat. The response to a call that was sent a second time is what it says.
   *
   * @param isReading the rest of the response is still read
   * @returns whether the call is sent again
   */
  repeat(
    connection: HttpConnection,
    exchange: Exchange,
    { status, sessionId, body, spans }: Omit<RefusedResponse, 'era'>,
    isReading: boolean,
  ): boolean {
    if (this.#ids.has(connection.upstreamId)) return false;
    const loss = sessionLoss(status, sessionId, body, spans);
    if (loss === 'none') return false;
    if (!this.#keeper.isReplaced(connection.heads)) {
      if (loss === 'perhaps' && !this.#mayDoubt(performance.now())) return false;
      if (!this.#keeper.recover(sessionId)) return false;
    }
    if (exchange.client.events > 0 || (loss === 'perhaps' && !this.mayRepeat(exchange))) return false;
    this.sendAgain(connection, exchange, isReading);
    return true;
  }

  /**
   * The upstream may have refused the credentials of a call, which was not executed then: it is sent once more where others can
   * be had.
   *
   * @returns whether it is
   */
  #renew(connection: HttpConnection, exchange: Exchange, status: number): boolean {
    if (!isCredentialStatus(status)) return false;
    const { upstreamId, credentials, challenge } = connection;
    const canRenew = this.#credentials.refused(credentials, { status, challenge });
    if (!canRenew || this.#renewed.has(upstreamId)) return false;
    this.#renewed.add(upstreamId);
    if (!this.#calls.resend(connection, exchange)) this.#keeper.fail(exchange, 'GW_UPSTREAM_BUSY', false);
    return true;
  }

  /** Sends a call a second time. @param isReading the rest of its response is still read */
  sendAgain(connection: HttpConnection, exchange: Exchange, isReading: boolean): void {
    this.#ids.add(connection.upstreamId);
    const calls = this.#calls;
    const isQueued = isReading ? calls.resendElsewhere(connection, exchange) : calls.resend(connection, exchange);
    if (isReading) connection.drain();
    if (!isQueued) this.#keeper.fail(exchange, 'GW_UPSTREAM_BUSY', false);
  }

  /**
   * Whether a call may be sent again that the server may have executed: it is safe to repeat, was not repeated before, and the
   * client has received no events of it.
   */
  mayRepeat({ client, call, verdict }: Exchange): boolean {
    return client.events === 0 && !this.#ids.has(call.upstreamId) && (verdict.flags & VerdictFlag.safe) !== 0;
  }

  /** A call has a result. Where it was sent a second time, the session was lost indeed. */
  answered(id: number): void {
    if (this.#ids.size === 0 || !this.#ids.has(id)) return;
    this.#doubtedUntil = 0;
    this.#doubtMs = DOUBT_MS;
  }

  /**
   * Whether the refusal of a request of the gateway itself means that the session is lost: not where it was refused in the
   * session before, too.
   */
  isLossOf(method: string): boolean {
    if (this.#refusedMethods.has(method)) return false;
    this.#refusedMethods.add(method);
    return true;
  }

  /** A request of the gateway itself was not refused. */
  served(method: string): void {
    if (this.#refusedMethods.size > 0) this.#refusedMethods.delete(method);
  }

  /** A call has ended. */
  ended(id: number): void {
    if (this.#ids.size > 0) this.#ids.delete(id);
    if (this.#renewed.size > 0) this.#renewed.delete(id);
  }

  #mayDoubt(now: Milliseconds): boolean {
    if (now < this.#doubtedUntil) return false;
    this.#doubtedUntil = now + this.#doubtMs;
    this.#doubtMs = Math.min(this.#doubtMs * 2, MAX_DOUBT_MS);
    return true;
  }
}
