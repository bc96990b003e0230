/** What is wrong with the lists of the upstreams, and which names are offered in another form, for operators. */
import type { Naming } from '../protocol/names/index.js';
import type { ListName } from './items/list-names.js';
import { type CatalogProblem, MAX_PROBLEMS, type RenamedItem } from './types.js';

/** Collects them during one build; bounded. */
export class Problems {
  readonly renamed: RenamedItem[] = [];
  renamedCount = 0;
  readonly list: CatalogProblem[] = [];
  readonly counts: Record<string, number> = {};

  add(kind: CatalogProblem['kind'], list: ListName, server: string, name: string, detail: string, count = 1): void {
    this.counts[kind] = (this.counts[kind] ?? 0) + count;
    if (this.list.length < MAX_PROBLEMS) this.list.push({ kind, list, server, name: name.slice(0, 128), detail });
  }

  addRenamed(list: ListName, server: string, name: string, { publicName: offered, change }: Naming): void {
    if (change === '') return;
    this.renamedCount += 1;
    if (this.renamed.length === MAX_PROBLEMS) return;
    this.renamed.push({ list, server, name: name.slice(0, 128), offered, reason: change });
  }
}
