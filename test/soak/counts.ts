/** What the clients of the soak saw, and the sentence it comes to. */

/** Counts by kind of action; every call ends in exactly one of them. */
export class Counts {
  /** Answered with what was asked for. */
  readonly answered = new Map<string, number>();
  /** Answered with an error that says it may be tried again: an upstream was restarting. */
  readonly retryable = new Map<string, number>();
  /** Notifications that came where they belong. */
  readonly notified = new Map<string, number>();
  /** What must not happen, in words; the first hundred. */
  readonly faults: string[] = [];
  faultCount = 0;

  count(kind: 'answered' | 'retryable' | 'notified', action: string): void {
    const counts = this[kind];
    counts.set(action, (counts.get(action) ?? 0) + 1);
  }

  fault(sentence: string): void {
    this.faultCount += 1;
    if (this.faults.length < 100) this.faults.push(sentence);
  }

  total(kind: 'answered' | 'retryable' | 'notified'): number {
    let sum = 0;
    for (const count of this[kind].values()) sum += count;
    return sum;
  }

  /** A table for people. */
  table(): string {
    const actions = [...new Set([...this.answered.keys(), ...this.retryable.keys(), ...this.notified.keys()])].sort();
    const row = (cells: readonly (string | number)[]): string =>
      cells.map((cell, column) => (column === 0 ? String(cell).padEnd(28) : String(cell).padStart(12))).join('');
    return [
      row(['action', 'answered', 'retryable', 'notified']),
      ...actions.map((action) =>
        row([action, this.answered.get(action) ?? 0, this.retryable.get(action) ?? 0, this.notified.get(action) ?? 0]),
      ),
    ].join('\n');
  }
}

/** One look at the gateway's process. */
export interface Sample {
  readonly seconds: number;
  readonly rssBytes: number;
  readonly descriptors: number;
}

/** Room that garbage collection may take; growth beyond it is a leak. */
const SLACK_BYTES = 24 * 1024 * 1024;
const SLACK_DESCRIPTORS = 40;

/**
 * Compares the middle of a run with its end.
 *
 * @param samples at even distances; the first third is left out, since caches fill
 * @returns what has grown, in words; empty = nothing
 */
export function growth(samples: readonly Sample[]): string[] {
  const third = Math.floor(samples.length / 3);
  if (third < 3) return [];
  const middle = samples.slice(third, 2 * third);
  const end = samples.slice(2 * third);
  const least = (of: readonly Sample[], value: (sample: Sample) => number): number => Math.min(...of.map(value));
  const found: string[] = [];
  const [rssBefore, rssAfter] = [least(middle, (s) => s.rssBytes), least(end, (s) => s.rssBytes)];
  if (rssAfter > rssBefore * 1.1 + SLACK_BYTES) {
    found.push(`resident memory grew from ${mib(rssBefore)} to ${mib(rssAfter)}`);
  }
  const [before, after] = [least(middle, (s) => s.descriptors), least(end, (s) => s.descriptors)];
  if (after > before + SLACK_DESCRIPTORS) found.push(`open descriptors grew from ${before} to ${after}`);
  return found;
}

export function mib(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}
