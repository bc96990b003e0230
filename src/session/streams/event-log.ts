/**
 * The events of legacy streams that a client may come back for (MCP 2025-03-26 and later, resumability), and their ids.
 * Bounded in bytes, for each session and over all; the oldest go first. It lives in this process only: an id says so.
 */
import { randomBytes } from 'node:crypto';
import type { Current } from '../../config/current.js';
import type { SessionsSnapshot } from '../../config/snapshot.js';
import { Revision } from '../../protocol/revisions.js';
import { type Exchange, Framing } from '../../request/exchange/index.js';
import type { StreamLog } from '../../request/write/streams.js';
import type { Bytes, Count } from '../../units.js';

/** What {@link EventLog} reads of the configuration. */
export interface EventLogConfig {
  readonly sessions: Pick<SessionsSnapshot, 'eventLogBytes' | 'eventLogTotalBytes' | 'retryMs'>;
}

/** A stream whose events are kept. */
export interface LoggedStream {
  readonly number: number;
  /** The sealed id of the session it belongs to; nobody else may resume it. */
  readonly sessionId: string;
  /** The session's standalone stream; false = the answer of one call. */
  readonly isStandalone: boolean;
  /** The call, in this generation; afterwards it is over. Null for a standalone stream. */
  readonly exchange: Exchange | null;
  readonly generation: number;
  /** Number of the event that comes next; the first is 1. */
  readonly next: number;
  /** Events up to this number are not there any more. */
  readonly evicted: number;
  /** Nothing more follows. */
  readonly hasEnded: boolean;
}

/** An event id of this gateway, taken apart. */
export interface EventId {
  /** It was given by this process. */
  readonly isOwn: boolean;
  readonly isStandalone: boolean;
  readonly stream: number;
  readonly event: number;
}

interface SessionEvents {
  readonly id: string;
  readonly streams: Set<Stream>;
  /** Oldest first, from `head` on; null before. */
  entries: (Entry | null)[];
  head: number;
  bytes: Bytes;
}

interface Stream extends LoggedStream {
  readonly session: SessionEvents;
  generation: number;
  next: number;
  evicted: number;
  hasEnded: boolean;
}

interface Entry {
  readonly stream: Stream;
  readonly number: number;
  readonly message: Uint8Array;
  // Neighbours in the order of all sessions.
  older: Entry | null;
  newer: Entry | null;
}

/** What an event takes besides its bytes, roughly. */
const ENTRY_BYTES: Bytes = 256;
/** Freed places at the front of a list before it is moved together. */
const MAX_FREED = 32;

/** Tells the ids of this process from those of others. */
const PROCESS_TAG = randomBytes(4).toString('hex');
const EVENT_ID = /^([0-9a-f]{8})-([sc])([0-9a-z]{1,9})-([0-9a-z]{1,9})$/;

/** Takes an id of a `Last-Event-ID` header apart; null = it is none of ours. */
export function parseEventId(text: string): EventId | null {
  const match = EVENT_ID.exec(text);
  if (match === null) return null;
  const [, tag, kind, stream, event] = match as unknown as [string, string, string, string, string];
  return {
    isOwn: tag === PROCESS_TAG,
    isStandalone: kind === 's',
    stream: Number.parseInt(stream, 36),
    event: Number.parseInt(event, 36),
  };
}

function idText(stream: LoggedStream, event: number): string {
  const kind = stream.isStandalone ? 's' : 'c';
  return `id: ${PROCESS_TAG}-${kind}${stream.number.toString(36)}-${event.toString(36)}`;
}

/** See the file comment; one per front. */
export class EventLog implements StreamLog {
  readonly #config: Current<EventLogConfig>;
  readonly #sessions = new Map<string, SessionEvents>();
  readonly #streams = new Map<number, Stream>();
  #lastNumber = 0;
  #oldest: Entry | null = null;
  #newest: Entry | null = null;
  #bytes = 0;
  #events = 0;

  constructor(config: Current<EventLogConfig>) {
    this.#config = config;
  }

  /** Bytes kept now, with what they cost besides. */
  get bytes(): Bytes {
    return this.#bytes;
  }

  /** Events kept now. */
  get events(): Count {
    return this.#events;
  }

  /** Streams that can be resumed now. */
  get streams(): Count {
    return this.#streams.size;
  }

  opened(exchange: Exchange): number {
    return this.#open(exchange, false);
  }

  /** The standalone stream of a session opens. @returns its number; 0 = its events are not kept */
  openedStandalone(exchange: Exchange): number {
    return this.#open(exchange, true);
  }

  primingEvent(exchange: Exchange): Uint8Array | null {
    const stream = this.#streams.get(exchange.client.eventStream);
    // Clients of older revisions fail on an event without data.
    if (stream === undefined || exchange.client.revision < Revision.r2025_11_25) return null;
    const { retryMs } = this.#config.current.sessions;
    return Buffer.from(`${idText(stream, stream.next - 1)}\nretry: ${retryMs}\ndata: \n\n`);
  }

  keep(exchange: Exchange, bytes: Uint8Array, start: number, end: number): Uint8Array | null {
    const stream = this.#streams.get(exchange.client.eventStream);
    return stream === undefined ? null : this.#add(stream, new Uint8Array(bytes.subarray(start, end)));
  }

  /** Keeps a message that others keep as well: it is not copied and must not change. */
  keepShared(stream: number, message: Uint8Array): Uint8Array | null {
    const known = this.#streams.get(stream);
    return known === undefined ? null : this.#add(known, message);
  }

