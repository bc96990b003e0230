/** Control traffic of an HTTP upstream (handshake, lists, notifications, event streams), apart from the connections of calls. */

import type { Decoder } from '../../../native/layout.js';
import { Spans } from '../../../native/spans.js';
import { HeldBytes } from '../../shared/held-bytes.js';
import type { Bytes, Count, Milliseconds } from '../../units.js';
import { joinShared } from '../core/background.js';
import { ControlError, type ControlReply, copyReply, FIRST_CALL_ID, isResponseTo } from '../core/control.js';
import { withoutCredentials } from '../core/credentials.js';
import { Answer } from '../core/http/answer.js';
import { HttpClient } from '../core/http/client.js';
import { connectionError } from '../core/http/connection-error.js';
import { type EventSink, readEvents } from '../core/http/event-body.js';
import { ReadShare } from '../core/limits/read-turns.js';
import { LARGE_PAGE } from '../core/lists/page.js';
import { MessageReader, type MessageReceiver } from '../core/message-reader.js';
import type { ConnectionTarget } from './wire/target.js';

/** Connections for the gateway's own requests. */
const CONNECTIONS = 4;
/** Long-lived streams: the standalone one or the listen, and its replacement. */
const LONG_LIVED_STREAMS = 2;
/** Longest wait for the delivery of a notification or response; a busy upstream may need long. */
const NOTIFY_MS: Milliseconds = 60_000;
/** Attempts to deliver one when the connection fails; receiving it twice does no harm. */
const NOTIFY_ATTEMPTS = 3;
/** Pause after the first attempt; grows with each. */
const NOTIFY_PAUSE_MS: Milliseconds = 100;

/** Bytes of a body that is no response, kept for the reason. */
const MAX_REFUSAL_TEXT: Bytes = 2_048;

const EVENT_TOO_LARGE = 'an event is larger than limits.maxLineBytes';
const BUFFER_FULL = 'there was no room for the answer (limits.maxBufferedBytes)';

/** Reads an event stream. */
export interface StreamReader {
  /** Bounds what is read of the stream in one turn of the event loop. */
  readonly share: ReadShare;
  /** The stream is open. */
  opened(): void;
  /** @returns the number of bytes read: fewer when the share is spent, -1 when the stream cannot be read any further */
  read(chunk: Buffer): number;
  /** The stream has ended, whatever the reason. */
  ended(): void;
  /** Fulfilled when the next chunk may be read; null = now. */
  whenReadable(): Promise<void> | null;
}

/** Takes what the server asks on the streams of the gateway's own requests. */
export interface RequestReceiver {
  /** One scanned request; valid only during the call. @param call always null: it belongs to no call */
  receive(call: null, bytes: Uint8Array, length: number, spans: Spans): void;
}

/** See the file comment. One for each endpoint, which owns it. */
export class HttpControl {
  readonly #target: ConnectionTarget;
  readonly #decoder: Decoder;
  readonly #maxNotifications: Count;
  readonly #requests: HttpClient;
  /** Apart from requests, which must not wait for streams that stay open. */
  readonly #streams: HttpClient;
  #receiver: RequestReceiver | null = null;
  #notifying: Count = 0;
  #lastId = 0;

