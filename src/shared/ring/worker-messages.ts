/** Messages between the front and a policy worker besides the rings: rare, structured-cloned. */
import type { MessagePort } from 'node:worker_threads';
import type { Snapshot } from '../../config/snapshot/index.js';
import type { Count, Seconds } from '../../units.js';
import type { RouteCacheEvents } from '../cache/events.js';
import type { CatalogTable } from '../catalog-table.js';
import type { CounterMemory } from '../counters.js';
import type { BucketLayout } from '../limits/buckets.js';

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
  readonly keys: readonly KeyMessage[];
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

/** A JSON Web Key Set as loaded from a `jwksUrl`. */
export interface KeyMessage {
  readonly type: 'keys';
  readonly url: string;
  /** Grows with each successful load. */
  readonly version: number;
  /** JSON text; `null` = there are none that may be used. */
  readonly jwks: string | null;
}

/** What a worker wants to know about a credential that takes too long, or another machine, to find out. */
export type Inquiry =
  /** Whether a token is active (RFC 7662). `realm` and `url`: whose introspection endpoint is asked (`AuthSnapshot.realm`). */
  | { readonly kind: 'introspect'; readonly realm: string; readonly url: string; readonly token: string }
  /** Whether a password has that hash. `maxWaiting`: inquiries of this kind at once. */
  | { readonly kind: 'password'; readonly hash: string; readonly password: string; readonly maxWaiting: Count };

/** What the front has found out. */
export type InquiryAnswer =
  /** The token is active. `claims`: the answer of the endpoint; `until`: the wall clock up to which it counts. */
  | { readonly outcome: 'active'; readonly claims: Readonly<Record<string, unknown>>; readonly until: Seconds }
  | { readonly outcome: 'inactive' | 'match' | 'mismatch' }
  /** It cannot be found out at the moment. */
  | { readonly outcome: 'unavailable' };
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
  | { readonly type: 'inquiryAnswer'; readonly id: number; readonly answer: InquiryAnswer }
  | CachePurge
  /** Finish what is on the ring and end the task. */
  | { readonly type: 'drain' };

/** Worker to front. */
export type FrontMessage =
  | { readonly type: 'ready'; readonly bell: BellAddress }
  /** The worker has no key for a token; its keys of that URL are of that version. */
  | { readonly type: 'needKeys'; readonly url: string; readonly version: number }
  /** Answered by `inquiryAnswer` with the same id. */
  | { readonly type: 'inquiry'; readonly id: number; readonly inquiry: Inquiry }
  /** A token that its issuer takes for good was refused; the sentence contains nothing of the token. */
  | { readonly type: 'refusedToken'; readonly sentence: string }
  /** What has happened in the response cache of the worker since the last such message. */
  | { readonly type: 'cacheEvents'; readonly events: readonly RouteCacheEvents[] }
  /** A decision threw an error; the message contains no request data. */
  | { readonly type: 'fault'; readonly message: string };
