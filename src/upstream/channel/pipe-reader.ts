import type { Readable } from 'node:stream';
import { PacedInput, type PushedSource, type ReadShare, type ReadTurns } from '../core/limits/read-turns.js';

/** Reads the chunks of a pipe or socket. */
export interface ChunkReader {
  /** @returns the number of bytes read: fewer than the chunk has when the share is spent */
  feed(chunk: Buffer): number;
}

/** An output pipe of a child, or a socket, read in turns of the event loop. Owned by the channel. */
export class PipeReader implements PushedSource<Buffer> {
  readonly #stream: Readable;
  readonly #input: PacedInput<Buffer>;
  #reader: ChunkReader | null = null;

  constructor(stream: Readable, turns: ReadTurns) {
    this.#stream = stream;
    this.#input = new PacedInput<Buffer>(turns, this);
  }

  /** Bounds what is read in one turn of the event loop. */
  get share(): ReadShare {
    return this.#input.share;
  }

  /** Sets the reader, which itself counts on {@link share} and is therefore made later. */
  attach(reader: ChunkReader): void {
    this.#reader = reader;
  }

  add(chunk: Buffer): void {
    this.#input.add(chunk);
  }

  /** The pipe has ended: calls `then` after everything that arrived was read. */
  end(then: () => void): void {
    this.#input.end(then);
  }

  pauseSource(): void {
    this.#stream.pause();
  }

  resumeSource(): void {
    this.#stream.resume();
  }

  readItem(chunk: Buffer): Buffer | null {
    const count = this.#reader?.feed(chunk) ?? chunk.length;
    this.#input.share.bytes(count);
    return count < chunk.length ? chunk.subarray(count) : null;
  }
}
