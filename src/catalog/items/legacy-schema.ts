/**
 * Adapts schemas for legacy clients, whose SDKs reject the whole list for one unexpected schema: output schemas must
 * describe objects, and the properties at the root must be schema objects, not `true` or `false`.
 */
import { applyEdits, arrayElements, type Edit, type Member, objectMembers } from './json-text.js';

/** JSON Schema keywords whose value is data, not schemas. */
export const DATA_KEYWORDS: ReadonlySet<string> = new Set(['const', 'enum', 'default', 'examples']);
/** Keywords whose value maps arbitrary names to schemas. */
export const NAME_MAPS: ReadonlySet<string> = new Set([
  'properties',
  'patternProperties',
  '$defs',
  'definitions',
  'dependentSchemas',
  'dependencies',
]);

/** Whether `schema` must be wrapped for legacy clients: its root is not `type: "object"`. */
export function needsWrapping(schema: Readonly<Record<string, unknown>>): boolean {
  return schema['type'] !== 'object';
}

/**
 * Moves the schema at `start` to `properties.result` of an object schema, as the official SDK does for legacy clients
 * (`structuredContent` is wrapped in the same way), and rewrites its local pointers. All other bytes are unchanged.
 */
export function wrapOutputSchema(text: string, start: number, end: number): string {
  const schema = text.slice(start, end);
  const members = objectMembers(schema, 0);
  const dialect = members.find((member) => member.key === '$schema');
  const dialectText = dialect === undefined ? '' : schema.slice(dialect.valueStart, dialect.valueEnd);
  const keep = dialectText.startsWith('"') ? `"$schema":${dialectText},` : '';
  const edits: Edit[] = [];
  rewritePointers(schema, 0, edits, {
    nameMap: false,
    recursion: dialectText.includes('2019-09') && !isTrue(schema, members, '$recursiveAnchor'),
  });
  const turned = applyEdits(schema, edits);
  return `{${keep}"type":"object","properties":{"result":${turned}},"required":["result"]}`;
}

interface Position {
  /** The keys of this object are names, not keywords. */
  readonly nameMap: boolean;
  /** `$recursiveRef: "#"` means the root (JSON Schema 2019-09). */
  readonly recursion: boolean;
}

function rewritePointers(text: string, start: number, edits: Edit[], position: Position): void {
  const first = text.charCodeAt(start);
  const inside = { ...position, nameMap: false };
  if (first === 0x5b) {
    for (const element of arrayElements(text, start)) rewritePointers(text, element, edits, inside);
    return;
  }
  if (first !== 0x7b) return;
  const members = objectMembers(text, start);
  // In a schema resource with its own `$id`, local pointers are relative to that resource.
  if (!position.nameMap && hasBase(text, members)) return;
  for (const member of members) {
    const isString = text.charCodeAt(member.valueStart) === 0x22;
    if (position.nameMap) {
      rewritePointers(text, member.valueStart, edits, inside);
    } else if (isString && (member.key === '$ref' || member.key === '$dynamicRef')) {
      rewritePointer(text, member, edits);
    } else if (isString && member.key === '$recursiveRef') {
      rewriteRecursion(text, members, member, edits, position.recursion);
    } else if (!DATA_KEYWORDS.has(member.key)) {
      rewritePointers(text, member.valueStart, edits, { ...position, nameMap: NAME_MAPS.has(member.key) });
    }
  }
}

function rewritePointer(text: string, member: Member, edits: Edit[]): void {
  const raw = text.slice(member.valueStart + 1, member.valueEnd - 1);
  const value = raw.includes('\\') ? (JSON.parse(`"${raw}"`) as string) : raw;
  if (value !== '#' && !value.startsWith('#/')) return;
  const pointer = JSON.stringify(`#/properties/result${value.slice(1)}`);
  edits.push({ start: member.valueStart, end: member.valueEnd, text: pointer });
}

function rewriteRecursion(
  text: string,
  members: readonly Member[],
  member: Member,
  edits: Edit[],
  recursion: boolean,
): void {
  const isRoot = text.slice(member.valueStart, member.valueEnd) === '"#"';
  if (!recursion || !isRoot || members.some(({ key }) => key === '$ref')) return;
  edits.push({ start: member.keyStart, end: member.valueEnd, text: '"$ref":"#/properties/result"' });
}

/** A fragment `$id` (the older form of `$anchor`) does not set a base. */
function hasBase(text: string, members: readonly Member[]): boolean {
  const id = members.find(({ key }) => key === '$id');
  return id !== undefined && !text.startsWith('"#', id.valueStart);
}

function isTrue(text: string, members: readonly Member[], key: string): boolean {
  const member = members.find((candidate) => candidate.key === key);
  return member !== undefined && text.startsWith('true', member.valueStart);
}

/** Edits that replace boolean property schemas at the root of the object schema at `start` by objects. */
export function objectProperties(text: string, start: number): Edit[] {
  const properties = objectMembers(text, start).findLast(({ key }) => key === 'properties');
  if (properties === undefined || text.charCodeAt(properties.valueStart) !== 0x7b) return [];
  const edits: Edit[] = [];
  for (const { valueStart, valueEnd } of objectMembers(text, properties.valueStart)) {
    const word = text.slice(valueStart, valueEnd);
    if (word === 'true') edits.push({ start: valueStart, end: valueEnd, text: '{}' });
    else if (word === 'false') edits.push({ start: valueStart, end: valueEnd, text: '{"not":{}}' });
  }
  return edits;
}
