import { Era } from '../../protocol/revisions.js';
import { ControlError } from '../core/control.js';
import type { Handshake } from '../core/handshake.js';
import { EMPTY_FILTER, isEmptyFilter } from '../core/listen-filter.js';
import type { ListenFilter } from '../core/types.js';
import type { StreamContext, StreamMessages } from './event-reader.js';
import { ListenStream } from './listen-stream.js';
import { type SessionObserver, StandaloneStream } from './standalone-stream.js';

/**
 * The long-lived streams of an endpoint, which belong to no call: the standalone stream of a legacy session, and
 * `subscriptions/listen` at a modern upstream. Owned by the endpoint.
 */
export class HttpEvents {
  readonly #context: StreamContext;
  readonly #messages: StreamMessages;
  readonly #session: SessionObserver;
  #handshake: Handshake | null = null;
  #standalone: StandaloneStream | null = null;
  #listen: ListenStream | null = null;

  constructor(context: StreamContext, messages: StreamMessages, session: SessionObserver) {
    this.#context = context;
    this.#messages = messages;
    this.#session = session;
  }

  /** The handshake is complete. */
  start(handshake: Handshake): void {
    this.stop();
    this.#handshake = handshake;
    if (handshake.era !== Era.legacy) return;
    this.#standalone = new StandaloneStream(this.#context, this.#messages, this.#session, handshake);
    void this.#standalone.run();
  }

  /** Settles when the standalone stream is open, or the server offers none. */
  get opened(): Promise<void> {
    return this.#standalone?.settled ?? Promise.resolve();
  }

  stop(): void {
    this.#handshake = null;
    this.#standalone?.end();
    this.#standalone = null;
    this.#listen?.end();
    this.#listen = null;
  }

  /** See `BaseEndpoint.listen`. */
  async listen(filter: ListenFilter): Promise<ListenFilter> {
    const handshake = this.#handshake;
    if (handshake === null || handshake.era === Era.legacy)
      throw new ControlError('closed', 'the upstream cannot be listened to');
    if (isEmptyFilter(filter)) {
      this.#listen?.end();
      this.#listen = null;
      return EMPTY_FILTER;
    }
    const next = new ListenStream(this.#context, this.#messages, handshake, filter);
    const acknowledged = await next.open();
    if (this.#handshake !== handshake) {
      next.end();
      throw new ControlError('closed', 'the connection ended');
    }
    this.#listen?.end();
    this.#listen = next;
    return acknowledged;
  }
}
