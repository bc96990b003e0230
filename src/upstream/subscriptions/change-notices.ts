/** What an endpoint says about changes: of its lists, of resources and tasks. The same over every transport. */
import { Method } from '../../../native/layout.js';
import type { Bytes, Count } from '../../units.js';
import type { BaseEndpoint, EndpointOwner } from '../core/endpoint.js';
import { MessageCost, type NotificationLimit } from '../core/notification-limit.js';
import { changedTask, resourceUpdate, updatedUri } from '../core/server-messages.js';
import type { WatchKind } from '../core/types.js';
import { keyOf, type Watched } from './follower.js';

/** Largest task notification that is put off; a larger one is dropped, and the client asks for the task by itself. */
const MAX_KEPT_BYTES: Bytes = 64 * 1024;
/** Most that are told in one turn. */
const TOLD_AT_ONCE: Count = 100;

interface PutOff extends Watched {
  readonly bytes: Buffer;
}

/**
 * Tells the owner of an endpoint about changes, within the limit on notifications. Beyond it no change is lost that a
 * client would miss: list changes lead to one reading of the lists whatever their number, and of each resource or task
 * that is followed the last update is told a little later.
 */
export class ChangeNotices {
  readonly #endpoint: BaseEndpoint;
  readonly #owner: EndpointOwner;
  readonly #limit: NotificationLimit;
  /** The last update of what is followed, by key; no more than are followed. */
  readonly #putOff = new Map<string, PutOff>();

  constructor(endpoint: BaseEndpoint, owner: EndpointOwner, limit: NotificationLimit) {
    this.#endpoint = endpoint;
    this.#owner = owner;
    this.#limit = limit;
  }

  /** Takes a notification. @returns false when it is about no change */
  take(method: number, bytes: Uint8Array, length: number): boolean {
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

  /** Periodic work: tells what was put off. */
  tick(): void {
    let told = 0;
    for (const [key, { kind, id, bytes }] of this.#putOff) {
      if (told === TOLD_AT_ONCE) return;
      told += 1;
      this.#putOff.delete(key);
      if (this.#owner.follows(this.#endpoint, kind, id)) this.#tell(kind, id, bytes, bytes.length);
    }
  }

  #updated(kind: WatchKind, id: string | null, bytes: Uint8Array, length: number): void {
    if (id === null) return;
    if (this.#limit.take(MessageCost.update)) {
      if (this.#putOff.size > 0) this.#putOff.delete(keyOf(kind, id));
      this.#tell(kind, id, bytes, length);
    } else if (length <= MAX_KEPT_BYTES && this.#owner.follows(this.#endpoint, kind, id)) {
      this.#putOff.set(keyOf(kind, id), { kind, id, bytes: Buffer.from(bytes.subarray(0, length)) });
    } else {
      this.#limit.drop();
    }
  }

  #tell(kind: WatchKind, id: string, bytes: Uint8Array, length: number): void {
    if (kind === 'resource') this.#owner.resourceUpdated(this.#endpoint, id, bytes, length);
    else this.#owner.taskChanged(this.#endpoint, id, bytes, length);
  }
}
