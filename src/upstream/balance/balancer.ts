/** Which endpoint of a server gets a call. */

/** What the choice looks at. */
export interface Candidate {
  readonly index: number;
  /** Share of the calls, > 0. */
  readonly weight: number;
}

/** Chooses among the endpoints of one server. Synchronous and without allocation: it runs for each call. */
export interface Balancer {
  /**
   * @param usable bits of the indexes that may be chosen, never 0
   * @returns the index of one of them
   */
  choose(usable: number): number;
}

/** Smooth weighted round robin: each choice goes to the endpoint with the largest credit, as nginx does. */
export class WeightedRoundRobin implements Balancer {
  readonly #weights: Float64Array;
  readonly #credits: Float64Array;

  /** At most 31 endpoints take part. */
  constructor(candidates: readonly Candidate[]) {
    this.#weights = Float64Array.from(candidates, (candidate) => candidate.weight);
    this.#credits = new Float64Array(candidates.length);
  }

  choose(usable: number): number {
    if ((usable & (usable - 1)) === 0) return 31 - Math.clz32(usable);
    const { length } = this.#weights;
    let best = -1;
    let total = 0;
    for (let index = 0; index < length; index += 1) {
      if ((usable & (1 << index)) === 0) continue;
      const weight = this.#weights[index]!;
      total += weight;
      this.#credits[index]! += weight;
      if (best < 0 || this.#credits[index]! > this.#credits[best]!) best = index;
    }
    this.#credits[best]! -= total;
    return best;
  }
}
