/**
 * What clients follow upstream, counted: many clients that follow the same make one subscription at each endpoint
 * (MCP, resources: subscriptions; 2026-07-28, subscriptions/listen).
 */
import type { Count } from '../../units.js';
import { ControlError } from '../core/control.js';
import type { BaseEndpoint } from '../core/endpoint.js';
import type { WatchKind } from '../core/types.js';
import { Follower, keyOf, type Watched } from './follower.js';

interface Entry extends Watched {
  /** Those that were told it is followed. */
  count: Count;
  waiters: { resolve: () => void; reject: (error: ControlError) => void }[];
  /** What the last endpoint said that refused. */
  error: ControlError | null;
}

/** What is followed at a set of endpoints that are as good as one another, or on one lane. */
export class Watches {
  readonly #entries = new Map<string, Entry>();
  readonly #followers: readonly Follower[];
  /** An entry is being brought to the followers one by one: too early to decide. */
  #spreading = false;

  /** @param lists whether changes of the endpoints' lists are listened to as well */
  constructor(endpoints: readonly (() => BaseEndpoint)[], lists = false) {
    this.#followers = endpoints.map(
      (endpoint) =>
        new Follower(endpoint, lists, {
          wanted: () => this.#entries.values(),
          isWanted: ({ kind, id }) => this.#entries.has(keyOf(kind, id)),
          settled: (watched, error) => this.#settled(watched, error),
        }),
    );
  }

  /** Resources and tasks that are followed, or are about to be. */
  get size(): Count {
    return this.#entries.size;
  }

  /** Whether it is followed, or about to be. */
  has(kind: WatchKind, id: string): boolean {
    return this.#entries.has(keyOf(kind, id));
  }

  /**
   * Fulfilled when the first endpoint has confirmed.
   *
   * @throws ControlError when all refuse or are down: nothing has changed then
   */
  add(kind: WatchKind, id: string): Promise<void> {
    const key = keyOf(kind, id);
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = { kind, id, count: 0, waiters: [], error: null };
      this.#entries.set(key, entry);
    }
    const asked = entry;
    return new Promise((resolve, reject) => {
      asked.waiters.push({ resolve, reject });
      this.#spreading = true;
      for (const follower of this.#followers) follower.changed(asked);
      this.#spreading = false;
      this.#decide(asked);
    });
  }

  /** Takes back one `add` that was fulfilled. */
  remove(kind: WatchKind, id: string): void {
    const entry = this.#entries.get(keyOf(kind, id));
    if (entry === undefined || entry.count === 0) return;
    entry.count -= 1;
    this.#forgetIfUnwanted(entry);
  }

  /** The endpoint has a new handshake: all of it has to be asked for again. */
  initialized(endpoint: BaseEndpoint): void {
    for (const follower of this.#followers) if (follower.endpoint === endpoint) follower.initialized();
  }

  /** An endpoint is not ready any more. */
  endpointUnavailable(): void {
    for (const entry of [...this.#entries.values()]) this.#decide(entry);
  }

  /** Ends it; who waits is refused. The endpoints are told nothing: they are ending themselves. */
  close(): void {
    for (const follower of this.#followers) follower.close();
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    const error = new ControlError('closed', 'the upstream is being stopped');
    for (const { waiters } of entries) for (const { reject } of waiters) reject(error);
  }

  #settled(watched: Watched, error: ControlError | null): void {
    const entry = this.#entries.get(keyOf(watched.kind, watched.id));
    if (entry === undefined) return;
    if (error !== null) entry.error = error;
    this.#decide(entry);
  }

  /** Answers those who wait, once it is clear what to say. */
  #decide(entry: Entry): void {
    if (this.#spreading || entry.waiters.length === 0) return;
    if (this.#followers.some((follower) => follower.follows(entry))) {
      const { waiters } = entry;
      entry.waiters = [];
      entry.count += waiters.length;
      for (const { resolve } of waiters) resolve();
    } else if (!this.#followers.some((follower) => follower.isTrying(entry))) {
      const { waiters } = entry;
      entry.waiters = [];
      const error = entry.error ?? new ControlError('closed', 'no endpoint of the upstream is ready');
      entry.error = null;
      for (const { reject } of waiters) reject(error);
      this.#forgetIfUnwanted(entry);
    }
  }

  #forgetIfUnwanted(entry: Entry): void {
    if (entry.count > 0 || entry.waiters.length > 0) return;
    this.#entries.delete(keyOf(entry.kind, entry.id));
    for (const follower of this.#followers) follower.changed(entry);
  }
}
