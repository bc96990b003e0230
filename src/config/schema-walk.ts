/** What the schema accepts at a place, with defaults, options and unions unwrapped. */
import { z } from 'zod';
import type { PlaceKind } from '../secrets/show.js';
import { aliasesOf, kindOf } from './schema/fields.js';

/** The alternatives that may stand at one place. */
export interface Alternatives {
  readonly objects: readonly z.ZodObject[];
  readonly record: z.ZodType | null;
  readonly element: z.ZodType | null;
  /** Whether any text, or one of several words, is accepted; a single literal does not count. */
  readonly string: boolean;
  /** The words of a fixed list. */
  readonly words: readonly string[];
  /** What the place holds (`holds` in schema/fields.ts). */
  readonly kind: PlaceKind | null;
  readonly number: boolean;
  readonly boolean: boolean;
}

interface Found {
  objects: z.ZodObject[];
  record: z.ZodType | null;
  element: z.ZodType | null;
  string: boolean;
  words: string[];
  kind: PlaceKind | null;
  number: boolean;
  boolean: boolean;
}

const known = new WeakMap<z.ZodType, Alternatives>();

/** Unwraps `schema` down to the kinds of value it accepts. */
export function alternatives(schema: z.ZodType): Alternatives {
  const before = known.get(schema);
  if (before !== undefined) return before;
  const found: Found = {
    objects: [],
    record: null,
    element: null,
    string: false,
    words: [],
    kind: null,
    number: false,
    boolean: false,
  };
  collect(schema, found);
  known.set(schema, found);
  return found;
}

function collect(schema: z.ZodType, found: Found): void {
  found.kind ??= kindOf(schema) ?? null;
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) {
    collect(schema.unwrap() as z.ZodType, found);
  } else if (schema instanceof z.ZodUnion) {
    for (const option of schema.options) collect(option as z.ZodType, found);
  } else if (schema instanceof z.ZodObject) {
    found.objects.push(schema);
  } else if (schema instanceof z.ZodRecord) {
    found.record = schema.valueType as z.ZodType;
  } else if (schema instanceof z.ZodArray) {
    found.element = schema.element as z.ZodType;
  } else if (schema instanceof z.ZodNumber) {
    found.number = true;
  } else if (schema instanceof z.ZodBoolean) {
    found.boolean = true;
  } else if (schema instanceof z.ZodLiteral) {
    for (const value of schema.values) {
      if (typeof value === 'boolean') found.boolean = true;
      if (typeof value === 'number') found.number = true;
      if (typeof value === 'string') found.words.push(value);
    }
  } else if (schema instanceof z.ZodEnum) {
    found.string = true;
    found.words.push(...schema.options.map(String));
  } else {
    found.string = true;
  }
}

/** A key of an object and the schema of its value. */
export interface KnownKey {
  readonly name: string;
  readonly schema: z.ZodType;
}

const tables = new WeakMap<z.ZodObject, ReadonlyMap<string, KnownKey>>();

/** `maxBodyBytes` as `max_body_bytes`. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Every accepted spelling of the keys of an object. */
export function spellingsOf(object: z.ZodObject): ReadonlyMap<string, KnownKey> {
  const existing = tables.get(object);
  if (existing !== undefined) return existing;
  const table = new Map<string, KnownKey>();
  for (const [name, field] of Object.entries(object.shape)) {
    const known = { name, schema: field as z.ZodType };
    for (const spelling of [name, ...aliasesOf(field as object)]) {
      table.set(spelling, known);
      table.set(snakeCase(spelling), known);
    }
  }
  tables.set(object, table);
  return table;
}

/** The object of a discriminated union that a `type` value chooses; all of them when it chooses none. */
export function chooseByType(objects: readonly z.ZodObject[], type: unknown): readonly z.ZodObject[] {
  if (objects.length < 2) return objects;
  const chosen = objects.filter((object) => {
    const field: unknown = object.shape['type'];
    return field instanceof z.ZodLiteral && field.values.has(type as string);
  });
  return chosen.length > 0 ? chosen : objects;
}
