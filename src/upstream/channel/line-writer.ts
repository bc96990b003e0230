import type { Writable } from 'node:stream';
import type { Bytes } from '../../units.js';
import { OutboundBatch } from './outbound-batch.js';

/** Up to so many bytes, messages are copied into one write; more are written one by one. */
const COPY_LIMIT: Bytes = 65_536;
const NEWLINE = 0x0a;
const NEWLINE_BUFFER = Buffer.from([NEWLINE]);

/** Writes messages to a child's standard input or a socket, one a line. Owned by the channel. */
export class LineWriter extends OutboundBatch {
  readonly #stream: Writable;

  /** @param maxBytes most bytes that may wait, here and in the stream */
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
    for (const message of this.messages) {
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
    for (const message of this.messages) {
      if (message === null) continue;
      this.#stream.write(message);
      this.#stream.write(NEWLINE_BUFFER);
    }
    this.#stream.uncork();
  }
}
