import type { Milliseconds } from '../../units.js';
import { Reopening } from '../balance/reopening.js';
import { ControlError, type ControlReply, resultOf } from '../core/control.js';
import { EMPTY_FILTER, isEmptyFilter, listenParams, readAcknowledged } from '../core/listen-filter.js';
import type { ListenFilter } from '../core/types.js';

/** First pause before a listen is opened again. */
const FIRST_PAUSE_MS: Milliseconds = 100;

/** What carries the listen. */
export interface ListenCarrier {
  /** Sends `subscriptions/listen`; the reply arrives when the listen ends. Null = the channel takes no messages. */
  openListen(params: object): { id: number; reply: Promise<ControlReply> } | null;
  /** Cancels a listen. */
  cancelListen(id: number): void;
}

/** What a listen reports to. */
export interface ListenObserver {
  /** The listen was down for a while: changes may have been missed. */
  reopened(filter: ListenFilter): void;
}

interface Opening {
  readonly id: number;
  readonly resolve: (filter: ListenFilter) => void;
  readonly reject: (error: ControlError) => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * The one listen of a modern upstream on a shared channel (MCP 2026-07-28, subscriptions/listen): replaced without a gap,
 * and opened again when the server ends it. Owned by the endpoint.
 */
export class ChannelListen {
  readonly #carrier: ListenCarrier;
  readonly #observer: ListenObserver;
  readonly #acknowledgeMs: Milliseconds;
  readonly #reopening = new Reopening(FIRST_PAUSE_MS);
  #filter: ListenFilter = EMPTY_FILTER;
  /** The id of the acknowledged listen; 0 = none. */
  #current = 0;
  #since: Milliseconds = 0;
  #opening: Opening | null = null;
  #timer: NodeJS.Timeout | undefined;

  /** @param acknowledgeMs longest wait for an acknowledgement */
  constructor(carrier: ListenCarrier, observer: ListenObserver, acknowledgeMs: Milliseconds) {
    this.#carrier = carrier;
    this.#observer = observer;
    this.#acknowledgeMs = acknowledgeMs;
  }

  /** See `BaseEndpoint.listen`. */
  async open(filter: ListenFilter): Promise<ListenFilter> {
    clearTimeout(this.#timer);
    const before = this.#filter;
    this.#filter = filter;
    if (isEmptyFilter(filter)) {
      this.#abandonOpening();
      this.#replaceCurrent(0);
      return EMPTY_FILTER;
    }
    try {
      return await this.#open(filter);
    } catch (error) {
      if (this.#filter === filter) {
        this.#filter = before;
        // The old one ended while this one was being opened.
        if (this.#current === 0 && !isEmptyFilter(before)) this.#reopenLater();
      }
      throw error;
    }
  }

  /** `notifications/subscriptions/acknowledged` arrived. */
  acknowledged(bytes: Uint8Array, length: number): void {
    const opening = this.#opening;
    if (opening === null) return;
    const { id, filter } = readAcknowledged(bytes, length);
    if (id !== opening.id && id !== String(opening.id)) return;
    this.#opening = null;
    clearTimeout(opening.timer);
    this.#replaceCurrent(opening.id);
    opening.resolve(filter);
  }

  /** The server cancels a request. @returns whether `id` is that of a listen */
  cancelled(id: number): boolean {
    return this.#ended(id, new ControlError('closed', 'the upstream ended the subscription'));
  }

  /** The channel has ended. */
  reset(): void {
    clearTimeout(this.#timer);
    this.#filter = EMPTY_FILTER;
    this.#current = 0;
    this.#reopening.reset();
    const opening = this.#opening;
    this.#opening = null;
    if (opening === null) return;
    clearTimeout(opening.timer);
    opening.reject(new ControlError('closed', 'the connection ended'));
  }

  #open(filter: ListenFilter): Promise<ListenFilter> {
    this.#abandonOpening();
    const opened = this.#carrier.openListen(listenParams(filter));
    if (opened === null) return Promise.reject(new ControlError('closed', 'the upstream takes no input'));
    const { id, reply } = opened;
    const acknowledged = new Promise<ListenFilter>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#carrier.cancelListen(id);
        this.#ended(id, new ControlError('timeout', 'the upstream did not acknowledge the subscription in time'));
      }, this.#acknowledgeMs);
      this.#opening = { id, resolve, reject, timer };
    });
    reply.then(
      (response) => this.#ended(id, reasonOf(response)),
      // It fails when the channel ends, see `reset`, and when it is cancelled here.
      () => {},
    );
    return acknowledged;
  }

  #abandonOpening(): void {
    const opening = this.#opening;
    if (opening === null) return;
    this.#carrier.cancelListen(opening.id);
    this.#ended(opening.id, new ControlError('closed', 'another subscription took its place'));
  }

  #replaceCurrent(id: number): void {
    const old = this.#current;
    this.#current = id;
    this.#since = performance.now();
    if (old !== 0) this.#carrier.cancelListen(old);
  }

  /** @returns whether `id` was that of a listen */
  #ended(id: number, error: ControlError): boolean {
    const opening = this.#opening;
    if (opening !== null && opening.id === id) {
      this.#opening = null;
      clearTimeout(opening.timer);
      opening.reject(error);
      return true;
    }
    if (id === 0 || id !== this.#current) return false;
    this.#current = 0;
    const isWorthwhile = this.#reopening.ended(performance.now() - this.#since, true);
    if (opening === null && isWorthwhile && error.kind !== 'rpc') this.#reopenLater();
    return true;
  }

  #reopenLater(): void {
    this.#timer = setTimeout(() => {
      const filter = this.#filter;
      this.#open(filter).then(
        () => this.#observer.reopened(filter),
        (error: ControlError) => {
          if (error.kind === 'timeout') this.#reopenLater();
        },
      );
    }, this.#reopening.pause());
  }
}

/** Why a listen that was responded to has ended. */
function reasonOf(reply: ControlReply): ControlError {
  try {
    resultOf(reply);
    return new ControlError('closed', 'the upstream ended the subscription');
  } catch (error) {
    return error as ControlError;
  }
}
