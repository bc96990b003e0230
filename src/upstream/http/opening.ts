import { Kind, Method } from '../../../native/layout.js';
import type { Spans } from '../../../native/spans.js';
import { ASKABLE } from '../../protocol/client-capabilities.js';
import { Era } from '../../protocol/revisions.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { Count } from '../../units.js';
import { controlMessage } from '../core/control.js';
import type { Handshake } from '../core/handshake.js';
import { HttpHeads } from '../core/http/heads.js';
import { Opening } from '../core/opening.js';
import { type ConnectionProfile, isDedicated, type ListenFilter } from '../core/types.js';
import type { HttpControl } from './control.js';
import type { StreamMessages } from './event-reader.js';
import type { HttpEvents } from './events.js';
import { pause } from './wire/pause.js';

/** The endpoint whose sessions are opened. */
export interface OpenedEndpoint {
  readonly profile: ConnectionProfile;
  readonly callCount: Count;
  /** See `BaseEndpoint`. */
  hasDeclinedOpening: boolean;
}

/**
 * The {@link Opening} of a session that belongs to one client: what the server asks before the first call comes on the
 * standalone stream or on that of a request of the gateway, whose messages pass here. Owned by the endpoint.
 */
export class SessionOpening implements StreamMessages {
  readonly #messages: StreamMessages;
  readonly #control: HttpControl;
  readonly #configured: Readonly<Record<string, string>>;
  readonly #endpoint: OpenedEndpoint;
  /** Null when calls are sent. */
  #current: Opening | null = null;

  /** @param configured configured headers */
  constructor(
    endpoint: OpenedEndpoint,
    messages: StreamMessages,
    control: HttpControl,
    configured: Readonly<Record<string, string>>,
  ) {
    this.#endpoint = endpoint;
    this.#messages = messages;
    this.#control = control;
    this.#configured = configured;
    control.attach(this);
  }

  /** The server may ask its client, and gets no calls yet. */
  get isUnderWay(): boolean {
    return this.#current !== null;
  }

  /**
   * Settles when the server of a new session may get calls; never fails. Null = it may get them now.
   *
   * @param events with the standalone stream of the session, which was started
   */
  settled(handshake: Handshake, events: HttpEvents): Promise<void> | null {
    const { profile } = this.#endpoint;
    const isNeeded = handshake.era === Era.legacy && handshake.sessionId !== '' && isDedicated(profile);
    return isNeeded && (profile.capabilities & ASKABLE) !== 0 ? this.#run(handshake, events) : null;
  }

  /** A response to the server was delivered. */
  answered(): void {
    this.#current?.answered();
  }

  receive(call: Exchange | null, bytes: Uint8Array, length: number, spans: Spans): void {
    if (spans.kind === Kind.request && this.#current !== null) {
      this.#current.asked();
      // Without a session of its own the client is known by its call; this connection was opened for its lists.
      const isForLists = this.#endpoint.profile.owner?.sessionId === '' && this.#endpoint.callCount === 0;
      this.#endpoint.hasDeclinedOpening ||= isForLists && spans.method !== Method.ping;
    }
    this.#messages.receive(call, bytes, length, spans);
  }

  reopened(filter: ListenFilter | null): void {
    this.#messages.reopened(filter);
  }

  async #run(handshake: Handshake, events: HttpEvents): Promise<void> {
    const opening = new Opening();
    this.#current = opening;
    this.#endpoint.hasDeclinedOpening = false;
    await opening.settled(async (timeoutMs) => {
      const stop = new AbortController();
      await Promise.race([events.opened, pause(timeoutMs, stop.signal)]);
      stop.abort();
      const id = this.#control.nextId();
      const headers = new HttpHeads(this.#configured, handshake).forControl('ping');
      await this.#control.post(controlMessage(id, 'ping', null, false), id, headers, timeoutMs);
    });
    if (this.#current === opening) this.#current = null;
  }
}
