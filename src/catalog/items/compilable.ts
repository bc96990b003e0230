/**
 * Whether the validator of the official SDK's legacy clients can compile an output schema. Those clients compile the
 * output schemas of all tools when they list them, and one failure fails the whole list: a regular expression in Python
 * syntax or a boolean `exclusiveMinimum` of draft 4 would hide every tool of every upstream.
 */

import { type Check, isBoolean, isNumber, isObject } from './shapes.js';

const isSchema: Check = (value) => isObject(value) || typeof value === 'boolean';
const isSchemaList: Check = (value) => Array.isArray(value) && value.length > 0 && value.every(isSchema);
const isSchemaMap: Check = (value) => isObject(value) && Object.values(value).every(isSchema);
const isNames: Check = (value) => Array.isArray(value) && value.every((name) => typeof name === 'string');

const TYPES = new Set(['string', 'number', 'integer', 'boolean', 'null', 'object', 'array']);
const isType: Check = (value) => (Array.isArray(value) ? value.length > 0 && value.every(isOneType) : isOneType(value));

function isOneType(value: unknown): boolean {
  return typeof value === 'string' && TYPES.has(value);
}

function isPattern(value: unknown): boolean {
  if (typeof value !== 'string') return false;
  try {
    new RegExp(value, 'u');
    return true;
  } catch {
    return false;
  }
}

/** The values that keywords must have; the validator ignores other keywords. */
const KEYWORDS: ReadonlyMap<string, Check> = new Map<string, Check>([
  ...['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'].map(
    (key) => [key, isNumber] as const,
  ),
  ...[
    'minLength',
    'maxLength',
    'minItems',
    'maxItems',
    'minProperties',
    'maxProperties',
    'minContains',
    'maxContains',
  ].map((key) => [key, isNumber] as const),
  ...['anyOf', 'oneOf', 'allOf'].map((key) => [key, isSchemaList] as const),
  ...['not', 'if', 'then', 'else', 'contains', 'propertyNames', 'additionalProperties', 'additionalItems'].map(
    (key) => [key, isSchema] as const,
  ),
  ['type', isType],
  ['enum', (value) => Array.isArray(value) && value.length > 0],
  ['required', isNames],
  ['uniqueItems', isBoolean],
  ['nullable', isBoolean],
  ['pattern', isPattern],
  ['format', (value) => typeof value === 'string'],
  ['properties', isSchemaMap],
  ['patternProperties', (value) => isSchemaMap(value) && Object.keys(value as object).every(isPattern)],
  ['dependencies', isObject],
  ['items', (value) => isSchema(value) || (Array.isArray(value) && value.every(isSchema))],
]);

/** Keywords whose value is one schema, a list of them, or a map to them. */
const SINGLE = ['not', 'if', 'then', 'else', 'contains', 'propertyNames', 'additionalProperties', 'additionalItems'];
const LISTS = ['anyOf', 'oneOf', 'allOf', 'prefixItems'];
const MAPS = ['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas', 'dependencies'];
const MAX_DEPTH = 128;

/** Why the schema may fail to compile, or null. */
export function compileProblem(schema: Readonly<Record<string, unknown>>): string | null {
  const references: string[] = [];
  const anchors = new Set<string>();
  const problem = walk(schema, true, references, anchors, 0);
  if (problem !== null) return problem;
  const dangling = references.find((reference) => !resolves(schema, reference, anchors));
  return dangling === undefined ? null : `the reference ${JSON.stringify(dangling.slice(0, 64))} does not resolve`;
}

function walk(
  schema: unknown,
  root: boolean,
  references: string[],
  anchors: Set<string>,
  depth: number,
): string | null {
  if (!isObject(schema)) return null;
  if (depth > MAX_DEPTH) return 'it is nested too deep';
  for (const [key, value] of Object.entries(schema)) {
    const check = KEYWORDS.get(key);
    if (check !== undefined && !check(value)) return `${key} has an invalid value`;
  }
  if (schema['nullable'] !== undefined && !nullableFits(schema)) return 'nullable does not fit the type';
  const identity = identityProblem(schema, root, anchors);
  if (identity !== null) return identity;
  if (schema['$ref'] !== undefined) {
    if (typeof schema['$ref'] !== 'string') return '$ref is not a string';
    references.push(schema['$ref']);
  }
  for (const inner of subschemas(schema)) {
    const problem = walk(inner, false, references, anchors, depth + 1);
    if (problem !== null) return problem;
  }
  return null;
}

function nullableFits({ type, nullable }: Record<string, unknown>): boolean {
  if (type === undefined) return false;
  return nullable === true || !(type === 'null' || (Array.isArray(type) && type.includes('null')));
}

/** Identifiers below the root change the base of references, and collide between tools. */
function identityProblem(schema: Record<string, unknown>, root: boolean, anchors: Set<string>): string | null {
  const { $id } = schema;
  const fragment = typeof $id === 'string' && $id.startsWith('#') ? $id.slice(1) : undefined;
  for (const anchor of [schema['$anchor'], schema['$dynamicAnchor'], fragment]) {
    if (typeof anchor !== 'string') continue;
    if (anchors.has(anchor)) return 'it has two equal anchors';
    // The validator does not find an anchor at the root.
    if (!root) anchors.add(anchor);
  }
  if ($id === undefined || fragment !== undefined) return null;
  if (typeof $id !== 'string') return '$id is not a string';
  return root && /^https?:\/\//.test($id) && URL.canParse($id) ? null : 'it has an $id that may collide';
}

function* subschemas(schema: Record<string, unknown>): Generator<unknown> {
  for (const key of SINGLE) if (key in schema) yield schema[key];
  for (const key of LISTS) if (Array.isArray(schema[key])) yield* schema[key] as unknown[];
  for (const key of MAPS) if (isObject(schema[key])) yield* Object.values(schema[key] as object);
  const { items } = schema;
  if (Array.isArray(items)) yield* items;
  else yield items;
}

const MAX_CHAIN = 32;

/** Whether a reference resolves to a schema; a circular chain of references does not. */
function resolves(root: Readonly<Record<string, unknown>>, reference: string, anchors: ReadonlySet<string>): boolean {
  let next: unknown = reference;
  for (let step = 0; step < MAX_CHAIN && typeof next === 'string'; step += 1) {
    // The validator resolves no reference to a root whose $id is a fragment.
    const isRoot = next === '#' || (next === root['$id'] && !next.startsWith('#'));
    const target = isRoot ? root : pointedAt(root, next);
    if (target === undefined) return next.startsWith('#') && anchors.has(next.slice(1));
    if (!isSchema(target)) return false;
    next = (target as Record<string, unknown>)['$ref'];
  }
  return next === undefined;
}

/** The value at a local pointer; undefined = there is none, or it is not a pointer. */
function pointedAt(root: Readonly<Record<string, unknown>>, reference: string): unknown {
  if (!reference.startsWith('#/')) return undefined;
  let node: unknown = root;
  for (const part of reference.slice(2).split('/')) {
    const key = unescaped(part);
    if (key === null || typeof node !== 'object' || node === null || !Object.hasOwn(node, key)) return undefined;
    node = (node as Record<string, unknown>)[key];
  }
  return node;
}

/** One part of a JSON pointer in a URI fragment (RFC 6901 section 6). */
function unescaped(part: string): string | null {
  try {
    return decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~');
  } catch {
    return null;
  }
}
