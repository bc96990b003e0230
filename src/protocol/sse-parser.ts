/**
 * A parser of `text/event-stream` over bytes (WHATWG HTML, "Server-sent events", parsing an event stream):
 * line ends CR, LF and CRLF, a BOM at the start, comments, multi-line data, chunks cut anywhere.
 * The data of an event that lies in one chunk on one line is passed on without a copy. The bytes held of an event, and of a
 * line that is no data, are bounded.
 */
import type { BufferBudget } from '../shared/buffer-budget.js';
import { HeldBytes } from '../shared/held-bytes.js';
import type { Bytes } from '../units.js';

/** Receives events. */
export interface SseListener {
  /**
   * One event with data. `data[0, length)` is valid only during the call.
   *
   * @param type the value of the `event` field; '' when there was none
   */
  event(data: Uint8Array, length: number, type: string): void;
}

/** Bounds how much is read in one go (src/upstream/core/limits/read-turns.ts). */
export interface MessageBudget {
  /** Counts an event. @returns false when the rest of the chunk has to wait */
  message(): boolean;
}

/** Receives events, and the data of large ones as it arrives. */
export interface SsePartListener extends SseListener {
  /**
   * The data of an event exceeds the bytes that are held: `data[0, length)` has arrived so far, valid only during the call.
   *
   * @returns true = the rest follows with `largePart`, `largeEnd` ends it and `event` is not called; false = the event is
   *   held as a whole
   */
  largeStart(data: Uint8Array, length: number, type: string): boolean;
  largePart(bytes: Uint8Array, start: number, end: number): void;
  /** @param complete false = the event turned out to have another type */
  largeEnd(complete: boolean): void;
}

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const COLON = 0x3a;
/** Longest line that is no data: a comment, a name or an id. */
const MAX_FIELD_BYTES: Bytes = 65_536;
/** Bytes that decide whether an unfinished line is data: `data:` and what may be a space. */
const DATA_KNOWN = 6;
/** Joins the data lines of one event. */
const JOINT = Uint8Array.of(LF);

/** Sizes and memory of a parser. */
export interface SseParserOptions {
  /** Most data of one event that is held as a whole. */
  readonly maxEventBytes: Bytes;
  /** Counts what is held. */
  readonly budget: BufferBudget;
  /** If given, `feed` stops after the event that uses it up. */
  readonly share?: MessageBudget;
  /** There is no memory for the event that arrives: its stream has to end, and {@link SseParser.discard} has to be called. */
  evicted(): void;
  /** Passes the data of an event that is larger than `heldBytes` and arrives in pieces on in parts, up to `maxBytes`. */
  readonly parts?: { readonly listener: SsePartListener; readonly heldBytes: Bytes; readonly maxBytes: Bytes };
}

/** How far the optional byte order mark at the start of the stream has been read. */
const BOM = [0xef, 0xbb, 0xbf] as const;

/** See the file comment. One parser serves one stream after another: call {@link reset} in between. */
export class SseParser {
  /** The `id` of the last event that was complete, or of an earlier one if it had none; '' if there was none. */
  lastEventId = '';
  /** The last `retry` field in ms, -1 if none. */
  retryMs = -1;
  /** Bytes of the last chunk that were read: fewer than it has when the share was used up. */
  consumed = 0;

  readonly #listener: SseListener;
  readonly #parts: SsePartListener | null;
  readonly #maxEventBytes: Bytes;
  readonly #heldBytes: Bytes;
  readonly #maxPassedBytes: Bytes;
  readonly #maxFieldBytes: Bytes;
  readonly #share: MessageBudget | null;
  /** An event has used up the share. */
  #spent = false;
  /** Start of an unfinished line from earlier chunks. */
  readonly #line: HeldBytes;
  /** Data of the current event: either a view into the current chunk or bytes of `#store`. */
  #view: Uint8Array | null = null;
  readonly #store: HeldBytes;
  #dataLines = 0;
  #type = '';
  #id = '';
  /** The unfinished line is data, of which a part has been added already. */
  #inData = false;
  /** The data of the current event is passed on in parts; `#passed` bytes so far. */
  #passing = false;
  #passed = 0;
  /** The current event is held as a whole, however large. */
  #refused = false;
  #skipLineFeed = false;
  #bomSeen = 0;
  #atStart = true;

  constructor(listener: SseListener, options: SseParserOptions) {
    const { maxEventBytes, parts, budget } = options;
    this.#listener = listener;
    this.#maxEventBytes = maxEventBytes;
    this.#maxFieldBytes = Math.max(DATA_KNOWN, Math.min(MAX_FIELD_BYTES, maxEventBytes));
    this.#share = options.share ?? null;
    this.#parts = parts?.listener ?? null;
    this.#heldBytes = parts?.heldBytes ?? maxEventBytes;
    this.#maxPassedBytes = parts?.maxBytes ?? maxEventBytes;
    this.#line = new HeldBytes(budget, () => options.evicted());
    this.#store = new HeldBytes(budget, () => options.evicted());
  }

