/** Who follows which resources and tasks of which server: the way from a change upstream to its clients. */
import { isPlainText, normalUri } from '../protocol/uri.js';
import type { LaneClient, LaneOwner, WatchKind } from '../upstream/core/types.js';

/** A client that follows something: a legacy session or a listen stream. */
export interface Subscriber {
  readonly client: LaneClient;
}

/** One thing that one client follows. */
export interface SubscriberEntry<F extends Subscriber> {
  readonly kind: WatchKind;
  readonly id: string;
  readonly subscriber: F;
}

interface Target<F> {
  readonly server: number;
  readonly kind: WatchKind;
  readonly id: string;
  readonly subscribers: Set<F>;
}

/** Steps up from a resource to those it may be part of. */
const MAX_PARENTS = 64;
const SLASH = '/';

/** See the file comment. */
export class SubscriberIndex<F extends Subscriber> {
  readonly #targets = new Map<string, Target<F>>();

  /** Things that somebody follows. */
  get size(): number {
    return this.#targets.size;
  }

  add(server: number, kind: WatchKind, id: string, follower: F): void {
    const key = keyOf(server, kind, targetId(kind, id));
    const known = this.#targets.get(key);
    if (known === undefined) this.#targets.set(key, { server, kind, id, subscribers: new Set([follower]) });
    else known.subscribers.add(follower);
  }

  /** @returns whether it did follow it */
  remove(server: number, kind: WatchKind, id: string, follower: F): boolean {
    const key = keyOf(server, kind, targetId(kind, id));
    const known = this.#targets.get(key);
    if (known === undefined || !known.subscribers.delete(follower)) return false;
    if (known.subscribers.size === 0) this.#targets.delete(key);
    return true;
  }

  /** Everything that is followed at a server. */
  ofServer(server: number): SubscriberEntry<F>[] {
    const found: SubscriberEntry<F>[] = [];
    for (const { server: at, kind, id, subscribers: followers } of this.#targets.values()) {
      if (at === server) for (const follower of followers) found.push({ kind, id, subscriber: follower });
    }
    return found;
  }

  /** Calls `visit` once for each follower of that very thing. */
  forEachOf(server: number, kind: WatchKind, id: string, visit: (follower: F) => void): void {
    for (const follower of [...(this.#targets.get(keyOf(server, kind, id))?.subscribers ?? [])]) visit(follower);
  }

  /**
   * The followers of a resource or of one that it is part of (MCP, resources: the URI of an update may be that of a
   * sub-resource), each once.
   *
   * @param owner the only one whose lane the update came on; null = it is for all
   */
  ofResource(server: number, spelling: string, owner: LaneOwner | null): Set<F> {
    const found = new Set<F>();
    if (this.#targets.size === 0) return found;
    const uri = targetId('resource', spelling);
    this.#collect(server, uri, owner, found);
    let at = uri.lastIndexOf(SLASH);
    for (let steps = 0; at > 0 && steps < MAX_PARENTS; steps += 1) {
      this.#collect(server, uri.slice(0, at), owner, found);
      if (at + 1 < uri.length) this.#collect(server, uri.slice(0, at + 1), owner, found);
      at = uri.lastIndexOf(SLASH, at - 1);
    }
    return found;
  }

  #collect(server: number, uri: string, owner: LaneOwner | null, found: Set<F>): void {
    for (const follower of this.#targets.get(keyOf(server, 'resource', uri))?.subscribers ?? []) {
      if (owner === null || isOwner(owner, follower.client)) found.add(follower);
    }
  }
}

/** Whether what comes on a lane is for that client. */
export function isOwner(owner: LaneOwner, client: LaneClient): boolean {
  if (owner.sessionId !== '') return owner.sessionId === client.sessionId;
  return owner.subject.every((word, index) => word === client.subject[index]);
}

/** Upstreams may speak of a resource in another spelling than the one that was subscribed to. */
function targetId(kind: WatchKind, id: string): string {
  if (kind !== 'resource' || isPlainText(id)) return id;
  const read = normalUri(id);
  return typeof read === 'string' ? id : read.text;
}

function keyOf(server: number, kind: WatchKind, id: string): string {
  return `${server} ${kind} ${id}`;
}
