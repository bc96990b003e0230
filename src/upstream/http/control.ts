/** Control traffic of an HTTP upstream: handshake, lists, notifications, event streams. Apart from the connections of calls. */

import { Pool } from 'undici';
import { type Decoder, Kind, ScanStatus } from '../../../native/layout.js';
import { Spans } from '../../../native/spans.js';
import { type SseListener, SseParser } from '../../protocol/sse-parser.js';
import { HeldBytes } from '../../shared/held-bytes.js';
import type { Count, Milliseconds } from '../../units.js';
import { joinShared } from '../core/background.js';
import { connectionError } from '../core/connection-error.js';
import {
  ControlError,
  type ControlReply,
  FIRST_CALL_ID,
  keepReply,
  parseId,
  scanResponse,
  UPSTREAM_DEPTH,
} from '../core/control.js';
import { LARGE_PAGE } from '../core/list-page.js';
import { ReadShare, type ReadTurns } from '../core/read-turns.js';
import { PROBE_AFTER_MS } from './socket.js';
import type { ConnectionTarget } from './target.js';

/** Connections for requests of the gateway's own. */
const CONNECTIONS = 4;
/** Streams beside those of calls: the standalone one or the listen, and the one that takes its place. */
const OWN_STREAMS = 2;
/** Longest wait for a notification or an answer to arrive: a busy upstream may take its time, but somebody waits for it. */
const NOTE_MS: Milliseconds = 60_000;
/** Times that one is sent when the connection fails. To have it twice does the upstream no harm. */
const NOTE_ATTEMPTS = 3;
/** Between them. */
const NOTE_PAUSE_MS: Milliseconds = 100;

const EVENT_TOO_LARGE = 'an event is larger than limits.maxLineBytes';
const CROWDED_OUT = 'there was no room for the answer (limits.maxBufferedBytes)';

/** Reads an event stream. */
export interface StreamReader {
  /** What may be read of the stream in one turn of the event loop. */
  readonly share: ReadShare;
  /** The stream is open. */
  opened(): void;
  /** @returns the bytes taken: fewer when the share is spent, -1 when the stream cannot be read any further */
  take(chunk: Buffer): number;
  /** The stream has ended, whatever the reason. */
  ended(): void;
  /** Fulfilled when the next chunk may come; null = now. */
  ready(): Promise<void> | null;
}

/** See the file comment. */
export class HttpControl {
  readonly #target: ConnectionTarget;
  readonly #decoder: Decoder;
  readonly #maxNotes: Count;
  readonly #pool: Pool;
  /** Streams stay open: they must not keep requests waiting. */
  readonly #streams: Pool;
  #notes = 0;
  #lastId = 0;

  /**
   * @param bounds.maxStreams streams of calls open at once
   * @param bounds.maxNotes notifications and answers on their way at once; more are dropped
   */
  constructor(target: ConnectionTarget, decoder: Decoder, bounds: { maxStreams: Count; maxNotes: Count }) {
    this.#target = target;
    this.#decoder = decoder;
    this.#maxNotes = bounds.maxNotes;
    const options = {
      pipelining: 1,
      connect: { timeout: target.connectTimeoutMs, keepAlive: true, keepAliveInitialDelay: PROBE_AFTER_MS },
      headersTimeout: 0,
      bodyTimeout: 0,
    };
    this.#pool = new Pool(target.origin, { ...options, connections: CONNECTIONS });
    this.#streams = new Pool(target.origin, { ...options, connections: bounds.maxStreams + OWN_STREAMS });
  }

  /** Divides the event loop among what upstreams send. */
  get turns(): ReadTurns {
    return this.#target.turns;
  }

  /** An id for a request of the gateway's own. */
  nextId(): number {
    this.#lastId = (this.#lastId % (FIRST_CALL_ID - 1)) + 1;
    return this.#lastId;
  }

  async destroy(): Promise<void> {
    await Promise.all([this.#pool.destroy(), this.#streams.destroy()]);
  }

  /** Posts a request and gives its response, from JSON or from an event stream. @throws ControlError */
  async post(body: Buffer, id: number, headers: string[], timeoutMs: Milliseconds): Promise<ControlReply> {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), timeoutMs);
    try {
      const answer = await this.#pool.request({
        path: this.#target.path,
        method: 'POST',
        headers,
        body,
        signal: stop.signal,
      });
      const { statusCode: status } = answer;
      const sessionId = single(answer.headers['mcp-session-id']);
      const type = single(answer.headers['content-type']).toLowerCase();
      let reply: ControlReply | null = null;
      if (type.startsWith('text/event-stream')) {
        reply = await this.#fromStream(answer.body, id, status, sessionId);
        stop.abort();
      } else {
        const bytes = await collect(answer.body, this.#target);
        const spans = type.startsWith('application/json') ? await this.#scan(bytes) : null;
        if (spans !== null) reply = { bytes, spans, status, sessionId };
      }
      if (status === 401 || status === 403)
        throw new ControlError('refused', `the upstream answered ${status}`, status);
      if (reply !== null && (isFor(reply, id) || status !== 200)) return reply;
      if (status >= 200 && status < 300) throw new ControlError('invalid', 'the answer is no JSON-RPC response');
      throw new ControlError('http', `the upstream answered ${status}`, status);
    } catch (error) {
      if (error instanceof ControlError) throw error;
      if (stop.signal.aborted) throw new ControlError('timeout', 'the upstream did not answer in time');
      throw connectionError(error);
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Posts a notification or an answer to a request of the upstream. Nobody waits for the outcome.
   *
   * @param answered the status that came back; not called when the connection failed
   */
  note(body: Buffer, headers: string[], answered?: (status: number) => void): void {
    if (this.#notes >= this.#maxNotes) return;
    this.#notes += 1;
    void this.#noteAgain(body, headers)
      .then((status) => answered?.(status))
      .catch(() => {})
      .finally(() => {
        this.#notes -= 1;
      });
  }

  async #noteAgain(body: Buffer, headers: string[]): Promise<number> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.noteAndWait(body, headers, NOTE_MS);
      } catch (error) {
        if (attempt === NOTE_ATTEMPTS || this.#pool.destroyed) throw error;
        await new Promise((resolve) => setTimeout(resolve, NOTE_PAUSE_MS * attempt));
      }
    }
  }

