/** Who follows which resources and tasks of which server: the way from a change upstream to its clients. */
import { isPlainText, normalUri } from '../protocol/uri.js';
import type { ClientIdentity, ConnectionOwner, WatchKind } from '../upstream/core/types.js';

/** A client that follows something: a legacy session or a listen stream. */
export interface Follower {
  readonly client: ClientIdentity;
}

/** One thing that one client follows. */
export interface Follow<F extends Follower> {
  readonly kind: WatchKind;
  readonly id: string;
  readonly follower: F;
}

interface Followed<F> {
  readonly server: number;
  readonly kind: WatchKind;
  readonly id: string;
  readonly followers: Set<F>;
}

/** Steps up from a resource to those it may be part of. */
const MOST_PARENTS = 64;
const SLASH = '/';

/** See the file comment. */
export class Follows<F extends Follower> {
  readonly #followed = new Map<string, Followed<F>>();

  /** Things that somebody follows. */
  get size(): number {
    return this.#followed.size;
  }

  add(server: number, kind: WatchKind, id: string, follower: F): void {
    const key = keyOf(server, kind, followedId(kind, id));
    const known = this.#followed.get(key);
    if (known === undefined) this.#followed.set(key, { server, kind, id, followers: new Set([follower]) });
    else known.followers.add(follower);
  }

  /** @returns whether it did follow it */
  remove(server: number, kind: WatchKind, id: string, follower: F): boolean {
    const key = keyOf(server, kind, followedId(kind, id));
    const known = this.#followed.get(key);
    if (known === undefined || !known.followers.delete(follower)) return false;
    if (known.followers.size === 0) this.#followed.delete(key);
    return true;
  }

  /** Everything that is followed at a server. */
  ofServer(server: number): Follow<F>[] {
    const found: Follow<F>[] = [];
    for (const { server: at, kind, id, followers } of this.#followed.values()) {
      if (at === server) for (const follower of followers) found.push({ kind, id, follower });
    }
    return found;
  }

  /** Calls `visit` once for each follower of that very thing. */
  exactly(server: number, kind: WatchKind, id: string, visit: (follower: F) => void): void {
    for (const follower of [...(this.#followed.get(keyOf(server, kind, id))?.followers ?? [])]) visit(follower);
  }

  /**
   * The followers of a resource or of one that it is part of (MCP, resources: the URI of an update may be that of a
   * sub-resource), each once.
   *
   * @param owner the only one whose lane the update came on; null = it is for all
   */
  ofResource(server: number, spelling: string, owner: ConnectionOwner | null): Set<F> {
    const found = new Set<F>();
    if (this.#followed.size === 0) return found;
    const uri = followedId('resource', spelling);
    this.#collect(server, uri, owner, found);
    let at = uri.lastIndexOf(SLASH);
    for (let steps = 0; at > 0 && steps < MOST_PARENTS; steps += 1) {
      this.#collect(server, uri.slice(0, at), owner, found);
      if (at + 1 < uri.length) this.#collect(server, uri.slice(0, at + 1), owner, found);
      at = uri.lastIndexOf(SLASH, at - 1);
    }
    return found;
  }

  #collect(server: number, uri: string, owner: ConnectionOwner | null, found: Set<F>): void {
    for (const follower of this.#followed.get(keyOf(server, 'resource', uri))?.followers ?? []) {
      if (owner === null || isOwner(owner, follower.client)) found.add(follower);
    }
  }
}

/** Whether what comes on a lane is for that client. */
export function isOwner(owner: ConnectionOwner, client: ClientIdentity): boolean {
  if (owner.sessionId !== '') return owner.sessionId === client.sessionId;
  return owner.subject.every((word, index) => word === client.subject[index]);
}

/** Upstreams may speak of a resource in another spelling than the one that was subscribed to. */
function followedId(kind: WatchKind, id: string): string {
  if (kind !== 'resource' || isPlainText(id)) return id;
  const read = normalUri(id);
  return typeof read === 'string' ? id : read.text;
}

function keyOf(server: number, kind: WatchKind, id: string): string {
  return `${server} ${kind} ${id}`;
}