  /** Resets the parser: the next chunk starts a new stream. */
  reset(): void {
    this.lastEventId = '';
    this.#id = '';
    this.#inData = false;
    this.retryMs = -1;
    this.discard();
    this.#skipLineFeed = false;
    this.#bomSeen = 0;
    this.#atStart = true;
  }

  /** Frees the bytes of an unfinished event; the stream is not read any further. */
  discard(): void {
    this.#line.clear();
    this.#clearEvent();
  }

  /** Holds no more of the data of the current event, but passes it on in parts. @returns false if that is not possible */
  passOn(): boolean {
    if (this.#parts === null || this.#store.length === 0 || this.#refused) return false;
    this.#offer(this.#parts);
    return this.#passing;
  }

  /**
   * Reads the next bytes of the stream, {@link consumed} of them. An event that is not closed by a blank line is never
   * delivered.
   *
   * @returns false when an event or another line is larger than its limit; the stream cannot be used any further then
   */
  feed(chunk: Uint8Array): boolean {
    let position = 0;
    const { length } = chunk;
    this.consumed = length;
    if (this.#atStart) {
      position = this.#skipBom(chunk);
      if (this.#atStart) return true;
    }
    while (position < length) {
      if (this.#skipLineFeed) {
        this.#skipLineFeed = false;
        if (chunk[position] === LF) {
          position += 1;
          continue;
        }
      }
      const end = lineEnd(chunk, position);
      if (end < 0) {
        if (!this.#takePiece(chunk, position, length)) return false;
        break;
      }
      this.#skipLineFeed = chunk[end] === CR;
      if (this.#inData || this.#line.length > 0) {
        if (!this.#takePiece(chunk, position, end) || !this.#endLine()) return false;
      } else if (!this.#takeLine(chunk, position, end, false)) {
        return false;
      }
      position = end + 1;
      if (this.#spent) {
        this.#spent = false;
        this.consumed = position;
        return true;
      }
    }
    return this.#view === null || this.#detach();
  }

  /** Reads a byte order mark that may itself be cut; bytes that turn out not to be one are part of the first line. */
  #skipBom(chunk: Uint8Array): number {
    let position = 0;
    while (this.#bomSeen < 3 && position < chunk.length && chunk[position] === BOM[this.#bomSeen]) {
      this.#bomSeen += 1;
      position += 1;
    }
    if (this.#bomSeen === 3) {
      this.#atStart = false;
      return position;
    }
    if (position === chunk.length) return position;
    this.#atStart = false;
    const fromEarlier = this.#bomSeen - position;
    if (fromEarlier > 0) this.#line.append(Uint8Array.from(BOM), this.#maxFieldBytes, 0, fromEarlier);
    return 0;
  }

  /** Reads a piece of an unfinished line: data is added to the event at once, other fields wait for the end of the line. */
  #takePiece(chunk: Uint8Array, start: number, end: number): boolean {
    if (this.#inData) return this.#add(chunk, start, end);
    const line = this.#line;
    if (line.length === 0 && opensData(chunk, start, end)) return this.#openData(chunk, start, end);
    if (line.length < DATA_KNOWN) {
      // Only the bytes that decide what it is; the rest may be long.
      const known = Math.min(end, start + DATA_KNOWN - line.length);
      line.append(chunk, this.#maxFieldBytes, start, known);
      if (!opensData(line.bytes, 0, line.length)) return line.append(chunk, this.#maxFieldBytes, known, end);
      const { bytes, length } = line;
      line.clear();
      return this.#openData(bytes, 0, length) && this.#add(chunk, known, end);
    }
    return line.append(chunk, this.#maxFieldBytes, start, end);
  }

  /** The line that arrived in pieces has ended. */
  #endLine(): boolean {
    if (this.#inData) {
      this.#inData = false;
      return true;
    }
    const { bytes, length } = this.#line;
    this.#line.clear();
    return this.#takeLine(bytes, 0, length, true);
  }

  #openData(bytes: Uint8Array, start: number, end: number): boolean {
    this.#inData = true;
    return this.#addData(bytes, valueStart(bytes, start + 5, end), end, true);
  }

  /** @param copy the bytes do not outlive the call: data has to be copied */
  #takeLine(bytes: Uint8Array, start: number, end: number, copy: boolean): boolean {
    if (start === end) {
      this.#dispatch();
      return true;
    }
    if (isData(bytes, start, end)) {
      return this.#addData(bytes, valueStart(bytes, Math.min(start + 5, end), end), end, copy);
    }
    if (end - start > this.#maxFieldBytes) return false;
    if (bytes[start] !== COLON) this.#takeField(bytes, start, end);
    return true;
  }

  #takeField(bytes: Uint8Array, start: number, end: number): void {
    let colon = bytes.indexOf(COLON, start);
    if (colon < 0 || colon > end) colon = end;
    const name = latin1(bytes, start, colon);
    if (name !== 'event' && name !== 'id' && name !== 'retry') return;
    const value = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString(
      'utf8',
      valueStart(bytes, Math.min(colon + 1, end), end),
      end,
    );
    if (name === 'event') this.#type = value;
    else if (name === 'id') {
      if (!value.includes('\0')) this.#id = value;
    } else if (/^\d{1,15}$/.test(value)) this.retryMs = Number(value);
  }

  #addData(bytes: Uint8Array, start: number, end: number, copy: boolean): boolean {
    this.#dataLines += 1;
    if (this.#passing) return this.#add(JOINT, 0, 1) && this.#add(bytes, start, end);
    if (this.#dataLines === 1 && !copy) {
      if (end - start > this.#maxEventBytes) return false;
      this.#view = bytes.subarray(start, end);
      return true;
    }
    if (this.#view !== null && !this.#detach()) return false;
    return this.#append(bytes, start, end);
  }

  /** Copies data that lies in a chunk before the chunk becomes invalid. */
  #detach(): boolean {
    const view = this.#view as Uint8Array;
    this.#view = null;
    this.#dataLines -= 1;
    const kept = this.#append(view, 0, view.length);
    this.#dataLines += 1;
    return kept;
  }

  #append(bytes: Uint8Array, start: number, end: number): boolean {
    return (this.#dataLines <= 1 || this.#add(JOINT, 0, 1)) && this.#add(bytes, start, end);
  }

  /** Adds to the data of the event, whole lines or pieces of them. */
  #add(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.#passing) {
      this.#passed += end - start;
      if (this.#passed > this.#maxPassedBytes) return false;
      if (end > start) this.#parts?.largePart(bytes, start, end);
      return true;
    }
    if (!this.#store.append(bytes, this.#maxEventBytes, start, end)) return false;
    if (this.#store.length > this.#heldBytes && this.#parts !== null && !this.#refused) this.#offer(this.#parts);
    return true;
  }

  /** The event has become large: passes it on in parts if the listener accepts. */
  #offer(parts: SsePartListener): void {
    const { bytes, length } = this.#store;
    if (!parts.largeStart(bytes, length, this.#type)) {
      this.#refused = true;
      return;
    }
    this.#passing = true;
    this.#passed = length;
    this.#store.clear();
  }

  #dispatch(): void {
    const view = this.#view;
    const lines = this.#dataLines;
    const type = this.#type;
    const { bytes, length } = this.#store;
    const passing = this.#passing;
    this.lastEventId = this.#id;
    this.#clearEvent();
    if (lines === 0) return;
    if (passing) this.#parts?.largeEnd(type === '' || type === 'message');
    else if (view !== null) this.#listener.event(view, view.length, type);
    else this.#listener.event(bytes, length, type);
    if (this.#share !== null && !this.#share.message()) this.#spent = true;
  }

  #clearEvent(): void {
    this.#view = null;
    this.#store.clear();
    this.#dataLines = 0;
    this.#type = '';
    this.#passing = false;
    this.#refused = false;
  }
}

/** Whether a line is a `data` field. */
function isData(bytes: Uint8Array, start: number, end: number): boolean {
  return (
    bytes[start] === 0x64 &&
    bytes[start + 1] === 0x61 &&
    bytes[start + 2] === 0x74 &&
    bytes[start + 3] === 0x61 &&
    (end === start + 4 || bytes[start + 4] === COLON)
  );
}

/** Whether an unfinished line is data, of which enough has arrived to decide. */
function opensData(bytes: Uint8Array, start: number, end: number): boolean {
  return end - start >= DATA_KNOWN && isData(bytes, start, end);
}

/** Position of the next CR or LF, or -1. */
function lineEnd(bytes: Uint8Array, from: number): number {
  const lineFeed = bytes.indexOf(LF, from);
  // JSON on one line has no raw CR, so the second search is short wherever there is an LF.
  const carriageReturn = lineFeed < 0 ? bytes.indexOf(CR, from) : indexBefore(bytes, CR, from, lineFeed);
  return carriageReturn < 0 ? lineFeed : carriageReturn;
}

function indexBefore(bytes: Uint8Array, value: number, from: number, to: number): number {
  if (to - from < 32) {
    for (let index = from; index < to; index += 1) if (bytes[index] === value) return index;
    return -1;
  }
  const offset = bytes.subarray(from, to).indexOf(value);
  return offset < 0 ? -1 : from + offset;
}

/** A value starts behind the colon and one optional space. */
function valueStart(bytes: Uint8Array, from: number, end: number): number {
  return from < end && bytes[from] === SPACE ? from + 1 : from;
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  return end - start > 8 ? '' : String.fromCharCode(...bytes.subarray(start, end));
}