  /** Like {@link note}, once; settles when it was answered, with the status. @throws ControlError */
  async noteAndWait(body: Buffer, headers: string[], timeoutMs: Milliseconds): Promise<number> {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), timeoutMs);
    try {
      const answer = await this.#pool.request({
        path: this.#target.path,
        method: 'POST',
        headers,
        body,
        signal: stop.signal,
      });
      await answer.body.dump();
      return answer.statusCode;
    } catch (error) {
      throw connectionError(error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends a legacy session (Streamable HTTP, session management). Whether that works does not matter any more. */
  async endSession(headers: string[], timeoutMs: Milliseconds): Promise<void> {
    try {
      const signal = AbortSignal.timeout(timeoutMs);
      const answer = await this.#pool.request({ path: this.#target.path, method: 'DELETE', headers, signal });
      await answer.body.dump();
    } catch {
      // The upstream is gone, or knows no DELETE.
    }
  }

  /**
   * Opens an event stream and reads it until it ends.
   *
   * @param body null = GET
   * @param stop ends it
   * @returns the status; 200 = the stream was open and has ended
   * @throws ControlError when the connection fails or the stream cannot be read
   */
  async stream(body: Buffer | null, headers: string[], stop: AbortSignal, reader: StreamReader): Promise<number> {
    try {
      const answer = await this.#streams.request({
        path: this.#target.path,
        method: body === null ? 'GET' : 'POST',
        headers,
        body,
        signal: stop,
      });
      const type = single(answer.headers['content-type']).toLowerCase();
      if (answer.statusCode !== 200 || !type.startsWith('text/event-stream')) {
        await answer.body.dump();
        return answer.statusCode === 200 ? 406 : answer.statusCode;
      }
      reader.opened();
      try {
        let isReadable = true;
        const feed = (bytes: Buffer): number => {
          const taken = stop.aborted ? bytes.length : reader.take(bytes);
          isReadable = taken >= 0;
          return taken;
        };
        for await (const chunk of answer.body) {
          await reader.share.read(chunk as Buffer, feed);
          if (!isReadable) throw new ControlError('invalid', EVENT_TOO_LARGE);
          const ready = reader.ready();
          if (ready !== null) await ready;
        }
      } finally {
        reader.ended();
      }
      return 200;
    } catch (error) {
      throw error instanceof ControlError ? error : connectionError(error);
    }
  }

  #scan(bytes: Buffer): Promise<Spans | null> | Spans | null {
    if (bytes.length > LARGE_PAGE)
      return this.#target.background.scanResponse(bytes).then((words) => (words === null ? null : new Spans(words)));
    return scanResponse(this.#decoder, bytes);
  }

  async #fromStream(
    body: AsyncIterable<unknown>,
    id: number,
    status: number,
    sessionId: string,
  ): Promise<ControlReply | null> {
    const spans = new Spans();
    let reply: ControlReply | null = null;
    let isCrowdedOut = false;
    const { maxWholeBytes, budget, turns } = this.#target;
    const share = new ReadShare(turns);
    const events: SseListener = {
      event: (data, length) => {
        if (reply !== null || length === 0) return;
        if (this.#decoder.scan(data, length, spans.words, UPSTREAM_DEPTH) !== ScanStatus.ok) return;
        if (spans.kind !== Kind.response || idOf(data, spans) !== id) return;
        reply = keepReply(data, length, spans, status, sessionId);
      },
    };
    const evicted = (): void => {
      isCrowdedOut = true;
      parser.letGo();
    };
    const parser = new SseParser(events, { maxEventBytes: maxWholeBytes, budget, share, evicted });
    let fits = true;
    const feed = (bytes: Buffer): number => {
      fits = parser.feed(bytes);
      return fits && reply === null ? parser.taken : -1;
    };
    try {
      for await (const chunk of body) {
        if (isCrowdedOut) throw new ControlError('invalid', CROWDED_OUT);
        await share.read(chunk as Buffer, feed);
        if (!fits) throw new ControlError('invalid', EVENT_TOO_LARGE);
        if (reply !== null) break;
      }
    } finally {
      parser.letGo();
    }
    return reply;
  }
}

function idOf(bytes: Uint8Array, spans: Spans): number {
  return parseId(bytes, spans.idStart, spans.idEnd);
}

function isFor(reply: ControlReply, id: number): boolean {
  return idOf(reply.bytes, reply.spans) === id;
}

async function collect(
  body: AsyncIterable<unknown>,
  { maxWholeBytes, budget, turns }: Pick<ConnectionTarget, 'maxWholeBytes' | 'budget' | 'turns'>,
): Promise<Buffer> {
  const share = new ReadShare(turns);
  let isCrowdedOut = false;
  const held = new HeldBytes(budget, () => {
    isCrowdedOut = true;
    held.clear();
  });
  try {
    for await (const chunk of body) {
      if (isCrowdedOut) throw new ControlError('invalid', CROWDED_OUT);
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

function single(value: string | string[] | undefined): string {
  return (Array.isArray(value) ? value[0] : value) ?? '';
}
