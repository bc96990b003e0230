import { isUtf8 } from 'node:buffer';
import type { ServerSnapshot } from '../../config/snapshot/index.js';
import type { LostAnswers } from './lost-answers.js';
import { readEdges, valueEnd } from './message-edges.js';

/** What messages that are found are passed to: the endpoint. */
export interface SalvageReceiver {
  /** Reads one message; calls {@link Salvage.unreadable} if it is no JSON. */
  message(bytes: Uint8Array, length: number): void;
  /** Bytes that are no message. */
  malformed(bytes: Uint8Array): void;
}

const OPEN_OBJECT = 0x7b;
const QUOTE = 0x22;
const NO_BYTES = Buffer.alloc(0);
/** Bytes that are read of a line that is no JSON, as a multiple of its length: each brace may be the start of a message. */
const WORK_FACTOR = 4;
const LEAST_WORK = 65_536;

const BROKEN = 'The response is no valid JSON: it was cut, or the server mixed it with other output.';

/**
 * Reads lines that are no JSON: finds whole messages among other text (a log line or ANSI codes before them, two on one line),
 * fails the call whose response is among the rest where that is certain, and reports the rest as junk. Cold path; owned by the
 * endpoint.
 */
export class Salvage {
  readonly #receiver: SalvageReceiver;
  readonly #lost: LostAnswers;
  readonly #server: Pick<ServerSnapshot, 'name' | 'invalidUtf8'>;
  #isReading = false;
  #isUnreadable = false;

  constructor(receiver: SalvageReceiver, lost: LostAnswers, server: Pick<ServerSnapshot, 'name' | 'invalidUtf8'>) {
    this.#receiver = receiver;
    this.#lost = lost;
    this.#server = server;
  }

  /** A message is no JSON. `bytes` is valid only during the call. */
  unreadable(bytes: Uint8Array): void {
    if (this.#isReading) this.#isUnreadable = true;
    else this.#read(bytes);
  }

  #read(bytes: Uint8Array): void {
    const rest: Uint8Array[] = [];
    let work = WORK_FACTOR * bytes.length + LEAST_WORK;
    /** Behind the last message that was found. */
    let from = 0;
    /** Only the outermost message that does not end is judged: what it contains may be anything. */
    let isJudged = false;
    let hasLost = false;
    let at = bytes.indexOf(OPEN_OBJECT);
    while (at >= 0 && work > 0) {
      const end = opensMember(bytes, at) ? valueEnd(bytes, at) : at;
      work -= (end < 0 ? bytes.length : end) - at;
      if (end > at && !namesVersion(bytes.subarray(at, end))) {
        at = bytes.indexOf(OPEN_OBJECT, end);
        continue;
      }
      if (end > at && this.#isMessage(bytes.subarray(at, end))) {
        rest.push(bytes.subarray(from, at));
        from = end;
        at = bytes.indexOf(OPEN_OBJECT, end);
        isJudged = false;
        continue;
      }
      if (end !== at && !isJudged) {
        isJudged = true;
        hasLost ||= this.#fail(bytes.subarray(at), end < 0 ? NO_BYTES : bytes.subarray(at, end), BROKEN);
      }
      at = bytes.indexOf(OPEN_OBJECT, at + 1);
    }
    rest.push(bytes.subarray(from));
    // The end of a message whose beginning came on an earlier line.
    if (!hasLost && from < bytes.length) this.#fail(NO_BYTES, bytes.subarray(from), BROKEN);
    const junk = Buffer.concat(rest);
    if (!isBlank(junk)) this.#receiver.malformed(junk);
  }

  /** Passes on what is a message. @returns false if it is none */
  #isMessage(bytes: Uint8Array): boolean {
    const { id, kind } = readEdges(bytes, bytes);
    // Servers that log what they receive: a request under the id of a call is the call itself.
    if (kind === 'request' && id !== '' && this.#lost.hasCall(id)) return false;
    if (isUtf8(bytes)) return this.#pass(bytes);
    const repaired = Buffer.from(Buffer.from(bytes).toString('utf8'));
    if (this.#server.invalidUtf8 === 'repair') return this.#pass(repaired);
    const position = repaired.findIndex((byte, index) => byte !== bytes[index]);
    this.#fail(
      bytes,
      bytes,
      `The response holds bytes that are no UTF-8, the first at position ${position}; mcpServers.${this.#server.name}.invalidUtf8: repair replaces them.`,
    );
    return false;
  }

  #pass(bytes: Uint8Array): boolean {
    this.#isReading = true;
    this.#isUnreadable = false;
    try {
      this.#receiver.message(bytes, bytes.length);
      return !this.#isUnreadable;
    } finally {
      this.#isReading = false;
    }
  }

  #fail(head: Uint8Array, tail: Uint8Array, detail: string): boolean {
    return this.#lost.lost(readEdges(head, tail), 'GW_UPSTREAM_PROTOCOL', detail);
  }
}

/** Whether the brace at `at` opens an object with a member. */
function opensMember(bytes: Uint8Array, at: number): boolean {
  let next = at + 1;
  while (bytes[next] === 0x20 || bytes[next] === 0x09) next += 1;
  return bytes[next] === QUOTE;
}

function namesVersion(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes('"jsonrpc"');
}

function isBlank(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d);
}
