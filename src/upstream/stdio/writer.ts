import type { Writable } from 'node:stream';
import type { Bytes } from '../../units.js';
import { OutboundBatch } from '../channel/outbound-batch.js';

/** Messages up to this size are copied into one write; larger ones go out as they are. */
const COPY_LIMIT: Bytes = 65_536;
const NEWLINE = 0x0a;
const NEWLINE_BUFFER = Buffer.from([NEWLINE]);

/** Puts messages on a child's standard input, one a line, everything of one turn of the event loop in one write. */
export class StdioWriter extends OutboundBatch {
  readonly #stream: Writable;

  /** @param maxBytes most bytes that may wait, in here and in the pipe's queue */
  constructor(stream: Writable, maxBytes: Bytes) {
    super(maxBytes, 1);
    this.#stream = stream;
  }

  protected waiting(): Bytes {
    return this.#stream.writableLength;
  }

  protected send(): void {
    if (this.bytes <= COPY_LIMIT) this.#writeJoined();
    else this.#writeEach();
  }

  #writeJoined(): void {
    const joined = Buffer.allocUnsafe(this.bytes);
    let at = 0;
    for (let index = 0; index < this.messages.length; index += 1) {
      const message = this.messages[index]!;
      if (message === null) continue;
      joined.set(message, at);
      at += message.length;
      joined[at] = NEWLINE;
      at += 1;
    }
    this.#stream.write(joined);
  }

  #writeEach(): void {
    this.#stream.cork();
    for (let index = 0; index < this.messages.length; index += 1) {
      const message = this.messages[index]!;
      if (message === null) continue;
      this.#stream.write(message);
      this.#stream.write(NEWLINE_BUFFER);
    }
    this.#stream.uncork();
  }
}
