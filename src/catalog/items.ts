/** Reads one item of an upstream's list and prepares its two spellings: towards modern and towards legacy clients. */

import { isUtf8 } from 'node:buffer';
import type { Era } from '../protocol/revisions.js';
import { EntryFlag } from '../shared/catalog-table.js';
import { compileProblem } from './compilable.js';
import { headerParams } from './header-params.js';
import { applyEdits, type Edit, type Member, objectMembers, removeMembers } from './json-text.js';
import { needsWrapping, objectProperties, wrapOutputSchema } from './legacy-schema.js';
import { isObject, misshapen, schemaProblem } from './shapes.js';
import type { HeaderParam, ListName } from './types.js';

/** An item that is offered. Texts are latin-1 spellings of the bytes. */
export interface Item {
  /** Name, URI or URI template at the upstream. */
  readonly name: string;
  /** Bits of `EntryFlag`. */
  readonly flags: number;
  readonly text: string;
  /** The token of `name` in `text`, quotes included. */
  readonly nameStart: number;
  readonly nameEnd: number;
  /** By era. */
  readonly edits: readonly [legacy: readonly Edit[], modern: readonly Edit[]];
  readonly headerParams: readonly HeaderParam[];
  /** It runs only as a task of 2025-11-25: nothing for modern clients. */
  readonly legacyOnly: boolean;
  /** What had to be changed so that clients accept the item, or ''. */
  readonly repaired: string;
}

const KEY: Readonly<Record<ListName, string>> = {
  tools: 'name',
  prompts: 'name',
  resources: 'uri',
  templates: 'uriTemplate',
};

/**
 * @param checkHeaders the upstream is reached by modern HTTP, where invalid `x-mcp-header` annotations forbid the tool
 * @returns why the item cannot be offered when it is a string
 */
export function readItem(list: ListName, bytes: Buffer, checkHeaders: boolean): Item | string {
  try {
    return read(list, bytes, checkHeaders);
  } catch {
    return 'it is not readable JSON';
  }
}

function read(list: ListName, bytes: Buffer, checkHeaders: boolean): Item | string {
  if (!isUtf8(bytes)) return 'it is not UTF-8';
  const parsed: unknown = JSON.parse(bytes.toString('utf8'));
  if (!isObject(parsed)) return 'it is not an object';
  // Between tokens only: strings cannot hold them. An item must fit on one line of an event stream.
  const source = bytes
    .toString('latin1')
    .replaceAll(/[\r\n]/g, ' ')
    .trim();
  const members = objectMembers(source, 0);
  const key = KEY[list];
  const name = parsed[key];
  if (typeof name !== 'string' || name === '') return `it has no ${key}`;
  if (members.filter((member) => member.key === key).length > 1) return `it has more than one ${key}`;

  const { text, repaired } = repair(list, source, members, parsed);
  if (text === null) return repaired;
  const clean = text === source ? members : objectMembers(text, 0);
  const nameMember = clean.find((member) => member.key === key)!;
  const base = { name, text, nameStart: nameMember.valueStart, nameEnd: nameMember.valueEnd, repaired };
  if (list !== 'tools') return { ...base, flags: 0, edits: [[], []], headerParams: [], legacyOnly: false };

  const params = text.includes('mcp-header') || text.includes('\\') ? headerParams(schemaOf(parsed)) : [];
  if (typeof params === 'string' && checkHeaders) return params;
  const listed = typeof params === 'string' ? [] : params;
  const schema = isObject(parsed['outputSchema']) ? parsed['outputSchema'] : null;
  const fault = schema === null ? null : compileProblem(schema);
  const note = fault === null ? '' : `outputSchema is kept from legacy clients: ${fault}`;
  return {
    ...base,
    repaired: [repaired, note].filter((part) => part !== '').join('; '),
    flags: toolFlags(parsed) | (listed.length > 0 ? EntryFlag.headerParams : 0),
    edits: [
      legacyEdits(text, clean, parsed, fault === null ? schema : null),
      removeMembers(clean, ({ key }) => key === 'execution'),
    ],
    headerParams: listed,
    legacyOnly: isObject(parsed['execution']) && parsed['execution']['taskSupport'] === 'required',
  };
}

