/**
 * Guard: may it. Scopes of the route, then one token from each bucket the call counts in. The answer is in the
 * guard's fields; nothing is allocated per call.
 */
import type { Snapshot } from '../../src/config/snapshot.js';
import { errorNumber } from '../../src/errors.js';
import { type BucketPlan, planBuckets } from '../../src/shared/bucket-plan.js';
import { BUCKET_MOVED, type Buckets } from '../../src/shared/buckets.js';
import { ClientBuckets } from '../../src/shared/client-buckets.js';
import { type Counters, limitCounter } from '../../src/shared/counters.js';
import type { Principal } from '../authenticate/principal.js';
import type { Finder } from '../find/index.js';

const RATE_LIMITED = errorNumber('GW_RATE_LIMITED');
const INSUFFICIENT_SCOPE = errorNumber('GW_INSUFFICIENT_SCOPE');
const EMPTY = Buffer.alloc(0);

/** See the file comment. One per worker and snapshot. */
export class Guard {
  /** Error number, -1 = permitted. */
  error = -1;
  retryAfterMs = 0;
  /** The scopes needed, for the challenge; empty = none. */
  scopes: Buffer = EMPTY;
  bucketGlobal = -1;
  bucketTool = -1;
  bucketRoute = -1;
  bucketClient = -1;
  bucketClientGeneration = 0;
  bucketRouteClient = -1;
  bucketRouteClientGeneration = 0;

  /** The request at hand counts in the rate limits. */
  isMetered = true;

  readonly #snapshot: Snapshot;
  readonly #plan: BucketPlan;
  readonly #buckets: Buckets;
  readonly #clients: ClientBuckets;
  readonly #counters: Counters;
  readonly #challenges: readonly Buffer[];

  constructor(snapshot: Snapshot, buckets: Buckets, counters: Counters) {
    this.#counters = counters;
    this.#snapshot = snapshot;
    this.#plan = planBuckets(snapshot);
    this.#buckets = buckets;
    this.#clients = new ClientBuckets(buckets);
    this.#challenges = snapshot.routes.map(({ requiredScopes }) => Buffer.from(requiredScopes.join(' ')));
  }

  /** Whether anything is counted per client. */
  get countsClients(): boolean {
    return this.#plan.perClient;
  }

  /** Whether the principal has every scope of the routes that were found. Anonymous clients have none. */
  permits(principal: Principal, { route, alsoRoutes }: Finder): boolean {
    this.error = -1;
    this.scopes = EMPTY;
    if (route >= 0 && !this.#hasScopes(principal, route)) return false;
    for (let i = 0; i < alsoRoutes.length; i += 1) if (!this.#hasScopes(principal, alsoRoutes[i]!)) return false;
    return true;
  }

  #hasScopes(principal: Principal, route: number): boolean {
    const needed = this.#snapshot.routes[route]!.requiredScopes;
    for (let i = 0; i < needed.length; i += 1) {
      if (!principal.scopes.has(needed[i]!)) {
        this.error = INSUFFICIENT_SCOPE;
        this.scopes = this.#challenges[route]!;
        return false;
      }
    }
    return true;
  }

  #takeNothing(): void {
    this.bucketGlobal = -1;
    this.bucketTool = -1;
    this.bucketRoute = -1;
    this.bucketClient = -1;
    this.bucketRouteClient = -1;
  }

  /**
   * Takes the tokens of one call.
   *
   * @param client the digest that clients are counted by
   * @param found the target, or null for a method the gateway answers itself
   * @param now milliseconds of the monotonic clock
   */
  take(client: Int32Array, found: Finder | null, now: number): boolean {
    const { rateLimits, routes } = this.#snapshot;
    this.error = -1;
    this.retryAfterMs = 0;
    const route = found === null ? -1 : found.route;
    this.bucketGlobal = this.#plan.global;
    this.bucketTool = found === null || found.toolRule < 0 ? -1 : this.#plan.tools[found.toolRule]!;
    this.bucketRoute = route < 0 ? -1 : this.#plan.routes[route]!;
    const routeRule = route < 0 ? null : routes[route]!.clientRateLimit;
    if (!this.isMetered) {
      this.#takeNothing();
      return true;
    }
    for (;;) {
      this.bucketClient = -1;
      this.bucketRouteClient = -1;
      if (rateLimits.perClient !== null) {
        this.#clients.find(client[0]!, client[1]!, client[2]!, client[3]!, 0, rateLimits.perClient, now);
        this.bucketClient = this.#clients.index;
        this.bucketClientGeneration = this.#clients.generation;
      }
      if (routeRule !== null) {
        this.#clients.find(client[0]!, client[1]!, client[2]!, client[3]!, route + 1, routeRule, now);
        this.bucketRouteClient = this.#clients.index;
        this.bucketRouteClientGeneration = this.#clients.generation;
      }
      const wait = this.#buckets.take(
        now,
        this.bucketGlobal,
        this.bucketTool,
        this.bucketRoute,
        this.bucketClient,
        this.bucketClientGeneration,
        this.bucketRouteClient,
        this.bucketRouteClientGeneration,
      );
      if (wait === 0) return true;
      if (wait === BUCKET_MOVED) continue;
      this.error = RATE_LIMITED;
      this.#counters.add(limitCounter(this.#buckets.refusedBy, this.bucketGlobal, this.bucketTool, this.bucketRoute));
      this.retryAfterMs = wait;
      return false;
    }
  }
}
