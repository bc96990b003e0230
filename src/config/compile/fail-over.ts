/** Routes with the same patterns to different servers: the later ones are the fallback of the first. */
import type { RouteSnapshot } from '../snapshot.js';

/**
 * Adds the servers of each route to the first one with the same patterns, if both name servers and the later one requires no further
 * scope. The later route matches nothing any more, and its other rules do not apply.
 */
export function joinFailOver(routes: readonly RouteSnapshot[]): RouteSnapshot[] {
  const joined: RouteSnapshot[] = [];
  const first = new Map<string, number>();
  for (const route of routes) {
    const key = JSON.stringify(
      [route.tools, route.prompts, route.resources, route.methods].map((texts) => texts.toSorted()),
    );
    const position = first.get(key);
    const earlier = position === undefined ? undefined : joined[position];
    if (position === undefined || earlier === undefined || !mayFollow(route, earlier)) {
      if (position === undefined) first.set(key, joined.length);
      joined.push(route);
      continue;
    }
    joined[position] = { ...earlier, servers: [...new Set([...earlier.servers, ...route.servers])] };
    joined.push({ ...route, tools: [], prompts: [], resources: [], methods: [], failOverOf: position });
  }
  return joined;
}

function mayFollow(route: RouteSnapshot, earlier: RouteSnapshot): boolean {
  if (route.servers.length === 0 || earlier.servers.length === 0) return false;
  return route.requiredScopes.every((scope) => earlier.requiredScopes.includes(scope));
}
