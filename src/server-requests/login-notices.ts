import { METHODS, Method } from '../../native/layout.js';
import { Capability } from '../protocol/client-capabilities.js';
import type { Exchange } from '../request/exchange/index.js';
import { loginElicitationId } from '../request/write/login-link.js';
import type { Session, SessionTable } from '../session/sessions.js';
import { deleteFirst } from '../shared/delete-first.js';
import type { Count } from '../units.js';

/** Clients that are remembered; the oldest are evicted first, and get no notice. */
const MAX_CLIENTS: Count = 10_000;

/** What {@link LoginNotices} works with. */
export interface LoginNoticesParts {
  readonly sessions: Pick<SessionTable, 'open'>;
  readonly streams: {
    /** Sends one message on the standalone stream of a session; false = it has none. */
    sendTo(session: Session, message: Uint8Array): boolean;
  };
}

/**
 * Sends `notifications/elicitation/complete` (MCP 2025-11-25, URL elicitation) to the clients that were sent the link of a login,
 * when a user has logged in by it or by the command line. Later revisions have no such notification. The router calls it for
 * links, the upstream pool for logins; one per front.
 */
export class LoginNotices {
  readonly #parts: LoginNoticesParts;
  /** Ids of sessions, by the id of the elicitation and that of the session: many clients get the same link. */
  readonly #sessions = new Map<string, string>();

  constructor(parts: LoginNoticesParts) {
    this.#parts = parts;
  }

  /** A legacy client gets the error with the link; it is remembered if it can show it. */
  linkSent({ client: { session } }: Exchange, url: string): void {
    if (session === null || (session.capabilityMask & Capability.elicitationUrl) === 0) return;
    const key = `${loginElicitationId(url)} ${session.id}`;
    if (!this.#sessions.has(key) && this.#sessions.size >= MAX_CLIENTS) deleteFirst(this.#sessions);
    this.#sessions.set(key, session.id);
  }

  /** A user has logged in: the clients that were sent the link may call again. */
  loggedIn(elicitationId: string): void {
    const params = { elicitationId };
    const message = JSON.stringify({ jsonrpc: '2.0', method: METHODS[Method.elicitationComplete], params });
    for (const [key, sessionId] of this.#sessions) {
      if (!key.startsWith(`${elicitationId} `)) continue;
      this.#sessions.delete(key);
      const session = this.#parts.sessions.open(sessionId);
      if (session !== null) this.#parts.streams.sendTo(session, Buffer.from(message));
    }
  }
}
