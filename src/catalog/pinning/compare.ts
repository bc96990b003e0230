/** Compares the tools that a server lists with those of the lockfile. */
import type { PinnedTools, ToolDefinition } from '../../config/snapshot/pinning.js';
import { hashOf } from './definition.js';

/** A tool as its server lists it. */
export interface ListedTool {
  readonly name: string;
  readonly definition: ToolDefinition;
}

/** A tool that is not as the lockfile says. */
export interface Deviation {
  /** `renamed`: the lockfile has the same definition under a name that is not listed any more. */
  readonly kind: 'changed' | 'new' | 'renamed' | 'missing';
  readonly name: string;
  /** The name in the lockfile; '' = it is not there. */
  readonly pinnedAs: string;
  /** In the list; -1 = it is not there. */
  readonly position: number;
}

/** All deviations: those of the list in its order, then what is missing in the order of the lockfile. */
export function deviationsOf(pins: PinnedTools, listed: readonly ListedTool[]): Deviation[] {
  const names = new Set(listed.map(({ name }) => name));
  const gone = new Map<string, string[]>();
  for (const [name, { hash }] of pins) if (!names.has(name)) gone.set(hash, [...(gone.get(hash) ?? []), name]);
  const found: Deviation[] = [];
  listed.forEach(({ name, definition }, position) => {
    const hash = hashOf(definition);
    const pin = pins.get(name);
    if (pin?.hash === hash) return;
    if (pin !== undefined) found.push({ kind: 'changed', name, pinnedAs: name, position });
    else {
      const pinnedAs = gone.get(hash)?.shift() ?? '';
      found.push({ kind: pinnedAs === '' ? 'new' : 'renamed', name, pinnedAs, position });
    }
  });
  const renamed = new Set(found.map(({ pinnedAs }) => pinnedAs));
  for (const name of pins.keys()) {
    if (!names.has(name) && !renamed.has(name)) found.push({ kind: 'missing', name, pinnedAs: name, position: -1 });
  }
  return found;
}
