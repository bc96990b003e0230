import { ERRORS, type ErrorCode } from '../errors.js';
import { Exchange, type SessionLike } from '../request/exchange/index.js';
import type { WriteStage } from '../request/write/index.js';
import type { ServerRequests } from '../server-requests/index.js';
import type { RightHolder, RightsListener } from '../session/rights.js';
import type { Session, SessionListener, SessionTable } from '../session/sessions.js';
import type { StandaloneStreams } from '../session/streams/index.js';
import type { Subscriptions } from '../subscriptions/index.js';

/** What {@link SessionEnds} works with. */
export interface SessionEndsParts {
  readonly write: WriteStage;
  readonly sessions: SessionTable;
  readonly streams: StandaloneStreams;
  readonly requests: ServerRequests;
  readonly subscriptions: Subscriptions;
  readonly upstreams: {
    /** A legacy session ended: its dedicated children and upstream sessions are stopped. */
    sessionEnded(sessionId: string): void;
  };
}

/**
 * Ends everything that depends on a session, a stream or a right: streams, connections, subscriptions, and server requests
 * to the client. The session table, Rights, the pipeline and Cancellation call it; one per front.
 */
export class SessionEnds implements SessionListener, RightsListener {
  readonly #parts: SessionEndsParts;

  constructor(parts: SessionEndsParts) {
    this.#parts = parts;
    parts.sessions.attach(this);
  }

  /** Ends a session at the request of its client (DELETE). */
  endSession(session: SessionLike): void {
    const { sessions, streams, write } = this.#parts;
    for (const stream of streams.end(session as Session)) write.abandon(stream);
    sessions.end(session);
    this.#notifyEnded(session.id);
  }

  /** The connection that a session belongs to was closed, which ends the session. */
  sessionClosed(sessionId: string): void {
    const session = this.#parts.sessions.open(sessionId);
    if (session !== null) this.endSession(session);
  }

  sessionDropped(session: Session, hasEnded: boolean): void {
    const { streams, subscriptions } = this.#parts;
    for (const stream of hasEnded ? session.streams : []) {
      const { link } = stream.client;
      streams.disconnected(stream);
      this.#endStream(stream, 'GW_SESSION_NOT_FOUND');
      link?.end('GW_SESSION_NOT_FOUND');
    }
    streams.sessionDropped(session);
    if (hasEnded) this.#notifyEnded(session.id);
    else subscriptions.sessionEnded(session.id);
  }

  /** The client of a long-lived stream is disconnected. */
  streamClosed(exchange: Exchange): void {
    const { streams, subscriptions } = this.#parts;
    if (!streams.disconnected(exchange)) subscriptions.disconnected(exchange);
  }

  /** Ends the stream or connection of a holder; calls in flight were permitted and finish. */
  rightEnded(holder: RightHolder, code: ErrorCode): void {
    if (!(holder instanceof Exchange)) {
      holder.end(code);
      return;
    }
    const { streams, subscriptions, write } = this.#parts;
    const { link } = holder.client;
    if (subscriptions.disconnected(holder)) {
      write.fail(holder, code);
    } else {
      // Its events are kept: the client may resume with another token of the same subject.
      streams.disconnected(holder);
      this.#endStream(holder, code);
    }
    link?.end(code);
  }

  /** Ends a listen stream, so that its client opens another one and gets the refusal; of a session only the subscription. */
  resourceForbidden(holder: RightHolder, uri: string, code: ErrorCode): void {
    if (!(holder instanceof Exchange)) return;
    const { subscriptions, write } = this.#parts;
    if (holder.client.session !== null) subscriptions.endResource(holder.client.session.id, uri);
    else if (subscriptions.disconnected(holder)) write.fail(holder, code);
  }

  #notifyEnded(sessionId: string): void {
    const { requests, subscriptions, upstreams } = this.#parts;
    requests.sessionEnded(sessionId);
    subscriptions.sessionEnded(sessionId);
    upstreams.sessionEnded(sessionId);
  }

  /** Ends a stream that is removed from its session already. */
  #endStream(exchange: Exchange, code: ErrorCode): void {
    const { reply } = exchange.client;
    exchange.client.error = code;
    if (exchange.client.link === null) this.#parts.streams.comment(exchange, ERRORS[code].sentence);
    reply?.endStream();
    this.#parts.write.abandon(exchange);
  }
}
