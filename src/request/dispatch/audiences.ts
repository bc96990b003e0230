import { Audience } from '../../shared/audience.js';
import type { VerdictRecord } from '../../shared/verdict-record.js';
import type { Count } from '../../units.js';

/**
 * What is hidden from whom, as workers have said it with their verdicts on lists. A remembered verdict has only the digest: where
 * its audience was dropped, a worker is asked again. One per front.
 */
export class Audiences {
  /** By the lower half of their digest, in the order in which they were learned. */
  readonly #known = new Map<number, Audience>();
  #last = 0;

  /** The audience of a verdict on a list; null = everything is visible, or it is not known. */
  find({ audienceLow, audienceHigh, catalogVersion }: VerdictRecord): Audience | null {
    const known = this.#known.get(audienceLow);
    if (known === undefined || known.high !== audienceHigh || known.catalogVersion !== catalogVersion) return null;
    return known;
  }

  /** Whether the verdict says all: nothing is hidden, or it is known what. */
  covers(verdict: VerdictRecord): boolean {
    return isEverything(verdict) || this.find(verdict) !== null;
  }

  /** Keeps what a verdict hides. @param hidden copied @param max most audiences that are kept */
  learn(verdict: VerdictRecord, hidden: Uint8Array, max: Count): void {
    if (isEverything(verdict) || this.find(verdict) !== null) return;
    const { audienceLow, audienceHigh, catalogVersion } = verdict;
    this.#last += 1;
    this.#known.delete(audienceLow);
    this.#known.set(audienceLow, new Audience(this.#last, catalogVersion, audienceLow, audienceHigh, hidden.slice()));
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= max) return;
      this.#known.delete(oldest);
    }
  }
}

function isEverything({ audienceLow, audienceHigh }: VerdictRecord): boolean {
  return (audienceLow | audienceHigh) === 0;
}
