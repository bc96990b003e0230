/**
 * Guard: whether the call is permitted. Scopes of the route, then one token from each bucket that applies. The outcome is in
 * the guard's fields; nothing is allocated per call.
 */
import type { Snapshot } from '../../src/config/snapshot.js';
import { errorNumber } from '../../src/errors.js';
import { type BucketPlan, type ClientRule, planBuckets } from '../../src/shared/bucket-plan.js';
import { BUCKET_MOVED, type Buckets } from '../../src/shared/buckets.js';
import { CallBuckets } from '../../src/shared/call-buckets.js';
import { ClientBuckets } from '../../src/shared/client-buckets.js';
import { type Counters, limitCounter } from '../../src/shared/counters.js';
import type { Principal } from '../authenticate/principal.js';
import type { Finder } from '../find/index.js';

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
  /** The buckets that the last {@link take} took from. */
  readonly buckets = new CallBuckets();

  /** Whether the rate limits apply to the current request. */
  isMetered = true;

  readonly #snapshot: Snapshot;
  readonly #plan: BucketPlan;
  readonly #buckets: Buckets;
  readonly #clients: ClientBuckets;
  readonly #counters: Counters;
  readonly #challenges: readonly Buffer[];
  /** Bits of {@link Permission} that are asked for, by route. */
  readonly #permissions: Uint8Array;

  constructor(snapshot: Snapshot, buckets: Buckets, counters: Counters) {
    this.#counters = counters;
    this.#snapshot = snapshot;
    this.#plan = planBuckets(snapshot);
    this.#buckets = buckets;
    this.#clients = new ClientBuckets(buckets);
    this.#challenges = snapshot.routes.map(({ requiredScopes }) => Buffer.from(requiredScopes.join(' ')));
    this.#permissions = Uint8Array.from(snapshot.routes, ({ permissions }) =>
      permissions.reduce((bits, permission) => bits | Permission[permission], 0),
    );
  }

  /** Whether anything is counted per client. */
  get countsClients(): boolean {
    return this.#plan.clientRules > 0;
  }

  /** Whether the principal has every scope and permission of the routes that were found. Anonymous clients have none. */
  permits(principal: Principal, { route, alsoRoutes, isReading }: Finder): boolean {
    this.error = -1;
    this.hides = false;
    this.scopes = EMPTY;
    if (route >= 0) this.#judgeRoute(principal, route, isReading);
    for (let i = 0; i < alsoRoutes.length; i += 1) this.#judgeRoute(principal, alsoRoutes[i]!, isReading);
    return this.error < 0;
  }

  /** Whether the principal may use a view at all. */
  permitsView(principal: Principal, view: number): boolean {
    this.error = -1;
    this.hides = false;
    const needed = this.#snapshot.views[view]?.requiredScopes ?? NO_SCOPES;
    if (hasAll(principal, needed)) return true;
    this.error = INSUFFICIENT_SCOPE;
    this.scopes = Buffer.from(needed.join(' '));
    return false;
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
   * Takes the tokens of one call.
   *
   * @param client the digest that clients are counted by
   * @param found the target, or null for a method the gateway answers itself
   * @param now milliseconds of the monotonic clock
   */
  take(client: Int32Array, found: Finder | null, now: number): boolean {
    const { buckets } = this;
    const plan = this.#plan;
    this.error = -1;
    this.retryAfterMs = 0;
    buckets.clear();
    if (!this.isMetered) return true;
    const route = found === null ? -1 : found.route;
    buckets.global = plan.global;
    if (found !== null && found.toolRule >= 0) buckets.tool = plan.tools[found.toolRule] ?? -1;
    let routeClient: ClientRule | null = null;
    if (route >= 0) {
      buckets.route = plan.routes[route] ?? -1;
      routeClient = plan.routeClients[route] ?? null;
    }
    for (;;) {
      if (plan.client !== null) {
        this.#clients.find(client, plan.client.number, plan.client.rule, now);
        buckets.client = this.#clients.index;
        buckets.clientGeneration = this.#clients.generation;
      }
      if (routeClient !== null) {
        this.#clients.find(client, routeClient.number, routeClient.rule, now);
        buckets.routeClient = this.#clients.index;
        buckets.routeClientGeneration = this.#clients.generation;
      }
      const wait = this.#buckets.take(now, buckets);
      if (wait === 0) return true;
      if (wait === BUCKET_MOVED) continue;
      this.error = RATE_LIMITED;
      this.#counters.add(limitCounter(this.#buckets.refusedBy, buckets));
      this.retryAfterMs = wait;
      return false;
    }
  }
}

function hasAll(principal: Principal, needed: readonly string[]): boolean {
  for (let i = 0; i < needed.length; i += 1) if (!principal.scopes.has(needed[i]!)) return false;
  return true;
}
