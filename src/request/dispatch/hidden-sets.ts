import { HiddenEntries } from '../../shared/hidden-entries.js';
import type { VerdictRecord } from '../../shared/ring/verdict-record.js';
import type { Count } from '../../units.js';

/**
 * What is hidden from whom, as workers have said it with their verdicts on lists. A remembered verdict has only the digest: where
 * the entries were dropped, a worker is asked again. One per front.
 */
export class HiddenSets {
  /** By the lower half of their digest, in the order in which they were learned. */
  readonly #known = new Map<number, HiddenEntries>();
  #last = 0;

  /** What a verdict on a list hides; null = everything is visible, or it is not known. */
  find({ hiddenLow, hiddenHigh, catalogVersion }: VerdictRecord): HiddenEntries | null {
    const known = this.#known.get(hiddenLow);
    if (known === undefined || known.high !== hiddenHigh || known.catalogVersion !== catalogVersion) return null;
    return known;
  }

  /** Whether the verdict says all: nothing is hidden, or it is known what. */
  covers(verdict: VerdictRecord): boolean {
    return isEverything(verdict) || this.find(verdict) !== null;
  }

  /** Keeps what a verdict hides. @param hidden copied @param max most sets that are kept */
  learn(verdict: VerdictRecord, hidden: Uint8Array, max: Count): void {
    if (isEverything(verdict) || this.find(verdict) !== null) return;
    const { hiddenLow, hiddenHigh, catalogVersion } = verdict;
    this.#last += 1;
    this.#known.delete(hiddenLow);
    this.#known.set(hiddenLow, new HiddenEntries(this.#last, catalogVersion, hiddenLow, hiddenHigh, hidden.slice()));
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= max) return;
      this.#known.delete(oldest);
    }
  }
}

function isEverything({ hiddenLow, hiddenHigh }: VerdictRecord): boolean {
  return (hiddenLow | hiddenHigh) === 0;
}
