/**
 * Resources and tasks that clients follow, counted: any number of clients share one subscription at each endpoint (MCP,
 * resources: subscriptions; 2026-07-28, subscriptions/listen).
 */
import type { Count } from '../../units.js';
import { ControlError } from '../core/control.js';
import type { BaseEndpoint } from '../core/endpoint.js';
import type { WatchKind } from '../core/types.js';
import { type Watched, watchKey } from '../core/watched.js';
import { Follower, type FollowerOwner } from './follower.js';

interface Entry extends Watched {
  /** Requests that were fulfilled. */
  count: Count;
  waiters: { resolve: () => void; reject: (error: ControlError) => void }[];
  /** The error of the last endpoint that refused. */
  error: ControlError | null;
}

/** What is followed at the endpoints of a server that all clients share, or at one dedicated endpoint. */
export class Watches implements FollowerOwner {
  readonly #entries = new Map<string, Entry>();
  readonly #followers: readonly Follower[];
  /** A new entry is being given to the followers one by one: not to be decided yet. */
  #isAdding = false;

  /**
   * @param endpoints read at each use: another endpoint may take the place of one
   * @param lists whether changes of the endpoints' lists are followed as well
   */
  constructor(endpoints: readonly BaseEndpoint[], lists = false) {
    this.#followers = endpoints.map((_, index) => new Follower(endpoints, index, lists, this));
  }

  /** Resources and tasks that are followed, or are about to be. */
  get size(): Count {
    return this.#entries.size;
  }

  /** Whether it is followed, or about to be. */
  has(kind: WatchKind, id: string): boolean {
    return this.#entries.has(watchKey(kind, id));
  }

  /**
   * Fulfilled when the first endpoint has confirmed the subscription.
   *
   * @throws ControlError when all refuse or are down: nothing has changed then
   */
  add(kind: WatchKind, id: string): Promise<void> {
    const key = watchKey(kind, id);
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = { kind, id, count: 0, waiters: [], error: null };
      this.#entries.set(key, entry);
    }
    const added = entry;
    return new Promise((resolve, reject) => {
      added.waiters.push({ resolve, reject });
      this.#isAdding = true;
      for (const follower of this.#followers) follower.changed(added);
      this.#isAdding = false;
      this.#decide(added);
    });
  }

  /** Reverts one `add` that was fulfilled. */
  remove(kind: WatchKind, id: string): void {
    const entry = this.#entries.get(watchKey(kind, id));
    if (entry === undefined || entry.count === 0) return;
    entry.count -= 1;
    this.#removeIfUnused(entry);
  }

  /** The endpoint has made a handshake: all subscriptions have to be made again. */
  initialized(endpoint: BaseEndpoint): void {
    for (const follower of this.#followers) if (follower.endpoint === endpoint) follower.initialized();
  }

  /** An endpoint is not ready any more. */
  endpointUnavailable(): void {
    for (const entry of [...this.#entries.values()]) this.#decide(entry);
  }

  /** Rejects what waits. Sends nothing: the endpoints are being stopped too. */
  close(): void {
    for (const follower of this.#followers) follower.close();
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    const error = new ControlError('closed', 'the upstream is being stopped');
    for (const { waiters } of entries) for (const { reject } of waiters) reject(error);
  }

  requested(): Iterable<Watched> {
    return this.#entries.values();
  }

  isRequested({ kind, id }: Watched): boolean {
    return this.#entries.has(watchKey(kind, id));
  }

  settled(watched: Watched, error: ControlError | null): void {
    const entry = this.#entries.get(watchKey(watched.kind, watched.id));
    if (entry === undefined) return;
    if (error !== null) entry.error = error;
    this.#decide(entry);
  }

  /** Settles the waiters of an entry, once the outcome is known. */
  #decide(entry: Entry): void {
    if (this.#isAdding || entry.waiters.length === 0) return;
    if (this.#followers.some((follower) => follower.follows(entry))) {
      const { waiters } = entry;
      entry.waiters = [];
      entry.count += waiters.length;
      for (const { resolve } of waiters) resolve();
    } else if (!this.#followers.some((follower) => follower.isPending(entry))) {
      const { waiters } = entry;
      entry.waiters = [];
      const error = entry.error ?? new ControlError('closed', 'no endpoint of the upstream is ready');
      entry.error = null;
      for (const { reject } of waiters) reject(error);
      this.#removeIfUnused(entry);
    }
  }

  #removeIfUnused(entry: Entry): void {
    if (entry.count > 0 || entry.waiters.length > 0) return;
    this.#entries.delete(watchKey(entry.kind, entry.id));
    for (const follower of this.#followers) follower.changed(entry);
  }
}
