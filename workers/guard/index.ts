/**
 * Guard: whether the call is permitted. Scopes of the route, then every rate limit that applies. The outcome is in the guard's
 * fields; nothing is allocated per call.
 */
import type { ClientKey, Snapshot } from '../../src/config/snapshot/index.js';
import { errorNumber } from '../../src/errors.js';
import { type Counters, limitCounter } from '../../src/shared/counters.js';
import type { BucketPlan } from '../../src/shared/limits/bucket-plan.js';
import { BUCKET_MOVED, type Buckets } from '../../src/shared/limits/buckets.js';
import { CallBuckets } from '../../src/shared/limits/call-buckets.js';
import { ClientBuckets } from '../../src/shared/limits/client-buckets.js';
import type { Principal } from '../authenticate/principal.js';
import type { Finder } from '../find/index.js';
import type { LimitedClient } from './client.js';
import { LimitRules } from './limit-rules.js';

const RATE_LIMITED = errorNumber('GW_RATE_LIMITED');
const INSUFFICIENT_SCOPE = errorNumber('GW_INSUFFICIENT_SCOPE');
const NO_PERMISSION = errorNumber('GW_INSUFFICIENT_PERMISSION');
/** `routes[].permissions` as bits. */
const Permission = { read: 1, write: 2 } as const;
const EMPTY = Buffer.alloc(0);
const NO_SCOPES: readonly string[] = [];

/** See the file comment. One per worker and snapshot. */
export class Guard {
  /** Error number, -1 = permitted. */
  error = -1;
  retryAfterMs = 0;
  /** The scopes needed, for the challenge; empty = none. */
  scopes: Buffer = EMPTY;
  /** The client must not learn that the target exists: it gets the answer for what does not. */
  hides = false;
  /** Number of the rate limit that refused, -1 = none. */
  limit = -1;
  /** The buckets that the last {@link take} took from. */
  readonly buckets = new CallBuckets();
  /** Whether one of them is shared for lack of room, so that the verdict must not be remembered. */
  isShared = false;
  /** Whether rate limits apply to the current request, which is no question of the gateway itself. */
  isMetered = true;

  readonly #snapshot: Snapshot;
  readonly #plan: BucketPlan;
  readonly #buckets: Buckets;
  readonly #clients: ClientBuckets;
  readonly #client: LimitedClient;
  readonly #rules: LimitRules;
  readonly #counters: Counters;
  readonly #challenges: readonly Buffer[];
  /** Bits of {@link Permission} that are asked for, by route. */
  readonly #permissions: Uint8Array;

