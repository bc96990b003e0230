/**
 * From the tree of a file to the plain value the schema checks: variables expanded, keys in canonical spelling,
 * unknown and dangerous keys refused. Free names (servers, headers, variables) stay as written.
 */
import type { z } from 'zod';
import { type KnownSecret, type PlaceKind, showText, type VariableRun } from '../secrets/show.js';
import { type ExpandContext, expand } from './expand.js';
import { nearest } from './nearest.js';
import type { ConfigPath, Problems, Warning } from './problems.js';
import { renamedKey, renamedSentence } from './renamed-keys.js';
import { configSchema } from './schema/index.js';
import { IGNORED_SERVER_KEYS, IGNORED_TOP_KEYS, serverSchema, UNSUPPORTED_SERVER_KEYS } from './schema/servers.js';
import { alternatives, chooseByType, type KnownKey, spellingsOf } from './schema-walk.js';
import { type Position, quoteKey, type SourceEntry, type SourceNode } from './source/index.js';

/** The plain value of a file, with the positions and secrets of its parts. */
export interface Normalised {
  readonly value: unknown;
  /** Positions by {@link pathKey}. */
  readonly positions: ReadonlyMap<string, Position>;
  readonly warnings: readonly Warning[];
  /** The printable forms of texts that hold secrets, by {@link pathKey}. */
  readonly shown: ReadonlyMap<string, string>;
  /** Values of variables, and other secrets. */
  readonly secrets: readonly KnownSecret[];
}

/** The key of a path in {@link Normalised.positions}. */
export function pathKey(path: ConfigPath): string {
  return JSON.stringify(path);
}

/** The position of the value at `path`, or of the nearest value around it. */
export function positionAt(positions: Normalised['positions'], path: ConfigPath): Position | null {
  for (let length = path.length; length >= 0; length -= 1) {
    const key = pathKey(path.slice(0, length));
    const at = positions.get(key) ?? positions.get(`key ${key}`);
    if (at !== undefined) return at;
  }
  return null;
}

/** Whether the object around `path` has its last key, with whatever value. */
export function hasKey(value: unknown, path: ConfigPath): boolean {
  const last = path.at(-1);
  const parent = valueAt(value, path.slice(0, -1));
  return typeof parent === 'object' && parent !== null && last !== undefined && last in parent;
}

/** Whether there is something at `path` that could not be read, such as a variable that is not set. */
export function isUnread(value: unknown, path: ConfigPath): boolean {
  return hasKey(value, path) && valueAt(value, path) === undefined;
}

/** The part of a value at `path`; undefined = there is none. */
export function valueAt(value: unknown, path: ConfigPath): unknown {
  let node = value;
  for (const part of path) {
    if (typeof node !== 'object' || node === null) return undefined;
    node = (node as Record<string | number, unknown>)[part];
  }
  return node;
}

/** Names that reach the prototype of an object. */
const FORBIDDEN = new Set(['__proto__', 'constructor', 'prototype']);

/**
 * Turns a tree into the value for the schema; faults go to `problems`, and their places are left out.
 *
 * @param context null = variables stay as they are written
 * @param before warnings of the steps before this one
 */
export function normalise(
  root: SourceNode,
  context: ExpandContext | null,
  problems: Problems,
  before: readonly Warning[] = [],
): Normalised {
  const walker = new Walker(context, problems);
  const value = walker.walk(root, configSchema, [], NO_PLACE);
  const { positions, shown, secrets } = walker;
  return { value, positions, warnings: [...before, ...walker.warnings], shown, secrets };
}

/** What the surroundings of a place say about it. */
interface Place {
  readonly kind: PlaceKind;
  /** The element before it in a list, as text. */
  readonly before: string;
}

const NO_PLACE: Place = { kind: 'text', before: '' };

class Walker {
  readonly positions = new Map<string, Position>();
  readonly warnings: Warning[] = [];
  readonly shown = new Map<string, string>();
  readonly secrets: KnownSecret[] = [];
  readonly #context: ExpandContext | null;
  readonly #problems: Problems;

  constructor(context: ExpandContext | null, problems: Problems) {
    this.#context = context;
    this.#problems = problems;
  }

  walk(node: SourceNode, schema: z.ZodType | null, path: ConfigPath, around: Place): unknown {
    if (node.at !== null) this.positions.set(pathKey(path), node.at);
    const kind = (schema === null ? null : alternatives(schema).kind) ?? around.kind;
    const place = { ...around, kind };
    switch (node.kind) {
      case 'scalar':
        if (typeof node.value === 'string') return this.#string(node.value, node.at, schema, path, place);
        // A number among texts can be a PIN.
        if (node.value !== null && kind !== 'text') this.#note(String(node.value), [], path, place);
        return node.value;
      case 'array': {
        const element = schema === null ? null : alternatives(schema).element;
        let before = '';
        return node.items.map((item, i) => {
          const value = this.walk(item, element, [...path, i], { kind, before });
          before = typeof value === 'object' ? '' : String(value);
          return value;
        });
      }
      case 'object':
        return this.#object(node.entries, schema, path, place);
      case 'other':
        this.#problems.add(path, node.at, `a ${node.what} cannot stand here`);
        return undefined;
    }
  }

