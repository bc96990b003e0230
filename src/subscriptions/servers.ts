import type { ClientIdentity, WatchKind } from '../upstream/core/types.js';

/** The list kinds that clients are told about. */
export interface ListChanges {
  readonly tools: boolean;
  readonly prompts: boolean;
  readonly resources: boolean;
}

/** What can be followed at a server (UpstreamServer). */
export interface WatchedServer {
  readonly name: string;
  announces(kind: WatchKind): boolean;
  watch(kind: WatchKind, id: string, client: ClientIdentity): Promise<void>;
  unwatch(kind: WatchKind, id: string, client: ClientIdentity): void;
}
