import { nearest } from '../nearest.js';
import type { ConfigPath } from '../problems.js';
import { quoteKey } from '../source/index.js';
import type { Compilation } from './compilation.js';

/**
 * The position of the server with a name; empty = there is none, which is a problem of the configuration then.
 *
 * @param indexes positions by name, of enabled servers
 * @param path of the list of names, and the position of this one in it
 */
export function serverIndex(
  compilation: Compilation,
  name: string,
  indexes: ReadonlyMap<string, number>,
  path: ConfigPath,
  position: number,
): number[] {
  const index = indexes.get(name);
  if (index !== undefined) return [index];
  const shown = quoteKey(compilation.loaded.shownAt(path) ?? compilation.loaded.shownAt([...path, position]) ?? name);
  if (Object.hasOwn(compilation.loaded.config.mcpServers, name)) {
    compilation.problem(path, `the server ${shown} is not enabled`);
    return [];
  }
  const likely = compilation.problems.full ? null : nearest(name, indexes.keys());
  const advice = likely === null ? '' : `; did you mean ${quoteKey(likely)}?`;
  compilation.problem(path, `there is no server ${shown} in mcpServers${advice}`);
  return [];
}
