import type { Current } from '../config/current.js';
import type { RouteSnapshot, Snapshot } from '../config/snapshot.js';
import type { VerdictRecord } from '../shared/verdict-record.js';

/** Snapshots before the one in force that a call in flight may refer to. */
const KEPT = 4;

/** The routes of verdicts: the same number may mean another route after a reload. One per front. */
export class RouteHistory {
  readonly #config: Current<Snapshot>;
  readonly #earlier: Snapshot[] = [];

  constructor(config: Current<Snapshot>) {
    this.#config = config;
  }

  /** Keeps a snapshot that is in force no longer, for the calls that were judged by it. */
  keep(before: Snapshot): void {
    this.#earlier.unshift(before);
    this.#earlier.length = Math.min(this.#earlier.length, KEPT);
  }

  /** The route of a verdict, by the snapshot that it was made under; null = none, or it is forgotten. */
  routeOf({ route, snapshotVersion }: VerdictRecord): RouteSnapshot | null {
    const { current } = this.#config;
    const rules =
      snapshotVersion === current.version ? current : this.#earlier.find(({ version }) => version === snapshotVersion);
    return rules?.routes[route] ?? null;
  }
}
