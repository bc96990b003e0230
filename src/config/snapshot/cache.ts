/** The response cache as the policy works with it: part of the Snapshot, data only. */

import type { Bytes, Count, Milliseconds } from '../../units.js';

/** How long answers are served from the cache, and for whom. */
export interface CacheRule {
  /** Time for which an answer is fresh. */
  readonly ttlMs: Milliseconds;
  /** Time after that for which it may be served while a new one is fetched; 0 = not at all. */
  readonly staleMs: Milliseconds;
  /** Time after `ttlMs` for which it is served when the upstream fails; 0 = not at all. */
  readonly staleIfErrorMs: Milliseconds;
  /** Principals share entries. */
  readonly public: boolean;
}

/** The response cache. */
export interface CacheSnapshot {
  readonly enabled: boolean;
  /** Kinds whose answers are stored by `rule`, which routes without a rule of their own have. */
  readonly tools: boolean;
  readonly resources: boolean;
  readonly prompts: boolean;
  readonly rule: CacheRule;
  /** Globs over public names and addresses; empty = all, and of tools those that are read-only and idempotent. */
  readonly patterns: readonly string[];
  /** Globs over all names; they win. */
  readonly exclude: readonly string[];
  /** The same two over resource URIs, in normal form. */
  readonly resourcePatterns: readonly string[];
  readonly resourceExclude: readonly string[];
  /** Positions in `Snapshot.attributes` of the request headers whose values are part of the key. */
  readonly includeHeaders: readonly number[];
  /** The time that an upstream gives counts instead of that of the rule. */
  readonly respectCacheControl: boolean;
  /** Answers say in `Cache-Status` and `Age` what the cache has done. */
  readonly headers: boolean;
  /** Results from the cache say so in `_meta`. */
  readonly meta: boolean;
  /** Per worker. */
  readonly maxBytes: Bytes;
  readonly maxEntryBytes: Bytes;
  readonly maxEntries: Count;
  /** Callers that may wait for one leader; more are forwarded. */
  readonly maxWaiters: Count;
  /** Time they wait before the next one becomes leader. */
  readonly waitMs: Milliseconds;
}
