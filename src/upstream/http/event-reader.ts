import { type Decoder, Method } from '../../../native/layout.js';
import type { Spans } from '../../../native/spans.js';
import { type SseListener, SseParser } from '../../protocol/sse-parser.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { Milliseconds } from '../../units.js';
import { ReadShare } from '../core/limits/read-turns.js';
import { readAcknowledged } from '../core/listen-filter.js';
import { MessageReader, type MessageReceiver } from '../core/message-reader.js';
import type { ListenFilter } from '../core/types.js';
import type { HttpControl, StreamReader } from './control.js';
import type { HttpJunk } from './junk.js';
import type { ConnectionTarget } from './wire/target.js';

/** What long-lived streams are opened and read with. */
export interface StreamContext {
  readonly control: HttpControl;
  /** Configured headers. */
  readonly configured: Readonly<Record<string, string>>;
  readonly decoder: Decoder;
  readonly target: ConnectionTarget;
  /** Counts what is no message. */
  readonly junk: HttpJunk;
  /** Longest wait for the acknowledgement of a listen. */
  readonly acknowledgeMs: Milliseconds;
}

/** Receives the messages of long-lived streams. */
export interface StreamMessages {
  /** One scanned message; valid only during the call. @param call always null: the stream belongs to no call */
  receive(call: Exchange | null, bytes: Uint8Array, length: number, spans: Spans): void;
  /**
   * The stream was down for a while: changes may have been missed.
   *
   * @param filter what was listened to; null = a standalone stream
   */
  reopened(filter: ListenFilter | null): void;
}

/** The stream whose events are read. */
export interface EventStreamOwner {
  opened(): void;
  /** The server acknowledged a `subscriptions/listen`. */
  acknowledged(filter: ListenFilter): void;
}

/** Reads the messages of a long-lived event stream. Owned by the stream; serves several connections one after the other. */
export class EventReader implements StreamReader, SseListener, MessageReceiver {
  /** The id of the last event that had one, '' = none. */
  lastEventId = '';
  /** The server's `retry`, the pause before a reconnect; -1 = none. */
  retryMs: Milliseconds = -1;
  readonly share: ReadShare;
  readonly #messages: StreamMessages;
  readonly #owner: EventStreamOwner;
  readonly #junk: HttpJunk;
  readonly #messageReader: MessageReader;
  readonly #parser: SseParser;
  #isBufferFull = false;

  constructor({ decoder, target, junk }: StreamContext, messages: StreamMessages, owner: EventStreamOwner) {
    this.#junk = junk;
    this.#messageReader = new MessageReader(decoder, target.maxBatch, this);
    this.#messages = messages;
    this.#owner = owner;
    this.share = new ReadShare(target.turns);
    const evicted = (): void => {
      this.#isBufferFull = true;
      this.#parser.discard();
    };
    const { maxWholeBytes: maxEventBytes, budget } = target;
    this.#parser = new SseParser(this, { maxEventBytes, budget, share: this.share, evicted });
  }

  event(data: Uint8Array, length: number): void {
    if (length > 0) this.#messageReader.read(data, length);
  }

  receiveNotification(bytes: Uint8Array, length: number, spans: Spans): void {
    if (spans.method === Method.acknowledged) this.#owner.acknowledged(readAcknowledged(bytes, length).filter);
    else this.#messages.receive(null, bytes, length, spans);
  }

  receiveRequest(bytes: Uint8Array, length: number, spans: Spans): void {
    this.#messages.receive(null, bytes, length, spans);
  }

  receiveResponse(bytes: Uint8Array, length: number, spans: Spans): void {
    this.#messages.receive(null, bytes, length, spans);
  }

  receiveUnreadable(bytes: Uint8Array, length: number): void {
    this.#junk.skip(bytes, length);
  }

  opened(): void {
    this.#isBufferFull = false;
    this.#parser.reset();
    this.#owner.opened();
  }

  read(chunk: Buffer): number {
    const fits = !this.#isBufferFull && this.#parser.feed(chunk);
    if (this.#parser.lastEventId !== '') this.lastEventId = this.#parser.lastEventId;
    if (this.#parser.retryMs >= 0) this.retryMs = this.#parser.retryMs;
    return fits ? this.#parser.consumed : -1;
  }

  whenReadable(): null {
    return null;
  }

  ended(): void {
    this.#parser.discard();
  }

  /** Forgets the last event: the next stream cannot continue after it. */
  reset(): void {
    this.lastEventId = '';
  }
}
