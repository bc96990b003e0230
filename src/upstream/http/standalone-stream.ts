import { Reopening } from '../balance/reopening.js';
import type { Handshake } from '../core/handshake.js';
import { mayPass } from '../core/http/answer.js';
import { streamHeaders } from '../core/http/heads.js';
import { isGone } from '../core/lost-session.js';
import { EventReader, type EventStreamOwner, type StreamContext, type StreamMessages } from './event-reader.js';
import { retryPause } from './resume.js';
import { pause } from './wire/pause.js';

/** What the end of a session is reported to, its endpoint. */
export interface SessionObserver {
  /** The session is unknown to the upstream. */
  sessionLost(): void;
}

/**
 * The standalone stream of a legacy session (GET; MCP 2025-03-26, Streamable HTTP): kept open, and resumed where the server
 * gives its events ids. A server that offers none gets no further request. One for each session, owned by {@link HttpEvents}.
 */
export class StandaloneStream implements EventStreamOwner {
  readonly #context: StreamContext;
  readonly #messages: StreamMessages;
  readonly #session: SessionObserver;
  readonly #handshake: Handshake;
  readonly #stop = new AbortController();
  readonly #reader: EventReader;
  #wasOpen = false;
  #settle = (): void => {};
  /** Settles when it is open, or the server offers none. */
  readonly settled = new Promise<void>((resolve) => {
    this.#settle = resolve;
  });
  /** Where the current connection continues, '' = nowhere. */
  #from = '';

  constructor(context: StreamContext, messages: StreamMessages, session: SessionObserver, handshake: Handshake) {
    this.#context = context;
    this.#messages = messages;
    this.#session = session;
    this.#handshake = handshake;
    this.#reader = new EventReader(context, messages, this);
  }

  /** Keeps the stream open until {@link end}, or as long as the server offers it. Never fails. */
  async run(): Promise<void> {
    await this.#keepOpen();
    this.#settle();
  }

  async #keepOpen(): Promise<void> {
    const { control, configured } = this.#context;
    const { signal } = this.#stop;
    const reader = this.#reader;
    const reopening = new Reopening();
    while (!signal.aborted) {
      const openedAt = performance.now();
      const headers = streamHeaders(configured, this.#handshake, this.#from);
      const status = await control.stream(null, headers, signal, reader);
      if (signal.aborted) return;
      if (status === 400 && this.#from !== '') {
        // The server does not store those events any more; a new stream may be possible.
        this.#from = '';
        reader.reset();
        continue;
      }
      // Before the stream was open in this session, these only mean that the server offers none.
      if (this.#wasOpen && (status === 400 || isGone(status)) && this.#handshake.sessionId !== '') {
        this.#session.sessionLost();
        return;
      }
      if (status !== 200 && status !== 0 && !(this.#wasOpen && mayPass(status))) return;
      this.#from = reader.lastEventId;
      const isResumable = this.#from !== '';
      if (!reopening.ended(performance.now() - openedAt, status === 200 && !isResumable)) return;
      // A server that closes a resumable stream is polled (MCP 2025-11-25).
      await pause(status === 200 && isResumable ? retryPause(reader.retryMs) : reopening.pause(), signal);
    }
  }

  end(): void {
    this.#stop.abort();
  }

  opened(): void {
    if (this.#wasOpen && this.#from === '') this.#messages.reopened(null);
    this.#wasOpen = true;
    this.#settle();
  }

  /** Legacy servers have no listen. */
  acknowledged(): void {}
}
