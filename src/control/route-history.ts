import type { Current } from '../config/snapshot/current.js';
import type { RouteSnapshot, Snapshot } from '../config/snapshot/index.js';
import type { VerdictRecord } from '../shared/ring/verdict-record.js';

/** Snapshots before the current one that a call in flight may refer to. */
const KEPT = 4;
const NOTHING: readonly never[] = [];

/** The routes of verdicts by snapshot: after a reload a number may name another route. One per front. */
export class RouteHistory {
  readonly #config: Current<Snapshot>;
  readonly #earlier: Snapshot[] = [];

  constructor(config: Current<Snapshot>) {
    this.#config = config;
  }

  /** Keeps a snapshot that is no longer in force, for calls that were decided under it. */
  keep(before: Snapshot): void {
    this.#earlier.unshift(before);
    this.#earlier.length = Math.min(this.#earlier.length, KEPT);
  }

  /** The servers of a verdict in fail-over order: those of its variant, or of its route; empty = the catalog decides. */
  serversOf(verdict: VerdictRecord): readonly number[] {
    const route = this.routeOf(verdict);
    if (route === null) return NOTHING;
    return route.variants?.groups[verdict.variant]?.servers ?? route.servers;
  }

  /** The response header that names the variant of a verdict. */
  variantHead(verdict: VerdictRecord): readonly string[] {
    const variants = verdict.variant < 0 ? null : (this.routeOf(verdict)?.variants ?? null);
    const group = variants?.groups[verdict.variant];
    if (group === undefined || variants === null || variants.responseHeader === null) return NOTHING;
    return [variants.responseHeader, group.name];
  }

  /** The route of a verdict in the snapshot that it was made under; null = none, or the snapshot was dropped. */
  routeOf({ route, snapshotVersion }: VerdictRecord): RouteSnapshot | null {
    const { current } = this.#config;
    const snapshot =
      snapshotVersion === current.version ? current : this.#earlier.find(({ version }) => version === snapshotVersion);
    return snapshot?.routes[route] ?? null;
  }
}
