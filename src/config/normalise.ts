/**
 * From the tree of a file to the plain value the schema checks: variables expanded, keys in canonical spelling,
 * unknown and dangerous keys refused. Free names (servers, headers, variables) stay as written.
 */
import type { z } from 'zod';
import { type ExpandContext, expand } from './expand.js';
import { nearest } from './nearest.js';
import type { ConfigPath, Problems } from './problems.js';
import { IGNORED_SERVER_KEYS, IGNORED_TOP_KEYS, serverSchema, UNSUPPORTED_SERVER_KEYS } from './schema/servers.js';
import { configSchema } from './schema.js';
import { alternatives, chooseByType, type KnownKey, spellingsOf } from './schema-walk.js';
import { type Position, quoteKey, type SourceEntry, type SourceNode } from './source.js';

/** The plain value of a file, and what is known of its parts. */
export interface Normalised {
  readonly value: unknown;
  /** Positions by {@link pathKey}. */
  readonly positions: ReadonlyMap<string, Position>;
  readonly warnings: readonly string[];
  /** What variables put in. */
  readonly secrets: ReadonlySet<string>;
}

/** The key of a path in {@link Normalised.positions}. */
export function pathKey(path: ConfigPath): string {
  return JSON.stringify(path);
}

/** Names that would reach into the prototype of an object somewhere. */
const FORBIDDEN = new Set(['__proto__', 'constructor', 'prototype']);

/** Turns a tree into the value for the schema; what is wrong goes to `problems`, and its place is left out. */
export function normalise(root: SourceNode, context: ExpandContext, problems: Problems): Normalised {
  const walker = new Walker(context, problems);
  const value = walker.walk(root, configSchema, []);
  return { value, positions: walker.positions, warnings: walker.warnings, secrets: walker.secrets };
}

class Walker {
  readonly positions = new Map<string, Position>();
  readonly warnings: string[] = [];
  readonly secrets = new Set<string>();
  readonly #context: ExpandContext;
  readonly #problems: Problems;

  constructor(context: ExpandContext, problems: Problems) {
    this.#context = context;
    this.#problems = problems;
  }

  walk(node: SourceNode, schema: z.ZodType | null, path: ConfigPath): unknown {
    if (node.at !== null) this.positions.set(pathKey(path), node.at);
    switch (node.kind) {
      case 'scalar':
        return typeof node.value === 'string' ? this.#string(node.value, node.at, schema, path) : node.value;
      case 'array': {
        const element = schema === null ? null : alternatives(schema).element;
        return node.items.map((item, i) => this.walk(item, element, [...path, i]));
      }
      case 'object':
        return this.#object(node.entries, schema, path);
      case 'other':
        this.#problems.add(path, node.at, `a ${node.what} cannot stand here`);
        return undefined;
    }
  }

  /** A string; one that came from a variable becomes the number or boolean that the place asks for. */
  #string(text: string, at: Position | null, schema: z.ZodType | null, path: ConfigPath): unknown {
    try {
      const expansion = expand(text, this.#context);
      for (const value of expansion.values) this.secrets.add(value);
      if (!expansion.changed || schema === null) return expansion.text;
      const allowed = alternatives(schema);
      // Where text is accepted it stays text: "0123" is not 123.
      if (allowed.string) return expansion.text;
      if (allowed.number && /^-?\d+(\.\d+)?$/.test(expansion.text)) return Number(expansion.text);
      if (allowed.boolean && /^(true|false)$/.test(expansion.text)) return expansion.text === 'true';
      return expansion.text;
    } catch (error) {
      this.#problems.add(path, at, (error as Error).message);
      return undefined;
    }
  }

  #object(entries: readonly SourceEntry[], schema: z.ZodType | null, path: ConfigPath): unknown {
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
        result[entry.key] = this.walk(entry.value, allowed?.record ?? null, childPath);
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
      result[known.name] = this.walk(entry.value, known.schema, childPath);
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
    const isServer = objects.includes(serverSchema);
    if (isServer && (IGNORED_SERVER_KEYS as readonly string[]).includes(entry.key)) return null;
    if (objects.includes(configSchema) && (IGNORED_TOP_KEYS as readonly string[]).includes(entry.key)) return null;
    if (isServer && Object.hasOwn(UNSUPPORTED_SERVER_KEYS, entry.key)) {
      const reason = UNSUPPORTED_SERVER_KEYS[entry.key] as string;
      this.warnings.push(this.#problems.line([...path, entry.key], entry.at, `ignored: ${reason}`));
      return null;
    }
    const names = new Set(objects.flatMap((object) => Object.keys(object.shape)));
    const meant = this.#problems.full ? null : nearest(entry.key, names);
    const advice =
      meant !== null ? `did you mean ${quoteKey(meant)}?` : `known keys are ${[...names].sort().join(', ')}`;
    this.#problems.add(path, entry.at, `unknown key ${quoteKey(entry.key)}; ${advice}`);
    return null;
  }
}