  /** The call of a stream goes on under another generation of its exchange. */
  generationChanged(exchange: Exchange): void {
    const stream = this.#streams.get(exchange.client.eventStream);
    if (stream !== undefined) stream.generation = exchange.generation;
  }

  closed(exchange: Exchange): void {
    const stream = this.#streams.get(exchange.client.eventStream);
    if (stream === undefined) return;
    stream.hasEnded = true;
    if (stream.evicted === stream.next - 1) this.dropStream(stream.number);
  }

  /** The exchange is given back: a stream that did not end with an answer has nothing to come back for. */
  exchangeReleased(exchange: Exchange): void {
    const stream = this.#streams.get(exchange.client.eventStream);
    if (stream !== undefined && !stream.hasEnded) this.dropStream(stream.number);
  }

  /** The stream of that number, or null when nothing of it is left. */
  find(number: number): LoggedStream | null {
    return this.#streams.get(number) ?? null;
  }

  /** Calls `visit` with the line of the id and the message of each kept event of a stream after the event `after`. */
  replay(stream: LoggedStream, after: number, visit: (id: Uint8Array, message: Uint8Array) => void): void {
    const { entries, head } = (stream as Stream).session;
    for (let index = head; index < entries.length; index += 1) {
      const entry = entries[index]!;
      if (entry.stream === stream && entry.number > after) {
        visit(Buffer.from(idText(stream, entry.number)), entry.message);
      }
    }
  }

  /** Forgets one stream: nobody comes back for it. */
  dropStream(number: number): void {
    const stream = this.#streams.get(number);
    if (stream === undefined) return;
    const { session } = stream;
    const rest: Entry[] = [];
    for (let index = session.head; index < session.entries.length; index += 1) {
      const entry = session.entries[index]!;
      if (entry.stream === stream) this.#unlink(entry);
      else rest.push(entry);
    }
    session.entries = rest;
    session.head = 0;
    this.#removeStream(stream);
  }

  /** Forgets everything of a session. */
  dropSession(sessionId: string): void {
    const session = this.#sessions.get(sessionId);
    if (session === undefined) return;
    for (let index = session.head; index < session.entries.length; index += 1) this.#unlink(session.entries[index]!);
    for (const { number } of session.streams) this.#streams.delete(number);
    this.#sessions.delete(sessionId);
  }

  #open(exchange: Exchange, standalone: boolean): number {
    const { session } = exchange.client;
    const { eventLogBytes, eventLogTotalBytes } = this.#config.current.sessions;
    const wanted =
      session !== null &&
      exchange.client.revision >= Revision.r2025_03_26 &&
      exchange.client.framing === Framing.sse &&
      exchange.client.link === null &&
      eventLogBytes > 0 &&
      eventLogTotalBytes > 0;
    if (!wanted) return 0;
    this.#lastNumber += 1;
    const events = this.#session(session.id);
    const stream: Stream = {
      number: this.#lastNumber,
      sessionId: session.id,
      isStandalone: standalone,
      exchange: standalone ? null : exchange,
      generation: exchange.generation,
      next: 1,
      evicted: 0,
      hasEnded: false,
      session: events,
    };
    events.streams.add(stream);
    this.#streams.set(stream.number, stream);
    return stream.number;
  }

  #session(id: string): SessionEvents {
    let session = this.#sessions.get(id);
    if (session === undefined) {
      session = { id, streams: new Set(), entries: [], head: 0, bytes: 0 };
      this.#sessions.set(id, session);
    }
    return session;
  }

  #add(stream: Stream, message: Uint8Array): Uint8Array {
    const { session, next: number } = stream;
    const { eventLogBytes, eventLogTotalBytes } = this.#config.current.sessions;
    const size = message.length + ENTRY_BYTES;
    const id = Buffer.from(idText(stream, number));
    stream.next += 1;
    if (size > eventLogBytes || size > eventLogTotalBytes) {
      // Whoever got it can go on after it; whoever did not has missed it.
      stream.evicted = number;
      return id;
    }
    while (session.bytes + size > eventLogBytes) this.#evict(session.entries[session.head]!);
    while (this.#bytes + size > eventLogTotalBytes) this.#evict(this.#oldest!);
    const entry: Entry = { stream, number, message, older: this.#newest, newer: null };
    if (this.#newest === null) this.#oldest = entry;
    else this.#newest.newer = entry;
    this.#newest = entry;
    session.entries.push(entry);
    session.bytes += size;
    this.#bytes += size;
    this.#events += 1;
    return id;
  }

  /** Drops the oldest event of its session, which the oldest of all is as well. */
  #evict(entry: Entry): void {
    const { stream } = entry;
    const { session } = stream;
    this.#unlink(entry);
    session.entries[session.head] = null;
    session.head += 1;
    if (session.head > MAX_FREED && session.head * 2 > session.entries.length) {
      session.entries = session.entries.slice(session.head);
      session.head = 0;
    }
    stream.evicted = Math.max(stream.evicted, entry.number);
    if (stream.hasEnded && stream.evicted === stream.next - 1) this.#removeStream(stream);
  }

  #unlink(entry: Entry): void {
    const { older, newer } = entry;
    if (older === null) this.#oldest = newer;
    else older.newer = newer;
    if (newer === null) this.#newest = older;
    else newer.older = older;
    const size = entry.message.length + ENTRY_BYTES;
    entry.stream.session.bytes -= size;
    this.#bytes -= size;
    this.#events -= 1;
  }

  #removeStream(stream: Stream): void {
    const { session } = stream;
    this.#streams.delete(stream.number);
    session.streams.delete(stream);
    if (session.streams.size === 0) this.#sessions.delete(session.id);
  }
}
