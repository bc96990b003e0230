/**
 * Divides the event loop among the sources of all upstreams. Each source (the pipe of a child, a connection, an event stream)
 * reads at most `limits.readBudgetBytes` at once, is paused and waits for a later turn of the loop; in between the sockets of
 * clients and of other upstreams are served, and back-pressure slows the peer down. On the normal path this costs a
 * subtraction for each message.
 */
import type { Current } from '../../../config/snapshot/current.js';
import type { Bytes, Count } from '../../../units.js';

/**
 * Cost of a message besides its bytes: handling a short one takes about as long as copying this many bytes, and up to ten
 * times as long where it is parsed or responded to.
 */
const MESSAGE_COST: Bytes = 1_024;
/**
 * Sources that continue in one turn, which bounds the turn for any number of flooding upstreams: at the default budget 4 × 256
 * short messages, two or three milliseconds.
 */
const SOURCES_PER_TURN: Count = 4;

/** What {@link ReadTurns} reads of the configuration. */
export interface ReadTurnsConfig {
  readonly limits: { readonly readBudgetBytes: Bytes };
}

/** The sources that wait for a later turn of the event loop, in their order. One for each pool. */
export class ReadTurns {
  readonly #config: Current<ReadTurnsConfig>;
  #waiting: (() => void)[] = [];
  #isScheduled = false;

  constructor(config: Current<ReadTurnsConfig>) {
    this.#config = config;
  }

  /** Bytes that a source may read before it waits. */
  get budget(): Bytes {
    return this.#config.current.limits.readBudgetBytes;
  }

  /** Calls `next` in a later turn, after the readable sockets have been served. */
  wait(next: () => void): void {
    this.#waiting.push(next);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#run);
  }

  readonly #run = (): void => {
    this.#isScheduled = false;
    const now = this.#waiting.splice(0, SOURCES_PER_TURN);
    if (this.#waiting.length > 0) this.#schedule();
    for (const next of now) next();
  };
}

/** The bytes that one source may still read before it has to wait. Owned by the source. */
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

  /** Calls `next` with a new share in a later turn. */
  wait(next: () => void): void {
    this.#turns.wait(() => {
      this.#left = this.#turns.budget;
      next();
    });
  }

  /** Reads a chunk of a pulled stream, with pauses. @param feed reads bytes and returns their number; -1 = read no more */
  async read(chunk: Buffer, feed: (chunk: Buffer) => number): Promise<void> {
    let rest = chunk;
    for (;;) {
      const count = feed(rest);
      this.bytes(count < 0 ? rest.length : count);
      if (this.spent) await new Promise<void>((resolve) => this.wait(resolve));
      if (count < 0 || count === rest.length) return;
      rest = rest.subarray(count);
    }
  }
}

/** A source that delivers items until it is paused. */
export interface PushedSource<Item> {
  pauseSource(): void;
  resumeSource(): void;
  /**
   * Reads an item and counts its bytes and messages on the share.
   *
   * @returns the rest that was not read because the share is spent, else null; owns its memory
   */
  readItem(item: Item): Item | null;
}

/**
 * Reads a pushed source in turns. Items that arrive after the share is spent are kept until the next turn: the rest of one
 * chunk, and what lower layers had already read. The order is kept, and the end of the source follows it. Owned by the source.
 */
export class PacedInput<Item> {
  readonly share: ReadShare;
  readonly #source: PushedSource<Item>;
  readonly #kept: Item[] = [];
  /** The share is spent; its next turn is scheduled unless the source is on hold. */
  #waiting = false;
  #isScheduled = false;
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

  /** The share is spent: continues in a later turn. @param rest the unread rest of the current item */
  wait(rest: Item | null): void {
    if (rest !== null) this.#kept.unshift(rest);
    this.#waiting = true;
    this.#source.pauseSource();
    this.#schedule();
  }

  /** Pauses the source at the request of its owner; kept items stay. */
  hold(): void {
    this.#held = true;
    this.#source.pauseSource();
  }

  /** Ends {@link hold}. */
  release(): void {
    this.#held = false;
    if (this.#waiting) this.#schedule();
    else this.#source.resumeSource();
  }

  /**
   * The source has ended: calls `then` after all kept items were read, at once if there are none. Several functions are
   * called in the order in which they were given.
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

  /** Drops kept items; the same input may serve another source afterwards. */
  clear(): void {
    this.#kept.length = 0;
    this.#waiting = false;
    this.#held = false;
    this.#end = null;
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.share.wait(this.#continue);
  }

  readonly #continue = (): void => {
    this.#isScheduled = false;
    if (!this.#waiting || this.#held) return;
    let read = 0;
    // `readItem` may clear the input: a message can end the connection.
    while (this.#waiting) {
      const item = this.#kept[read];
      if (item === undefined) break;
      const rest = this.#source.readItem(item);
      if (!this.#waiting) return;
      if (rest === null) read += 1;
      else this.#kept[read] = rest;
      if (this.share.spent || this.#held) break;
    }
    this.#kept.splice(0, read);
    if (this.share.spent || this.#kept.length > 0) {
      this.#schedule();
      return;
    }
    this.#waiting = false;
    const end = this.#end;
    this.#end = null;
    if (end !== null) end();
    else this.#source.resumeSource();
  };
}
