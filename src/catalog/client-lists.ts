import type { Count } from '../units.js';
import type { Discovery } from '../upstream/core/types.js';
import type { CompiledDiscovery, ListSet } from './types.js';

/**
 * Lists that servers offer to some clients only, at their dedicated endpoints, and the sets of lists that are made of them. Bounded:
 * those that were listed least recently are dropped. Owned by Catalog.
 */
export class ClientLists {
  readonly #numbers = new WeakMap<Discovery, number>();
  /** In the order of their last use. */
  readonly #compiled = new Map<Discovery, CompiledDiscovery>();
  /** By name, in the order of their last use. */
  readonly #sets = new Map<string, { readonly view: number; readonly own: readonly Discovery[] }>();
  #last = 0;

  /** The name of the set in which these lists take the place of the shared lists of their servers. */
  nameOf(own: readonly Discovery[], view: number): string {
    const numbers = own.map((discovery) => this.#numberOf(discovery)).sort((a, b) => a - b);
    return `${view}:${numbers.join()}`;
  }

  compiled(discovery: Discovery): CompiledDiscovery | undefined {
    return this.#compiled.get(discovery);
  }

  /** All of them, as the servers sent them. */
  get discoveries(): readonly Discovery[] {
    return [...this.#compiled.keys()];
  }

  /** Replaces what compiled lists have become, if they are still there. */
  replace(discovery: Discovery, compiled: CompiledDiscovery): void {
    if (this.#compiled.has(discovery)) this.#compiled.set(discovery, compiled);
  }

  /** Adds a set of lists in a view, or makes it the last used one. @param max most sets and most lists that are kept */
  use(name: string, view: number, own: readonly Discovery[], compiled: readonly CompiledDiscovery[], max: Count): void {
    touch(this.#sets, name, { view, own }, max);
    own.forEach((discovery, index) => {
      const lists = compiled[index];
      if (lists !== undefined) touch(this.#compiled, discovery, lists, max);
    });
  }

  /** Drops the lists of servers for which `isKept` is false, and the sets with them. */
  keep(isKept: (server: number) => boolean): void {
    for (const discovery of [...this.#compiled.keys()]) {
      if (!isKept(discovery.server)) this.#compiled.delete(discovery);
    }
  }

  /** What a build needs: all lists, the last used first, and the sets of which all lists are still there. */
  input(): { readonly lists: readonly CompiledDiscovery[]; readonly sets: readonly ListSet[] } {
    const lists = [...this.#compiled].reverse();
    const positions = new Map(lists.map(([discovery], position) => [discovery, position]));
    const sets: ListSet[] = [];
    for (const [name, { view, own }] of [...this.#sets]) {
      const found = own.map((discovery) => positions.get(discovery) ?? -1);
      if (found.includes(-1)) this.#sets.delete(name);
      else sets.push({ name, view, lists: found });
    }
    return { lists: lists.map(([, compiled]) => compiled), sets };
  }

  #numberOf(discovery: Discovery): number {
    const known = this.#numbers.get(discovery);
    if (known !== undefined) return known;
    this.#last += 1;
    this.#numbers.set(discovery, this.#last);
    return this.#last;
  }
}

function touch<Key, Value>(map: Map<Key, Value>, key: Key, value: Value, max: Count): void {
  map.delete(key);
  map.set(key, value);
  for (const oldest of map.keys()) {
    if (map.size <= max) return;
    map.delete(oldest);
  }
}
