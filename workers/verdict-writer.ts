/** The worker's end of the verdict ring: one verdict is made up at a time, and none is lost when the ring is full. */
import { RequestWord, VERDICT_HEAD, Verdict, VerdictWord } from '../src/shared/records.js';
import type { Ring } from '../src/shared/ring.js';
import type { Guard } from './guard/index.js';

const EMPTY = Buffer.alloc(0);

/** A verdict that found no room on the ring. */
interface Held {
  readonly head: Int32Array;
  readonly payload: Buffer;
}

/** See the file comment. */
export class VerdictWriter {
  /** The verdict that is being made up. */
  readonly head = new Int32Array(VERDICT_HEAD);
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
    head.fill(0);
    head[VerdictWord.slot] = words[at + RequestWord.slot]!;
    head[VerdictWord.generation] = words[at + RequestWord.generation]!;
    head[VerdictWord.server] = -1;
    head[VerdictWord.route] = -1;
    head[VerdictWord.entry] = -1;
    head[VerdictWord.error] = -1;
    head[VerdictWord.principal] = -1;
    head[VerdictWord.catalogVersion] = catalogVersion;
    head[VerdictWord.snapshotVersion] = snapshotVersion;
    head[VerdictWord.epoch] = epoch;
    head[VerdictWord.bucketGlobal] = -1;
    head[VerdictWord.bucketClient] = -1;
    head[VerdictWord.bucketTool] = -1;
    head[VerdictWord.bucketClientTool] = -1;
    head[VerdictWord.bucketRoute] = -1;
  }

  /** Ends it as a refusal. */
  deny(error: number, retryAfterMs: number, payload: Buffer): void {
    const { head } = this;
    head[VerdictWord.verdict] = Verdict.deny;
    head[VerdictWord.error] = error;
    head[VerdictWord.retryAfterMs] = retryAfterMs;
    this.send(head, payload);
  }

  /** Ends it as a permission. @param rememberUntil seconds since the epoch, 0 = not to be remembered */
  permit(verdict: number, rememberUntil: number, guard: Guard): void {
    const { head } = this;
    head[VerdictWord.verdict] = verdict;
    head[VerdictWord.rememberUntil] = rememberUntil;
    if (verdict !== Verdict.rehash) {
      head[VerdictWord.bucketGlobal] = guard.bucketGlobal;
      head[VerdictWord.bucketTool] = guard.bucketTool;
      head[VerdictWord.bucketRoute] = guard.bucketRoute;
      head[VerdictWord.bucketClient] = guard.bucketClient;
      head[VerdictWord.bucketClientGeneration] = guard.bucketClientGeneration;
      head[VerdictWord.bucketClientTool] = guard.bucketRouteClient;
      head[VerdictWord.bucketClientToolGeneration] = guard.bucketRouteClientGeneration;
    }
    this.send(head, EMPTY);
  }

  /** Writes a verdict, in its turn. */
  send(head: Int32Array, payload: Buffer): void {
    if (this.#held.length === 0 && this.#put(head, payload)) return;
    // Payloads are cached results and prepared texts, which never change: only the head needs a copy.
    this.#held.push({ head: head.slice(), payload });
  }

  /** Writes what found no room before. */
  flush(): void {
    while (this.#held.length > 0) {
      const { head, payload } = this.#held[0]!;
      if (!this.#put(head, payload)) return;
      this.#held.shift();
    }
  }

  #put(head: Int32Array, payload: Buffer): boolean {
    const ring = this.#ring;
    const at = ring.reserve(VERDICT_HEAD + ((payload.length + 3) >>> 2));
    if (at < 0) return false;
    head[VerdictWord.payloadLength] = payload.length;
    const { words } = ring;
    for (let i = 0; i < VERDICT_HEAD; i += 1) words[at + i] = head[i]!;
    if (payload.length > 0) payload.copy(ring.buffer, (at + VERDICT_HEAD) * 4);
    if (ring.commit()) this.#ringFront();
    return true;
  }
}
