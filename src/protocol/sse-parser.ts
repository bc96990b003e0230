/**
 * A parser of `text/event-stream` over bytes (WHATWG HTML, "Server-sent events", parsing an event stream):
 * line ends CR, LF and CRLF, a BOM at the start, comments, multi-line data, chunks cut anywhere.
 * The data of an event that lies in one chunk on one line is handed on without a copy.
 */

/** Receives events. */
export interface SseListener {
  /**
   * One event with data. `data[0, length)` is valid only during the call.
   *
   * @param type the value of the `event` field; '' when there was none
   */
  event(data: Uint8Array, length: number, type: string): void;
}

/** Bounds how much is read in one go (src/upstream/read-turns.ts). */
export interface MessageBudget {
  /** Counts an event. @returns false when the rest of the chunk has to wait */
  message(): boolean;
}

/** Receives events, and the data of large ones while it comes. */
export interface SsePartListener extends SseListener {
  /**
   * The data of an event has become larger than is held: `data[0, length)` is what there is of it, valid only during the
   * call.
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
const NOTHING = new Uint8Array(0);
/** Data lines of one event are joined with it. */
const JOINT = Uint8Array.of(LF);

/** How far the optional byte order mark at the start of the stream has been read. */
const BOM = [0xef, 0xbb, 0xbf] as const;

/** See the file comment. One parser serves one stream after another: call {@link reset} in between. */
export class SseParser {
  /** The `id` of the last event that was complete, or of an earlier one if it had none; '' if there was none. */
  lastEventId = '';
  /** The last `retry` field in ms, -1 if none. */
  retryMs = -1;
  /** Bytes of the last chunk that were read: fewer than it has when the budget was spent on the way. */
  taken = 0;

  readonly #listener: SseListener;
  readonly #parts: SsePartListener | null;
  readonly #maxEventBytes: number;
  readonly #heldBytes: number;
  readonly #budget: MessageBudget | null;
  /** An event has spent the budget. */
  #spent = false;
  /** Start of an unfinished line from earlier chunks. */
  #line: Uint8Array = NOTHING;
  #lineLength = 0;
  /** Data of the current event: either a view into the current chunk or bytes of `#store`. */
  #view: Uint8Array | null = null;
  #store: Uint8Array = NOTHING;
  #stored = 0;
  #dataLines = 0;
  #type = '';
  #id = '';
  /** The unfinished line is data and its beginning has been taken. */
  #inData = false;
  /** The data of the current event goes on in parts; `#passed` bytes have. */
  #passing = false;
  #passed = 0;
  /** The current event is held as a whole, however large. */
  #refused = false;
  #skipLineFeed = false;
  #bomSeen = 0;
  #atStart = true;

  /**
   * @param maxEventBytes longest line, and most data of one event, that is accepted
   * @param parts with it the data of an event that is larger than `heldBytes` and comes in pieces may be had in parts
   * @param budget with it `feed` stops behind the event that spends it
   */
  constructor(
    maxEventBytes: number,
    listener: SseListener,
    parts: { readonly listener: SsePartListener; readonly heldBytes: number } | null = null,
    budget: MessageBudget | null = null,
  ) {
    this.#maxEventBytes = maxEventBytes;
    this.#listener = listener;
    this.#parts = parts?.listener ?? null;
    this.#heldBytes = parts?.heldBytes ?? maxEventBytes;
    this.#budget = budget;
  }

