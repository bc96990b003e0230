/**
 * GETs of legacy sessions: a new standalone stream, or one that broke and is resumed (`Last-Event-ID`; MCP 2025-03-26 and
 * later, resumability).
 */
import type { ErrorCode } from '../../errors.js';
import { Composer } from '../../protocol/composer.js';
import { EVENT_STREAM_HEAD, KEEP_ALIVE } from '../../protocol/event-frames.js';
import { handOverReply } from '../../request/exchange/handover.js';
import { type Exchange, Phase } from '../../request/exchange/index.js';
import type { Session, SessionTable } from '../sessions.js';
import { type EventId, type LoggedStream, parseEventId } from './event-log.js';
import { type StandaloneStreams, writeMessage } from './index.js';

/** How a GET is answered: the write stage. */
export interface StreamAnswers {
  /** A head with what the client's origin needs besides. */
  head(exchange: Exchange, head: readonly string[]): readonly string[];
  refuse(exchange: Exchange, code: ErrorCode): void;
  /** Ends with a status and no body. */
  empty(exchange: Exchange, status: number): void;
  /** Everything is written: counts the exchange and gives it back. */
  complete(exchange: Exchange): void;
  /** A stream has ended whose place another one has taken. */
  abandon(exchange: Exchange): void;
  readonly large: {
    /** Part of the answer to this call is on its way in a form that cannot go on on another connection. */
    writes(exchange: Exchange): boolean;
  };
}

/** What {@link StreamRequests} works with. */
export interface StreamRequestsParts {
  readonly sessions: Pick<SessionTable, 'open'>;
  readonly streams: StandaloneStreams;
  readonly write: StreamAnswers;
  /** Takes back the exchange of a request whose stream has one of its own. */
  readonly table: { release(exchange: Exchange): void };
}

/** Tells a client not to come again: nothing is left of the stream (WHATWG HTML section 9.2.3). */
const NO_CONTENT = 204;

/** See the file comment. */
export class StreamRequests {
  readonly #parts: StreamRequestsParts;
  readonly #composer = new Composer();

  constructor(parts: StreamRequestsParts) {
    this.#parts = parts;
  }

  /** Answers a GET; its session is that of its subject. */
  open(exchange: Exchange): void {
    const session = exchange.client.session as Session;
    if (this.#parts.sessions.open(session.id) === null) {
      // It ended while the request was judged.
      this.#parts.write.refuse(exchange, 'GW_SESSION_NOT_FOUND');
    } else if (exchange.client.lastEventId !== '') {
      this.#resume(exchange, session);
    } else {
      this.#openNew(exchange, session);
    }
  }

  #openNew(exchange: Exchange, session: Session): void {
    const { streams, table, write } = this.#parts;
    if (streams.open(session, exchange, write.head(exchange, EVENT_STREAM_HEAD)) !== null) table.release(exchange);
    else this.#refuseStream(exchange, session);
  }

  #refuseStream(exchange: Exchange, session: Session): void {
    const { streams, write } = this.#parts;
    write.refuse(exchange, streams.has(session) ? 'GW_STREAM_CONFLICT' : 'GW_OVERLOADED');
  }

  #resume(exchange: Exchange, session: Session): void {
    const { streams, write } = this.#parts;
    const id = parseEventId(exchange.client.lastEventId);
    if (id === null) {
      write.refuse(exchange, 'GW_RESUME_UNSUPPORTED');
    } else if (!id.isOwn) {
      // Before a restart, or at another replica: what came since is not known here.
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
    const { streams, table, write } = this.#parts;
    const resumed = streams.resume(session, from, write.head(from, EVENT_STREAM_HEAD), stream, after);
    if (resumed === null) {
      this.#refuseStream(from, session);
      return;
    }
    table.release(from);
    if (resumed.ended !== null) write.abandon(resumed.ended);
  }

  #resumeCall(from: Exchange, stream: LoggedStream, after: number): void {
    const { streams, write } = this.#parts;
    const call = callUnderWay(stream);
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
      // The old connection may be half open: the client knows better.
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

function callUnderWay({ exchange, generation, hasEnded: ended }: LoggedStream): Exchange | null {
  if (exchange === null || ended || exchange.generation !== generation) return null;
  return exchange.phase === Phase.free || exchange.phase === Phase.done ? null : exchange;
}

/** Whether everything after that event is still there. */
function isKept(stream: LoggedStream, { event, isStandalone: standalone }: EventId): boolean {
  return stream.isStandalone === standalone && event < stream.next && event >= stream.evicted;
}
