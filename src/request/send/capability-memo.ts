import type { Spans } from '../../../native/spans.js';
import { capabilityMask } from '../../protocol/client-capabilities.js';

/** Clients come in few kinds, and a busy one sends the same bytes with each call. */
const REMEMBERED = 8;
/** Longer capabilities are read each time. */
const LONGEST_BYTES = 1024;

/** The capability masks of the envelopes seen last, by their bytes. */
export class CapabilityMemo {
  readonly #texts: Buffer[] = [];
  readonly #masks: number[] = [];
  #next = 0;

  /** What the client of a modern call can be asked for, bits of Capability; `spans` is the scan of `bytes`. */
  read(bytes: Uint8Array, spans: Spans): number {
    const start = spans.capabilitiesStart;
    const end = spans.capabilitiesEnd;
    if (start < 0) return 0;
    const length = end - start;
    for (let index = 0; index < this.#texts.length; index += 1) {
      const text = this.#texts[index]!;
      if (text.length === length && text.compare(bytes, start, end) === 0) return this.#masks[index]!;
    }
    const given = bytes.subarray(start, end);
    const mask = capabilityMask(given);
    if (length <= LONGEST_BYTES) {
      this.#texts[this.#next] = Buffer.from(given);
      this.#masks[this.#next] = mask;
      this.#next = (this.#next + 1) % REMEMBERED;
    }
    return mask;
  }
}
