/** Which endpoint of a server gets a call. */
import type { Count } from '../../units.js';

/** What the choice depends on. */
export interface Candidate {
  /** Share of the calls, > 0. */
  readonly weight: number;
}

/** Chooses among the endpoints of one server. Runs for each call: synchronous, without allocation. */
export interface Balancer {
  /**
   * @param usable indexes that may be chosen
   * @param count how many of `usable` count, at least one
   * @returns the index of one of them
   */
  choose(usable: Int32Array, count: Count): number;
}
