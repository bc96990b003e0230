/** Who follows which resources and tasks of which server: the way from a change upstream to its clients. */
import type { LaneClient, LaneOwner, WatchKind } from '../upstream/types.js';

/** A client that follows something: a legacy session or a listen stream. */
export interface Follower {
  readonly client: LaneClient;
}

/** Steps up from a resource to those it may be part of. */
const MOST_PARENTS = 64;
const SLASH = '/';

/** See the file comment. */
export class Follows<F extends Follower> {
  readonly #followers = new Map<string, Set<F>>();

  /** Things that somebody follows. */
  get size(): number {
    return this.#followers.size;
  }

  add(server: number, kind: WatchKind, id: string, follower: F): void {
    const key = keyOf(server, kind, id);
    const known = this.#followers.get(key);
    if (known === undefined) this.#followers.set(key, new Set([follower]));
    else known.add(follower);
  }

  /** @returns whether it did follow it */
  remove(server: number, kind: WatchKind, id: string, follower: F): boolean {
    const key = keyOf(server, kind, id);
    const known = this.#followers.get(key);
    if (known === undefined || !known.delete(follower)) return false;
    if (known.size === 0) this.#followers.delete(key);
    return true;
  }

  /** Calls `visit` once for each follower of that very thing. */
  exactly(server: number, kind: WatchKind, id: string, visit: (follower: F) => void): void {
    for (const follower of [...(this.#followers.get(keyOf(server, kind, id)) ?? [])]) visit(follower);
  }

  /**
   * The followers of a resource or of one that it is part of (MCP, resources: the URI of an update may be that of a
   * sub-resource), each once.
   *
   * @param owner the only one whose lane the update came on; null = it is for all
   */
  ofResource(server: number, uri: string, owner: LaneOwner | null): Set<F> {
    const found = new Set<F>();
    if (this.#followers.size === 0) return found;
    this.#collect(server, uri, owner, found);
    let at = uri.lastIndexOf(SLASH);
    for (let steps = 0; at > 0 && steps < MOST_PARENTS; steps += 1) {
      this.#collect(server, uri.slice(0, at), owner, found);
      if (at + 1 < uri.length) this.#collect(server, uri.slice(0, at + 1), owner, found);
      at = uri.lastIndexOf(SLASH, at - 1);
    }
    return found;
  }

  #collect(server: number, uri: string, owner: LaneOwner | null, found: Set<F>): void {
    for (const follower of this.#followers.get(keyOf(server, 'resource', uri)) ?? []) {
      if (owner === null || isOwner(owner, follower.client)) found.add(follower);
    }
  }
}

/** Whether what comes on a lane is for that client. */
export function isOwner(owner: LaneOwner, client: LaneClient): boolean {
  if (owner.sessionId !== '') return owner.sessionId === client.sessionId;
  return owner.subject.every((word, index) => word === client.subject[index]);
}

function keyOf(server: number, kind: WatchKind, id: string): string {
  return `${server} ${kind} ${id}`;
}
