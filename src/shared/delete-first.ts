/** Deletes the entry of a map that was added first, if there is one: eviction for maps that are bounded by their age. */
export function deleteFirst<K>(map: Map<K, unknown>): void {
  for (const key of map.keys()) {
    map.delete(key);
    return;
  }
}
