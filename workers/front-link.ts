import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { ring } from '../native/index.js';
import type { BellAddress, FrontMessage, Inquiry, WorkerMessage } from '../src/shared/ring/worker-messages.js';
import type { Front } from './decide.js';

/** What a worker has of the front besides the rings: its doorbell and a message port. Made by policy.ts, one per worker. */
export class FrontLink implements Front {
  readonly #port: MessagePort;
  readonly #bell: BellAddress;

  constructor(port: MessagePort, bell: BellAddress) {
    this.#port = port;
    this.#bell = bell;
  }

  ring(): void {
    ring(this.#bell.handle, this.#bell.cell);
  }

  post(message: FrontMessage): void {
    this.#port.postMessage(message);
  }

  requestKeys(url: string, version: number): void {
    this.post({ type: 'needKeys', url, version });
  }

  inquire(id: number, inquiry: Inquiry): void {
    this.post({ type: 'inquiry', id, inquiry });
  }

  receive(): WorkerMessage | null {
    const received = receiveMessageOnPort(this.#port);
    return received === undefined ? null : (received.message as WorkerMessage);
  }
}
