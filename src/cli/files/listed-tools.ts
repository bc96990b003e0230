/** The tools of all servers as they describe them themselves, for the lockfile. */
import { nameFilter } from '../../catalog/offers.js';
import type { ListedTool } from '../../catalog/pinning/compare.js';
import { definitionOf } from '../../catalog/pinning/definition.js';
import type { ServerSnapshot } from '../../config/snapshot/index.js';
import { packedCount, packedText } from '../../shared/packed.js';
import type { Discovery } from '../../upstream/core/types.js';

/**
 * By name of the server, the tools that the configuration includes; one that occurs more than once is that of the first list.
 *
 * @param servers those that the numbers of the lists belong to
 */
export function toolsOf(
  lists: readonly Discovery[],
  servers: readonly ServerSnapshot[],
): ReadonlyMap<string, readonly ListedTool[]> {
  const found = new Map(servers.map(({ name }) => [name, new Map<string, ListedTool>()]));
  for (const { server, tools } of lists) {
    const { name: owner = '', include = [], exclude = [] } = servers[server] ?? {};
    const ofServer = found.get(owner);
    if (ofServer === undefined) continue;
    const isIncluded = nameFilter(include, exclude);
    for (let index = 0; index < packedCount(tools); index += 1) {
      const tool = toolIn(packedText(tools, index));
      if (tool !== null && isIncluded(tool.name) && !ofServer.has(tool.name)) ofServer.set(tool.name, tool);
    }
  }
  return new Map([...found].map(([server, tools]) => [server, [...tools.values()]]));
}

/** null = it is not offered to anybody. */
function toolIn(text: string): ListedTool | null {
  try {
    const item = JSON.parse(text) as Record<string, unknown>;
    return typeof item['name'] === 'string' && item['name'] !== ''
      ? { name: item['name'], definition: definitionOf(item) }
      : null;
  } catch {
    return null;
  }
}
