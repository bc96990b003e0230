/**
 * GET requests of legacy sessions: they open a standalone stream or resume a broken stream (`Last-Event-ID`; MCP 2025-03-26
 * and later, resumability).
 */
import type { ErrorCode } from '../../errors.js';
import { Composer } from '../../protocol/composer.js';
import { EVENT_STREAM_HEAD, KEEP_ALIVE } from '../../protocol/event-frames.js';
import { handOverReply } from '../../request/exchange/handover.js';
import { type Exchange, Phase } from '../../request/exchange/index.js';
import type { Session, SessionTable } from '../sessions.js';
import { type EventId, type LoggedStream, parseEventId } from './event-log.js';
import { type OpenedStream, type StandaloneStreams, writeMessage } from './index.js';

/** How a GET is answered: the write stage. */
export interface StreamAnswers {
  /** The head with the CORS headers for the client's origin. */
  head(exchange: Exchange, head: readonly string[]): readonly string[];
  refuse(exchange: Exchange, code: ErrorCode): void;
  /** Responds with a status and no body. */
  empty(exchange: Exchange, status: number): void;
  /** Counts and releases an exchange whose response is complete. */
  complete(exchange: Exchange): void;
  /** Counts and releases the exchange of a stream that ended without a response. */
  abandon(exchange: Exchange): void;
  readonly large: {
    /** Whether a large response to this call is partially sent: it cannot continue on another connection. */
    writes(exchange: Exchange): boolean;
  };
}

/** What {@link StreamRequests} works with. */
export interface StreamRequestsParts {
  readonly sessions: Pick<SessionTable, 'open'>;
  readonly streams: StandaloneStreams;
  readonly write: StreamAnswers;
  /** Releases the exchange of a GET whose stream has an exchange of its own. */
  readonly table: { release(exchange: Exchange): void };
}

/** Stops an `EventSource` from reconnecting: no event of the stream is left (WHATWG HTML section 9.2.3). */
const NO_CONTENT = 204;

/** See the file comment. The write stage calls it for permitted GETs; one per front. */
export class StreamRequests {
  readonly #parts: StreamRequestsParts;
  readonly #composer = new Composer();

  constructor(parts: StreamRequestsParts) {
    this.#parts = parts;
  }

  /** Answers a GET whose session belongs to its subject. */
  open(exchange: Exchange): void {
    const session = exchange.client.session as Session;
    if (this.#parts.sessions.open(session.id) === null) {
      // The session ended while policy decided about the request.
      this.#parts.write.refuse(exchange, 'GW_SESSION_NOT_FOUND');
    } else if (exchange.client.lastEventId !== '') {
      this.#resume(exchange, session);
    } else {
      this.#openNew(exchange, session);
    }
  }

  #openNew(exchange: Exchange, session: Session): void {
    const { streams, write } = this.#parts;
    this.#opened(exchange, streams.open(session, exchange, write.head(exchange, EVENT_STREAM_HEAD)));
  }

  #opened(from: Exchange, opened: OpenedStream | null): void {
    const { table, write } = this.#parts;
    if (opened === null) {
      write.refuse(from, 'GW_OVERLOADED');
      return;
    }
    table.release(from);
    for (const exchange of opened.ended) write.abandon(exchange);
  }

  #resume(exchange: Exchange, session: Session): void {
    const { streams, write } = this.#parts;
    const id = parseEventId(exchange.client.lastEventId);
    if (id === null) {
      write.refuse(exchange, 'GW_RESUME_UNSUPPORTED');
    } else if (!id.isOwn) {
      // The event is from before a restart, or of another replica: its stream is unknown in this process.
      if (id.isStandalone) this.#openNew(exchange, session);
      else write.refuse(exchange, 'GW_RESUME_GONE');
    } else {
      const stream = streams.log.find(id.stream);
      if (stream === null || stream.sessionId !== session.id || !isKept(stream, id)) {
        write.refuse(exchange, 'GW_RESUME_GONE');
      } else if (stream.isStandalone) this.#resumeStandalone(exchange, session, stream, id.event);
      else this.#resumeCall(exchange, stream, id.event);
    }
  }

  #resumeStandalone(from: Exchange, session: Session, stream: LoggedStream, after: number): void {
    const { streams, write } = this.#parts;
    this.#opened(from, streams.resume(session, from, write.head(from, EVENT_STREAM_HEAD), stream, after));
  }

  #resumeCall(from: Exchange, stream: LoggedStream, after: number): void {
    const { streams, write } = this.#parts;
    const call = callInFlight(stream);
    if (call === null ? !stream.hasEnded : write.large.writes(call)) {
      write.refuse(from, 'GW_RESUME_GONE');
      return;
    }
    if (call === null && after === stream.next - 1) {
      write.empty(from, NO_CONTENT);
      return;
    }
    from.client.status = 200;
    from.client.streaming = true;
    from.client.reply?.openStream(200, write.head(from, EVENT_STREAM_HEAD));
    from.client.reply?.write(KEEP_ALIVE, 0, KEEP_ALIVE.length);
    streams.log.replay(stream, after, (id, message) => writeMessage(this.#composer, from, message, id));
    if (call !== null) {
      // The old connection may be half open; the client has left it.
      call.client.reply?.endStream();
      handOverReply(from, call);
      call.client.quietSince = performance.now();
      call.call.upstream?.resume(call);
    } else {
      from.client.reply?.endStream();
    }
    write.complete(from);
  }
}

function callInFlight({ exchange, generation, hasEnded }: LoggedStream): Exchange | null {
  if (exchange === null || hasEnded || exchange.generation !== generation) return null;
  return exchange.phase === Phase.free || exchange.phase === Phase.done ? null : exchange;
}

/** Whether all events after that one are still in the log. */
function isKept(stream: LoggedStream, { event, isStandalone }: EventId): boolean {
  return stream.isStandalone === isStandalone && event < stream.next && event >= stream.evicted;
}
