/**
 * Members of list items that are `null`, as serialisers of several languages write what has no value: they count as absent.
 * SDKs reject a whole list for one of them, so the tool or hint around it would have to be removed. An empty array in the
 * place of an object, as PHP writes an empty map, counts as an empty object.
 */
import { applyEdits, arrayElements, type Edit, type Member, objectMembers, removeMembers } from './json-text.js';
import { NAME_MAPS } from './legacy-schema.js';

/** Members of items that are objects. */
const OBJECTS = new Set(['inputSchema', 'outputSchema', 'annotations', 'execution', '_meta']);
/** The other optional members of items. A resource without a name gets one. */
const OTHERS = new Set(['name', 'title', 'description', 'icons', 'arguments', 'mimeType', 'size']);
const SCHEMAS = new Set(['inputSchema', 'outputSchema']);
/** Optional members of what an item contains; `_meta` may contain anything. */
const NESTED = new Map<string, ReadonlySet<string>>([
  [
    'annotations',
    new Set([
      ...['title', 'readOnlyHint', 'destructiveHint', 'idempotentHint', 'openWorldHint'],
      ...['audience', 'priority', 'lastModified'],
    ]),
  ],
  ['execution', new Set(['taskSupport'])],
  ['icons', new Set(['mimeType', 'sizes', 'theme'])],
  ['arguments', new Set(['title', 'description', 'required'])],
]);
/** Keywords of JSON Schema whose value is a schema or an array of schemas. */
const SUBSCHEMAS = new Set([
  ...['items', 'prefixItems', 'additionalItems', 'unevaluatedItems', 'contains'],
  ...['additionalProperties', 'unevaluatedProperties', 'propertyNames'],
  ...['not', 'if', 'then', 'else', 'anyOf', 'oneOf', 'allOf'],
]);

/** The other keywords of JSON Schema that `null` says nothing for: `const`, `default` and `enum` may contain it. */
const ASSERTIONS = new Set([
  ...['$schema', '$id', '$ref', '$anchor', '$comment', 'type', 'enum', 'format', 'pattern', 'required'],
  ...['title', 'description', 'examples', 'deprecated', 'readOnly', 'writeOnly', 'nullable'],
  ...['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf', 'minLength', 'maxLength'],
  ...['minItems', 'maxItems', 'uniqueItems', 'minContains', 'maxContains', 'minProperties', 'maxProperties'],
  ...['dependentRequired', 'contentEncoding', 'contentMediaType'],
]);
const isKeyword = (key: string): boolean => ASSERTIONS.has(key) || SUBSCHEMAS.has(key) || NAME_MAPS.has(key);

/**
 * An item without the members that count as absent; the same text when it has none.
 *
 * @param text an object that `JSON.parse` accepts
 */
export function withoutNulls(text: string): string {
  if (!/null|\[\s*\]/.test(text)) return text;
  const edits: Edit[] = [];
  for (const member of members(text, 0, edits, (key) => OBJECTS.has(key) || OTHERS.has(key))) {
    const { key, valueStart } = member;
    const optional = NESTED.get(key);
    if (OBJECTS.has(key) && key !== 'outputSchema' && isEmptyArray(text, member)) edits.push(emptyObject(member));
    else if (SCHEMAS.has(key)) visitSchema(text, valueStart, edits);
    else if (optional !== undefined) {
      for (const start of startsOf(text, valueStart)) members(text, start, edits, (inner) => optional.has(inner));
    }
  }
  return applyEdits(text, edits);
}

function visitSchema(text: string, start: number, edits: Edit[]): void {
  for (const member of members(text, start, edits, isKeyword)) {
    const { key, valueStart } = member;
    if (NAME_MAPS.has(key)) {
      if (isEmptyArray(text, member)) edits.push(emptyObject(member));
      else visitMap(text, valueStart, edits);
    } else if (SUBSCHEMAS.has(key)) {
      for (const inner of startsOf(text, valueStart)) visitSchema(text, inner, edits);
    }
  }
}

/** The schemas of an object whose keys are names. One that is `null` says nothing about its name, which stays. */
function visitMap(text: string, start: number, edits: Edit[]): void {
  for (const member of members(text, start, edits, () => false)) {
    if (isNull(text, member) || isEmptyArray(text, member)) edits.push(emptyObject(member));
    else visitSchema(text, member.valueStart, edits);
  }
}

/** The members of the object at `start`; removes those that are `null` where `isOptional` says so. Empty for other values. */
function members(text: string, start: number, edits: Edit[], isOptional: (key: string) => boolean): Member[] {
  if (text.charCodeAt(start) !== 0x7b) return [];
  const all = objectMembers(text, start);
  edits.push(...removeMembers(all, (member) => isNull(text, member) && isOptional(member.key)));
  return all;
}

/** Where the elements of an array start; the position itself for another value. */
function startsOf(text: string, start: number): number[] {
  return text.charCodeAt(start) === 0x5b ? arrayElements(text, start) : [start];
}

function isNull(text: string, { valueStart }: Member): boolean {
  return text.startsWith('null', valueStart);
}

function isEmptyArray(text: string, { valueStart, valueEnd }: Member): boolean {
  return text.charCodeAt(valueStart) === 0x5b && /^\[\s*\]$/.test(text.slice(valueStart, valueEnd));
}

function emptyObject({ valueStart, valueEnd }: Member): Edit {
  return { start: valueStart, end: valueEnd, text: '{}' };
}
