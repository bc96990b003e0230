/**
 * Server numbers over reloads. Calls in flight, catalog entries, subscriptions and parked calls refer to a server by its
 * number, so a server keeps its number as long as it has its name. A tombstone keeps the number of a removed server, which is
 * given to another one only when nothing refers to the old one any more.
 */
import type { ServerSnapshot, Snapshot } from './snapshot.js';

/** Tombstones that are always kept. Above that number, those that nothing refers to are reused. */
export const MAX_TOMBSTONES = 4_096;

/** Stands at the number of a removed server: no endpoint, no name. */
export const TOMBSTONE: ServerSnapshot = Object.freeze({
  name: '',
  prefix: null,
  endpoints: [],
  connectTimeoutMs: 1_000,
  requestTimeoutMs: 0,
  maxConnections: 1,
  maxQueue: 1,
  tags: [],
  include: [],
  exclude: [],
  priority: 0,
  isolation: 'shared',
  maxLanes: 1,
  laneIdleMs: 1_000,
  methods: [],
});

/** Whether a server is a tombstone: names of servers are never empty. */
export function isTombstone(server: { readonly name: string }): boolean {
  return server.name === '';
}

/**
 * The snapshot `next` with the numbers that its servers have in `before`; new servers get the following numbers.
 *
 * @param reusable whether nothing refers to the number of a tombstone; called only above {@link MAX_TOMBSTONES}
 */
export function renumbered(before: Snapshot, next: Snapshot, reusable: (number: number) => boolean): Snapshot {
  const numbers = new Map<string, number>();
  before.servers.forEach((server, number) => {
    if (!isTombstone(server)) numbers.set(server.name, number);
  });
  const servers = before.servers.map(() => TOMBSTONE);
  const tombstones = before.servers.flatMap((server, number) => (isTombstone(server) ? [number] : []));
  const free = tombstones.length > MAX_TOMBSTONES ? tombstones.filter(reusable) : [];
  const moved = next.servers.map((server) => {
    const number = numbers.get(server.name) ?? free.shift() ?? servers.length;
    servers[number] = server;
    return number;
  });
  const routes = next.routes.map((route) => ({ ...route, servers: route.servers.map((number) => moved[number]!) }));
  return Object.freeze({ ...next, servers, routes, order: moved });
}

/** Whether a server can go on running: at most rules about names and calls differ. */
export function sameUpstream(a: ServerSnapshot, b: ServerSnapshot): boolean {
  return fingerprint(a) === fingerprint(b);
}

function fingerprint(server: ServerSnapshot): string {
  const { endpoints, connectTimeoutMs, maxConnections, maxQueue, isolation, maxLanes, laneIdleMs } = server;
  // How a command is logged changes with the name of a variable, and needs no other child.
  const running = endpoints.map((endpoint) => ({ ...endpoint, shownCommand: '' }));
  return canonical({ endpoints: running, connectTimeoutMs, maxConnections, maxQueue, isolation, maxLanes, laneIdleMs });
}

/** JSON text in which the order of keys does not matter. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) =>
    typeof member === 'object' && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}
