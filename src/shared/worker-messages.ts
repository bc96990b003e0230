/** Messages between the front and a policy worker besides the rings: rare, structured-cloned. */
import type { MessagePort } from 'node:worker_threads';
import type { Snapshot } from '../config/snapshot.js';
import type { Seconds } from '../units.js';
import type { BucketLayout } from './buckets.js';
import type { RouteCacheEvents } from './cache-events.js';
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
  /** The front's doorbell, rung when there is a verdict. */
  readonly bell: BellAddress;
  readonly port: MessagePort;
  /** Keys that verify tokens, if they have been loaded. */
  readonly keys: KeyMessage | null;
  /** The revocations so far. */
  readonly revoked: readonly RevocationMessage[];
}

/** A token or a subject is revoked, or its revocation is withdrawn. */
export interface RevocationMessage {
  readonly type: 'revocation';
  readonly kind: 'token' | 'subject';
  /** SHA-256 of the token, 64 lower-case hexadecimal digits; or the subject. */
  readonly value: string;
  /** Wall clock of the revocation; `null` = it is withdrawn. */
  readonly at: Seconds | null;
}

/** A JSON Web Key Set as loaded from `auth.jwksUrl`. */
export interface KeyMessage {
  readonly type: 'keys';
  /** Grows with each successful load. */
  readonly version: number;
  /** JSON text; `null` = there are none that may be used. */
  readonly jwks: string | null;
}

/** Answers to be dropped from the response cache: those that all members cover. */
export interface CachePurge {
  readonly type: 'purge';
  /** Index of the server that gave the answer; -1 = any. */
  readonly server: number;
  readonly kinds: readonly ('tools' | 'prompts' | 'resources')[];
  /** Name of a tool or prompt, by any of its names, or URI of a resource in normal form; null = any. */
  readonly name: string | null;
  /** Subject; null = any, and public entries. */
  readonly principal: string | null;
}

/** Front to worker. */
export type WorkerMessage =
  | { readonly type: 'snapshot'; readonly snapshot: Snapshot; readonly buckets: BucketLayout }
  | { readonly type: 'catalog'; readonly catalog: CatalogTable }
  | KeyMessage
  | RevocationMessage
  | CachePurge
  /** Finish what is on the ring and end the task. */
  | { readonly type: 'drain' };

/** Worker to front. */
export type FrontMessage =
  | { readonly type: 'ready'; readonly bell: BellAddress }
  /** The worker has no key for a token; its keys are of that version. */
  | { readonly type: 'needKeys'; readonly version: number }
  /** A token with a good signature was refused; the sentence contains nothing of the token. */
  | { readonly type: 'refusedToken'; readonly why: string }
  /** What has happened in the response cache of the worker since the last such message. */
  | { readonly type: 'cacheEvents'; readonly events: readonly RouteCacheEvents[] }
  /** A decision threw an error; the message contains no request data. */
  | { readonly type: 'fault'; readonly message: string };
