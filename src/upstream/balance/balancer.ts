/** Which endpoint of a server gets a call. */
import type { IndexSet } from '../../shared/index-set.js';

/** What the choice looks at. */
export interface Candidate {
  readonly index: number;
  /** Share of the calls, > 0. */
  readonly weight: number;
}

/** Chooses among the endpoints of one server. Runs for each call: synchronous, without allocation. */
export interface Balancer {
  /**
   * @param usable indexes that may be chosen, at least one
   * @returns the index of one of them
   */
  choose(usable: IndexSet): number;
}

interface Share extends Candidate {
  credit: number;
}

/** Smooth weighted round robin: each choice goes to the endpoint with the largest credit, as nginx does. */
export class WeightedRoundRobin implements Balancer {
  readonly #shares: readonly Share[];

  constructor(candidates: readonly Candidate[]) {
    this.#shares = candidates.map(({ index, weight }) => ({ index, weight, credit: 0 }));
  }

  choose(usable: IndexSet): number {
    const shares = this.#shares;
    let best: Share | null = null;
    let total = 0;
    for (const share of shares) {
      if (!usable.has(share.index)) continue;
      total += share.weight;
      share.credit += share.weight;
      if (best === null || share.credit > best.credit) best = share;
    }
    if (best === null) throw new RangeError('there is no endpoint to choose');
    best.credit -= total;
    return best.index;
  }
}
