/**
 * Server numbers over reloads. References to a server while the gateway runs (calls in flight, catalog entries,
 * subscriptions, parked calls) are numbers, so a server keeps its number as long as it has its name. A server that a
 * reload removes leaves a tombstone, whose number is reused only when nothing refers to it.
 */

import type { ServerSnapshot, Snapshot, ViewSnapshot } from './snapshot/index.js';
import { isRemovedView } from './snapshot/restrictions.js';

/** Tombstones that are kept; beyond them, those without references are reused. */
export const MAX_TOMBSTONES = 4_096;

/** Stands at the number of a removed server: no name, no endpoint, no pattern. */
export const TOMBSTONE: ServerSnapshot = Object.freeze({
  name: '',
  prefix: null,
  endpoints: [],
  connectTimeoutMs: 1_000,
  requestTimeoutMs: 0,
  maxConnections: 1,
  maxQueue: 1,
  maxConcurrent: 0,
  tags: [],
  include: [],
  exclude: [],
  rename: null,
  priority: 0,
  isolation: 'shared',
  clientCredentials: false,
  clientTokens: false,
  passthrough: false,
  maxDedicated: 1,
  dedicatedIdleMs: 1_000,
  invalidUtf8: 'refuse',
  methods: [],
});

/** Whether a server was removed; names of servers are never empty. */
export function isTombstone(server: { readonly name: string }): boolean {
  return server.name === '';
}

/**
 * The snapshot `next` with the numbers that its servers have in `before`; new servers get further numbers.
 *
 * @param isUnused whether nothing refers to the number of a tombstone; called only beyond {@link MAX_TOMBSTONES} of them
 */
export function renumbered(before: Snapshot, next: Snapshot, isUnused: (number: number) => boolean): Snapshot {
  const numbers = new Map<string, number>();
  before.servers.forEach((server, number) => {
    if (!isTombstone(server)) numbers.set(server.name, number);
  });
  const servers = before.servers.map(() => TOMBSTONE);
  const tombstones = before.servers.flatMap((server, number) => (isTombstone(server) ? [number] : []));
  const free = tombstones.length > MAX_TOMBSTONES ? tombstones.filter(isUnused) : [];
  const moved = next.servers.map((server) => {
    const number = numbers.get(server.name) ?? free.shift() ?? servers.length;
    servers[number] = server;
    return number;
  });
  const renumber = (numbers: readonly number[]): number[] => numbers.flatMap((number) => moved[number] ?? []);
  const routes = next.routes.map((route) => ({
    ...route,
    servers: renumber(route.servers),
    variants:
      route.variants === null
        ? null
        : {
            ...route.variants,
            groups: route.variants.groups.map((group) => ({ ...group, servers: renumber(group.servers) })),
          },
  }));
  const views = renumberedViews(before.views, next.views).map((view) => ({
    ...view,
    servers: view.servers?.flatMap((number) => moved[number] ?? []) ?? null,
  }));
  return Object.freeze({ ...next, servers, routes, views, order: moved });
}

/** Stands at the number of a removed view: no path leads there, and the policy refuses every request. */
const VIEW_TOMBSTONE: ViewSnapshot = Object.freeze({
  path: '',
  base: '',
  servers: Object.freeze([]),
  tools: [],
  prompts: [],
  resources: [],
  hasPrefixes: true,
  requiredScopes: [],
  auth: null,
});

/**
 * A view that stays keeps its number, since connections have it. The number of a removed one is free again after one further
 * reload: by then the policy has refused the connections that had it.
 */
function renumberedViews(before: readonly ViewSnapshot[], next: readonly ViewSnapshot[]): ViewSnapshot[] {
  const numbers = new Map(before.map(({ base }, number) => [base, number]));
  const free = before.flatMap((_, number) => (isRemovedView(before, number) ? [number] : []));
  const views = before.map((): ViewSnapshot => VIEW_TOMBSTONE);
  next.forEach((view, position) => {
    const known = position === 0 ? 0 : view.base === '' ? undefined : numbers.get(view.base);
    views[known ?? free.shift() ?? views.length] = view;
  });
  return views;
}

/** Whether a reload can keep the running endpoints of a server: only rules about names and calls differ, if anything. */
export function sameUpstream(a: ServerSnapshot, b: ServerSnapshot): boolean {
  return upstreamFingerprint(a) === upstreamFingerprint(b);
}

/** Everything about a server that its endpoints depend on, as one text. It has secrets. */
export function upstreamFingerprint(server: ServerSnapshot): string {
  // Rules about names and calls, which `UpstreamServer.reconfigure` and the catalog follow.
  const {
    name,
    prefix,
    requestTimeoutMs,
    tags,
    include,
    exclude,
    rename,
    priority,
    methods,
    maxConcurrent,
    ...running
  } = server;
  // The printable form of a command changes with the name of a variable, and needs no new child.
  const endpoints = running.endpoints.map((endpoint) => ({ ...endpoint, shownCommand: '' }));
  return canonical({ ...running, endpoints });
}

/** JSON text in which the order of keys does not matter. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) =>
    typeof member === 'object' && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}
