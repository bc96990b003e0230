/** Gives back the rate-limit tokens of a call that the policy has let through and another limit refuses. */

import { monotonic } from '../shared/clock.js';
import type { Buckets } from '../shared/limits/buckets.js';
import type { Exchange } from './exchange/index.js';

/** Where the limits are: the pool of policy workers. */
export interface TokenSource {
  readonly snapshot: { readonly version: number };
  /** The front's view of the buckets of that snapshot. */
  readonly buckets: Pick<Buckets, 'refund'>;
}

/** See the file comment; one per front. */
export class TakenTokens {
  readonly #source: TokenSource;

  constructor(source: TokenSource) {
    this.#source = source;
  }

  /** Gives back what the verdict on a call has taken, once. Tokens taken before a reload stay taken: they may belong to other limits. */
  giveBack({ verdict }: Pick<Exchange, 'verdict'>): void {
    const { buckets } = verdict;
    if (buckets.count === 0) return;
    if (verdict.snapshotVersion === this.#source.snapshot.version) this.#source.buckets.refund(monotonic(), buckets);
    buckets.clear();
  }
}
