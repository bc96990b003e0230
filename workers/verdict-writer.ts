/** The worker's end of the verdict ring: one verdict is made up at a time, and none is lost when the ring is full. */

import { RequestWord, VERDICT_HEAD, Verdict } from '../src/shared/records.js';
import type { Ring } from '../src/shared/ring.js';
import { VerdictRecord } from '../src/shared/verdict-record.js';
import type { Guard } from './guard/index.js';

const EMPTY = Buffer.alloc(0);

/** A verdict that found no room on the ring. */
interface Held {
  readonly head: VerdictRecord;
  readonly payload: Buffer;
}

/** See the file comment. */
export class VerdictWriter {
  /** The verdict that is being made up. */
  readonly head = new VerdictRecord();
  readonly #ring: Ring;
  readonly #ringFront: () => void;
  readonly #held: Held[] = [];

  /** @param ringFront wakes the front */
  constructor(ring: Ring, ringFront: () => void) {
    this.#ring = ring;
    this.#ringFront = ringFront;
  }

  /** Verdicts wait for room. Bounded by the exchanges in flight: nothing more is read meanwhile. */
  get blocked(): boolean {
    return this.#held.length > 0;
  }

  /**
   * Starts the verdict on the record at `at`.
   *
   * @param catalogVersion, snapshotVersion, epoch what the decision is made on
   */
  begin(words: Int32Array, at: number, catalogVersion: number, snapshotVersion: number, epoch: number): void {
    const { head } = this;
    head.clear();
    head.slot = words[at + RequestWord.slot]!;
    head.generation = words[at + RequestWord.generation]!;
    head.catalogVersion = catalogVersion;
    head.snapshotVersion = snapshotVersion;
    head.epoch = epoch;
  }

  /** Ends it as a refusal. */
  deny(error: number, retryAfterMs: number, payload: Buffer): void {
    const { head } = this;
    head.kind = Verdict.deny;
    head.error = error;
    head.retryAfterMs = retryAfterMs;
    this.send(head, payload);
  }

  /** Ends it as a permission. @param rememberUntil seconds since the epoch, 0 = not to be remembered */
  permit(kind: Verdict, rememberUntil: number, guard: Guard): void {
    const { head } = this;
    head.kind = kind;
    head.rememberUntil = rememberUntil;
    if (kind !== Verdict.rehash) {
      head.bucketGlobal = guard.bucketGlobal;
      head.bucketTool = guard.bucketTool;
      head.bucketRoute = guard.bucketRoute;
      head.bucketClient = guard.bucketClient;
      head.bucketClientGeneration = guard.bucketClientGeneration;
      head.bucketRouteClient = guard.bucketRouteClient;
      head.bucketRouteClientGeneration = guard.bucketRouteClientGeneration;
    }
    this.send(head, EMPTY);
  }

  /** Writes a verdict, in its turn. */
  send(head: VerdictRecord, payload: Buffer): void {
    if (this.#held.length === 0 && this.#put(head, payload)) return;
    // Payloads are cached results and prepared texts, which never change: only the head needs a copy.
    this.#held.push({ head: head.copy(), payload });
  }

  /** Writes what found no room before. */
  flush(): void {
    while (this.#held.length > 0) {
      const { head, payload } = this.#held[0]!;
      if (!this.#put(head, payload)) return;
      this.#held.shift();
    }
  }

  #put(head: VerdictRecord, payload: Buffer): boolean {
    const ring = this.#ring;
    const at = ring.reserve(VERDICT_HEAD + ((payload.length + 3) >>> 2));
    if (at < 0) return false;
    head.payloadLength = payload.length;
    head.write(ring.words, at);
    if (payload.length > 0) payload.copy(ring.buffer, (at + VERDICT_HEAD) * 4);
    if (ring.commit()) this.#ringFront();
    return true;
  }
}
