/**
 * Who follows what: resource subscriptions of legacy sessions and `subscriptions/listen` streams of modern clients, over
 * one subscription upstream each (MCP, resources; 2026-07-28, subscriptions).
 */
import type { LimitsSnapshot } from '../config/snapshot.js';
import type { Exchange } from '../request/exchange.js';
import type { LaneOwner } from '../upstream/types.js';

/** The list kinds that clients are told about. */
export interface ListChanges {
  readonly tools: boolean;
  readonly prompts: boolean;
  readonly resources: boolean;
}

/** What {@link Subscriptions} needs of the rest. */
export interface SubscriptionsOptions {
  readonly limits: Pick<LimitsSnapshot, 'maxSubscriptions' | 'maxStreams'>;
}

/** See the file comment. */
export class Subscriptions {
  constructor(_options: SubscriptionsOptions) {}

  /** Answers `resources/subscribe` and `resources/unsubscribe`; the server is in the exchange's verdict. */
  subscribe(_exchange: Exchange, _bytes: Uint8Array): void {}

  /** Answers `subscriptions/listen`. */
  listen(_exchange: Exchange, _bytes: Uint8Array): void {}

  /** Call it only once the new lists are in force: clients fetch them at once. */
  listsChanged(_changes: ListChanges): void {}

  /** An upstream's `notifications/resources/updated`. */
  resourceUpdated(_server: number, _uri: string, _bytes: Uint8Array, _length: number, _owner: LaneOwner | null): void {}

  /** An upstream's `notifications/tasks`. */
  taskChanged(_server: number, _taskId: string, _bytes: Uint8Array, _length: number): void {}

  /** The client of a listen stream left. @returns false when the exchange is none */
  closed(_exchange: Exchange): boolean {
    return false;
  }

  /** The session ended: its subscriptions end with it. */
  sessionEnded(_sessionId: string): void {}
}
