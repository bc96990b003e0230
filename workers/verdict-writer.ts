import type { Ring } from '../src/shared/ring/index.js';
import { VERDICT_HEAD, Verdict } from '../src/shared/ring/records.js';
import { VerdictRecord } from '../src/shared/ring/verdict-record.js';
import type { CacheWaiters } from './cache/index.js';
import type { Guard } from './guard/index.js';
import type { RequestRecord } from './request-record.js';

const EMPTY = Buffer.alloc(0);

/** The doorbell of the front. */
export interface FrontBell {
  /** Wakes the front, which sleeps while its ring is empty. */
  ring(): void;
}

/** A verdict for which the ring had no room. */
interface QueuedVerdict {
  readonly head: VerdictRecord;
  readonly payload: Buffer;
}

/**
 * The worker's end of the verdict ring. The decider fills one verdict at a time and sends it; when the ring is full, verdicts
 * queue here in order, and none is lost. One per worker.
 */
export class VerdictWriter implements CacheWaiters {
  /** The verdict that is being filled. */
  readonly head = new VerdictRecord();
  readonly #ring: Ring;
  readonly #bell: FrontBell;
  readonly #queue: QueuedVerdict[] = [];

  constructor(ring: Ring, bell: FrontBell) {
    this.#ring = ring;
    this.#bell = bell;
  }

  /** Verdicts wait for room. Bounded by the exchanges in flight: no request is read meanwhile. */
  get isBlocked(): boolean {
    return this.#queue.length > 0;
  }

  /**
   * Starts the verdict on a request.
   *
   * @param catalogVersion, snapshotVersion, epoch what the decision is based on
   */
  begin(request: RequestRecord, catalogVersion: number, snapshotVersion: number, epoch: number): void {
    const { head } = this;
    head.clear();
    head.slot = request.slot;
    head.generation = request.generation;
    head.catalogVersion = catalogVersion;
    head.snapshotVersion = snapshotVersion;
    head.epoch = epoch;
  }

  /** Sends the verdict as a refusal. */
  deny(error: number, payload: Buffer = EMPTY): void {
    const { head } = this;
    head.kind = Verdict.deny;
    head.error = error;
    this.send(head, payload);
  }

  /** Sends the verdict as the refusal of the guard. */
  denyGuarded({ error, limit, retryAfterMs, scopes }: Guard): void {
    const { head } = this;
    head.limit = limit;
    head.retryAfterMs = retryAfterMs;
    this.deny(error, scopes);
  }

  /** Sends the verdict as a permission. @param rememberUntil seconds since the epoch, 0 = not to be remembered */
  permit(kind: Verdict, rememberUntil: number, guard: Guard, payload: Buffer = EMPTY): void {
    const { head } = this;
    head.kind = kind;
    head.rememberUntil = rememberUntil;
    if (kind !== Verdict.needsArguments) {
      head.buckets.assign(guard.buckets);
      if (guard.isShared) head.rememberUntil = 0;
    }
    this.send(head, payload);
  }

  /** Sends the verdict with an answer of the cache, its head in front. */
  answer(verdict: VerdictRecord, answer: Buffer): void {
    verdict.kind = Verdict.cached;
    this.send(verdict, answer);
  }

  lead(verdict: VerdictRecord, key: number): void {
    verdict.kind = Verdict.lead;
    verdict.cacheKey = key;
    this.send(verdict, EMPTY);
  }

  forward(verdict: VerdictRecord): void {
    verdict.kind = Verdict.forward;
    this.send(verdict, EMPTY);
  }

  /** Writes a verdict to the ring, behind those that are queued. */
  send(head: VerdictRecord, payload: Buffer): void {
    if (this.#queue.length === 0 && this.#write(head, payload)) return;
    // Payloads are cached answers, of which only the words about their age change, and prepared texts: only the head needs a copy.
    this.#queue.push({ head: head.copy(), payload });
  }

  /** Writes the queued verdicts for which there is room now. */
  flush(): void {
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      if (!this.#write(next.head, next.payload)) return;
      this.#queue.shift();
    }
  }

  #write(head: VerdictRecord, payload: Buffer): boolean {
    const ring = this.#ring;
    const at = ring.reserve(VERDICT_HEAD + ((payload.length + 3) >>> 2));
    if (at < 0) return false;
    head.payloadLength = payload.length;
    head.write(ring.words, at);
    if (payload.length > 0) payload.copy(ring.buffer, (at + VERDICT_HEAD) * 4);
    if (ring.commit()) this.#bell.ring();
    return true;
  }
}
