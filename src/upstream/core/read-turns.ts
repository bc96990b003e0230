/**
 * Divides the event loop among what upstreams send. Each source (the pipe of a child, a connection, an event stream) reads
 * at most `limits.readBudgetBytes` in one go, is paused and waits for a later turn of the loop; meanwhile the sockets of
 * clients and of other upstreams are served, and the peer is held back by its own full buffer. On the normal path this
 * costs a subtraction for each message.
 */
import type { Bytes, Count } from '../../units.js';

/**
 * What a message counts for besides its bytes: handling a short one takes about as long as copying so many bytes, and up to
 * ten times as long where it is parsed or answered.
 */
const MESSAGE_COST: Bytes = 1_024;
/**
 * Sources that go on in one turn. It bounds the turn with any number of flooding upstreams: at the default budget 4 × 256
 * short messages, two or three milliseconds.
 */
const SOURCES_PER_TURN: Count = 4;

/** Those that wait for a later turn of the event loop, in the order in which they came; one for all upstreams of a thread. */
export class ReadTurns {
  readonly #limits: { readonly readBudgetBytes: Bytes };
  #waiting: (() => void)[] = [];
  #planned = false;

  /** @param limits read at each use: a reload changes the member */
  constructor(limits: { readonly readBudgetBytes: Bytes }) {
    this.#limits = limits;
  }

  /** What a source may read before it waits. */
  get budget(): Bytes {
    return this.#limits.readBudgetBytes;
  }

  /** Calls `go` in a later turn, after the sockets that are readable have been served. */
  wait(go: () => void): void {
    this.#waiting.push(go);
    this.#plan();
  }

  #plan(): void {
    if (this.#planned) return;
    this.#planned = true;
    setImmediate(this.#run);
  }

  readonly #run = (): void => {
    this.#planned = false;
    const now = this.#waiting.splice(0, SOURCES_PER_TURN);
    if (this.#waiting.length > 0) this.#plan();
    for (const go of now) go();
  };
}

/** What one source may still read before it has to wait. */
export class ReadShare {
  readonly #turns: ReadTurns;
  #left: Bytes;

  constructor(turns: ReadTurns) {
    this.#turns = turns;
    this.#left = turns.budget;
  }

  /** Whether the source has to wait for its next turn. */
  get spent(): boolean {
    return this.#left <= 0;
  }

  /** Counts a message. @returns false when the source has to wait */
  message(): boolean {
    this.#left -= MESSAGE_COST;
    return this.#left > 0;
  }

  /** Counts bytes that were read. @returns false when the source has to wait */
  bytes(count: Bytes): boolean {
    this.#left -= count;
    return this.#left > 0;
  }

  /** Calls `go` with a new share in a later turn. */
  wait(go: () => void): void {
    this.#turns.wait(() => {
      this.#left = this.#turns.budget;
      go();
    });
  }

  /** Reads a chunk of a stream that is pulled, with pauses. @param feed reads bytes and returns how many; -1 = no more */
  async read(chunk: Buffer, feed: (chunk: Buffer) => number): Promise<void> {
    let rest = chunk;
    for (;;) {
      const taken = feed(rest);
      this.bytes(taken < 0 ? rest.length : taken);
      if (this.spent) await new Promise<void>((resolve) => this.wait(resolve));
      if (taken < 0 || taken === rest.length) return;
      rest = rest.subarray(taken);
    }
  }
}

/** A source that delivers by itself until it is paused. */
export interface PushedSource<Item> {
  pauseSource(): void;
  resumeSource(): void;
  /**
   * Reads an item and counts what it reads on the share.
   *
   * @returns what is left of it because the share is spent, else null; owns its memory
   */
  readItem(item: Item): Item | null;
}

/**
 * Paces a source that delivers by itself. What arrives after the share is spent is kept until the next turn: the rest of
 * one chunk, and what the layers below had read already. Order is kept, and the end of the source comes after it.
 */
export class PacedInput<Item> {
  readonly share: ReadShare;
  readonly #source: PushedSource<Item>;
  readonly #kept: Item[] = [];
  /** The share is spent; its next turn is planned unless the source is on hold. */
  #waiting = false;
  #planned = false;
  #held = false;
  #end: (() => void) | null = null;

  constructor(turns: ReadTurns, source: PushedSource<Item>) {
    this.share = new ReadShare(turns);
    this.#source = source;
  }

  /** Whether items have to be kept ({@link keep}) instead of read. */
  get waiting(): boolean {
    return this.#waiting;
  }

  /** Reads an item, or keeps it for later. */
  add(item: Item): void {
    if (this.#waiting) {
      this.#kept.push(item);
      return;
    }
    const rest = this.#source.readItem(item);
    if (this.share.spent) this.wait(rest);
  }

  /** Keeps an item while the source is {@link waiting}; its memory must be its own. */
  keep(item: Item): void {
    this.#kept.push(item);
  }

  /** The share is spent: goes on in a later turn. @param rest what is left of the item that was being read */
  wait(rest: Item | null): void {
    if (rest !== null) this.#kept.unshift(rest);
    this.#waiting = true;
    this.#source.pauseSource();
    this.#plan();
  }

  /** Pauses the source for a reason of its owner; what is kept stays. */
  hold(): void {
    this.#held = true;
    this.#source.pauseSource();
  }

  /** Ends {@link hold}. */
  release(): void {
    this.#held = false;
    if (this.#waiting) this.#plan();
    else this.#source.resumeSource();
  }

  /**
   * The source has ended: calls `then` after everything that is kept was read, at once if that is nothing. What is given
   * in several calls happens in their order.
   */
  end(then: () => void): void {
    const before = this.#end;
    if (!this.#waiting) then();
    else if (before === null) this.#end = then;
    else {
      this.#end = () => {
        before();
        then();
      };
    }
  }

  /** Drops what is kept; the same input may serve another source afterwards. */
  clear(): void {
    this.#kept.length = 0;
    this.#waiting = false;
    this.#held = false;
    this.#end = null;
  }

  #plan(): void {
    if (this.#planned) return;
    this.#planned = true;
    this.share.wait(this.#go);
  }

  readonly #go = (): void => {
    this.#planned = false;
    if (!this.#waiting || this.#held) return;
    let read = 0;
    // `take` may clear everything: its messages can end the connection.
    while (this.#waiting && read < this.#kept.length) {
      const rest = this.#source.readItem(this.#kept[read]!);
      if (!this.#waiting) return;
      if (rest === null) read += 1;
      else this.#kept[read] = rest;
      if (this.share.spent || this.#held) break;
    }
    this.#kept.splice(0, read);
    if (this.share.spent || this.#kept.length > 0) {
      this.#plan();
      return;
    }
    this.#waiting = false;
    const end = this.#end;
    this.#end = null;
    if (end !== null) end();
    else this.#source.resumeSource();
  };
}
