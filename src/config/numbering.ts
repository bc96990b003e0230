/**
 * Server numbers over reloads. Whatever refers to a server while the gateway runs (calls in flight, catalog entries,
 * subscriptions, parked calls) holds its number, so a server keeps its number as long as it has its name; the number of
 * one that is gone stays vacant, and is given to another one only when nothing can mean the old one any more.
 */
import type { ServerSnapshot, Snapshot } from './snapshot.js';

/** Vacant numbers that are left alone. Beyond them the ones that nothing refers to are used again. */
export const MAX_VACANT = 4_096;

/** What stands at the number of a server that is gone: no endpoint, no name, nothing that matches. */
export const VACANT: ServerSnapshot = Object.freeze({
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
  maxDedicated: 1,
  dedicatedIdleMs: 1_000,
  methods: [],
});

/** Whether a number belongs to no server (any more): names of servers are never empty. */
export function isVacant(server: { readonly name: string }): boolean {
  return server.name === '';
}

/**
 * The snapshot `next` with the numbers that its servers have in `before`; new servers get the numbers behind.
 *
 * @param reusable whether nothing refers to a vacant number any more; asked only beyond {@link MAX_VACANT}
 */
export function renumbered(before: Snapshot, next: Snapshot, reusable: (number: number) => boolean): Snapshot {
  const numbers = new Map<string, number>();
  before.servers.forEach((server, number) => {
    if (!isVacant(server)) numbers.set(server.name, number);
  });
  const servers = before.servers.map(() => VACANT);
  const vacant = before.servers.flatMap((server, number) => (isVacant(server) ? [number] : []));
  const free = vacant.length > MAX_VACANT ? vacant.filter(reusable) : [];
  const moved = next.servers.map((server) => {
    const number = numbers.get(server.name) ?? free.shift() ?? servers.length;
    servers[number] = server;
    return number;
  });
  const routes = next.routes.map((route) => ({ ...route, servers: route.servers.map((number) => moved[number]!) }));
  return Object.freeze({ ...next, servers, routes, order: moved });
}

/** Whether a server can stay as it runs: what differs, if anything, are rules about names and calls. */
export function sameUpstream(a: ServerSnapshot, b: ServerSnapshot): boolean {
  return fingerprint(a) === fingerprint(b);
}

function fingerprint(server: ServerSnapshot): string {
  const { endpoints, connectTimeoutMs, maxConnections, maxQueue, isolation, maxDedicated, dedicatedIdleMs } = server;
  // How a command is logged changes with the name of a variable, and needs no other child.
  const running = endpoints.map((endpoint) => ({ ...endpoint, shownCommand: '' }));
  return canonical({
    endpoints: running,
    connectTimeoutMs,
    maxConnections,
    maxQueue,
    isolation,
    maxDedicated,
    dedicatedIdleMs,
  });
}

/** JSON text in which the order of keys does not matter. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) =>
    typeof member === 'object' && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}
