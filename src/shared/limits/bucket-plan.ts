/** Which number and bucket each limit has: computed alike in every thread, so that limits need not cross. */
import type { ClientKey, LimitMatchSnapshot, LimitRule, Snapshot } from '../../config/snapshot/index.js';
import { monotonic } from '../clock.js';
import { LIMIT_SCOPES, type LimitScope } from '../limit-scopes.js';
import { BUCKET_WORDS, BucketWord } from '../limiters/bucket.js';
import { Limit } from '../limiters/limit.js';
import { type BucketLayout, Buckets, bucketMemory } from './buckets.js';
import { ClientBuckets } from './client-buckets.js';

/** A limit of the configuration with its place in the plan. */
export interface PlannedLimit {
  readonly rule: LimitRule;
  /** Position in {@link LIMIT_SCOPES}. */
  readonly scope: number;
  /** Where it is written, as `rateLimits.global`; contains no values of the configuration. */
  readonly path: string;
  /** What it counts, besides its numbers: a limit of another snapshot with the same text is the same one. */
  readonly subject: string;
}

/** Numbers of the limits by what they count; -1 = there is no such limit. */
export interface BucketPlan {
  /** By number. */
  readonly planned: readonly PlannedLimit[];
  readonly global: number;
  /** `rateLimits.perClient`. */
  readonly client: number;
  /** By position in `rateLimits.clients`. */
  readonly clients: readonly number[];
  /** By position in `rateLimits.perTool`. */
  readonly tools: readonly number[];
  readonly toolClients: readonly number[];
  /** By position in `rateLimits.rules`. */
  readonly rules: readonly number[];
  readonly other: number;
  /** By route. */
  readonly routes: readonly number[];
  readonly routeClients: readonly number[];
  /** By route: the global limit, or what takes its place there. */
  readonly overrides: readonly number[];
  /** Number of limits that count clients apart. */
  readonly clientLimits: number;
  /** Whether a limit depends on the address of clients that have a principal. */
  readonly readsAddress: boolean;
}

/** Limits of clients for which there is room at once. */
const LIMITS_OF_A_CLIENT = 4;

/** Numbers the limits of a snapshot. */
export function planBuckets({ attributes, rateLimits, routes }: Snapshot): BucketPlan {
  const planned: PlannedLimit[] = [];
  let clientLimits = 0;
  // A reload may number the headers in another way.
  const named = (by: ClientKey | null) => (by?.by === 'header' ? { ...by, attribute: attributes[by.attribute] } : by);
  const namedMatch = (match: LimitMatchSnapshot) => ({
    ...match,
    headers: match.headers.map((header) => ({ ...header, attribute: attributes[header.attribute] })),
  });
  const { key } = rateLimits;
  const place = (rule: LimitRule | null, name: LimitScope, path: string, counts: unknown): number => {
    if (rule === null) return -1;
    return planned.push({ rule, scope: LIMIT_SCOPES.indexOf(name), path, subject: JSON.stringify([name, counts]) }) - 1;
  };
  const placeClient = (rule: LimitRule | null, name: LimitScope, path: string, counts: unknown): number => {
    if (rule !== null) clientLimits += 1;
    return place(rule, name, path, [named(key), counts]);
  };
  const global = place(rateLimits.global, 'global', 'rateLimits.global', '');
  const plan = {
    global,
    client: placeClient(rateLimits.perClient, 'client', 'rateLimits.perClient', ''),
    clients: rateLimits.clients.map(({ name, rule }) =>
      placeClient(rule, 'client', 'rateLimits.perClient.clients', name),
    ),
    tools: rateLimits.perTool.map(({ rule, tools }, i) => place(rule, 'tool', `rateLimits.perTool[${i}]`, tools)),
    toolClients: rateLimits.perTool.map(({ perClient, tools }, i) =>
      placeClient(perClient, 'client_tool', `rateLimits.perTool[${i}].perClient`, tools),
    ),
    rules: rateLimits.rules.map(({ key: by, match, rule }, i) => {
      if (by !== null && rule !== null) clientLimits += 1;
      return place(rule, 'rule', `rateLimits.rules[${i}]`, [named(by), namedMatch(match)]);
    }),
    other: placeClient(rateLimits.other, 'other', 'rateLimits.other', ''),
    routes: routes.map(({ name, rateLimit }, i) => place(rateLimit, 'route', `routes[${i}].rateLimit`, name)),
    routeClients: routes.map(({ name, clientRateLimit }, i) =>
      placeClient(clientRateLimit, 'client_route', `routes[${i}].clientRateLimit`, name),
    ),
    overrides: routes.map(({ name, rateLimitOverride }, i) =>
      rateLimitOverride === null ? global : place(rateLimitOverride, 'global', `routes[${i}].rateLimitOverride`, name),
    ),
  };
  const keys = [key, ...rateLimits.rules.map((rule) => rule.key)];
  const readsAddress = clientLimits > 0 && keys.some((by) => by?.by === 'address');
  return { ...plan, planned, clientLimits, readsAddress };
}

