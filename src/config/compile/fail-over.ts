/** Routes with the same patterns to different servers: the later ones are the fallback of the first. */
import type { RouteSnapshot } from '../snapshot/index.js';

/**
 * Adds the servers of each route to the first one with the same patterns, if both name servers and the later one requires no further
 * scope or permission and has no variants. The later route matches nothing any more, and its other rules do not apply.
 */
export function joinFailOver(routes: readonly RouteSnapshot[]): RouteSnapshot[] {
  const joined: RouteSnapshot[] = [];
  const first = new Map<string, number>();
  for (const route of routes) {
    const key = matchOf(route);
    const position = first.get(key);
    const earlier = position === undefined ? undefined : joined[position];
    if (position === undefined || earlier === undefined || !mayFollow(route, earlier)) {
      if (position === undefined) first.set(key, joined.length);
      joined.push(route);
      continue;
    }
    joined[position] = { ...earlier, servers: [...new Set([...earlier.servers, ...route.servers])] };
    const nothing = { tools: [], prompts: [], resources: [], methods: [], conditions: null };
    joined.push({ ...route, ...nothing, failOverOf: position });
  }
  return joined;
}

/** What a route matches, as one text. */
function matchOf({ tools, prompts, resources, methods, conditions }: RouteSnapshot): string {
  const texts = [tools, prompts, resources, methods].map((list) => list.map((text) => JSON.stringify(text)).sort());
  return JSON.stringify([texts, conditions]);
}

function mayFollow(route: RouteSnapshot, earlier: RouteSnapshot): boolean {
  if (route.servers.length === 0 || earlier.servers.length === 0) return false;
  if (route.variants !== null || earlier.variants !== null) return false;
  if (!route.permissions.every((permission) => earlier.permissions.includes(permission))) return false;
  return route.requiredScopes.every((scope) => earlier.requiredScopes.includes(scope));
}
