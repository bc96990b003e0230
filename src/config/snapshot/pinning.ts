/** What `catalog.pinning` says, and what its lockfile holds. */

import type { PINNING_ACTIONS } from '../schema/pinning.js';

/** What happens with a tool that is not as the lockfile says: calls get an error, it is unknown, or it is offered and reported. */
export type PinningAction = (typeof PINNING_ACTIONS)[number];

/** `catalog.pinning`, without the lockfile. */
export interface PinningRules {
  /** For a tool whose definition is another one than in the lockfile. */
  readonly onChange: PinningAction;
  /** For a tool that is not in the lockfile; a renamed one is such a tool. */
  readonly onNew: PinningAction;
}

/** What is pinned of a tool besides its name: members of the item that a server lists, as they are there. */
export type ToolDefinition = Readonly<Record<string, unknown>>;

/** One tool of the lockfile. */
export interface PinnedTool {
  /** Of the definition, in the form `sha256-` and base64url. */
  readonly hash: string;
  /** For differences that people read; null = it was not kept, since it is long or holds a secret. */
  readonly definition: ToolDefinition | null;
}

/** The tools of one server by their own names. */
export type PinnedTools = ReadonlyMap<string, PinnedTool>;

/** A lockfile. */
export interface Lock {
  readonly path: string;
  /** Of the file's content: another digest, other pins. */
  readonly digest: string;
  /** By name of the server. */
  readonly servers: ReadonlyMap<string, PinnedTools>;
}
