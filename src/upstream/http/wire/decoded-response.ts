import { Readable } from 'node:stream';
import type { Bytes } from '../../../units.js';
import { decodedBody } from '../../core/http/decoded-body.js';
import type { ReadShare } from '../../core/limits/read-turns.js';
import { Gate } from './gate.js';

/** What the decoded bytes of a response are reported to, its connection. */
export interface DecodedListener {
  /** @returns the number of bytes read: fewer when the share is spent, -1 = no more are needed */
  decoded(bytes: Buffer): number;
  /** @param isWhole false = the bytes were not of the coding */
  decodedEnd(isWhole: boolean): void;
}

/** The connection that encoded bytes come from. */
export interface EncodedSource {
  readonly share: ReadShare;
  pause(): void;
  resume(): void;
}

/** Encoded bytes that wait to be decoded, from which on the connection is paused. */
const MAX_WAITING: Bytes = 65_536;

/**
 * Decodes the body of one response whose server compresses although it was asked not to. Owned by the connection, which makes
 * one for such a response only.
 */
export class DecodedResponse {
  readonly #connection: EncodedSource;
  readonly #listener: DecodedListener;
  readonly #source: Readable;
  readonly #gate = new Gate();
  #isEnded = false;

  /** @param coding one of `Coding` */
  constructor(coding: number, connection: EncodedSource, listener: DecodedListener) {
    this.#connection = connection;
    this.#listener = listener;
    this.#source = new Readable({ highWaterMark: MAX_WAITING, read: () => connection.resume() });
    void this.#run(coding);
  }

  /** Encoded bytes have arrived; they are copied. */
  push(bytes: Uint8Array): void {
    if (!this.#isEnded && !this.#source.push(Buffer.from(bytes))) this.#connection.pause();
  }

  /** All bytes have arrived. */
  end(): void {
    if (!this.#isEnded) this.#source.push(null);
  }

  /** Nothing more is reported. */
  destroy(): void {
    this.#isEnded = true;
    this.resume();
    this.#source.destroy();
  }

  pause(): void {
    this.#gate.close();
  }

  resume(): void {
    this.#gate.open();
  }

  async #run(coding: number): Promise<void> {
    let isWhole = true;
    const feed = (bytes: Buffer): number => (this.#isEnded ? -1 : this.#listener.decoded(bytes));
    try {
      for await (const chunk of decodedBody(this.#source, coding)) {
        await this.#connection.share.read(chunk, feed);
        if (this.#isEnded) return;
        await this.#gate.passable;
      }
    } catch {
      isWhole = false;
    }
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#listener.decodedEnd(isWhole);
  }
}
