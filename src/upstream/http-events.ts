import { Era } from '../protocol/revisions.js';
import type { Milliseconds } from '../units.js';
import { BackOff } from './back-off.js';
import { controlMessage } from './control.js';
import type { Handshake } from './handshake.js';
import type { HttpControl, StreamMessage } from './http-control.js';
import { HttpHeads, streamHeaders } from './http-heads.js';

/** What an event stream tells its endpoint. */
export interface EventsListener {
  nextId(): number;
  message: StreamMessage;
  /** The stream was down for a while: changes may have been missed. */
  reopened(): void;
  /** The upstream does not know the session of the stream. */
  sessionLost(): void;
}

/** A stream that lived this long starts over with its pauses. */
const STABLE_MS: Milliseconds = 5_000;
/** A server that ends the stream at once so many times in a row has no use for it. */
const MAX_SHORT_LIVES = 3;

/**
 * Keeps the stream open on which an upstream announces changes: `subscriptions/listen` (modern) or GET (legacy).
 * An upstream that offers none is left alone.
 */
export class HttpEvents {
  readonly #control: HttpControl;
  readonly #configured: Readonly<Record<string, string>>;
  readonly #listener: EventsListener;
  readonly #backOff = new BackOff(250);
  #stop: AbortController | null = null;

  constructor(control: HttpControl, configured: Readonly<Record<string, string>>, listener: EventsListener) {
    this.#control = control;
    this.#configured = configured;
    this.#listener = listener;
  }

  start(handshake: Handshake): void {
    this.stop();
    const stop = new AbortController();
    this.#stop = stop;
    if (handshake.era === Era.legacy || announcesChanges(handshake.capabilities))
      void this.#follow(handshake, stop.signal);
  }

  stop(): void {
    this.#stop?.abort();
    this.#stop = null;
  }

  async #follow(handshake: Handshake, stop: AbortSignal): Promise<void> {
    let everOpen = false;
    let shortLives = 0;
    while (!stop.aborted) {
      const began = performance.now();
      const status = await this.#open(handshake, stop, () => {
        if (everOpen) this.#listener.reopened();
        everOpen = true;
      });
      if (stop.aborted) return;
      // Before the stream has been open in this session, it only means that there is none.
      if (everOpen && (status === 404 || status === 400) && handshake.sessionId !== '') {
        this.#listener.sessionLost();
        return;
      }
      // Whatever else it answers, it has no such stream.
      if (status !== 200 && status !== 0) return;
      if (performance.now() - began > STABLE_MS) {
        this.#backOff.reset();
        shortLives = 0;
      } else if (status === 200) {
        shortLives += 1;
        if (shortLives === MAX_SHORT_LIVES) return;
      }
      await pause(this.#backOff.next(), stop);
    }
  }

  /** @returns the status of the answer, 0 when the connection failed */
  async #open(handshake: Handshake, stop: AbortSignal, opened: () => void): Promise<number> {
    const { message } = this.#listener;
    try {
      if (handshake.era === Era.legacy) {
        return await this.#control.stream(null, streamHeaders(this.#configured, handshake, ''), stop, opened, message);
      }
      const notifications = { toolsListChanged: true, promptsListChanged: true, resourcesListChanged: true };
      const body = controlMessage(this.#listener.nextId(), 'subscriptions/listen', { notifications }, true);
      const headers = new HttpHeads(this.#configured, handshake).forControl('subscriptions/listen');
      return await this.#control.stream(body, headers, stop, opened, message);
    } catch {
      return 0;
    }
  }
}

/** Whether a modern server says that its lists can change; without that a subscription would end at once. */
function announcesChanges(capabilities: Record<string, unknown>): boolean {
  return ['tools', 'prompts', 'resources'].some((kind) => {
    const capability = capabilities[kind] as { listChanged?: unknown } | null | undefined;
    return capability?.listChanged === true;
  });
}

function pause(ms: Milliseconds, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      stop.removeEventListener('abort', done);
      resolve();
    }
    stop.addEventListener('abort', done);
  });
}
