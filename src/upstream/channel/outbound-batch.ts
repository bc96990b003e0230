import type { Exchange } from '../../request/exchange/index.js';
import type { Bytes } from '../../units.js';

/** Outgoing messages of a channel: those of one turn of the event loop are written together. Owned by the channel. */
export abstract class OutboundBatch {
  /** To be written next; null where a message was withdrawn. */
  protected readonly messages: (Buffer | null)[] = [];
  /** Bytes of `messages`, framing included. */
  protected bytes: Bytes = 0;
  readonly #owners: (Exchange | null)[] = [];
  readonly #maxBytes: Bytes;
  readonly #framing: Bytes;
  #scheduled = false;
  #closed = false;

  /**
   * @param maxBytes most bytes that may wait, here and in the transport
   * @param framing bytes that the transport adds to each message
   */
  constructor(maxBytes: Bytes, framing: Bytes) {
    this.#maxBytes = maxBytes;
    this.#framing = framing;
  }

  /** Bytes that the server has not taken yet. */
  get queued(): Bytes {
    return this.bytes + this.waiting();
  }

  /**
   * @param owner the call, marked as sent when its bytes are written; null for messages of the gateway itself
   * @returns false when too many bytes wait already; the message is dropped then
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

  /** Removes a call that was not written yet. @returns whether it was removed */
  withdraw(owner: Exchange): boolean {
    const index = this.#owners.indexOf(owner);
    if (index < 0) return false;
    this.bytes -= (this.messages[index]?.length ?? 0) + this.#framing;
    this.messages[index] = null;
    this.#owners[index] = null;
    return true;
  }

  /** Drops what was not written yet, and takes nothing more. */
  close(): void {
    this.#closed = true;
    this.#clear();
  }

  /** Bytes that wait in the transport. */
  protected abstract waiting(): Bytes;
  /** Writes `messages`, of which at least one is not null. Must not throw. */
  protected abstract send(): void;

  readonly #flush = (): void => {
    this.#scheduled = false;
    if (!this.#closed && this.bytes > 0) {
      for (const owner of this.#owners) if (owner !== null) owner.call.sent = true;
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
