/**
 * Answers too large to be held: passed on as they come, with the client's id and in the form of its family, as a JSON body
 * or as one event. Once a byte is sent, only the whole answer or a cut connection can end it: a client must not take a part for
 * the whole.
 */
import { Method } from '../../../native/layout.js';
import type { ErrorCode } from '../../errors.js';
import { Composer } from '../../protocol/composer.js';
import { EVENT_CLOSE, EVENT_OPEN, flatten } from '../../protocol/event-frames.js';
import { type LargeMember, LargeResult, type LargeRewrite } from '../../protocol/large-result.js';
import { Era } from '../../protocol/revisions.js';
import type { GatewayIdentity } from '../../shared/gateway-identity.js';
import { Verdict } from '../../shared/ring/records.js';
import { type Exchange, Framing, Phase, type Reply } from '../exchange/index.js';
import type { LeaderResults } from './cache-answers.js';
import { JSON_HEAD } from './heads.js';
import { needsStream } from './streams.js';
import { COMPLETE, isCacheable, NOT_CACHEABLE } from './translate.js';

/** The write stage, which large answers are part of. */
export interface AnswerEnds {
  /** A head with what the client's origin needs besides. */
  head(exchange: Exchange, head: readonly string[]): readonly string[];
  /** Everything is written: counts the exchange and gives it back. */
  complete(exchange: Exchange): void;
  readonly streams: {
    /** Starts the event stream of an exchange if it is not open yet. */
    open(exchange: Exchange): void;
    /** Ends the event stream of an exchange. */
    end(exchange: Exchange): void;
  };
}

interface Open {
  readonly result: LargeResult;
  /** Null = the client has left, and the answer is dropped. */
  readonly reply: Reply | null;
  /** The answer is an event of a stream. */
  readonly isEvent: boolean;
}

/** See the file comment; one per front. */
export class LargeAnswers {
  readonly #write: AnswerEnds;
  readonly #identity: GatewayIdentity;
  readonly #cache: Pick<LeaderResults, 'release'>;
  readonly #composer = new Composer();
  readonly #open = new Map<Exchange, Open>();

  /** @param cache told of calls that lead a cache key and will have no result to share */
  constructor(write: AnswerEnds, identity: GatewayIdentity, cache: Pick<LeaderResults, 'release'>) {
    this.#write = write;
    this.#identity = identity;
    this.#cache = cache;
  }

  /** Answers under way. */
  get size(): number {
    return this.#open.size;
  }

  /** Whether the answer of this exchange is under way. */
  writes(exchange: Exchange): boolean {
    return this.#open.has(exchange);
  }