/** The item under its own name, in one line. */
export function renderItem(item: Item, era: Era): string {
  return applyEdits(item.text, item.edits[era]);
}

/** Leaves out optional members that clients would reject the whole list for, and adds what they require. */
function repair(
  list: ListName,
  source: string,
  members: readonly Member[],
  parsed: Record<string, unknown>,
): { text: string; repaired: string } | { text: null; repaired: string } {
  const wrong = misshapen(list, parsed);
  const notes = wrong.length === 0 ? [] : [`left out ${wrong.join(', ')}: not of the type that MCP demands`];
  const edits = wrong.length === 0 ? [] : removeMembers(members, ({ key }) => wrong.includes(key));
  for (const key of wrong) delete parsed[key];
  let added = '';
  if (list === 'tools') {
    if (!Object.hasOwn(parsed, 'inputSchema')) {
      added = ',"inputSchema":{"type":"object"}';
      notes.push('added an inputSchema');
    } else {
      const problem = schemaProblem(parsed['inputSchema']);
      if (problem !== null) return { text: null, repaired: problem };
      if (!Object.hasOwn(parsed['inputSchema'] as object, 'type')) {
        const { valueStart } = members.findLast(({ key }) => key === 'inputSchema')!;
        const empty = Object.keys(parsed['inputSchema'] as object).length === 0;
        edits.push({
          start: valueStart + 1,
          end: valueStart + 1,
          text: empty ? '"type":"object"' : '"type":"object",',
        });
        notes.push('added inputSchema.type');
      }
    }
  } else if (list !== 'prompts' && typeof parsed['name'] !== 'string') {
    if (Object.hasOwn(parsed, 'name')) return { text: null, repaired: 'its name is not a string' };
    const { valueStart, valueEnd } = members.find(({ key }) => key === KEY[list])!;
    added = `,"name":${source.slice(valueStart, valueEnd)}`;
    notes.push('added a name');
  }
  const text = applyEdits(source, edits);
  return { text: added === '' ? text : `${text.slice(0, -1)}${added}}`, repaired: notes.join('; ') };
}

function schemaOf(parsed: Record<string, unknown>): Record<string, unknown> {
  return isObject(parsed['inputSchema']) ? parsed['inputSchema'] : {};
}

function hasBooleanProperty(schema: unknown): boolean {
  if (!isObject(schema) || !isObject(schema['properties'])) return false;
  return Object.values(schema['properties']).some((value) => typeof value === 'boolean');
}

/** @param outputSchema null = there is none, or legacy clients must not see it */
function legacyEdits(
  text: string,
  members: readonly Member[],
  parsed: Record<string, unknown>,
  outputSchema: Record<string, unknown> | null,
): Edit[] {
  const edits: Edit[] = [];
  if (hasBooleanProperty(parsed['inputSchema'])) {
    edits.push(...objectProperties(text, members.findLast(({ key }) => key === 'inputSchema')!.valueStart));
  }
  if (outputSchema === null) {
    edits.push(...removeMembers(members, ({ key }) => key === 'outputSchema'));
  } else if (needsWrapping(outputSchema)) {
    const { valueStart, valueEnd } = members.findLast(({ key }) => key === 'outputSchema')!;
    edits.push({ start: valueStart, end: valueEnd, text: wrapOutputSchema(text, valueStart, valueEnd) });
  } else if (hasBooleanProperty(outputSchema)) {
    edits.push(...objectProperties(text, members.findLast(({ key }) => key === 'outputSchema')!.valueStart));
  }
  return edits;
}

function toolFlags(parsed: Record<string, unknown>): number {
  const hints = parsed['annotations'];
  if (!isObject(hints)) return 0;
  return (
    (hints['readOnlyHint'] === true ? EntryFlag.readOnly : 0) |
    (hints['idempotentHint'] === true ? EntryFlag.idempotent : 0) |
    (hints['destructiveHint'] === true ? EntryFlag.destructive : 0)
  );
}
