/** The scopes of rate limits: what a limit counts. Guard, counters, metrics and `/stats` follow this table. */

/** Name of a scope, which is also its label in metrics. */
export const LIMIT_SCOPES = [
  /** All calls; the override of a route takes its place. */
  'global',
  /** Those of one client. */
  'client',
  /** Those of the tools of one item of `rateLimits.perTool`, and those of one client to them. */
  'tool',
  'client_tool',
  /** Those on a route, and those of one client on it. */
  'route',
  'client_route',
  /** Those that match a rule. */
  'rule',
  /** Requests of one client that are no calls. */
  'other',
] as const;

/** See {@link LIMIT_SCOPES}. */
export type LimitScope = (typeof LIMIT_SCOPES)[number];
