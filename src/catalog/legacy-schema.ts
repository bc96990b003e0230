/**
 * Schemas towards legacy clients, whose SDKs reject the whole list when one schema is not what they expect:
 * output schemas must describe objects, and the properties at the root must be schema objects, not `true` or `false`.
 */
import { applyEdits, arrayElements, type Edit, type Member, objectMembers } from './json-text.js';

/** Keywords whose value is data: a `$ref` in there is not a reference. */
const DATA_KEYWORDS = new Set(['const', 'enum', 'default', 'examples']);
/** Keywords whose value maps names that the author chose to schemas. */
const NAME_MAPS = new Set([
  'properties',
  'patternProperties',
  '$defs',
  'definitions',
  'dependentSchemas',
  'dependencies',
]);

/** Whether legacy clients need `schema` wrapped: its root does not say `type: "object"`. */
export function needsWrapping(schema: Readonly<Record<string, unknown>>): boolean {
  return schema['type'] !== 'object';
}

/**
 * Puts the schema at `start` below `properties.result` of an object schema, as the official SDK does for legacy
 * clients (`structuredContent` is wrapped alike), and turns its local pointers. All other bytes stay.
 */
export function wrapOutputSchema(text: string, start: number, end: number): string {
  const schema = text.slice(start, end);
  const members = objectMembers(schema, 0);
  const dialect = members.find((member) => member.key === '$schema');
  const dialectText = dialect === undefined ? '' : schema.slice(dialect.valueStart, dialect.valueEnd);
  const keep = dialectText.startsWith('"') ? `"$schema":${dialectText},` : '';
  const edits: Edit[] = [];
  turnPointers(schema, 0, edits, {
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

function turnPointers(text: string, start: number, edits: Edit[], position: Position): void {
  const first = text.charCodeAt(start);
  const inside = { ...position, nameMap: false };
  if (first === 0x5b) {
    for (const element of arrayElements(text, start)) turnPointers(text, element, edits, inside);
    return;
  }
  if (first !== 0x7b) return;
  const members = objectMembers(text, start);
  // Inside a resource with an identity of its own, local pointers are relative to that resource.
  if (!position.nameMap && hasBase(text, members)) return;
  for (const member of members) {
    const isString = text.charCodeAt(member.valueStart) === 0x22;
    if (position.nameMap) {
      turnPointers(text, member.valueStart, edits, inside);
    } else if (isString && (member.key === '$ref' || member.key === '$dynamicRef')) {
      turnPointer(text, member, edits);
    } else if (isString && member.key === '$recursiveRef') {
      turnRecursion(text, members, member, edits, position.recursion);
    } else if (!DATA_KEYWORDS.has(member.key)) {
      turnPointers(text, member.valueStart, edits, { ...position, nameMap: NAME_MAPS.has(member.key) });
    }
  }
}

function turnPointer(text: string, member: Member, edits: Edit[]): void {
  const raw = text.slice(member.valueStart + 1, member.valueEnd - 1);
  const value = raw.includes('\\') ? (JSON.parse(`"${raw}"`) as string) : raw;
  if (value !== '#' && !value.startsWith('#/')) return;
  const pointer = JSON.stringify(`#/properties/result${value.slice(1)}`);
  edits.push({ start: member.valueStart, end: member.valueEnd, text: pointer });
}

function turnRecursion(
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

/** A fragment `$id` (the older spelling of `$anchor`) is no base. */
function hasBase(text: string, members: readonly Member[]): boolean {
  const id = members.find(({ key }) => key === '$id');
  return id !== undefined && !text.startsWith('"#', id.valueStart);
}

function isTrue(text: string, members: readonly Member[], key: string): boolean {
  const member = members.find((candidate) => candidate.key === key);
  return member !== undefined && text.startsWith('true', member.valueStart);
}

/** Edits that spell boolean property schemas at the root of the object schema at `start` as objects. */
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
