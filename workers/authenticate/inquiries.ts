import type { Inquiry, InquiryAnswer } from '../../src/shared/ring/worker-messages.js';

/** Where {@link Inquiries} are sent. */
export interface InquiryRequests {
  /** Sends an inquiry to the front, which answers every one. */
  inquire(id: number, inquiry: Inquiry): void;
}

/** Questions about credentials that the front finds out for all workers: introspection, hashed passwords. One per worker. */
export class Inquiries {
  readonly #requests: InquiryRequests;
  readonly #waiting = new Map<number, (answer: InquiryAnswer) => void>();
  #last = 0;

  constructor(requests: InquiryRequests) {
    this.#requests = requests;
  }

  /** Asks the front. */
  ask(inquiry: Inquiry): Promise<InquiryAnswer> {
    return new Promise((resolve) => {
      this.#last += 1;
      this.#waiting.set(this.#last, resolve);
      this.#requests.inquire(this.#last, inquiry);
    });
  }

  /** Handles an answer of the front. */
  receive(id: number, answer: InquiryAnswer): void {
    const resolve = this.#waiting.get(id);
    this.#waiting.delete(id);
    resolve?.(answer);
  }
}