  /** @param client always the one of the current request */
  constructor(snapshot: Snapshot, plan: BucketPlan, buckets: Buckets, counters: Counters, client: LimitedClient) {
    this.#counters = counters;
    this.#snapshot = snapshot;
    this.#plan = plan;
    this.#buckets = buckets;
    this.#clients = new ClientBuckets(buckets);
    this.#client = client;
    this.#rules = new LimitRules(snapshot);
    this.#challenges = snapshot.routes.map(({ requiredScopes }) => Buffer.from(requiredScopes.join(' ')));
    this.#permissions = Uint8Array.from(snapshot.routes, ({ permissions }) =>
      permissions.reduce((bits, permission) => bits | Permission[permission], 0),
    );
  }

  /** Whether the principal has every scope and permission of the routes that were found. Anonymous clients have none. */
  permits(principal: Principal, { route, alsoRoutes, isReading }: Finder): boolean {
    this.#forget();
    if (route >= 0) this.#judgeRoute(principal, route, isReading);
    for (let i = 0; i < alsoRoutes.length; i += 1) this.#judgeRoute(principal, alsoRoutes[i]!, isReading);
    return this.error < 0;
  }

  /** Whether the principal may use a view at all. */
  permitsView(principal: Principal, view: number): boolean {
    this.#forget();
    const needed = this.#snapshot.views[view]?.requiredScopes ?? NO_SCOPES;
    if (hasAll(principal, needed)) return true;
    this.error = INSUFFICIENT_SCOPE;
    this.scopes = Buffer.from(needed.join(' '));
    return false;
  }

  #forget(): void {
    this.error = -1;
    this.hides = false;
    this.limit = -1;
    this.retryAfterMs = 0;
    this.scopes = EMPTY;
  }

  /** The first refusal names its scopes; one route that hides is enough to hide. */
  #judgeRoute(principal: Principal, number: number, isReading: boolean): void {
    const route = this.#snapshot.routes[number];
    if (route === undefined) return;
    const hasScopes = hasAll(principal, route.requiredScopes);
    if (hasScopes && this.#hasPermission(principal, number, isReading)) return;
    if (route.whenDenied === 'hide') this.hides = true;
    if (this.error >= 0) return;
    this.error = hasScopes ? NO_PERMISSION : INSUFFICIENT_SCOPE;
    if (!hasScopes) this.scopes = this.#challenges[number] ?? EMPTY;
  }

  #hasPermission(principal: Principal, route: number, isReading: boolean): boolean {
    const asked = this.#permissions[route]!;
    if (asked === 0 || (asked & (isReading ? Permission.read : Permission.write)) === 0) return true;
    return principal.permissions.has(isReading ? 'read' : 'write');
  }

  /**
   * Takes what the request costs from every limit that applies to it, or nothing from any.
   *
   * @param isCall false = the request is none of those that `rateLimits.count: calls` counts
   * @param found the target, or null where there is none
   * @param now milliseconds of the monotonic clock
   */
  take(isCall: boolean, found: Finder | null, now: number): boolean {
    const { buckets } = this;
    const plan = this.#plan;
    this.error = -1;
    this.retryAfterMs = 0;
    this.limit = -1;
    buckets.clear();
    if (!this.isMetered || plan.planned.length === 0) return true;
    const rule = this.#rules.first(this.#client, found);
    if (rule >= 0 && plan.rules[rule]! < 0) return true;
    for (;;) {
      this.isShared = false;
      buckets.clear();
      if (isCall || this.#snapshot.rateLimits.count === 'all') this.#addLimits(found, rule, now);
      else this.#addClient(plan.other, this.#snapshot.rateLimits.key, now);
      if (buckets.count === 0) return true;
      const wait = this.#buckets.take(now, buckets);
      if (wait === 0) return true;
      if (wait === BUCKET_MOVED) continue;
      this.error = RATE_LIMITED;
      this.limit = this.#buckets.refusedBy;
      this.#counters.add(limitCounter(plan.planned[this.limit]!.scope));
      this.retryAfterMs = wait;
      return false;
    }
  }

  /** In the order of their buckets, as far as it is known: those of all together by number, then those of clients. */
  #addLimits(found: Finder | null, rule: number, now: number): void {
    const { buckets } = this;
    const plan = this.#plan;
    const { key, perTool, rules } = this.#snapshot.rateLimits;
    const route = found === null ? -1 : found.route;
    const tool = found === null ? -1 : found.limits.toolRule;
    const ruleKey = rule < 0 ? null : rules[rule]!.key;
    this.#add(route < 0 ? plan.global : plan.overrides[route]!);
    if (tool >= 0) {
      buckets.cost = perTool[tool]!.cost;
      this.#add(plan.tools[tool]!);
    }
    if (rule >= 0 && ruleKey === null) this.#add(plan.rules[rule]!);
    if (route >= 0) this.#add(plan.routes[route]!);
    if (plan.clientLimits === 0) return;
    const named = this.#client.named();
    this.#addClient(named < 0 ? plan.client : plan.clients[named]!, key, now);
    if (tool >= 0) this.#addClient(plan.toolClients[tool]!, key, now);
    if (ruleKey !== null) this.#addClient(plan.rules[rule]!, ruleKey, now);
    if (route >= 0) this.#addClient(plan.routeClients[route]!, key, now);
  }

  /** @param limit number of a limit for all together, -1 = none */
  #add(limit: number): void {
    if (limit >= 0) this.buckets.add(limit, 0);
  }

  /** @param limit number of a limit that counts clients apart, -1 = none */
  #addClient(limit: number, key: ClientKey, now: number): void {
    if (limit < 0) return;
    const clients = this.#clients;
    clients.find(this.#client.digest(key), limit, now);
    if (clients.isShared) this.isShared = true;
    if (clients.index >= 0) this.buckets.add(clients.index, clients.generation);
  }
}

function hasAll(principal: Principal, needed: readonly string[]): boolean {
  for (let i = 0; i < needed.length; i += 1) if (!principal.scopes.has(needed[i]!)) return false;
  return true;
}