  /**
   * @param bounds.maxStreams streams of calls open at once
   * @param bounds.maxNotifications notifications and responses in flight at once; more are dropped
   */
  constructor(target: ConnectionTarget, decoder: Decoder, bounds: { maxStreams: Count; maxNotifications: Count }) {
    this.#target = target;
    this.#decoder = decoder;
    this.#maxNotifications = bounds.maxNotifications;
    const { location, credentials, connectTimeoutMs } = target;
    this.#requests = new HttpClient(location, credentials, { connections: CONNECTIONS, connectTimeoutMs });
    this.#streams = new HttpClient(location, credentials, {
      connections: bounds.maxStreams + LONG_LIVED_STREAMS,
      connectTimeoutMs,
    });
  }

  /** Sets what the requests of the server are passed to, which itself sends by this object. */
  attach(receiver: RequestReceiver): void {
    this.#receiver = receiver;
  }

  /** The id of the gateway's next request. */
  nextId(): number {
    this.#lastId = (this.#lastId % (FIRST_CALL_ID - 1)) + 1;
    return this.#lastId;
  }

  destroy(): void {
    this.#requests.destroy();
    this.#streams.destroy();
  }

  /** Posts a request. @returns its response, from JSON or from an event stream @throws ControlError */
  async post(body: Buffer, id: number, headers: string[], timeoutMs: Milliseconds): Promise<ControlReply> {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), timeoutMs);
    try {
      const answer = await this.#requests.request({ method: 'POST', headers, body, signal: stop.signal });
      const { status, kind } = answer;
      const sessionId = answer.header('mcp-session-id');
      let reply: ControlReply | null;
      let text = '';
      if (kind === Answer.events) {
        reply = await this.#fromStream(answer.body, id, status, sessionId);
        stop.abort();
      } else {
        const bytes = await collect(answer.body, this.#target);
        reply = await this.#find(bytes, id, status, sessionId);
        text = withoutCredentials(bytes.toString('utf8', 0, MAX_REFUSAL_TEXT), this.#target.credentials.current(null));
      }
      if (status === 401 || status === 403)
        throw new ControlError('refused', `the upstream answered ${status}`, status, undefined, text);
      if (reply !== null) return reply;
      if (kind !== Answer.refusal)
        throw new ControlError('invalid', 'the answer is no JSON-RPC response', 0, undefined, text);
      throw new ControlError('http', `the upstream answered ${status}`, status, undefined, text);
    } catch (error) {
      if (error instanceof ControlError) throw error;
      if (stop.signal.aborted) throw new ControlError('timeout', 'the upstream did not answer in time');
      throw connectionError(error);
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Posts a notification, or the response to a request of the upstream. Never fails.
   *
   * @returns the status, 0 when it was not delivered
   */
  async notify(body: Buffer, headers: string[]): Promise<number> {
    if (this.#notifying >= this.#maxNotifications) return 0;
    this.#notifying += 1;
    try {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await this.notifyOnce(body, headers, NOTIFY_MS);
        } catch {
          if (attempt === NOTIFY_ATTEMPTS || this.#requests.isDestroyed) return 0;
          await new Promise((resolve) => setTimeout(resolve, NOTIFY_PAUSE_MS * attempt));
        }
      }
    } finally {
      this.#notifying -= 1;
    }
  }

  /** Like {@link notify}, with one attempt. @returns the status @throws ControlError */
  async notifyOnce(body: Buffer, headers: string[], timeoutMs: Milliseconds): Promise<number> {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), timeoutMs);
    try {
      const answer = await this.#requests.request({ method: 'POST', headers, body, signal: stop.signal });
      answer.discard();
      return answer.status;
    } catch (error) {
      throw error instanceof ControlError ? error : connectionError(error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends a legacy session (Streamable HTTP, session management). Never fails. */
  async endSession(headers: string[], timeoutMs: Milliseconds): Promise<void> {
    try {
      const signal = AbortSignal.timeout(timeoutMs);
      const answer = await this.#requests.request({ method: 'DELETE', headers, body: null, signal });
      answer.discard();
    } catch {
      // The upstream is down or does not support DELETE.
    }
  }

  /**
   * Opens an event stream and reads it until it ends.
   *
   * @param body null = GET
   * @param stop ends it
   * @returns the status; 200 = the stream was open and has ended, 0 = the connection failed or the stream was unreadable
   */
  async stream(body: Buffer | null, headers: string[], stop: AbortSignal, reader: StreamReader): Promise<number> {
    try {
      const method = body === null ? 'GET' : 'POST';
      const answer = await this.#streams.request({ method, headers, body, signal: stop });
      if (answer.kind !== Answer.events) {
        answer.discard();
        return answer.kind === Answer.refusal ? answer.status : 406;
      }
      reader.opened();
      try {
        let isReadable = true;
        const feed = (bytes: Buffer): number => {
          const taken = stop.aborted ? bytes.length : reader.read(bytes);
          isReadable = taken >= 0;
          return taken;
        };
        for await (const chunk of answer.body) {
          await reader.share.read(chunk as Buffer, feed);
          if (!isReadable) return 0;
          const ready = reader.whenReadable();
          if (ready !== null) await ready;
        }
      } finally {
        reader.ended();
      }
      return 200;
    } catch {
      return 0;
    }
  }

  /** The response in a body, null if there is none for this request. Large ones are scanned in another thread. */
  async #find(bytes: Buffer, id: number, status: number, sessionId: string): Promise<ControlReply | null> {
    if (bytes.length > LARGE_PAGE) {
      const words = await this.#target.background.scanResponse(bytes);
      const reply = words === null ? null : { bytes, spans: new Spans(words), status, sessionId };
      return reply !== null && isResponseTo(bytes, reply.spans, id) ? reply : null;
    }
    const found = this.#events(id, status, sessionId);
    found.event(bytes, bytes.length);
    return found.reply;
  }

  #events(id: number, status: number, sessionId: string): ResponseEvents {
    return new ResponseEvents(this.#decoder, this.#target.maxBatch, { id, status, sessionId }, this.#receiver);
  }

  async #fromStream(
    body: AsyncIterable<unknown>,
    id: number,
    status: number,
    sessionId: string,
  ): Promise<ControlReply | null> {
    const { maxWholeBytes: maxEventBytes, budget, turns } = this.#target;
    const events = this.#events(id, status, sessionId);
    const fits = await readEvents(body, events, { maxEventBytes, budget, turns });
    if (events.isBufferFull) throw new ControlError('invalid', BUFFER_FULL);
    if (!fits) throw new ControlError('invalid', EVENT_TOO_LARGE);
    return events.reply;
  }
}

/** Finds the response to a request among the messages of its response body. */
class ResponseEvents implements EventSink, MessageReceiver {
  reply: ControlReply | null = null;
  isBufferFull = false;
  readonly #request: { readonly id: number; readonly status: number; readonly sessionId: string };
  readonly #receiver: RequestReceiver | null;
  readonly #reader: MessageReader;

  constructor(
    decoder: Decoder,
    maxBatch: Count,
    request: { readonly id: number; readonly status: number; readonly sessionId: string },
    receiver: RequestReceiver | null,
  ) {
    this.#request = request;
    this.#receiver = receiver;
    this.#reader = new MessageReader(decoder, maxBatch, this);
  }

  get isDone(): boolean {
    return this.reply !== null || this.isBufferFull;
  }

  event(data: Uint8Array, length: number): void {
    if (!this.isDone) this.#reader.read(data, length);
  }

  receiveResponse(bytes: Uint8Array, length: number, spans: Spans): void {
    const { id, status, sessionId } = this.#request;
    if (this.reply !== null || !isResponseTo(bytes, spans, id)) return;
    this.reply = copyReply(bytes, length, spans, status, sessionId);
  }

  receiveNotification(): void {}

  /** The server may wait for the response before it goes on with its own. */
  receiveRequest(bytes: Uint8Array, length: number, spans: Spans): void {
    this.#receiver?.receive(null, bytes, length, spans);
  }

  receiveUnreadable(): void {}

  evicted(): void {
    this.isBufferFull = true;
  }
}

async function collect(
  body: AsyncIterable<unknown>,
  { maxWholeBytes, budget, turns }: Pick<ConnectionTarget, 'maxWholeBytes' | 'budget' | 'turns'>,
): Promise<Buffer> {
  const share = new ReadShare(turns);
  let isBufferFull = false;
  const held = new HeldBytes(budget, () => {
    isBufferFull = true;
    held.clear();
  });
  try {
    for await (const chunk of body) {
      if (isBufferFull) throw new ControlError('invalid', BUFFER_FULL);
      if (!held.append(chunk as Buffer, maxWholeBytes))
        throw new ControlError('invalid', 'the answer is larger than limits.maxLineBytes');
      await share.read(chunk as Buffer, ({ length }) => length);
    }
    const { bytes, length } = held;
    if (length <= LARGE_PAGE) return bytes.subarray(0, length);
    return Buffer.from((await joinShared([bytes.subarray(0, length)], length)).buffer);
  } finally {
    held.clear();
  }
}
