import type { ClientIdentity, WatchKind } from '../upstream/core/types.js';

/** The lists whose changes clients are notified of. */
export interface ListChanges {
  readonly tools: boolean;
  readonly prompts: boolean;
  readonly resources: boolean;
}

/** A server that resources and tasks can be watched at (UpstreamServer). */
export interface WatchedServer {
  readonly name: string;
  announces(kind: WatchKind): boolean;
  watch(kind: WatchKind, id: string, client: ClientIdentity): Promise<void>;
  unwatch(kind: WatchKind, id: string, client: ClientIdentity): void;
}