  /** `CallSink.largeStart`. */
  start(exchange: Exchange, bytes: Uint8Array, length: number): boolean {
    if (!takesParts(exchange)) return false;
    const result = new LargeResult(rewriteOf(exchange, this.#identity.serverInfo));
    const isEvent = exchange.client.streaming || needsStream(exchange);
    const composer = this.#composer.reset();
    if (isEvent) composer.put(EVENT_OPEN);
    // Only results pass in parts: errors and `input_required` are held as a whole and translated.
    if (!result.feed(bytes, 0, length, composer) || !result.isResult) return false;
    if (exchange.verdict.kind === Verdict.lead) {
      this.#cache.release(exchange, false);
      exchange.verdict.kind = Verdict.forward;
    }
    if (isEvent) this.#write.streams.open(exchange);
    const { reply } = exchange.client;
    this.#open.set(exchange, { result, reply, isEvent });
    if (reply === null) return true;
    if (!isEvent) {
      exchange.client.status = 200;
      reply.openStream(200, this.#write.head(exchange, JSON_HEAD));
    }
    // Nothing else may be written into the answer: ending it early cuts the connection.
    exchange.client.streaming = true;
    exchange.client.reply = new ReplyInUse(reply);
    this.#put(exchange, reply, isEvent ? EVENT_OPEN.length : -1);
    return true;
  }

  /** `CallSink.largePart`. */
  part(exchange: Exchange, bytes: Uint8Array, start: number, end: number): void {
    const open = this.#open.get(exchange);
    // Without its client the rest is read and dropped.
    if (open === undefined || open.reply === null || exchange.client.reply === null) return;
    const composer = this.#composer.reset();
    if (!open.result.feed(bytes, start, end, composer)) {
      exchange.call.upstream?.cancel(exchange);
      this.#cut(exchange, open, 'GW_UPSTREAM_PROTOCOL');
      return;
    }
    if (composer.length > 0) this.#put(exchange, open.reply, open.isEvent ? 0 : -1);
  }

  /** `CallSink.largeEnd`. */
  end(exchange: Exchange, complete: boolean): void {
    const open = this.#open.get(exchange);
    if (open === undefined) return;
    const { reply, isEvent } = open;
    if (reply === null || exchange.client.reply === null) {
      this.#open.delete(exchange);
      this.#write.complete(exchange);
    } else if (!complete || !open.result.complete) {
      this.#cut(exchange, open, complete ? 'GW_UPSTREAM_PROTOCOL' : 'GW_UPSTREAM_TRUNCATED');
    } else {
      this.#open.delete(exchange);
      exchange.call.isErrorResult = open.result.isError;
      exchange.client.reply = reply;
      if (isEvent) {
        exchange.client.events += 1;
        exchange.client.bytesOut += EVENT_CLOSE.length;
        reply.write(EVENT_CLOSE, 0, EVENT_CLOSE.length);
        this.#write.streams.end(exchange);
      } else {
        reply.endStream();
      }
      this.#write.complete(exchange);
    }
  }

  /** The call failed. @returns whether its answer had begun here, which ends with the connection */
  failed(exchange: Exchange, code: ErrorCode): boolean {
    const open = this.#open.get(exchange);
    if (open === undefined) return false;
    this.#cut(exchange, open, code);
    return true;
  }

  /** The exchange is given back, whatever the reason. */
  forget(exchange: Exchange): void {
    if (this.#open.size > 0) this.#open.delete(exchange);
  }

  #cut(exchange: Exchange, open: Open, code: ErrorCode): void {
    this.#open.delete(exchange);
    exchange.client.error = code;
    if (exchange.client.reply !== null) {
      exchange.client.reply = null;
      open.reply?.abort();
    }
    this.#write.complete(exchange);
  }

  /** @param flatFrom where line breaks begin to be replaced; -1 = they stay */
  #put(exchange: Exchange, reply: Reply, flatFrom: number): void {
    const composer = this.#composer;
    if (flatFrom >= 0) flatten(composer, flatFrom);
    exchange.client.bytesOut += composer.length;
    if (!reply.write(composer.bytes, 0, composer.length)) exchange.call.upstream?.pause(exchange);
  }
}

/** How the answer to a call has to be changed for its client. */
export function rewriteOf(exchange: Exchange, serverInfo: Uint8Array): LargeRewrite {
  const { era } = exchange.client;
  const { era: upstreamEra } = exchange.call;
  const add: LargeMember[] = [];
  if (era === Era.modern && upstreamEra === Era.legacy) {
    add.push({ keys: ['resultType'], text: COMPLETE });
    if (isCacheable(exchange.message.spans.method ?? Method.unknown)) {
      add.push({ keys: ['ttlMs', 'cacheScope'], text: NOT_CACHEABLE });
    }
    add.push({ keys: ['_meta'], text: serverInfo });
  }
  return {
    upstreamId: Buffer.from(String(exchange.call.upstreamId)),
    id: Buffer.from(exchange.client.id.subarray(0, exchange.client.idLength)),
    add,
    toLegacy: era === Era.legacy && upstreamEra === Era.modern,
  };
}

/**
 * Whether an answer can be written in parts: to an HTTP request of its own. Frames of other transports, elements of a
 * batch and events that are kept for a client that left are whole messages; a parked call has no client at the moment.
 */
function takesParts(exchange: Exchange): boolean {
  return (
    exchange.client.framing === Framing.sse &&
    exchange.client.link === null &&
    !exchange.client.headerless &&
    exchange.client.batch === null &&
    exchange.phase !== Phase.parked &&
    (exchange.client.reply !== null || exchange.client.eventStream === 0)
  );
}

/** Stands in for the Reply of an exchange whose answer is being written. */
class ReplyInUse implements Reply {
  readonly #reply: Reply;

  constructor(reply: Reply) {
    this.#reply = reply;
  }

  send(): void {
    this.#reply.abort();
  }

  openStream(): void {
    this.#reply.abort();
  }

  /** Notifications and comments would stand in the middle of the answer. */
  write(): boolean {
    return true;
  }

  endStream(): void {
    this.#reply.abort();
  }

  buffered(): number {
    return this.#reply.buffered();
  }

  abort(): void {
    this.#reply.abort();
  }

  rebind(exchange: Exchange): void {
    this.#reply.rebind(exchange);
  }

  acknowledged(): void {
    this.#reply.acknowledged();
  }
}
