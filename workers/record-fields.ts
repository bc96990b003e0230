import { REQUEST_HEAD, RequestWord } from '../src/shared/records.js';
import type { Question } from './recall/index.js';

const EMPTY = Buffer.alloc(0);

/** Where the fields of a record are, in bytes of the buffer it lies in. */
export class Fields implements Question {
  bytes: Buffer = EMPTY;
  tokenStart = 0;
  tokenEnd = 0;
  nameStart = 0;
  nameEnd = 0;
  addressStart = 0;
  addressEnd = 0;
  argumentsStart = 0;
  argumentsEnd = 0;
  payloadStart = 0;
  payloadEnd = 0;
  hashLow = 0;
  hashHigh = 0;
  route = -1;
  d0 = 0;
  d1 = 0;
  d2 = 0;
  d3 = 0;
  kind = 0;

  /** Reads the head that starts at word `at`. */
  locate(words: Int32Array, at: number, bytes: Buffer): void {
    this.bytes = bytes;
    let start = (at + REQUEST_HEAD) * 4;
    this.tokenStart = start;
    this.tokenEnd = start + words[at + RequestWord.tokenLength]!;
    start = aligned(this.tokenEnd);
    this.nameStart = start;
    this.nameEnd = start + words[at + RequestWord.nameLength]!;
    start = aligned(this.nameEnd);
    this.addressStart = start;
    this.addressEnd = start + words[at + RequestWord.addressLength]!;
    start = aligned(this.addressEnd);
    this.argumentsStart = start;
    this.argumentsEnd = start + words[at + RequestWord.argumentsLength]!;
    start = aligned(this.argumentsEnd);
    this.payloadStart = start;
    this.payloadEnd = start + words[at + RequestWord.payloadLength]!;
    this.hashLow = words[at + RequestWord.argumentsHashLow]!;
    this.hashHigh = words[at + RequestWord.argumentsHashHigh]!;
  }
}

/** The next multiple of four. */
export function aligned(position: number): number {
  return (position + 3) & ~3;
}
