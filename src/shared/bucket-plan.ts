/** Which bucket belongs to which rule: computed alike in every thread, so that indexes need not cross. */
import type { BucketRule, Snapshot } from '../config/snapshot.js';
import { type BucketLayout, Buckets, bucketMemory } from './buckets.js';

/** A rule of which each client has a bucket of its own (client-buckets.ts). */
export interface ClientRule {
  /** Number of the rule within the plan, from 0. */
  readonly number: number;
  readonly rule: BucketRule;
}

/** Positions of the buckets of rules, and the rules that count clients. */
export interface BucketPlan {
  readonly rules: readonly BucketRule[];
  /** Index of the global bucket, -1 none. */
  readonly global: number;
  /** Index by position in `rateLimits.perTool`. */
  readonly tools: readonly number[];
  /** Index by route; -1 = the route has no limit. */
  readonly routes: readonly number[];
  /** `rateLimits.perClient`. */
  readonly client: ClientRule | null;
  /** `clientRateLimit` by route. */
  readonly routeClients: readonly (ClientRule | null)[];
  /** Number of rules that count clients. */
  readonly clientRules: number;
}

/** Numbers the rules of a snapshot. */
export function planBuckets({ rateLimits, routes }: Snapshot): BucketPlan {
  const rules: BucketRule[] = [];
  let clientRules = 0;
  const place = (rule: BucketRule | null): number => (rule === null ? -1 : rules.push(rule) - 1);
  const placeClient = (rule: BucketRule | null): ClientRule | null =>
    rule === null ? null : { number: clientRules++, rule };
  const plan = {
    global: place(rateLimits.global),
    tools: rateLimits.perTool.map(({ rule }) => place(rule)),
    routes: routes.map(({ rateLimit }) => place(rateLimit)),
    client: placeClient(rateLimits.perClient),
    routeClients: routes.map(({ clientRateLimit }) => placeClient(clientRateLimit)),
  };
  return { ...plan, rules, clientRules };
}

/** Whether two snapshots have the same rate limits, so that the buckets keep their tokens. */
export function sameBuckets(a: Snapshot, b: Snapshot): boolean {
  const shape = (snapshot: Snapshot): string => JSON.stringify([snapshot.rateLimits, planBuckets(snapshot)]);
  return shape(a) === shape(b);
}

/** New buckets for a snapshot, all full. A client with buckets under several routes takes several slots. */
export function createBuckets(snapshot: Snapshot, owner: number): Buckets {
  const plan = planBuckets(snapshot);
  const clients = snapshot.rateLimits.maxClients * Math.min(plan.clientRules, 4);
  const layout: BucketLayout = bucketMemory(plan.rules.length, clients);
  const buckets = new Buckets(layout, owner);
  plan.rules.forEach((rule, index) => {
    buckets.define(index, rule);
  });
  return buckets;
}
