import { Method } from '../../../native/layout.js';
import type { Bytes, Count } from '../../units.js';
import type { BaseEndpoint, EndpointOwner } from '../core/endpoint.js';
import { MessageCost, type NotificationLimit } from '../core/limits/notification-limit.js';
import type { WatchKind } from '../core/types.js';
import { type Watched, watchKey } from '../core/watched.js';
import { changedTask, resourceUpdate, updatedUri } from './format.js';

/** Largest task notification that is deferred; a larger one is dropped, and the client polls the task. */
const MAX_DEFERRED_BYTES: Bytes = 64 * 1024;
/** Most deferred updates that are reported in one tick. */
const MAX_PER_TICK: Count = 100;

interface DeferredUpdate extends Watched {
  readonly bytes: Buffer;
}

/**
 * Reports changes that a server announces (lists, resources, tasks) to the owner of its endpoint, within the limit on
 * notifications. Above the limit list changes still lead to one reading of the lists, and the last update of each followed
 * resource or task is deferred; other updates are dropped. One for each endpoint, called by {@link ServerMessages}.
 */
export class ChangeNotices {
  readonly #endpoint: BaseEndpoint;
  readonly #owner: EndpointOwner;
  readonly #limit: NotificationLimit;
  /** The last update of what is followed, by key: at most one for each. */
  readonly #deferred = new Map<string, DeferredUpdate>();

  constructor(endpoint: BaseEndpoint, owner: EndpointOwner) {
    this.#endpoint = endpoint;
    this.#owner = owner;
    this.#limit = endpoint.notificationLimit;
  }

  /** @returns whether the notification was about a change, and is dealt with */
  handle(method: number, bytes: Uint8Array, length: number): boolean {
    switch (method) {
      case Method.toolsListChanged:
      case Method.promptsListChanged:
      case Method.resourcesListChanged:
        this.#limit.take(MessageCost.notification);
        this.#owner.listChanged(this.#endpoint);
        return true;
      case Method.resourceUpdated:
        this.#updated('resource', updatedUri(bytes, length), bytes, length);
        return true;
      case Method.tasksNotification:
        this.#updated('task', changedTask(bytes, length), bytes, length);
        return true;
      default:
        return false;
    }
  }

  /** Changes may have been missed: of the lists, and of these resources. */
  missed(uris: readonly string[]): void {
    this.#owner.listChanged(this.#endpoint);
    for (const uri of uris) {
      const bytes = resourceUpdate(uri);
      this.#owner.resourceUpdated(this.#endpoint, uri, bytes, bytes.length);
    }
  }

  /** Periodic work: reports what was deferred. */
  tick(): void {
    let reported = 0;
    for (const [key, { kind, id, bytes }] of this.#deferred) {
      if (reported === MAX_PER_TICK) return;
      reported += 1;
      this.#deferred.delete(key);
      if (this.#owner.follows(this.#endpoint, kind, id)) this.#report(kind, id, bytes, bytes.length);
    }
  }

  #updated(kind: WatchKind, id: string | null, bytes: Uint8Array, length: number): void {
    if (id === null) return;
    if (this.#limit.take(MessageCost.update)) {
      if (this.#deferred.size > 0) this.#deferred.delete(watchKey(kind, id));
      this.#report(kind, id, bytes, length);
    } else if (length <= MAX_DEFERRED_BYTES && this.#owner.follows(this.#endpoint, kind, id)) {
      this.#deferred.set(watchKey(kind, id), { kind, id, bytes: Buffer.from(bytes.subarray(0, length)) });
    } else {
      this.#limit.drop();
    }
  }

  #report(kind: WatchKind, id: string, bytes: Uint8Array, length: number): void {
    if (kind === 'resource') this.#owner.resourceUpdated(this.#endpoint, id, bytes, length);
    else this.#owner.taskChanged(this.#endpoint, id, bytes, length);
  }
}
