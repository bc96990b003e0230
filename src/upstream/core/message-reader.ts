import { type Decoder, Kind, ScanStatus } from '../../../native/layout.js';
import { Spans } from '../../../native/spans.js';
import type { Count } from '../../units.js';
import { scanServerMessage } from './server-scan.js';

/** Receives scanned messages; bytes and spans are valid only during the call. */
export interface MessageReceiver {
  receiveResponse(bytes: Uint8Array, length: number, spans: Spans): void;
  receiveNotification(bytes: Uint8Array, length: number, spans: Spans): void;
  receiveRequest(bytes: Uint8Array, length: number, spans: Spans): void;
  /** Bytes that are no message; `spans` holds the id if one could be read. */
  receiveUnreadable(bytes: Uint8Array, length: number, status: number, spans: Spans): void;
}

/** Scans the messages of a channel and splits batches (JSON-RPC 2.0, MCP 2025-03-26). Owned by the endpoint. */
export class MessageReader {
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

  /** @returns false for a batch, which is not read */
  #single(bytes: Uint8Array, length: number): boolean {
    const spans = this.#spans;
    const status = scanServerMessage(this.#decoder, bytes, length, spans);
    if (status !== ScanStatus.ok) {
      this.#receiver.receiveUnreadable(bytes, length, status, spans);
      return true;
    }
    switch (spans.kind) {
      case Kind.response:
        this.#receiver.receiveResponse(bytes, length, spans);
        return true;
      case Kind.notification:
        this.#receiver.receiveNotification(bytes, length, spans);
        return true;
      case Kind.request:
        this.#receiver.receiveRequest(bytes, length, spans);
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
      this.#receiver.receiveUnreadable(bytes, length, ScanStatus.notJsonRpc, this.#spans);
      return;
    }
    for (let index = 0; index < count; index += 1) {
      const element = bytes.subarray(elements[index * 2], elements[index * 2 + 1]);
      if (this.#single(element, element.length)) continue;
      // A batch within a batch.
      this.#spans.clear();
      this.#receiver.receiveUnreadable(element, element.length, ScanStatus.notJsonRpc, this.#spans);
    }
  }
}
