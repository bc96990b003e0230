/**
 * Input schemas without `oneOf`, `anyOf`, `allOf`, `if` and `not` at the root, for model APIs that refuse a whole request for
 * one of them. The root becomes the union of its alternatives, and arguments are sent unchanged: the upstream checks them.
 */
import { arrayElements, type Member, objectMembers, toLatin1 } from './json-text.js';

/** Keywords that have no meaning without another one of the root. */
const FOLLOWERS = ['then', 'else'];
const KEYWORDS = ['oneOf', 'anyOf', 'allOf', 'if', 'not'];
const REMOVED = new Set([...KEYWORDS, ...FOLLOWERS]);
/** Members of the root that are written anew. */
const REPLACED = new Set(['properties', 'required', 'description']);
/** Longest rule that is quoted in the description, in bytes. */
const MAX_RULE = 4_096;
/** Deepest nesting of alternatives and references that is followed. */
const MAX_DEPTH = 16;

/** What a schema says about one property. Texts are latin-1, as everywhere in the catalog. */
interface Property {
  readonly text: string;
  /** It holds whichever alternative is chosen. */
  readonly isTotal: boolean;
}

/** What a schema says about the members of an object. */
interface Shape {
  readonly properties: ReadonlyMap<string, Property>;
  readonly required: ReadonlySet<string>;
}

const NOTHING: Shape = { properties: new Map(), required: new Set() };

/** The keywords at the root of a schema that some model APIs refuse there. */
export function refusedKeywords(schema: Readonly<Record<string, unknown>>): string[] {
  return KEYWORDS.filter((key) => Object.hasOwn(schema, key));
}

/**
 * The schema in `text` without {@link refusedKeywords}; null = it refers to places that would be no more.
 *
 * @param text one object, as latin-1 text of JSON that was parsed
 */
export function flattenSchema(text: string): string | null {
  const members = objectMembers(text, 0);
  const removed = members.filter(({ key }) => REMOVED.has(key));
  const rule = `{${removed.map((member) => text.slice(member.keyStart, member.valueEnd)).join(',')}}`;
  // A property with such an annotation travels as a header only where it is no alternative.
  if (rule.includes('x-mcp-header') || hasOtherReferences(text)) return null;
  const { properties, required } = new Reader(text).shape(0, 0);
  const kept = members
    .filter(({ key }) => !REMOVED.has(key) && !REPLACED.has(key))
    .map((member) => text.slice(member.keyStart, member.valueEnd));
  const listed = [...properties].map(([name, property]) => `${quoted(name)}:${property.text}`);
  const description = described(text, members, rule);
  return `{${[
    ...kept,
    ...(description === '' ? [] : [`"description":${quoted(description)}`]),
    `"properties":{${listed.join(',')}}`,
    ...(required.size === 0 ? [] : [`"required":[${[...required].map(quoted).join(',')}]`]),
  ].join(',')}}`;
}

/** The description of the root and the rule that the root does not have any more. */
function described(text: string, members: readonly Member[], rule: string): string {
  const own = members.findLast(({ key }) => key === 'description');
  const parsed: unknown = own === undefined ? '' : JSON.parse(utf8(text.slice(own.valueStart, own.valueEnd)));
  const before = typeof parsed === 'string' ? parsed : '';
  if (rule.length > MAX_RULE) return before;
  return [before, `The arguments must also match: ${utf8(rule)}`].filter((part) => part !== '').join(' ');
}

/** Whether a local reference leads elsewhere than to the root and its definitions. */
function hasOtherReferences(text: string): boolean {
  for (const [, target = ''] of text.matchAll(/"\$(?:ref|dynamicRef)"\s*:\s*"#([^"]*)"/g)) {
    if (target.startsWith('/') && !/^\/(\$defs|definitions)\//.test(target)) return true;
  }
  return false;
}

