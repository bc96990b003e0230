/** Rate limits, limits on calls at once and the overload guard: part of the Snapshot, data only. */

import type { Bytes, Count, Milliseconds } from '../../units.js';
import type { SHED_KINDS } from '../schema/overload.js';
import type { PatternText } from './match.js';

/** How many calls pass (src/shared/limiters). */
export type LimitRule =
  | {
      readonly algorithm: 'token-bucket';
      /** Tokens a second, > 0. */
      readonly rate: number;
      /** Tokens at most, >= 1. */
      readonly burst: Count;
    }
  | {
      readonly algorithm: 'sliding-window' | 'fixed-window';
      /** Calls in a window, >= 1. */
      readonly limit: Count;
      readonly windowMs: Milliseconds;
      /** Calls of a window that may come at once, at most `limit`; the others are spread over it. */
      readonly burst: Count;
    };

/** What tells clients apart. A client without it is counted by its principal, or by its address if it has none. */
export type ClientKey =
  | { readonly by: 'principal' | 'address' }
  | {
      readonly by: 'header';
      /** Position in `attributes`. */
      readonly attribute: number;
    };

/** `rateLimits.perTool[]`: limits of tools. */
export interface ToolLimitSnapshot {
  readonly tools: readonly string[];
  /** For all clients together. */
  readonly rule: LimitRule | null;
  /** For each client. */
  readonly perClient: LimitRule | null;
  /** What one call takes from every limit that applies to it. */
  readonly cost: Count;
}

/** `rateLimits.rules[]`. Every part of `match` must hold; one that is empty always does. */
export interface LimitMatchSnapshot {
  /** Globs over values, by the position of the header in `attributes`. */
  readonly headers: readonly { readonly attribute: number; readonly values: readonly string[] }[];
  /** Globs over paths of the endpoint (`views`). */
  readonly paths: readonly string[];
  /** Globs over subjects. */
  readonly principals: readonly string[];
  /** All of them are needed. */
  readonly scopes: readonly string[];
  /** Patterns over names of tools, names of prompts, and URIs: one of them must match the target; all empty = any, or none. */
  readonly tools: readonly PatternText[];
  readonly prompts: readonly PatternText[];
  readonly resources: readonly PatternText[];
}

/** A limit for the requests that match. */
export interface LimitRuleSnapshot {
  readonly match: LimitMatchSnapshot;
  /** null = `exempt`: what matches is not limited at all. */
  readonly rule: LimitRule | null;
  /** null = all requests that match are counted together. */
  readonly key: ClientKey | null;
}

/** Rate limits besides those of routes. */
export interface RateLimitsSnapshot {
  /** `calls` = the other requests have a limit of their own, `other`; `all` = they count as calls. */
  readonly count: 'calls' | 'all';
  readonly global: LimitRule | null;
  readonly perClient: LimitRule | null;
  /** What tells clients apart, for every limit that counts them. */
  readonly key: ClientKey;
  /** Limits of clients by what `key` reads, in the place of `perClient`. */
  readonly clients: readonly { readonly name: string; readonly rule: LimitRule }[];
  /** The first whose patterns match counts. */
  readonly perTool: readonly ToolLimitSnapshot[];
  /** The first that matches counts. */
  readonly rules: readonly LimitRuleSnapshot[];
  /** For each client, requests that are no calls; null = none. */
  readonly other: LimitRule | null;
  /** Whether successful answers say how much is left. */
  readonly headers: boolean;
  /** Clients with buckets at once. */
  readonly maxClients: Count;
}

/** Calls to servers under way at once; 0 = no limit. */
export interface ConcurrencySnapshot {
  readonly global: Count;
  readonly perClient: Count;
  /** What tells clients apart. */
  readonly key: ClientKey;
}

/** The overload guard (src/request/overload/guard.ts). */
export interface OverloadSnapshot {
  readonly enabled: boolean;
  /** 0 = not watched. */
  readonly eventLoopDelayMs: Milliseconds;
  /** 0 = 90 % of what the process may have. */
  readonly maxMemoryBytes: Bytes;
  /** Share of a ring, 0 to 1; 0 = not watched. */
  readonly ringFullness: number;
  /** What is refused, the first first. */
  readonly order: readonly (typeof SHED_KINDS)[number][];
  readonly retryAfterMs: Milliseconds;
}
