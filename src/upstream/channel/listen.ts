import type { Milliseconds } from '../../units.js';
import { BackOff } from '../balance/back-off.js';
import { ControlError, type ControlReply, resultOf } from '../core/control.js';
import { listenParams, NOTHING, namesNothing, readAcknowledged } from '../core/listen-filter.js';
import type { ListenFilter } from '../core/types.js';

/** A listen that lived this long starts over with its pauses. */
const STABLE_MS: Milliseconds = 5_000;
/** A server that ends a listen at once so many times in a row has no use for it. */
const MAX_SHORT_LIVES = 3;

/** What a listen needs of its endpoint. */
export interface ListenCarrier {
  /** Sends `subscriptions/listen`; the reply comes when the listen is over. Null = the channel takes nothing. */
  open(params: object): { id: number; reply: Promise<ControlReply> } | null;
  /** Tells the server that a listen is not wanted any more. */
  cancel(id: number): void;
  /** The listen was down for a while: changes may have been missed. */
  reopened(): void;
}

interface Opening {
  readonly id: number;
  readonly resolve: (filter: ListenFilter) => void;
  readonly reject: (error: ControlError) => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * The one listen of a modern upstream on a shared channel (MCP 2026-07-28, subscriptions/listen): replaced without a gap,
 * and opened again when the server ends it.
 */
export class ChannelListen {
  readonly #carrier: ListenCarrier;
  readonly #ackMs: Milliseconds;
  readonly #backOff = new BackOff();
  /** What is wanted. */
  #filter: ListenFilter = NOTHING;
  /** The acknowledged listen; 0 = none. */
  #current = 0;
  #since: Milliseconds = 0;
  #shortLives = 0;
  #opening: Opening | null = null;
  #timer: NodeJS.Timeout | undefined;

  /** @param ackMs longest wait for an acknowledgement */
  constructor(carrier: ListenCarrier, ackMs: Milliseconds) {
    this.#carrier = carrier;
    this.#ackMs = ackMs;
  }

  /** See `BaseEndpoint.listen`. */
  async open(filter: ListenFilter): Promise<ListenFilter> {
    clearTimeout(this.#timer);
    const before = this.#filter;
    this.#filter = filter;
    if (namesNothing(filter)) {
      this.#abandon();
      this.#switch(0);
      return NOTHING;
    }
    try {
      return await this.#open(filter);
    } catch (error) {
      if (this.#filter === filter) {
        this.#filter = before;
        // The old one ended while this one was being opened.
        if (this.#current === 0 && !namesNothing(before)) this.#later();
      }
      throw error;
    }
  }

  /** `notifications/subscriptions/acknowledged` came. */
  acknowledged(bytes: Uint8Array, length: number): void {
    const opening = this.#opening;
    if (opening === null) return;
    const { id, filter } = readAcknowledged(bytes, length);
    if (id !== opening.id && id !== String(opening.id)) return;
    this.#opening = null;
    clearTimeout(opening.timer);
    this.#switch(opening.id);
    opening.resolve(filter);
  }

  /** The server takes a listen back. @returns whether `id` is that of one */
  cancelled(id: number): boolean {
    return this.#over(id, new ControlError('closed', 'the upstream ended the subscription'));
  }

  /** The channel is over. */
  reset(): void {
    clearTimeout(this.#timer);
    this.#filter = NOTHING;
    this.#current = 0;
    this.#shortLives = 0;
    this.#backOff.reset();
    const opening = this.#opening;
    this.#opening = null;
    if (opening === null) return;
    clearTimeout(opening.timer);
    opening.reject(new ControlError('closed', 'the connection ended'));
  }

  #open(filter: ListenFilter): Promise<ListenFilter> {
    this.#abandon();
    const opened = this.#carrier.open(listenParams(filter));
    if (opened === null) return Promise.reject(new ControlError('closed', 'the upstream takes no input'));
    const { id, reply } = opened;
    const acknowledged = new Promise<ListenFilter>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#carrier.cancel(id);
        this.#over(id, new ControlError('timeout', 'the upstream did not acknowledge the subscription in time'));
      }, this.#ackMs);
      this.#opening = { id, resolve, reject, timer };
    });
    reply.then(
      (answer) => this.#over(id, endOf(answer)),
      // Only the end of the channel fails it otherwise, which is told by `reset`.
      () => {},
    );
    return acknowledged;
  }

  /** A listen that is being opened is not wanted any more. */
  #abandon(): void {
    const opening = this.#opening;
    if (opening === null) return;
    this.#carrier.cancel(opening.id);
    this.#over(opening.id, new ControlError('closed', 'another subscription took its place'));
  }

  #switch(id: number): void {
    const old = this.#current;
    this.#current = id;
    this.#since = performance.now();
    if (old !== 0) this.#carrier.cancel(old);
  }

  #over(id: number, error: ControlError): boolean {
    const opening = this.#opening;
    if (opening !== null && opening.id === id) {
      this.#opening = null;
      clearTimeout(opening.timer);
      opening.reject(error);
      return true;
    }
    if (id === 0 || id !== this.#current) return false;
    this.#current = 0;
    if (performance.now() - this.#since >= STABLE_MS) {
      this.#backOff.reset();
      this.#shortLives = 0;
    } else {
      this.#shortLives += 1;
    }
    if (opening === null && this.#shortLives < MAX_SHORT_LIVES && error.kind !== 'rpc') this.#later();
    return true;
  }

  #later(): void {
    this.#timer = setTimeout(() => {
      this.#open(this.#filter).then(
        () => this.#carrier.reopened(),
        (error: ControlError) => {
          if (error.kind === 'timeout') this.#later();
        },
      );
    }, this.#backOff.next());
  }
}

/** Why a listen that was answered is over. */
function endOf(reply: ControlReply): ControlError {
  try {
    resultOf(reply);
    return new ControlError('closed', 'the upstream ended the subscription');
  } catch (error) {
    return error as ControlError;
  }
}
