import type { Count } from '../../units.js';
import type { Balancer, Candidate } from './balancer.js';

/** Smooth weighted round robin: each choice goes to the endpoint with the largest credit, as nginx does. */
export class WeightedRoundRobin implements Balancer {
  readonly #weights: Float64Array;
  readonly #credits: Float64Array;

  /** @param candidates by index */
  constructor(candidates: readonly Candidate[]) {
    this.#weights = Float64Array.from(candidates, ({ weight }) => weight);
    this.#credits = new Float64Array(candidates.length);
  }

  choose(usable: Int32Array, count: Count): number {
    const weights = this.#weights;
    const credits = this.#credits;
    let best = 0;
    let most = Number.NEGATIVE_INFINITY;
    let total = 0;
    for (let at = 0; at < count; at += 1) {
      const index = usable[at] ?? 0;
      const weight = weights[index] ?? 0;
      const credit = (credits[index] ?? 0) + weight;
      credits[index] = credit;
      total += weight;
      if (credit <= most) continue;
      most = credit;
      best = index;
    }
    credits[best] = most - total;
    return best;
  }
}
