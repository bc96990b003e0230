/**
 * What uWebSockets.js reads from its connections, before its parser has it (see uws-reads.cc).
 *
 * That parser takes chunked bodies whose framing other readers understand differently, and shows the decoded body only.
 * With the addon the framing is judged where the bytes arrive; without it nothing can be said about a chunked body.
 */

import { createRequire } from 'node:module';
import type { Addon, ReadsMemory } from './addon.js';

/** How the framing of a chunked body stands (RFC 9112 section 7.1). */
export const Chunks = { open: 0, whole: 1, broken: 2 } as const;

/** A request whose chunked body is arriving. */
export interface ChunkedBody {
  /**
   * The rest of the framing has come, and this is what it is. Called before the parser gets the bytes that show it; it
   * gets none of them when `whole` is false.
   */
  framed(whole: boolean): void;
}

/** Slots of the memory that is shared with the addon. */
const Signal = { read: 0, handled: 1, descriptor: 2 } as const;
/** Connections with larger descriptors are closed without an answer where others get one. */
const MAX_DESCRIPTOR = 65_536;

/** The reads of one thread. */
export class UwsReads {
  readonly #addon: Addon;
  readonly #library: string;
  readonly #signals = new Int32Array(3);
  readonly #owed = new Uint8Array(MAX_DESCRIPTOR);
  readonly #memory: ReadsMemory;
  readonly #bodies = new Map<number, ChunkedBody>();
  #lastId = 0;

  private constructor(addon: Addon, library: string, refusal: Uint8Array) {
    this.#addon = addon;
    this.#library = library;
    this.#memory = { signals: this.#signals, owed: this.#owed, refusal, ended: this.#ended };
  }

  /**
   * @param refusal the whole answer to a head that the parser cannot read and does not refuse
   * @returns null when the binary of uWebSockets.js lets nothing be seen; it must have been loaded
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
   * @param port where it listens; 0 only asks whether any could be watched
   */
  watch(port: number): boolean {
    return this.#addon.watchReads(this.#library, port, this.#memory);
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

  /** A request has come with the read that is handled. @returns what {@link answered} takes */
  owe(): number {
    const descriptor = this.#signals[Signal.descriptor] ?? 0;
    this.#owed[descriptor] = 1;
    return descriptor;
  }

  /** The request is answered, or its connection gone. */
  answered(descriptor: number): void {
    this.#owed[descriptor] = 0;
  }

  /**
   * Judges what has come of a chunked body. Called while the head of its request is handled, if nothing else that this
   * read brought was handled before.
   *
   * @returns one of {@link Chunks}; with `open` the body is told when there is more to say
   */
  check(body: ChunkedBody): { readonly state: number; readonly id: number } {
    this.#lastId = (this.#lastId % 0x7fff_ffff) + 1;
    const id = this.#lastId;
    const state = this.#addon.checkChunks(id);
    if (state === Chunks.open) this.#bodies.set(id, body);
    return { state, id };
  }

  /** The request is over; its connection is read as any other. */
  forget(id: number): void {
    if (this.#bodies.delete(id)) this.#addon.forgetChunks(id);
  }

  /**
   * Writes the last answer of the connection that is being read, ahead of what uWebSockets.js holds back until it has
   * parsed all that was read. Nothing more is taken from the connection; it is closed when the client closes it, at the
   * latest after 5 seconds.
   *
   * @returns false when no connection is being read; nothing is written then
   */
  answer(bytes: Uint8Array): boolean {
    return this.#addon.answerNow(bytes);
  }

  readonly #ended = (id: number, whole: boolean): void => {
    const body = this.#bodies.get(id);
    // A broken body stays in the addon's table until it is forgotten.
    if (whole) this.#bodies.delete(id);
    body?.framed(whole);
  };
}
