/** A client comes back for a stream that broke: GET with `Last-Event-ID` (MCP 2025-03-26 and later, resumability). */
import type { ErrorCode } from '../../errors.js';
import { Composer } from '../../protocol/composer.js';
import { KEEP_ALIVE } from '../../protocol/event-frames.js';
import { handOverReply } from '../../request/exchange/handover.js';
import { type Exchange, Phase } from '../../request/exchange/index.js';
import type { Session } from '../sessions.js';
import { type EventId, type LoggedStream, parseEventId } from './event-log.js';
import { type StandaloneStreams, writeMessage } from './index.js';

/** What {@link Resumption} needs of the rest. */
export interface ResumptionOptions {
  readonly streams: StandaloneStreams;
  /** Head of an event stream for that client. */
  head(exchange: Exchange): readonly string[];
  /** Opens a new standalone stream. */
  openNew(exchange: Exchange): void;
  /** Part of an answer of this call is on its way in a form that cannot be taken up by another connection. */
  isTorn(exchange: Exchange): boolean;
  refuse(exchange: Exchange, code: ErrorCode): void;
  /** Ends with a status and no body. */
  empty(exchange: Exchange, status: number): void;
  /** Everything is written: counts the exchange and gives it back. */
  complete(exchange: Exchange): void;
  /** Gives an exchange back uncounted whose place a standing one has taken. */
  release(exchange: Exchange): void;
  /** A stream whose place another one has taken is over. */
  abandon(exchange: Exchange): void;
}

/** Tells a client not to come again: nothing is left of the stream (WHATWG HTML section 9.2.3). */
const NO_CONTENT = 204;

/** See the file comment. */
export class Resumption {
  readonly #options: ResumptionOptions;
  readonly #composer = new Composer();

  constructor(options: ResumptionOptions) {
    this.#options = options;
  }

  /** Answers a GET with `Last-Event-ID`; its session is that of its subject. */
  resume(exchange: Exchange): void {
    const { refuse, openNew, streams } = this.#options;
    const session = exchange.client.session as Session;
    const id = parseEventId(exchange.client.lastEventId);
    if (id === null) {
      refuse(exchange, 'GW_RESUME_UNSUPPORTED');
    } else if (!id.own) {
      // Before a restart, or at another replica: what came since is not known here.
      if (id.standalone) openNew(exchange);
      else refuse(exchange, 'GW_RESUME_GONE');
    } else {
      const stream = streams.log.find(id.stream);
      if (stream === null || stream.sessionId !== session.id || !isKept(stream, id)) refuse(exchange, 'GW_RESUME_GONE');
      else if (stream.standalone) this.#standalone(exchange, session, stream, id.event);
      else this.#call(exchange, stream, id.event);
    }
  }

  #standalone(from: Exchange, session: Session, stream: LoggedStream, after: number): void {
    const { streams, head, refuse, release, abandon } = this.#options;
    const resumed = streams.resume(session, from, head(from), stream, after);
    if (resumed === null) {
      refuse(from, streams.has(session) ? 'GW_STREAM_CONFLICT' : 'GW_OVERLOADED');
      return;
    }
    release(from);
    if (resumed.ended !== null) abandon(resumed.ended);
  }

  #call(from: Exchange, stream: LoggedStream, after: number): void {
    const { streams, head, refuse, empty, complete, isTorn } = this.#options;
    const call = callUnderWay(stream);
    if (call === null ? !stream.ended : isTorn(call)) {
      refuse(from, 'GW_RESUME_GONE');
      return;
    }
    if (call === null && after === stream.next - 1) {
      empty(from, NO_CONTENT);
      return;
    }
    from.client.status = 200;
    from.client.streaming = true;
    from.client.reply?.openStream(200, head(from));
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
    complete(from);
  }
}

function callUnderWay({ exchange, generation, ended }: LoggedStream): Exchange | null {
  if (exchange === null || ended || exchange.generation !== generation) return null;
  return exchange.phase === Phase.free || exchange.phase === Phase.done ? null : exchange;
}

/** Whether everything after that event is still there. */
function isKept(stream: LoggedStream, { event, standalone }: EventId): boolean {
  return stream.standalone === standalone && event < stream.next && event >= stream.evicted;
}