  /** Forgets everything: the next chunk starts a new stream. */
  reset(): void {
    this.lastEventId = '';
    this.#id = '';
    this.#inData = false;
    this.retryMs = -1;
    this.#lineLength = 0;
    this.#clearEvent();
    this.#skipLineFeed = false;
    this.#bomSeen = 0;
    this.#atStart = true;
    if (this.#line.length > 65_536) this.#line = NOTHING;
    if (this.#store.length > 65_536) this.#store = NOTHING;
  }

  /**
   * Takes the next bytes of the stream, {@link taken} of them. An event that is not closed by a blank line is never
   * delivered.
   *
   * @returns false when a line or an event is larger than the limit; the stream cannot be used any further then
   */
  feed(chunk: Uint8Array): boolean {
    let position = 0;
    const { length } = chunk;
    this.taken = length;
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
        if (!(this.#inData ? this.#add(chunk, position, length) : this.#keepLine(chunk, position, length))) {
          return false;
        }
        if (!this.#inData && !this.#openLine()) return false;
        break;
      }
      this.#skipLineFeed = chunk[end] === CR;
      if (this.#inData) {
        this.#inData = false;
        if (!this.#add(chunk, position, end)) return false;
      } else if (this.#lineLength > 0) {
        if (!this.#keepLine(chunk, position, end)) return false;
        const whole = this.#lineLength;
        this.#lineLength = 0;
        if (!this.#takeLine(this.#line, 0, whole, true)) return false;
      } else if (end - position > this.#maxEventBytes || !this.#takeLine(chunk, position, end, false)) {
        return false;
      }
      position = end + 1;
      if (this.#spent) {
        this.#spent = false;
        this.taken = position;
        return true;
      }
    }
    return this.#view === null || this.#detach();
  }

  /** Reads a byte order mark that may itself be cut; bytes that turn out not to be one are put back as a line. */
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
    if (fromEarlier > 0) this.#keepLine(Uint8Array.from(BOM), 0, fromEarlier);
    return 0;
  }

  #keepLine(chunk: Uint8Array, start: number, end: number): boolean {
    const length = this.#lineLength + end - start;
    if (length > this.#maxEventBytes) return false;
    this.#line = grown(this.#line, this.#lineLength, length);
    this.#line.set(chunk.subarray(start, end), this.#lineLength);
    this.#lineLength = length;
    return true;
  }

  /** Takes the beginning of an unfinished data line where the event goes on in parts, or might. */
  #openLine(): boolean {
    if (this.#parts === null || this.#refused || this.#lineLength < 6) return true;
    if (!this.#passing && this.#lineLength <= this.#heldBytes) return true;
    const line = this.#line;
    if (!isData(line, 0, this.#lineLength) || line[4] !== COLON) return true;
    const length = this.#lineLength;
    this.#lineLength = 0;
    this.#inData = true;
    return this.#addData(line, valueStart(line, 5, length), length, true);
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
      this.#view = bytes.subarray(start, end);
      return true;
    }
    if (this.#view !== null && !this.#detach()) return false;
    return this.#append(bytes, start, end);
  }

  /** Copies data that lies in a chunk about to go away. */
  #detach(): boolean {
    const view = this.#view as Uint8Array;
    this.#view = null;
    this.#dataLines -= 1;
    this.#stored = 0;
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
      if (this.#passed > this.#maxEventBytes) return false;
      if (end > start) this.#parts?.largePart(bytes, start, end);
      return true;
    }
    const length = this.#stored + end - start;
    if (length > this.#maxEventBytes) return false;
    this.#store = grown(this.#store, this.#stored, length);
    this.#store.set(bytes.subarray(start, end), this.#stored);
    this.#stored = length;
    if (length > this.#heldBytes && this.#parts !== null && !this.#refused) this.#offer(this.#parts);
    return true;
  }

  /** The event has become large: asks whether it may go on in parts. */
  #offer(parts: SsePartListener): void {
    if (!parts.largeStart(this.#store, this.#stored, this.#type)) {
      this.#refused = true;
      return;
    }
    this.#passing = true;
    this.#passed = this.#stored;
    this.#stored = 0;
    this.#store = NOTHING;
  }

  #dispatch(): void {
    const view = this.#view;
    const lines = this.#dataLines;
    const type = this.#type;
    const stored = this.#stored;
    const passing = this.#passing;
    this.lastEventId = this.#id;
    this.#clearEvent();
    if (lines === 0) return;
    if (passing) this.#parts?.largeEnd(type === '' || type === 'message');
    else if (view !== null) this.#listener.event(view, view.length, type);
    else this.#listener.event(this.#store, stored, type);
    if (this.#budget !== null && !this.#budget.message()) this.#spent = true;
  }

  #clearEvent(): void {
    this.#view = null;
    this.#stored = 0;
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

function grown(buffer: Uint8Array, used: number, needed: number): Uint8Array {
  if (needed <= buffer.length) return buffer;
  const larger = Buffer.allocUnsafeSlow(Math.max(needed, buffer.length * 2, 1024));
  larger.set(buffer.subarray(0, used));
  return larger;
}
