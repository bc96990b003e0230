import type { Exchange, Reply } from '../../src/request/exchange/index.js';

/** A Reply that records what a client would receive. */
export class RecordingReply implements Reply {
  text = '';
  head: readonly string[] = [];
  status = 0;
  queued = 0;
  ended = false;
  /** The exchange that it was bound to last. */
  owner: Exchange | null = null;

  send(status: number, head: readonly string[], bytes: Uint8Array, start: number, end: number): void {
    this.status = status;
    this.head = head;
    this.text += Buffer.from(bytes.subarray(start, end)).toString();
    this.ended = true;
  }

  openStream(status: number, head: readonly string[]): void {
    this.status = status;
    this.head = head;
  }

  write(bytes: Uint8Array, start: number, end: number): boolean {
    this.text += Buffer.from(bytes.subarray(start, end)).toString();
    return true;
  }

  endStream(): void {
    this.ended = true;
  }

  buffered(): number {
    return this.queued;
  }

  abort(): void {
    this.ended = true;
  }

  rebind(exchange: Exchange): void {
    this.owner = exchange;
  }

  acknowledged(): void {}
}
