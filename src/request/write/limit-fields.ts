/** What answers say about rate limits: sentences of refusals, and the header fields of draft-ietf-httpapi-ratelimit-headers-10. */
import type { Snapshot } from '../../config/snapshot/index.js';
import { monotonic } from '../../shared/clock.js';
import { limitInWords } from '../../shared/limiters/words.js';
import { type BucketPlan, planBuckets } from '../../shared/limits/bucket-plan.js';
import type { Buckets } from '../../shared/limits/buckets.js';
import type { VerdictRecord } from '../../shared/ring/verdict-record.js';
import type { Milliseconds } from '../../units.js';
import { NO_HEAD } from './heads.js';

/** What a token that was given back may lack (limiters/limiter.ts, refund). */
const MISSING = 1e-3;

/** Where the limits are: the pool of policy workers. */
export interface LimitSource {
  readonly snapshot: Snapshot;
  /** The front's view of the buckets of that snapshot. */
  readonly buckets: Buckets;
}

/** What the write stage asks about limits: {@link LimitFields}. */
export interface AnswerLimits {
  path(limit: number): string;
  sentence(limit: number, wait: Milliseconds): string;
  refusal(limit: number, wait: Milliseconds): readonly string[];
  success(verdict: VerdictRecord): readonly string[];
}

/** Nothing is said about limits. */
export const NO_LIMITS: AnswerLimits = {
  path: () => '',
  sentence: () => '',
  refusal: () => NO_HEAD,
  success: () => NO_HEAD,
};

/** See the file comment. One per front. */
export class LimitFields implements AnswerLimits {
  readonly #source: LimitSource;
  #snapshot: Snapshot | null = null;
  #plan: BucketPlan | null = null;

  constructor(source: LimitSource) {
    this.#source = source;
  }

  /** Where the limit is written, as `rateLimits.global`; '' = it is not known. */
  path(limit: number): string {
    return this.#planned(limit)?.path ?? '';
  }

  /** Which limit refused and when the next call is possible, a sentence. */
  sentence(limit: number, wait: Milliseconds): string {
    const planned = this.#planned(limit);
    if (planned === undefined) return '';
    return `The limit ${planned.path} is ${limitInWords(planned.rule)}; try again in ${seconds(wait)} s.`;
  }

  /** The fields of a refusal. */
  refusal(limit: number, wait: Milliseconds): readonly string[] {
    const planned = this.#planned(limit);
    const retry = ['retry-after', String(seconds(wait))];
    return planned === undefined ? retry : [...retry, ...this.#fields(limit, 0, `;t=${seconds(wait)}`)];
  }

  /** The fields of another answer, about the limit of the call that has the least left; none unless `rateLimits.headers`. */
  success({ buckets: { count, pairs }, snapshotVersion }: VerdictRecord): readonly string[] {
    const { buckets, snapshot } = this.#source;
    // A verdict from before a reload refers to other buckets.
    if (count === 0 || !snapshot.rateLimits.headers || snapshotVersion !== snapshot.version) return NO_HEAD;
    const now = monotonic();
    let least = Number.POSITIVE_INFINITY;
    let limit = -1;
    for (let i = 0; i < count; i += 1) {
      const left = buckets.peek(pairs[i * 2]!, now);
      if (left >= least) continue;
      least = left;
      limit = buckets.limitNumber(pairs[i * 2]!);
    }
    return limit < 0 ? NO_HEAD : this.#fields(limit, least * buckets.limits[limit]!.capacity, '');
  }

  #fields(limit: number, left: number, time: string): readonly string[] {
    const name = `"${this.path(limit)}"`;
    const { capacity, windowMs } = this.#source.buckets.limits[limit]!;
    return [
      'ratelimit-policy',
      `${name};q=${capacity};w=${seconds(windowMs)}`,
      'ratelimit',
      `${name};r=${Math.floor(left + MISSING)}${time}`,
    ];
  }

  #planned(limit: number) {
    const { snapshot } = this.#source;
    if (this.#plan === null || this.#snapshot !== snapshot) {
      this.#snapshot = snapshot;
      this.#plan = planBuckets(snapshot);
    }
    return this.#plan.planned[limit];
  }
}

/** In whole seconds, at least one. */
function seconds(milliseconds: Milliseconds): number {
  return Math.max(1, Math.ceil(milliseconds / 1000));
}
