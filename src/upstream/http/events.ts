import type { Decoder } from '../../../native/layout.js';
import { Method, ScanStatus } from '../../../native/layout.js';
import { Spans } from '../../../native/spans.js';
import { Era } from '../../protocol/revisions.js';
import { type SseListener, SseParser } from '../../protocol/sse-parser.js';
import type { Milliseconds } from '../../units.js';
import { BackOff } from '../balance/back-off.js';
import { ControlError, controlMessage, UPSTREAM_DEPTH } from '../core/control.js';
import type { Handshake } from '../core/handshake.js';
import { HttpHeads, streamHeaders } from '../core/http-heads.js';
import { listenParams, NOTHING, namesNothing, readAcknowledged } from '../core/listen-filter.js';
import { ReadShare } from '../core/read-turns.js';
import type { ListenFilter } from '../core/types.js';
import type { HttpControl, StreamReader } from './control.js';
import { pause } from './pause.js';
import { retryPause } from './resume.js';
import type { ConnectionTarget } from './target.js';

/** What an event stream tells its endpoint. */
export interface EventsListener {
  /** One message of a stream that belongs to no call; valid only during the call. */
  message(bytes: Uint8Array, length: number, spans: Spans): void;
  /**
   * The stream was down for a while: changes may have been missed.
   *
   * @param filter what was listened to; null = a standalone stream
   */
  reopened(filter: ListenFilter | null): void;
  /** The upstream does not know the session of the stream. */
  sessionLost(): void;
}

/** What the streams are opened with. */
export interface EventsContext {
  readonly control: HttpControl;
  readonly configured: Readonly<Record<string, string>>;
  readonly decoder: Decoder;
  readonly target: ConnectionTarget;
  /** Longest wait for the acknowledgement of a listen. */
  readonly ackMs: Milliseconds;
}

/** A stream that lived this long starts over with its pauses. */
const STABLE_MS: Milliseconds = 5_000;
/** A server that ends the stream at once so many times in a row has no use for it. */
const MAX_SHORT_LIVES = 3;

/**
 * The streams on which an upstream says what belongs to no call: the standalone stream of a session (GET, legacy), and
 * `subscriptions/listen` (modern). An upstream that offers none is left alone.
 */
export class HttpEvents {
  readonly #context: EventsContext;
  readonly #listener: EventsListener;
  #handshake: Handshake | null = null;
  #stop: AbortController | null = null;
  #listen: Listen | null = null;

  constructor(context: EventsContext, listener: EventsListener) {
    this.#context = context;
    this.#listener = listener;
  }

  /** A session is open, or a modern upstream has been found. */
  start(handshake: Handshake): void {
    this.stop();
    this.#handshake = handshake;
    const stop = new AbortController();
    this.#stop = stop;
    if (handshake.era === Era.legacy) void this.#follow(handshake, stop.signal);
  }

  stop(): void {
    this.#handshake = null;
    this.#stop?.abort();
    this.#stop = null;
    this.#listen?.end();
    this.#listen = null;
  }

  /** See `BaseEndpoint.listen`. */
  async listen(filter: ListenFilter): Promise<ListenFilter> {
    const handshake = this.#handshake;
    if (handshake === null || handshake.era === Era.legacy)
      throw new ControlError('closed', 'the upstream cannot be listened to');
    if (namesNothing(filter)) {
      this.#listen?.end();
      this.#listen = null;
      return NOTHING;
    }
    const next = new Listen(this.#context, this.#listener, handshake, filter);
    const acknowledged = await next.open();
    if (this.#handshake !== handshake) {
      next.end();
      throw new ControlError('closed', 'the connection ended');
    }
    this.#listen?.end();
    this.#listen = next;
    return acknowledged;
  }

  /** Keeps the standalone stream open, and resumes it where the server gives its events ids. */
  async #follow(handshake: Handshake, stop: AbortSignal): Promise<void> {
    const { control, configured } = this.#context;
    const backOff = new BackOff(250);
    const reader = new EventReader(this.#context, this.#listener);
    let everOpen = false;
    let shortLives = 0;
    let lastEventId = '';
    reader.onOpen = () => {
      if (everOpen && lastEventId === '') this.#listener.reopened(null);
      everOpen = true;
    };
    while (!stop.aborted) {
      const began = performance.now();
      const status = await read(control, null, streamHeaders(configured, handshake, lastEventId), stop, reader);
      if (stop.aborted) return;
      if (status === 400 && lastEventId !== '') {
        // Those events are gone; a new stream may be had all the same.
        lastEventId = '';
        reader.reset();
        continue;
      }
      // Before the stream has been open in this session, it only means that there is none.
      if (everOpen && (status === 404 || status === 400) && handshake.sessionId !== '') {
        this.#listener.sessionLost();
        return;
      }
      // Whatever else it answers, it has no such stream.
      if (status !== 200 && status !== 0) return;
      lastEventId = reader.lastEventId;
      if (performance.now() - began > STABLE_MS) {
        backOff.reset();
        shortLives = 0;
      } else if (status === 200 && lastEventId === '') {
        shortLives += 1;
        if (shortLives === MAX_SHORT_LIVES) return;
      }
      // A server that closes a stream which can be resumed is polled in its own time.
      const polled = status === 200 && lastEventId !== '';
      await pause(polled ? retryPause(reader.retryMs) : backOff.next(), stop);
    }
  }
}

/** One `subscriptions/listen`, opened again when it breaks. */
class Listen {
  readonly #context: EventsContext;
  readonly #listener: EventsListener;
  readonly #handshake: Handshake;
  readonly #filter: ListenFilter;
  readonly #stop = new AbortController();

