import { Reopening } from '../balance/reopening.js';
import { ControlError, controlMessage } from '../core/control.js';
import type { Handshake } from '../core/handshake.js';
import { mayPass } from '../core/http/answer.js';
import { HttpHeads } from '../core/http/heads.js';
import { listenParams } from '../core/listen-filter.js';
import type { ListenFilter } from '../core/types.js';
import { EventReader, type EventStreamOwner, type StreamContext, type StreamMessages } from './event-reader.js';
import { pause } from './wire/pause.js';

/**
 * The stream of one `subscriptions/listen` (MCP 2026-07-28), opened again with the same filter when it ends. One for each
 * filter, owned by {@link HttpEvents}.
 */
export class ListenStream implements EventStreamOwner {
  readonly #context: StreamContext;
  readonly #messages: StreamMessages;
  readonly #handshake: Handshake;
  readonly #filter: ListenFilter;
  readonly #stop = new AbortController();
  /** What waits for the first acknowledgement; null once it was received. */
  #opening: { resolve: (filter: ListenFilter) => void; reject: (error: ControlError) => void } | null = null;
  #timer: NodeJS.Timeout | undefined;
  /** On the current connection. */
  #isAcknowledged = false;

  constructor(context: StreamContext, messages: StreamMessages, handshake: Handshake, filter: ListenFilter) {
    this.#context = context;
    this.#messages = messages;
    this.#handshake = handshake;
    this.#filter = filter;
  }

  /** Opens the stream and keeps it open. @returns what was acknowledged @throws ControlError when nothing was */
  open(): Promise<ListenFilter> {
    return new Promise((resolve, reject) => {
      this.#opening = { resolve, reject };
      this.#timer = setTimeout(() => {
        this.#fail(new ControlError('timeout', 'the upstream did not acknowledge the subscription in time'));
        this.#stop.abort();
      }, this.#context.acknowledgeMs);
      void this.#run();
    });
  }

  end(): void {
    this.#fail(new ControlError('closed', 'another subscription took its place'));
    this.#stop.abort();
  }

  opened(): void {
    this.#isAcknowledged = false;
  }

  acknowledged(filter: ListenFilter): void {
    if (this.#isAcknowledged) return;
    this.#isAcknowledged = true;
    if (this.#opening === null) {
      this.#messages.reopened(this.#filter);
      return;
    }
    clearTimeout(this.#timer);
    this.#opening.resolve(filter);
    this.#opening = null;
  }

  #fail(error: ControlError): void {
    clearTimeout(this.#timer);
    this.#opening?.reject(error);
    this.#opening = null;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    const reopening = new Reopening();
    while (!signal.aborted) {
      const openedAt = performance.now();
      const status = await this.#read();
      if (this.#opening !== null) this.#fail(refusalOf(status));
      else if (status === 200 || status === 0 || mayPass(status)) {
        if (!reopening.ended(performance.now() - openedAt, status === 200)) return;
        await pause(reopening.pause(), signal);
        continue;
      }
      return;
    }
  }

  /** @returns the status, see `HttpControl.stream` */
  #read(): Promise<number> {
    const { control, configured } = this.#context;
    const body = controlMessage(control.nextId(), 'subscriptions/listen', listenParams(this.#filter), true);
    const headers = new HttpHeads(configured, this.#handshake).forControl('subscriptions/listen');
    const reader = new EventReader(this.#context, this.#messages, this);
    return control.stream(body, headers, this.#stop.signal, reader);
  }
}

function refusalOf(status: number): ControlError {
  // The upstream may offer it later.
  if (status === 0 || status >= 500) return new ControlError('closed', 'the connection ended');
  if (status === 200)
    return new ControlError('invalid', 'the upstream ended the subscription without acknowledging it');
  return new ControlError('http', `the upstream answered ${status}`, status);
}
