import type { Exchange } from '../../request/exchange/index.js';
import type { Bytes } from '../../units.js';

/** Messages on their way out: those of one turn of the event loop are handed on together. */
export abstract class OutboundBatch {
  /** What goes out next; null where a message was taken back. */
  protected readonly messages: (Buffer | null)[] = [];
  /** Bytes of `messages`, framing included. */
  protected bytes: Bytes = 0;
  readonly #owners: (Exchange | null)[] = [];
  readonly #maxBytes: Bytes;
  readonly #framing: Bytes;
  #scheduled = false;
  #closed = false;

  /**
   * @param maxBytes most bytes that may wait, in here and further on
   * @param framing bytes that the transport adds to each message
   */
  constructor(maxBytes: Bytes, framing: Bytes) {
    this.#maxBytes = maxBytes;
    this.#framing = framing;
  }

  /** Bytes that the other side has not taken yet. */
  get queued(): Bytes {
    return this.bytes + this.waiting();
  }

  /**
   * @param owner marked as sent when the bytes go out; null for messages of the gateway itself
   * @returns false when too much waits already; nothing was taken then
   */
  write(message: Buffer, owner: Exchange | null): boolean {
    const size = message.length + this.#framing;
    if (this.#closed || this.queued + size > this.#maxBytes) return false;
    this.messages.push(message);
    this.#owners.push(owner);
    this.bytes += size;
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
    this.bytes -= this.messages[index]!.length + this.#framing;
    this.messages[index] = null;
    this.#owners[index] = null;
    return true;
  }

  /** Drops what has not gone out, and takes nothing more. */
  close(): void {
    this.#closed = true;
    this.#clear();
  }

  /** Bytes handed on that still wait. */
  protected abstract waiting(): Bytes;
  /** Hands on `messages`, of which at least one is left. Must not throw. */
  protected abstract send(): void;

  readonly #flush = (): void => {
    this.#scheduled = false;
    if (!this.#closed && this.bytes > 0) {
      for (let index = 0; index < this.#owners.length; index += 1) {
        const owner = this.#owners[index]!;
        if (owner !== null) owner.call.sent = true;
      }
      this.send();
    }
    this.#clear();
  };

  #clear(): void {
    this.messages.length = 0;
    this.#owners.length = 0;
    this.bytes = 0;
  }
}
