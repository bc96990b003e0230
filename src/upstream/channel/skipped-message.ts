import type { Bytes } from '../../units.js';

/** Bytes that are kept of the start of a message, and of its end. */
const HEAD_BYTES: Bytes = 4_096;
const TAIL_BYTES: Bytes = 1_024;
/** A message that is still longer never ends, for all that is known: its channel is closed. */
export const MAX_SKIPPED_BYTES: Bytes = 2 ** 30;

/**
 * A message that is not held while it streams by: it is longer than `limits.maxLineBytes`, or `limits.maxBufferedBytes` left no
 * room for it. Its size and its two ends are kept, which tell the call that it answers. Made by the channel.
 */
export class SkippedMessage {
  /** What its call fails with. */
  readonly error: 'GW_RESPONSE_TOO_LARGE' | 'GW_BUFFERS_FULL';
  size: Bytes = 0;
  readonly #head = Buffer.allocUnsafe(HEAD_BYTES);
  readonly #tail = Buffer.allocUnsafe(TAIL_BYTES);
  #headLength = 0;
  #tailLength = 0;

  constructor(error: SkippedMessage['error']) {
    this.error = error;
  }

  get head(): Buffer {
    return this.#head.subarray(0, this.#headLength);
  }

  get tail(): Buffer {
    return this.#tail.subarray(0, this.#tailLength);
  }

  /** Whether it is longer than {@link MAX_SKIPPED_BYTES}. */
  get isEndless(): boolean {
    return this.size > MAX_SKIPPED_BYTES;
  }

  /** The first bytes of the message where they come in the end; they count in {@link size} already. */
  setHead(bytes: Uint8Array): void {
    const first = bytes.subarray(0, HEAD_BYTES);
    this.#head.set(first);
    this.#headLength = first.length;
  }

  /** The next bytes of the message, copied. */
  add(bytes: Uint8Array, start = 0, end = bytes.length): void {
    this.size += end - start;
    const room = Math.min(HEAD_BYTES - this.#headLength, end - start);
    if (room > 0) {
      this.#head.set(bytes.subarray(start, start + room), this.#headLength);
      this.#headLength += room;
    }
    const added = bytes.subarray(Math.max(start, end - TAIL_BYTES), end);
    const kept = Math.min(this.#tailLength, TAIL_BYTES - added.length);
    this.#tail.copyWithin(0, this.#tailLength - kept, this.#tailLength);
    this.#tail.set(added, kept);
    this.#tailLength = kept + added.length;
  }
}
