/** The subscribers of resources and tasks by server: finds the clients that a notification of an upstream is for. */
import { isPlainText, normalUri } from '../protocol/uri.js';
import type { ClientIdentity, ConnectionOwner, WatchKind } from '../upstream/core/types.js';

/** A client with subscriptions: a legacy session or a listen stream. */
export interface Subscriber {
  readonly client: ClientIdentity;
}

/** One subscription of one client. */
export interface SubscriberEntry<S extends Subscriber> {
  readonly kind: WatchKind;
  readonly id: string;
  readonly subscriber: S;
}

interface Target<S> {
  readonly server: number;
  readonly kind: WatchKind;
  readonly id: string;
  readonly subscribers: Set<S>;
}

/** Parents of a resource that are looked up. */
const MAX_PARENTS = 64;
const SLASH = '/';

/** See the file comment. */
export class SubscriberIndex<S extends Subscriber> {
  readonly #targets = new Map<string, Target<S>>();

  /** Resources and tasks with subscribers. */
  get size(): number {
    return this.#targets.size;
  }

  add(server: number, kind: WatchKind, id: string, subscriber: S): void {
    const key = keyOf(server, kind, targetId(kind, id));
    const target = this.#targets.get(key);
    if (target === undefined) this.#targets.set(key, { server, kind, id, subscribers: new Set([subscriber]) });
    else target.subscribers.add(subscriber);
  }

  /** @returns false when there was no such subscription */
  remove(server: number, kind: WatchKind, id: string, subscriber: S): boolean {
    const key = keyOf(server, kind, targetId(kind, id));
    const target = this.#targets.get(key);
    if (target === undefined || !target.subscribers.delete(subscriber)) return false;
    if (target.subscribers.size === 0) this.#targets.delete(key);
    return true;
  }

  /** All subscriptions at a server. */
  ofServer(server: number): SubscriberEntry<S>[] {
    const found: SubscriberEntry<S>[] = [];
    for (const { server: at, kind, id, subscribers } of this.#targets.values()) {
      if (at === server) for (const subscriber of subscribers) found.push({ kind, id, subscriber });
    }
    return found;
  }

  /** Calls `visit` for each subscriber of exactly this resource or task. */
  forEachOf(server: number, kind: WatchKind, id: string, visit: (subscriber: S) => void): void {
    for (const subscriber of [...(this.#targets.get(keyOf(server, kind, id))?.subscribers ?? [])]) visit(subscriber);
  }

  /**
   * The subscribers of a resource or of a parent of it (MCP, resources: the URI of an update may be that of a
   * sub-resource), each once.
   *
   * @param owner the client whose dedicated connection the update came on; null = the update is for all
   */
  ofResource(server: number, spelling: string, owner: ConnectionOwner | null): Set<S> {
    const found = new Set<S>();
    if (this.size === 0) return found;
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

  #collect(server: number, uri: string, owner: ConnectionOwner | null, found: Set<S>): void {
    for (const subscriber of this.#targets.get(keyOf(server, 'resource', uri))?.subscribers ?? []) {
      if (owner === null || isOwner(owner, subscriber.client)) found.add(subscriber);
    }
  }
}

/** Whether a message on the dedicated connection of `owner` is for that client. */
export function isOwner(owner: ConnectionOwner, client: ConnectionOwner): boolean {
  if (owner.sessionId !== '') return owner.sessionId === client.sessionId;
  return owner.subject.every((word, index) => word === client.subject[index]);
}

/** Resources by their normalized URI: upstreams may spell it differently in updates. */
function targetId(kind: WatchKind, id: string): string {
  if (kind !== 'resource' || isPlainText(id)) return id;
  const read = normalUri(id);
  return typeof read === 'string' ? id : read.text;
}

function keyOf(server: number, kind: WatchKind, id: string): string {
  return `${server} ${kind} ${id}`;
}
