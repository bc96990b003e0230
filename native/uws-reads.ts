/**
 * The bytes that uWebSockets.js reads from its connections, before its parser gets them (see uws-reads.cc).
 *
 * That parser accepts chunked bodies with ambiguous framing, and shows the decoded body only. The addon validates the framing
 * when the bytes arrive; without it the framing of a chunked body cannot be validated.
 */

import { createRequire } from 'node:module';
import type { Addon, ReadsMemory } from './addon.js';
import type { EarlyRefusals } from './early-refusals.js';

/** State of the framing of a chunked body (RFC 9112 section 7.1). */
export const Chunks = { open: 0, whole: 1, broken: 2 } as const;

/** A request whose chunked body is arriving. */
export interface ChunkedBody {
  /**
   * The framing is complete or invalid. Called before the parser gets the bytes that end it; it gets none of them when `whole`
   * is false.
   */
  framed(whole: boolean): void;
}

/** Slots of the memory that is shared with the addon. */
const Signal = { read: 0, handled: 1, descriptor: 2, admitted: 3 } as const;
/** Connections with larger descriptors are closed without an answer where others get one. */
const MAX_DESCRIPTOR = 65_536;

/** The reads of one thread. */
export class UwsReads {
  readonly #addon: Addon;
  readonly #library: string;
  readonly #signals = new Int32Array(4);
  readonly #pending = new Uint8Array(MAX_DESCRIPTOR);
  readonly #memory: ReadsMemory;
  readonly #bodies = new Map<number, ChunkedBody>();
  #lastId = 0;

  private constructor(addon: Addon, library: string, refusal: Uint8Array) {
    this.#addon = addon;
    this.#library = library;
    this.#memory = { signals: this.#signals, pending: this.#pending, refusal, ended: this.#ended };
  }

  /**
   * @param refusal the whole answer to a head that the parser cannot read and does not refuse
   * @returns null when the reads of this binary of uWebSockets.js cannot be observed; it must have been loaded
   */
  static open(addon: Addon, refusal: Uint8Array): UwsReads | null {
    const { cache } = createRequire(import.meta.url);
    const library = Object.keys(cache).find((path) => /[\\/]uws_[^\\/]*\.node$/.test(path));
    if (library === undefined) return null;
    const reads = new UwsReads(addon, library, refusal);
    return reads.watch(0) ? reads : null;
  }

  /**
   * Watches the connections of a listener of this thread.
   *
   * @param port where it listens; 0 only checks whether listeners can be watched
   * @param early what is refused when it is read; null = nothing
   */
  watch(port: number, early: EarlyRefusals | null = null): boolean {
    return this.#addon.watchReads(this.#library, port, this.#memory, early);
  }

  /** The listener that was watched with `early` is closed. */
  unwatch(early: EarlyRefusals): void {
    this.#addon.forgetReads(early);
  }

  /** Whether the request that is handled has been judged when it was read, and is not to be refused. */
  get isAdmitted(): boolean {
    return this.#signals[Signal.admitted] === this.#signals[Signal.read];
  }

  /**
   * To be called when a part of a read is handled: a read that brought the end of a head and is not handled at all was
   * malformed.
   *
   * @returns whether this is the first part of its read that is handled
   */
  handle(): boolean {
    const signals = this.#signals;
    const isFirst = signals[Signal.handled] !== signals[Signal.read];
    signals[Signal.handled] = signals[Signal.read] ?? 0;
    return isFirst;
  }

  /** The read that is handled has brought a request, which will be answered. @returns the argument of {@link answered} */
  expectAnswer(): number {
    const descriptor = this.#signals[Signal.descriptor] ?? 0;
    this.#pending[descriptor] = 1;
    return descriptor;
  }

  /** The request has been answered, or its connection is closed. */
  answered(descriptor: number): void {
    this.#pending[descriptor] = 0;
  }

  /**
   * Validates what has arrived of a chunked body. To be called while the head of its request is handled, if nothing else that this
   * read brought was handled before.
   *
   * @returns one of {@link Chunks}; after `open` {@link ChunkedBody.framed} follows
   */
  check(body: ChunkedBody): { readonly state: number; readonly id: number } {
    this.#lastId = (this.#lastId % 0x7fff_ffff) + 1;
    const id = this.#lastId;
    const state = this.#addon.checkChunks(id);
    if (state === Chunks.open) this.#bodies.set(id, body);
    return { state, id };
  }

  /** The request has ended; its connection is read as any other. */
  forget(id: number): void {
    if (this.#bodies.delete(id)) this.#addon.forgetChunks(id);
  }

  /**
   * Writes the last answer of the connection that is being read, ahead of what uWebSockets.js holds back until it has
   * parsed all that was read. Nothing more is read from the connection; it is closed when the client closes it, at the
   * latest after 5 seconds.
   *
   * @returns false when no connection is being read; nothing is written then
   */
  answer(bytes: Uint8Array): boolean {
    return this.#addon.answerNow(bytes);
  }

  readonly #ended = (id: number, whole: boolean): void => {
    const body = this.#bodies.get(id);
    // A broken body stays in the addon's table until `forget`.
    if (whole) this.#bodies.delete(id);
    body?.framed(whole);
  };
}
