/**
 * The events of legacy streams, kept for clients that resume (MCP 2025-03-26 and later, resumability), and their ids.
 * Bounded in bytes, per session and in total; the oldest events are evicted first. The log is local to this process, and
 * its event ids name the process.
 */
import { randomBytes } from 'node:crypto';
import type { Current } from '../../config/snapshot/current.js';
import type { SessionsSnapshot } from '../../config/snapshot/index.js';
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
  /** The sealed id of its session, which alone may resume it. */
  readonly sessionId: string;
  /** The session's standalone stream; false = the response to one call. */
  readonly isStandalone: boolean;
  /** The call, valid in this generation only. Null for a standalone stream. */
  readonly exchange: Exchange | null;
  readonly generation: number;
  /** Number of the next event; the first is 1. */
  readonly next: number;
  /** Number of the newest evicted event; 0 = none. */
  readonly evicted: number;
  /** No more events follow. */
  readonly hasEnded: boolean;
}

/** A parsed event id. */
export interface EventId {
  /** It was issued by this process. */
  readonly isOwn: boolean;
  readonly isStandalone: boolean;
  readonly stream: number;
  readonly event: number;
}

interface SessionEvents {
  readonly id: string;
  readonly streams: Set<Stream>;
  /** Oldest first, from `head` on; null before it. */
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
  // Neighbours in the list over all sessions.
  older: Entry | null;
  newer: Entry | null;
}

/** Approximate memory of an event besides its bytes. */
const ENTRY_BYTES: Bytes = 256;
/** Freed places at the front of a list before it is compacted. */
const MAX_FREED = 32;

/** Distinguishes the ids of this process from those of other processes. */
const PROCESS_TAG = randomBytes(4).toString('hex');
const EVENT_ID = /^([0-9a-f]{8})-([sc])([0-9a-z]{1,9})-([0-9a-z]{1,9})$/;

/** Parses the value of a `Last-Event-ID` header; null = no gateway issued it. */
export function parseEventId(text: string): EventId | null {
  const match = EVENT_ID.exec(text);
  if (match === null) return null;
  const [, tag, kind, stream = '', event = ''] = match;
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

  /** Bytes kept now, with the overhead of each event. */
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

  /** Registers the standalone stream of a session. @returns its number; 0 = its events are not kept */
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

  /** As {@link keep}, without a copy: the message must not change afterwards. */
  keepShared(number: number, message: Uint8Array): Uint8Array | null {
    const stream = this.#streams.get(number);
    return stream === undefined ? null : this.#add(stream, message);
  }

  /** The exchange of a call has a new generation; its stream continues. */
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

  /** The exchange of a call is released: a stream that ended without a response cannot be resumed. */
  exchangeReleased(exchange: Exchange): void {
    const stream = this.#streams.get(exchange.client.eventStream);
    if (stream !== undefined && !stream.hasEnded) this.dropStream(stream.number);
  }

  /** The stream of that number, or null when it was dropped or all of its events were. */
  find(number: number): LoggedStream | null {
    return this.#streams.get(number) ?? null;
  }

  /** Calls `visit` with the `id:` line and the message of each kept event of a stream after the event `after`. */
  replay(stream: LoggedStream, after: number, visit: (id: Uint8Array, message: Uint8Array) => void): void {
    for (const entry of (stream as Stream).session.entries) {
      if (entry !== null && entry.stream === stream && entry.number > after) {
        visit(Buffer.from(idText(stream, entry.number)), entry.message);
      }
    }
  }

  /** Drops one stream with its events. */
  dropStream(number: number): void {
    const stream = this.#streams.get(number);
    if (stream === undefined) return;
    const { session } = stream;
    const rest: Entry[] = [];
    for (const entry of session.entries) {
      if (entry === null) continue;
      if (entry.stream === stream) this.#unlink(entry);
      else rest.push(entry);
    }
    session.entries = rest;
    session.head = 0;
    this.#removeStream(stream);
  }

  /** Drops all streams of a session with their events. */
  dropSession(sessionId: string): void {
    const session = this.#sessions.get(sessionId);
    if (session === undefined) return;
    for (const entry of session.entries) if (entry !== null) this.#unlink(entry);
    for (const { number } of session.streams) this.#streams.delete(number);
    this.#sessions.delete(sessionId);
  }

  #open(exchange: Exchange, standalone: boolean): number {
    const { session } = exchange.client;
    const { eventLogBytes, eventLogTotalBytes } = this.#config.current.sessions;
    const isResumable =
      session !== null &&
      exchange.client.revision >= Revision.r2025_03_26 &&
      exchange.client.framing === Framing.sse &&
      exchange.client.link === null &&
      eventLogBytes > 0 &&
      eventLogTotalBytes > 0;
    if (!isResumable) return 0;
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
      // A client that received it can resume after it; any other client cannot resume.
      stream.evicted = number;
      return id;
    }
    while (session.bytes + size > eventLogBytes) this.#evict(session.entries[session.head] ?? null);
    while (this.#bytes + size > eventLogTotalBytes) this.#evict(this.#oldest);
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

  /** Drops the oldest event of its session; the oldest event of all is one too. Null never comes while bytes are kept. */
  #evict(entry: Entry | null): void {
    if (entry === null) throw new Error('the event log counts bytes that it does not hold');
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
