/** What the front and a policy worker say to each other beside the rings: rare, structured-cloned messages. */
import type { MessagePort } from 'node:worker_threads';
import type { Snapshot } from '../config/snapshot.js';
import type { Seconds } from '../units.js';
import type { BucketLayout } from './buckets.js';
import type { CatalogTable } from './catalog-table.js';
import type { CounterMemory } from './counters.js';

/** A doorbell as another thread rings it (native/doorbell.ts). */
export interface BellAddress {
  readonly handle: number;
  readonly cell: SharedArrayBuffer | null;
}

/** The one long task of a policy worker. */
export interface PolicyTask {
  /** {@link RECORD_VERSION} of the front; a worker with another one refuses to start. */
  readonly recordVersion: number;
  /** Number of the worker within the pool. */
  readonly worker: number;
  /** Grows with each replacement of that worker. */
  readonly incarnation: number;
  readonly snapshot: Snapshot;
  readonly catalog: CatalogTable;
  readonly epochs: SharedArrayBuffer;
  readonly buckets: BucketLayout;
  readonly counters: CounterMemory;
  readonly requests: SharedArrayBuffer;
  readonly verdicts: SharedArrayBuffer;
  /** The front's bell: a verdict is there. */
  readonly bell: BellAddress;
  readonly port: MessagePort;
  /** Keys that verify tokens, if they were loaded already. */
  readonly keys: KeyMessage | null;
  /** What is revoked already. */
  readonly revoked: readonly RevocationMessage[];
}

/** A token or a subject is revoked, or is so no longer. */
export interface RevocationMessage {
  readonly type: 'revocation';
  readonly kind: 'token' | 'subject';
  /** SHA-256 of the token, 64 lower-case hexadecimal digits; or the subject. */
  readonly value: string;
  /** Wall clock of the revocation; `null` = it is taken back. */
  readonly at: Seconds | null;
}

/** A JSON Web Key Set as loaded from `auth.jwksUrl`. */
export interface KeyMessage {
  readonly type: 'keys';
  /** Grows with each successful load. */
  readonly version: number;
  /** JSON text; `null` = there are none that may serve. */
  readonly jwks: string | null;
}

/** Front to worker. */
export type WorkerMessage =
  | { readonly type: 'snapshot'; readonly snapshot: Snapshot; readonly buckets: BucketLayout }
  | { readonly type: 'catalog'; readonly catalog: CatalogTable }
  | KeyMessage
  | RevocationMessage
  /** Finish what is on the ring and end the task. */
  | { readonly type: 'drain' };

/** Worker to front. */
export type FrontMessage =
  | { readonly type: 'ready'; readonly bell: BellAddress }
  /** The worker knows no key for a token; it has keys of that version. */
  | { readonly type: 'needKeys'; readonly version: number }
  /** A token with a good signature was refused; the sentence holds nothing of the token. */
  | { readonly type: 'refusedToken'; readonly why: string }
  /** A decision failed inside the worker; the message holds no request data. */
  | { readonly type: 'fault'; readonly message: string };
