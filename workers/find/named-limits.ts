/**
 * Which rate limits are about a target by its names: the item of `rateLimits.perTool`, and the items of `rateLimits.rules`. As with
 * routes, a tool or prompt is judged by all the names that it has or had, so that no name bypasses a limit.
 */
import type { ServerSnapshot, Snapshot } from '../../src/config/snapshot/index.js';
import { type CatalogTable, EntryKind } from '../../src/shared/catalog-table.js';
import { packedText } from '../../src/shared/packed.js';
import { compileGlob } from '../../src/shared/patterns/glob.js';
import { resourcePatterns } from '../../src/shared/patterns/resources.js';
import { PatternSet, type ValueFilter } from '../../src/shared/patterns/set.js';
import { compilePattern } from '../../src/shared/patterns/text.js';
import { earlier } from './named-routes.js';

const NOT_COMPUTED = -2;
const NO_RULES: readonly number[] = [];

/** The names that an entry had before they were changed (EntryRoutes). */
interface FormerNames {
  formerNames(entry: number, owner: ServerSnapshot | undefined, own: string): string[];
}

/** Keeps every value that it is asked about, so that a search goes on. */
class Collector implements ValueFilter {
  readonly values: number[] = [];

  accepts(value: number): boolean {
    if (!this.values.includes(value)) this.values.push(value);
    return false;
  }
}

/** See the file comment. One per finder. */
export class NamedLimits {
  /** Position in `rateLimits.perTool`, -1 = none. */
  toolRule = -1;
  /** Positions in `rateLimits.rules` of the rules with names that match the target; valid until the next look-up. */
  rules: readonly number[] = NO_RULES;
  readonly #snapshot: Snapshot;
  readonly #catalog: CatalogTable;
  readonly #former: FormerNames;
  readonly #perTool: PatternSet;
  /** Patterns of the rules over names of tools, names of prompts, and URIs; null = no rule has such. */
  readonly #tools: PatternSet | null;
  readonly #prompts: PatternSet | null;
  readonly #resources: PatternSet | null;
  /** By entry, from its first look-up on. */
  readonly #toolRuleOf: Int32Array;
  readonly #rulesOf = new Map<number, readonly number[]>();
  readonly #ofUri = new Collector();

  constructor(snapshot: Snapshot, catalog: CatalogTable, former: FormerNames) {
    const { perTool, rules } = snapshot.rateLimits;
    this.#snapshot = snapshot;
    this.#catalog = catalog;
    this.#former = former;
    this.#perTool = new PatternSet(
      perTool.flatMap(({ tools }, item) => tools.map((tool) => [compileGlob(tool), item] as const)),
    );
    const setOf = (entries: (match: (typeof rules)[number]['match']) => ReturnType<typeof resourcePatterns>) => {
      const all = rules.flatMap(({ match }, rule) => entries(match).map((pattern) => [pattern, rule] as const));
      return all.length === 0 ? null : new PatternSet(all);
    };
    this.#tools = setOf(({ tools }) => tools.map(compilePattern));
    this.#prompts = setOf(({ prompts }) => prompts.map(compilePattern));
    this.#resources = setOf(({ resources }) => resources.flatMap(resourcePatterns));
    this.#toolRuleOf = new Int32Array(catalog.kind.length).fill(NOT_COMPUTED);
  }

  /** Whether a rule is about URIs. */
  get readsUris(): boolean {
    return this.#resources !== null;
  }

  /** Forgets the last look-up. */
  reset(): void {
    this.toolRule = -1;
    if (this.rules.length > 0) this.rules = NO_RULES;
  }

  /** Looks up a tool or prompt that is listed. */
  ofEntry(entry: number): void {
    if (this.#toolRuleOf[entry] === NOT_COMPUTED) this.#judge(entry);
    this.toolRule = this.#toolRuleOf[entry]!;
    if (this.#rulesOf.size > 0) this.rules = this.#rulesOf.get(entry) ?? NO_RULES;
  }

  /** Looks up a tool or prompt that is not listed, by every name that it could have; the likeliest first. */
  ofNames(names: readonly string[], isTool: boolean): void {
    if (isTool) this.toolRule = names.reduce((item, name) => (item >= 0 ? item : this.#itemFor(name)), -1);
    this.rules = rulesFor(isTool ? this.#tools : this.#prompts, names);
  }

  /** Adds the rules for the URI, or the text of a template, `bytes[start, end)`. */
  addUri(bytes: Uint8Array, start: number, end: number): void {
    const { values } = this.#ofUri;
    if (this.#resources === null) return;
    if (this.rules !== values) values.length = 0;
    this.#resources.first(bytes, start, end, this.#ofUri);
    if (values.length > 0) this.rules = values;
  }

  #judge(entry: number): void {
    const { kind, publicNames, server, upstreamNames } = this.#catalog;
    const owner = this.#snapshot.servers[server[entry]!];
    const own = packedText(upstreamNames, entry);
    const names = [packedText(publicNames, entry), `${owner?.name ?? ''}:${own}`];
    names.push(...this.#former.formerNames(entry, owner, own));
    const isTool = kind[entry] === EntryKind.tool;
    this.#toolRuleOf[entry] = isTool ? names.reduce((first, name) => earlier(first, this.#itemFor(name)), -1) : -1;
    const rules = rulesFor(isTool ? this.#tools : this.#prompts, names);
    if (rules.length > 0) this.#rulesOf.set(entry, rules);
  }

  #itemFor(name: string): number {
    const bytes = Buffer.from(name);
    return this.#perTool.first(bytes, 0, bytes.length);
  }
}

/** The values of all patterns that match one of the names. */
function rulesFor(set: PatternSet | null, names: readonly string[]): readonly number[] {
  if (set === null) return NO_RULES;
  const found = names.flatMap((name) => {
    const bytes = Buffer.from(name);
    return set.all(bytes, 0, bytes.length);
  });
  return [...new Set(found)];
}
