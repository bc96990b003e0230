/** Which bucket belongs to which rule: computed alike in every thread, so that indexes need not cross. */
import type { BucketRule, Snapshot } from '../config/snapshot.js';
import { type BucketLayout, Buckets, bucketMemory } from './buckets.js';

/** Positions of the buckets of rules. */
export interface BucketPlan {
  readonly rules: readonly BucketRule[];
  /** Index of the global bucket, -1 none. */
  readonly global: number;
  /** Index by position in `rateLimits.perTool`. */
  readonly tools: readonly number[];
  /** Index by route; -1 = the route has no limit. */
  readonly routes: readonly number[];
  /** Whether any rule counts per client. */
  readonly perClient: boolean;
  /** Kinds of buckets a client can have. */
  readonly clientRules: number;
}

/** Numbers the rules of a snapshot. */
export function planBuckets(snapshot: Snapshot): BucketPlan {
  const rules: BucketRule[] = [];
  const place = (rule: BucketRule | null): number => (rule === null ? -1 : rules.push(rule) - 1);
  const global = place(snapshot.rateLimits.global);
  const tools = snapshot.rateLimits.perTool.map(({ rule }) => place(rule));
  const routes = snapshot.routes.map(({ rateLimit }) => place(rateLimit));
  const clientRoutes = snapshot.routes.filter(({ clientRateLimit }) => clientRateLimit !== null).length;
  const clientRules = (snapshot.rateLimits.perClient === null ? 0 : 1) + clientRoutes;
  return { rules, global, tools, routes, perClient: clientRules > 0, clientRules };
}

/** Whether two snapshots have the same rate limits, so that the buckets keep their tokens. */
export function sameBuckets(a: Snapshot, b: Snapshot): boolean {
  const shape = ({ rateLimits, routes }: Snapshot): string =>
    JSON.stringify([rateLimits, routes.map(({ rateLimit, clientRateLimit }) => [rateLimit, clientRateLimit])]);
  return shape(a) === shape(b);
}

/** New buckets for a snapshot, all full. A client with buckets under several routes takes several slots. */
export function createBuckets(snapshot: Snapshot, owner: number): Buckets {
  const plan = planBuckets(snapshot);
  const clients = plan.perClient ? snapshot.rateLimits.maxClients * Math.min(plan.clientRules, 4) : 0;
  const layout: BucketLayout = bucketMemory(plan.rules.length, clients);
  const buckets = new Buckets(layout, owner);
  plan.rules.forEach((rule, index) => {
    buckets.define(index, rule);
  });
  return buckets;
}