/** This thread's view of the buckets of a plan. */
export function viewBuckets(layout: BucketLayout, owner: number, { planned }: BucketPlan): Buckets {
  return new Buckets(
    layout,
    owner,
    planned.map(({ rule }) => new Limit(rule)),
  );
}

/** New buckets for a plan, unused. A client with buckets under several limits takes several slots. */
export function createBuckets(plan: BucketPlan, maxClients: number, owner: number): Buckets {
  const clients = maxClients * Math.min(plan.clientLimits, LIMITS_OF_A_CLIENT);
  const buckets = viewBuckets(bucketMemory(plan.planned.length, clients), owner, plan);
  const now = monotonic();
  for (let limit = 0; limit < plan.planned.length; limit += 1) buckets.define(limit, limit, now);
  return buckets;
}

/** Whether two snapshots have the same limits, so that the buckets stay as they are. */
export function sameBuckets(a: Snapshot, b: Snapshot): boolean {
  const shape = (snapshot: Snapshot): string =>
    JSON.stringify([planBuckets(snapshot).planned, snapshot.rateLimits.maxClients]);
  return shape(a) === shape(b);
}

/** Copies the state of the limits that `to` has too, as far as there is room. Calls that take from `from` meanwhile are lost. */
export function carryBuckets(from: Buckets, before: BucketPlan, to: Buckets, after: BucketPlan): void {
  const numberOf = new Map(after.planned.map((limit, number) => [identity(limit), number]));
  const numbers = before.planned.map((limit) => numberOf.get(identity(limit)) ?? -1);
  if (numbers.every((number) => number < 0)) return;
  const { fixed, slots } = from.layout;
  const clients = new ClientBuckets(to);
  const now = monotonic();
  for (let index = 0; index < fixed + slots; index += 1) {
    const at = index * BUCKET_WORDS;
    const number = numbers[from.words[at + BucketWord.limit]!] ?? -1;
    const isOfClient = index >= fixed;
    if (number < 0 || (isOfClient && from.words[at + BucketWord.used] === 0)) continue;
    const held = from.lock(index);
    let target = number;
    if (isOfClient && from.fullness(index, now) < 1) {
      clients.find(from.words.subarray(at + BucketWord.key, at + BucketWord.key + 4), number, now);
      target = clients.isShared ? -1 : clients.index;
    } else if (isOfClient) {
      target = -1;
    }
    if (target >= 0) {
      const state = from.words.subarray(at + BucketWord.state, at + BucketWord.key);
      to.words.set(state, target * BUCKET_WORDS + BucketWord.state);
    }
    from.unlock(index, held);
  }
}

function identity({ rule, subject }: PlannedLimit): string {
  return JSON.stringify([rule, subject]);
}