/** Reads what the schemas of one document say about properties. */
class Reader {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** @param at start of a schema; one that is no object says nothing */
  shape(at: number, depth: number): Shape {
    if (depth > MAX_DEPTH || this.#text.charCodeAt(at) !== 0x7b) return NOTHING;
    const members = new Map(objectMembers(this.#text, at).map((member) => [member.key, member]));
    const inner = (key: string): Shape => {
      const member = members.get(key);
      return member === undefined ? NOTHING : this.shape(member.valueStart, depth + 1);
    };
    const inners = (key: string): Shape[] => {
      const member = members.get(key);
      if (member === undefined || this.#text.charCodeAt(member.valueStart) !== 0x5b) return [];
      return arrayElements(this.#text, member.valueStart).map((element) => this.shape(element, depth + 1));
    };
    let shape = this.#own(members);
    const target = this.#target(members.get('$ref'));
    if (target >= 0) shape = both(shape, this.shape(target, depth + 1));
    for (const part of inners('allOf')) shape = both(shape, part);
    for (const key of ['oneOf', 'anyOf']) {
      const parts = inners(key);
      if (parts.length > 0) shape = both(shape, either(parts));
    }
    if (!members.has('if')) return shape;
    shape = both(shape, either([inner('then'), inner('else')]));
    // What `if` says is a question, and limits nothing.
    const asked = [...inner('if').properties.keys()].map((name) => [name, { text: '{}', isTotal: false }] as const);
    return both(shape, {
      properties: new Map(asked.filter(([name]) => !shape.properties.has(name))),
      required: new Set(),
    });
  }

  #own(members: ReadonlyMap<string, Member>): Shape {
    const text = this.#text;
    const properties = members.get('properties');
    const required = members.get('required');
    const listed =
      properties !== undefined && text.charCodeAt(properties.valueStart) === 0x7b
        ? objectMembers(text, properties.valueStart)
        : [];
    const names: unknown =
      required === undefined ? [] : JSON.parse(utf8(text.slice(required.valueStart, required.valueEnd)));
    return {
      properties: new Map(
        listed.map(({ key, valueStart, valueEnd }) => [key, { text: text.slice(valueStart, valueEnd), isTotal: true }]),
      ),
      required: new Set(Array.isArray(names) ? names.filter((name): name is string => typeof name === 'string') : []),
    };
  }

  /** Where a reference to a definition leads; -1 = there is none, or it leads nowhere. */
  #target(reference: Member | undefined): number {
    if (reference === undefined || this.#text.charCodeAt(reference.valueStart) !== 0x22) return -1;
    const pointer = JSON.parse(utf8(this.#text.slice(reference.valueStart, reference.valueEnd))) as string;
    if (!pointer.startsWith('#/')) return -1;
    let at = 0;
    for (const part of pointer.slice(2).split('/')) {
      if (this.#text.charCodeAt(at) !== 0x7b) return -1;
      const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
      at = objectMembers(this.#text, at).findLast((member) => member.key === key)?.valueStart ?? -1;
      if (at < 0) return -1;
    }
    return at;
  }
}

/** What two schemas say that both hold. */
function both(a: Shape, b: Shape): Shape {
  const properties = new Map(a.properties);
  for (const [name, second] of b.properties) {
    const first = properties.get(name);
    if (first === undefined) properties.set(name, second);
    else if (first.isTotal && second.isTotal) {
      properties.set(name, { text: joined('allOf', [first.text, second.text]), isTotal: true });
    } else if (second.isTotal) properties.set(name, second);
    else if (!first.isTotal) {
      properties.set(name, { text: joined('anyOf', [first.text, second.text]), isTotal: false });
    }
  }
  return { properties, required: new Set([...a.required, ...b.required]) };
}

/** What schemas say of which one holds. */
function either(shapes: readonly Shape[]): Shape {
  const [first = NOTHING] = shapes;
  const names = new Set(shapes.flatMap((shape) => [...shape.properties.keys()]));
  const properties = new Map<string, Property>();
  for (const name of names) {
    const found = shapes.flatMap((shape) => shape.properties.get(name) ?? []);
    const isTotal = found.length === shapes.length && found.every((property) => property.isTotal);
    const texts = found.map(({ text }) => text);
    properties.set(name, { text: joined('anyOf', texts), isTotal });
  }
  const required = [...first.required].filter((name) => shapes.every((shape) => shape.required.has(name)));
  return { properties, required: new Set(required) };
}

function joined(keyword: string, texts: readonly string[]): string {
  const [only = '{}', ...others] = new Set(texts);
  return others.length === 0 ? only : `{"${keyword}":[${[only, ...others].join(',')}]}`;
}

function quoted(value: string): string {
  return toLatin1(JSON.stringify(value));
}

function utf8(text: string): string {
  return Buffer.from(text, 'latin1').toString('utf8');
}
