import type { Snapshot } from '../config/snapshot.js';

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * The rules in force as the front reads them: one object for as long as the gateway lives, whose members are those of
 * the newest snapshot. Parts that were handed it (or its `limits`) follow a reload without being told. It never leaves
 * the main thread; whoever compares or sends a snapshot takes the immutable one.
 */
export class RulesInForce {
  readonly view: Snapshot;
  /** The newest snapshot. */
  snapshot: Snapshot;

  constructor(snapshot: Snapshot) {
    this.snapshot = snapshot;
    this.view = { ...snapshot, limits: { ...snapshot.limits } };
  }

  /** Makes the members of `next` the ones that are read from now on. */
  follow(next: Snapshot): void {
    const { limits } = this.view;
    Object.assign(limits, next.limits);
    const view: Writable<Snapshot> = this.view;
    Object.assign(view, next);
    view.limits = limits;
    this.snapshot = next;
  }
}
