import { type Decoder, Kind, ScanStatus } from '../../../native/layout.js';
import { Spans } from '../../../native/spans.js';
import type { Count } from '../../units.js';
import { UPSTREAM_DEPTH } from '../core/control.js';

/** Receives scanned messages; bytes and spans are valid only during the call. */
export interface MessageReceiver {
  response(bytes: Uint8Array, length: number, spans: Spans): void;
  notification(bytes: Uint8Array, length: number, spans: Spans): void;
  request(bytes: Uint8Array, length: number, spans: Spans): void;
  /** No message; `spans` holds the id if there is one that could be read. */
  unreadable(bytes: Uint8Array, length: number, status: number, spans: Spans): void;
}

/** Scans what comes on a channel and takes batches apart (JSON-RPC 2.0, MCP 2025-03-26). */
export class ChannelReader {
  readonly #decoder: Decoder;
  readonly #receiver: MessageReceiver;
  readonly #maxBatch: Count;
  readonly #spans = new Spans();
  #elements: Int32Array | null = null;

  /** @param maxBatch most messages of one batch */
  constructor(decoder: Decoder, maxBatch: Count, receiver: MessageReceiver) {
    this.#decoder = decoder;
    this.#maxBatch = maxBatch;
    this.#receiver = receiver;
  }

  read(bytes: Uint8Array, length: number): void {
    if (!this.#single(bytes, length)) this.#batch(bytes, length);
  }

  /** @returns false for a batch, which is left alone */
  #single(bytes: Uint8Array, length: number): boolean {
    const spans = this.#spans;
    const status = this.#decoder.scan(bytes, length, spans.words, UPSTREAM_DEPTH);
    if (status !== ScanStatus.ok) {
      this.#receiver.unreadable(bytes, length, status, spans);
      return true;
    }
    switch (spans.kind) {
      case Kind.response:
        this.#receiver.response(bytes, length, spans);
        return true;
      case Kind.notification:
        this.#receiver.notification(bytes, length, spans);
        return true;
      case Kind.request:
        this.#receiver.request(bytes, length, spans);
        return true;
      default:
        return false;
    }
  }

  #batch(bytes: Uint8Array, length: number): void {
    this.#elements ??= new Int32Array(this.#maxBatch * 2);
    const elements = this.#elements;
    const count = this.#spans.batchCount > this.#maxBatch ? -1 : this.#decoder.splitBatch(bytes, length, elements);
    if (count < 0) {
      this.#spans.clear();
      this.#receiver.unreadable(bytes, length, ScanStatus.notJsonRpc, this.#spans);
      return;
    }
    for (let index = 0; index < count; index += 1) {
      const element = bytes.subarray(elements[index * 2]!, elements[index * 2 + 1]!);
      // A batch within a batch is none.
      if (this.#single(element, element.length)) continue;
      this.#spans.clear();
      this.#receiver.unreadable(element, element.length, ScanStatus.notJsonRpc, this.#spans);
    }
  }
}