  constructor(context: EventsContext, listener: EventsListener, handshake: Handshake, filter: ListenFilter) {
    this.#context = context;
    this.#listener = listener;
    this.#handshake = handshake;
    this.#filter = filter;
  }

  end(): void {
    this.#stop.abort();
  }

  /** Opens it and keeps it open. @returns what was acknowledged @throws ControlError when it was not */
  open(): Promise<ListenFilter> {
    const { signal } = this.#stop;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new ControlError('timeout', 'the upstream did not acknowledge the subscription in time'));
        this.end();
      }, this.#context.ackMs);
      signal.addEventListener('abort', () => reject(new ControlError('closed', 'another subscription took its place')));
      let isOpen = false;
      const first = this.#attempt((filter) => {
        isOpen = true;
        clearTimeout(timer);
        resolve(filter);
      });
      const began = performance.now();
      void first.then((status) => {
        clearTimeout(timer);
        if (isOpen) void this.#keep(status, performance.now() - began);
        else reject(refusalOf(status));
      });
    });
  }

  async #keep(status: number, lived: Milliseconds): Promise<void> {
    const { signal } = this.#stop;
    const backOff = new BackOff(250);
    let shortLives = 0;
    let last = status;
    let age = lived;
    while (!signal.aborted) {
      if (last !== 200 && last !== 0) return;
      if (age > STABLE_MS) {
        backOff.reset();
        shortLives = 0;
      } else if (last === 200) {
        shortLives += 1;
        if (shortLives === MAX_SHORT_LIVES) return;
      }
      await pause(backOff.next(), signal);
      if (signal.aborted) return;
      const began = performance.now();
      last = await this.#attempt(() => this.#listener.reopened(this.#filter));
      age = performance.now() - began;
    }
  }

  #attempt(acknowledged: (filter: ListenFilter) => void): Promise<number> {
    const { control, configured } = this.#context;
    const id = control.nextId();
    const body = controlMessage(id, 'subscriptions/listen', listenParams(this.#filter), true);
    const headers = new HttpHeads(configured, this.#handshake).forControl('subscriptions/listen');
    const reader = new EventReader(this.#context, this.#listener);
    reader.onAcknowledged = acknowledged;
    return read(control, body, headers, this.#stop.signal, reader);
  }
}

/** Takes the messages out of an event stream. */
class EventReader implements StreamReader {
  onOpen: (() => void) | null = null;
  onAcknowledged: ((filter: ListenFilter) => void) | null = null;
  lastEventId = '';
  retryMs: Milliseconds = -1;
  readonly share: ReadShare;
  readonly #parser: SseParser;

  #crowdedOut = false;

  constructor({ decoder, target }: EventsContext, listener: EventsListener) {
    const spans = new Spans();
    this.share = new ReadShare(target.turns);
    const events: SseListener = {
      event: (data, length, type) => {
        if (length === 0 || (type !== '' && type !== 'message')) return;
        if (decoder.scan(data, length, spans.words, UPSTREAM_DEPTH) !== ScanStatus.ok) return;
        if (spans.method === Method.acknowledged) this.onAcknowledged?.(readAcknowledged(data, length).filter);
        else listener.message(data, length, spans);
      },
    };
    const evicted = (): void => {
      this.#crowdedOut = true;
      this.#parser.letGo();
    };
    const { maxWholeBytes: maxEventBytes, budget } = target;
    this.#parser = new SseParser(events, { maxEventBytes, budget, share: this.share, evicted });
  }

  opened(): void {
    this.#crowdedOut = false;
    this.#parser.reset();
    this.onOpen?.();
  }

  take(chunk: Buffer): number {
    const fits = !this.#crowdedOut && this.#parser.feed(chunk);
    if (this.#parser.lastEventId !== '') this.lastEventId = this.#parser.lastEventId;
    if (this.#parser.retryMs >= 0) this.retryMs = this.#parser.retryMs;
    return fits ? this.#parser.taken : -1;
  }

  ready(): null {
    return null;
  }

  ended(): void {
    this.#parser.letGo();
  }

  reset(): void {
    this.lastEventId = '';
  }
}

/** @returns the status of the answer, 0 when the connection failed or the stream could not be read */
async function read(
  control: HttpControl,
  body: Buffer | null,
  headers: string[],
  stop: AbortSignal,
  reader: StreamReader,
): Promise<number> {
  try {
    return await control.stream(body, headers, stop, reader);
  } catch {
    return 0;
  }
}

function refusalOf(status: number): ControlError {
  // It may be there in a while.
  if (status === 0 || status >= 500) return new ControlError('closed', 'the connection ended');
  if (status === 200) return new ControlError('invalid', 'the upstream ended the subscription without a word');
  return new ControlError('http', `the upstream answered ${status}`, status);
}
