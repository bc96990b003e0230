import type { Writable } from 'node:stream';
import type { Exchange } from '../request/exchange.js';
import type { Bytes } from '../units.js';

/** Messages up to this size are copied into one write; larger ones go out as they are. */
const COPY_LIMIT: Bytes = 65_536;
const NEWLINE = 0x0a;
const NEWLINE_BUFFER = Buffer.from([NEWLINE]);

/** Puts messages on a child's standard input, one a line, everything of one turn of the event loop in one write. */
export class StdioWriter {
  readonly #stream: Writable;
  readonly #maxBytes: Bytes;
  #messages: (Buffer | null)[] = [];
  #owners: (Exchange | null)[] = [];
  #bytes: Bytes = 0;
  #scheduled = false;
  #closed = false;

  /** @param maxBytes most bytes that may wait, in here and in the pipe's queue */
  constructor(stream: Writable, maxBytes: Bytes) {
    this.#stream = stream;
    this.#maxBytes = maxBytes;
  }

  /** Bytes that the child has not taken yet. */
  get queued(): Bytes {
    return this.#bytes + this.#stream.writableLength;
  }

  /**
   * @param owner marked as sent when the bytes go out; null for messages of the gateway itself
   * @returns false when too much waits already; nothing was taken then
   */
  write(message: Buffer, owner: Exchange | null): boolean {
    if (this.#closed || this.queued + message.length + 1 > this.#maxBytes) return false;
    this.#messages.push(message);
    this.#owners.push(owner);
    this.#bytes += message.length + 1;
    if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(this.#flush);
    }
    return true;
  }

  /** Takes back a message that has not gone out. @returns whether it could be */
  withdraw(owner: Exchange): boolean {
    const index = this.#owners.indexOf(owner);
    if (index < 0) return false;
    this.#bytes -= this.#messages[index]!.length + 1;
    this.#messages[index] = null;
    this.#owners[index] = null;
    return true;
  }

  close(): void {
    this.#closed = true;
    this.#messages = [];
    this.#owners = [];
    this.#bytes = 0;
  }

  readonly #flush = (): void => {
    this.#scheduled = false;
    if (this.#closed || this.#bytes === 0) {
      this.#clear();
      return;
    }
    if (this.#bytes <= COPY_LIMIT) this.#writeJoined();
    else this.#writeEach();
    this.#clear();
  };

  #writeJoined(): void {
    const joined = Buffer.allocUnsafe(this.#bytes);
    let at = 0;
    for (let index = 0; index < this.#messages.length; index += 1) {
      const message = this.#messages[index]!;
      if (message === null) continue;
      joined.set(message, at);
      at += message.length;
      joined[at] = NEWLINE;
      at += 1;
      const owner = this.#owners[index]!;
      if (owner !== null) owner.sent = true;
    }
    this.#stream.write(joined);
  }

  #writeEach(): void {
    this.#stream.cork();
    for (let index = 0; index < this.#messages.length; index += 1) {
      const message = this.#messages[index]!;
      if (message === null) continue;
      this.#stream.write(message);
      this.#stream.write(NEWLINE_BUFFER);
      const owner = this.#owners[index]!;
      if (owner !== null) owner.sent = true;
    }
    this.#stream.uncork();
  }

  #clear(): void {
    this.#messages.length = 0;
    this.#owners.length = 0;
    this.#bytes = 0;
  }
}
