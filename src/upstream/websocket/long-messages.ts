import type { Bytes } from '../../units.js';
import { SkippedMessage } from '../channel/skipped-message.js';

/** Receives what {@link LongMessages} takes out of a byte stream: the channel. */
export interface LongMessageListener {
  /** Bytes of the stream without messages that are too long; valid only during the call. */
  passed(bytes: Buffer): void;
  /**
   * A message that is too long has ended.
   *
   * @param hasBegun some of its frames have passed: the message that they make, which is passed next, is its beginning
   */
  longMessage(message: SkippedMessage, hasBegun: boolean): void;
  /** A message is longer than any that is skipped; nothing more is passed. */
  longMessageEndless(): void;
}

/** Largest header of a frame (RFC 6455, 5.2). */
const MAX_HEADER_BYTES: Bytes = 14;
const FIN = 0x80;
const MASKED = 0x80;
const OPCODE = 0x0f;
/** Opcodes from here on are control frames, which may come between the frames of a message. */
const FIRST_CONTROL_OPCODE = 8;
const CLOSE = 8;
/** An empty last frame of a message (RFC 6455, 5.4). */
const LAST_FRAME = Buffer.from([FIN, 0]);

/**
 * Takes messages that are too long out of the bytes that a WebSocket server sends, before ws reads them: ws holds whole
 * messages and ends the connection at the first one over its limit. Everything else passes unchanged, also what breaks
 * the protocol, which ws judges. One for each connection, owned by the channel.
 */
export class LongMessages {
  readonly #maxBytes: Bytes;
  readonly #listener: LongMessageListener;
  /** The header of the next frame as far as it has arrived. */
  readonly #header = Buffer.allocUnsafe(MAX_HEADER_BYTES);
  #headerLength = 0;
  /** The header of the current frame is complete. */
  #inFrame = false;
  /** Bytes of the current frame that have not arrived. */
  #left: Bytes = 0;
  #isLastFrame = false;
  #isClose = false;
  /** The current frame belongs to `#skipped`. */
  #isSkipping = false;
  /** Bytes of the current message in frames that have passed. */
  #passedBytes: Bytes = 0;
  #skipped: SkippedMessage | null = null;
  #isEnded = false;
  /** The peer breaks the protocol: everything passes. */
  #isOff = false;

  /** @param maxBytes longest message that passes */
  constructor(maxBytes: Bytes, listener: LongMessageListener) {
    this.#maxBytes = maxBytes;
    this.#listener = listener;
  }

  /** Passes nothing more. */
  end(): void {
    this.#isEnded = true;
  }

  /** Reads the next bytes of the connection, behind its handshake. */
  feed(chunk: Buffer): void {
    /** Bytes from here to `at` pass, and were not delivered yet. */
    let from = 0;
    let at = 0;
    while (at < chunk.length && !this.#isEnded && !this.#isOff) {
      if (!this.#inFrame) {
        const start = at;
        const earlier = this.#headerLength;
        at = this.#readHeader(chunk, at);
        if (!this.#inFrame) {
          // What has arrived of it is kept, and passes with the rest if the frame does.
          this.#pass(chunk, from, start);
          return;
        }
        if (this.#isSkipping) {
          this.#pass(chunk, from, start);
          from = at;
        } else if (earlier > 0) {
          this.#listener.passed(Buffer.from(this.#header.subarray(0, earlier)));
        }
      }
      const end = Math.min(chunk.length, at + this.#left);
      this.#left -= end - at;
      if (this.#isSkipping) {
        this.#skipped?.add(chunk, at, end);
        from = end;
      }
      at = end;
      if (this.#left === 0) this.#endFrame();
      else if (this.#skipped?.isEndless === true) this.#giveUp();
    }
    this.#pass(chunk, from, this.#isOff ? chunk.length : at);
  }

  #pass(chunk: Buffer, start: number, end: number): void {
    if (end > start) this.#listener.passed(end - start === chunk.length ? chunk : chunk.subarray(start, end));
  }

  /** @returns the position behind the bytes of the header; `#inFrame` says whether it is complete */
  #readHeader(chunk: Buffer, start: number): number {
    const header = this.#header;
    let at = start;
    while (this.#headerLength < 2 || this.#headerLength < headerBytes(header[1] ?? 0)) {
      const byte = chunk[at];
      if (byte === undefined) return at;
      header[this.#headerLength] = byte;
      this.#headerLength += 1;
      at += 1;
    }
    this.#headerLength = 0;
    this.#open(header[0] ?? 0, header[1] ?? 0);
    return at;
  }

  #open(first: number, second: number): void {
    const header = this.#header;
    const short = second & ~MASKED;
    this.#inFrame = true;
    this.#left = short < 126 ? short : short === 126 ? header.readUInt16BE(2) : Number(header.readBigUInt64BE(2));
    this.#isLastFrame = (first & FIN) !== 0;
    this.#isSkipping = false;
    const opcode = first & OPCODE;
    this.#isClose = opcode === CLOSE;
    // A server must not mask (RFC 6455, 5.1): ws ends the connection.
    if ((second & MASKED) !== 0) this.#isOff = true;
    if (opcode >= FIRST_CONTROL_OPCODE || this.#isOff) {
      this.#isLastFrame = false;
      return;
    }
    if (opcode !== 0) this.#passedBytes = 0;
    if (this.#skipped === null && this.#passedBytes + this.#left > this.#maxBytes) {
      this.#skipped = new SkippedMessage('GW_RESPONSE_TOO_LARGE');
      this.#skipped.size = this.#passedBytes;
    }
    this.#isSkipping = this.#skipped !== null;
    if (!this.#isSkipping) this.#passedBytes += this.#left;
  }

  #endFrame(): void {
    this.#inFrame = false;
    // Nothing follows a close frame (RFC 6455, 5.5.1).
    if (this.#isClose) this.#isEnded = true;
    if (!this.#isLastFrame) return;
    const skipped = this.#skipped;
    const hasBegun = this.#passedBytes > 0;
    this.#passedBytes = 0;
    if (skipped === null) return;
    this.#skipped = null;
    this.#isSkipping = false;
    this.#listener.longMessage(skipped, hasBegun);
    if (hasBegun) this.#listener.passed(LAST_FRAME);
  }

  #giveUp(): void {
    this.#isEnded = true;
    this.#listener.longMessageEndless();
  }
}

function headerBytes(second: number): Bytes {
  const length = second & ~MASKED;
  return 2 + (length === 127 ? 8 : length === 126 ? 2 : 0) + ((second & MASKED) !== 0 ? 4 : 0);
}