  /** A string; the value of a variable becomes a number or boolean where the schema requires one. */
  #string(text: string, at: Position | null, schema: z.ZodType | null, path: ConfigPath, place: Place): unknown {
    if (this.#context === null) return text;
    try {
      const { text: expanded, changed, runs } = expand(text, this.#context);
      const allowed = schema === null ? null : alternatives(schema);
      // Numbers, booleans and words of a fixed list are no secrets, wherever they come from.
      if (allowed?.words.includes(expanded)) return expanded;
      // Where text is accepted it stays text: "0123" is not 123.
      if (changed && allowed !== null && !allowed.string) {
        if (allowed.number && /^-?\d+(\.\d+)?$/.test(expanded)) return Number(expanded);
        if (allowed.boolean && /^(true|false)$/.test(expanded)) return expanded === 'true';
      }
      this.#note(expanded, runs, path, place);
      return expanded;
    } catch (error) {
      this.#problems.add(path, at, (error as Error).message);
      return undefined;
    }
  }

  #note(text: string, runs: readonly VariableRun[], path: ConfigPath, { kind, before }: Place): void {
    const name = path.at(-1);
    const { shown, secrets } = showText({ text, runs, kind, name: typeof name === 'string' ? name : '', before });
    if (shown !== text) this.shown.set(pathKey(path), shown);
    for (const secret of secrets) this.secrets.push(secret);
  }

  #object(entries: readonly SourceEntry[], schema: z.ZodType | null, path: ConfigPath, place: Place): unknown {
    const result: Record<string, unknown> = Object.create(null);
    const allowed = schema === null ? null : alternatives(schema);
    const type = entries.find((entry) => entry.key === 'type')?.value;
    const objects =
      allowed === null ? [] : chooseByType(allowed.objects, type?.kind === 'scalar' ? type.value : undefined);
    const spelled = new Map<string, string>();
    for (const entry of entries) {
      if (FORBIDDEN.has(entry.key)) {
        this.#problems.add(path, entry.at, `${quoteKey(entry.key)} cannot be a name`);
        continue;
      }
      if (objects.length === 0) {
        const childPath = [...path, entry.key];
        this.#noteKey(childPath, entry.at);
        result[entry.key] = this.walk(entry.value, allowed?.record ?? null, childPath, place);
        continue;
      }
      const known = this.#known(entry, objects, path);
      if (known === null) continue;
      const before = spelled.get(known.name);
      if (before !== undefined) {
        this.#problems.add(
          [...path, known.name],
          entry.at,
          `given twice, as ${quoteKey(before)} and ${quoteKey(entry.key)}`,
        );
        continue;
      }
      spelled.set(known.name, entry.key);
      const childPath = [...path, known.name];
      this.#noteKey(childPath, entry.at);
      result[known.name] = this.walk(entry.value, known.schema, childPath, place);
    }
    return result;
  }

  #noteKey(path: ConfigPath, at: Position | null): void {
    if (at !== null) this.positions.set(`key ${pathKey(path)}`, at);
  }

  #known(entry: SourceEntry, objects: readonly z.ZodObject[], path: ConfigPath): KnownKey | null {
    for (const object of objects) {
      const known = spellingsOf(object).get(entry.key);
      if (known !== undefined) return known;
    }
    const renamed = renamedKey(path, entry.key);
    if (renamed !== undefined) {
      this.warnings.push({ path, at: entry.at, sentence: renamedSentence(renamed) });
      return this.#known({ ...entry, key: renamed.now }, objects, path);
    }
    const isServer = objects.includes(serverSchema);
    if (isServer && (IGNORED_SERVER_KEYS as readonly string[]).includes(entry.key)) return null;
    if (objects.includes(configSchema) && (IGNORED_TOP_KEYS as readonly string[]).includes(entry.key)) return null;
    if (isServer && Object.hasOwn(UNSUPPORTED_SERVER_KEYS, entry.key)) {
      const reason = UNSUPPORTED_SERVER_KEYS[entry.key] as string;
      this.warnings.push({ path: [...path, entry.key], at: entry.at, sentence: `ignored: ${reason}` });
      return null;
    }
    const names = new Set(objects.flatMap((object) => Object.keys(object.shape)));
    const likely = this.#problems.full ? null : nearest(entry.key, names);
    const copy = objects.includes(configSchema)
      ? '; of the settings of another program copy only its servers, under "mcpServers"'
      : '';
    const advice = likely !== null ? `did you mean ${quoteKey(likely)}?` : `known keys are ${listed(names)}${copy}`;
    this.#problems.add(path, entry.at, `unknown key ${quoteKey(entry.key)}; ${advice}`);
    return null;
  }
}

/** Longest list of keys in a sentence, in characters. */
const LISTED = 160;

/** Keys in alphabetical order, as many as a sentence takes. */
function listed(names: Iterable<string>): string {
  const text = [...names].sort().join(', ');
  if (text.length <= LISTED) return text;
  return `${text.slice(0, text.lastIndexOf(',', LISTED))} and others (docs/configuration.md)`;
}
