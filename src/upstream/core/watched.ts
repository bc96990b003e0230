import type { WatchKind } from './types.js';

/** A resource or task that clients follow. */
export interface Watched {
  readonly kind: WatchKind;
  /** The URI of the resource, the id of the task. */
  readonly id: string;
}

/** A text that only this kind and id have. */
export function watchKey(kind: WatchKind, id: string): string {
  return `${kind} ${id}`;
}
