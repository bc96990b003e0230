/** Reads one item of an upstream's list and prepares its texts for modern and for legacy clients. */

import { isUtf8 } from 'node:buffer';
import type { CatalogRules } from '../../config/snapshot/index.js';
import type { Era } from '../../protocol/revisions.js';
import { EntryFlag } from '../../shared/catalog-table.js';
import { compileProblem } from './compilable.js';
import { flattenSchema, refusedKeywords } from './flat-schema.js';
import type { HeaderParam } from './header-params.js';
import { headerParams } from './header-params.js';
import { applyEdits, type Edit, fromLatin1, type Member, objectMembers, removeMembers } from './json-text.js';
import { needsWrapping, objectProperties, wrapOutputSchema } from './legacy-schema.js';
import type { ListName } from './list-names.js';
import { withoutNulls } from './nulls.js';
import { isObject, misshapen, schemaProblem } from './shapes.js';

/** An item that is offered. Texts are bytes as latin-1 strings. */
export interface Item {
  /** The upstream's name, URI or URI template. */
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
  /** The changes that make clients accept the item, or ''. */
  readonly repaired: string;
  /** What some clients refuse in the item although it is offered as it is, or ''. */
  readonly remark: string;
}

/** How input schemas are offered; see `catalog.schemas`. */
export type SchemaRule = CatalogRules['schemas'];

const KEY: Readonly<Record<ListName, string>> = {
  tools: 'name',
  prompts: 'name',
  resources: 'uri',
  templates: 'uriTemplate',
};

/**
 * @param checkHeaders the upstream is reached by modern HTTP, where invalid `x-mcp-header` annotations forbid the tool
 * @returns a string = why the item cannot be offered
 */
export function readItem(
  list: ListName,
  bytes: Buffer,
  checkHeaders: boolean,
  schemas: SchemaRule = 'as-is',
): Item | string {
  try {
    return read(list, bytes, checkHeaders, schemas);
  } catch {
    return 'it is not readable JSON';
  }
}

function read(list: ListName, bytes: Buffer, checkHeaders: boolean, schemas: SchemaRule): Item | string {
  if (!isUtf8(bytes)) return 'it is not UTF-8';
  const whole: unknown = JSON.parse(bytes.toString('utf8'));
  if (!isObject(whole)) return 'it is not an object';
  // Line breaks occur only between tokens. An item must fit on one line of an event stream.
  const line = bytes
    .toString('latin1')
    .replaceAll(/[\r\n]/g, ' ')
    .trim();
  const source = withoutNulls(line);
  const parsed = source === line ? whole : (JSON.parse(fromLatin1(source)) as Record<string, unknown>);
  const members = objectMembers(source, 0);
  const key = KEY[list];
  const name = parsed[key];
  if (typeof name !== 'string' || name === '') return `it has no ${key}`;
  if (members.filter((member) => member.key === key).length > 1) return `it has more than one ${key}`;

  const { text: mended, repaired } = repair(list, source, members, parsed);
  if (mended === null) return repaired;
  const { text, note: schemaNote, remark } = list === 'tools' ? offered(mended, parsed, schemas) : asIs(mended);
  const clean = text === source ? members : objectMembers(text, 0);
  const nameMember = clean.find((member) => member.key === key);
  if (nameMember === undefined) return `it has no ${key}`;
  const base = { name, text, nameStart: nameMember.valueStart, nameEnd: nameMember.valueEnd, repaired, remark };
  if (list !== 'tools') return { ...base, flags: 0, edits: [[], []], headerParams: [] };

  const params = text.includes('mcp-header') || text.includes('\\') ? headerParams(schemaOf(parsed)) : [];
  if (typeof params === 'string' && checkHeaders) return params;
  const listed = typeof params === 'string' ? [] : params;
  const schema = isObject(parsed['outputSchema']) ? parsed['outputSchema'] : null;
  const fault = schema === null ? null : compileProblem(schema);
  const note = fault === null ? '' : `outputSchema is not sent to legacy clients: ${fault}`;
  return {
    ...base,
    repaired: [repaired, schemaNote, note].filter((part) => part !== '').join('; '),
    flags: toolFlags(parsed) | (listed.length > 0 ? EntryFlag.headerParams : 0) | taskFlag(parsed['execution']),
    edits: [
      legacyEdits(text, clean, parsed, fault === null ? schema : null),
      removeMembers(clean, ({ key }) => key === 'execution'),
    ],
    headerParams: listed,
  };
}

/** The item under its own name, in one line. */
export function renderItem(item: Item, era: Era): string {
  return applyEdits(item.text, item.edits[era] ?? []);
}

/** Removes optional members that make clients reject the whole list, and adds required ones. */
function repair(
  list: ListName,
  source: string,
  members: readonly Member[],
  parsed: Record<string, unknown>,
): { text: string; repaired: string } | { text: null; repaired: string } {
  const wrong = misshapen(list, parsed);
  const notes = wrong.length === 0 ? [] : [`removed ${wrong.join(', ')}: not of the type that MCP requires`];
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
      const schema = lastMember(members, 'inputSchema');
      if (schema !== undefined && !Object.hasOwn(parsed['inputSchema'] as object, 'type')) {
        const isEmpty = Object.keys(parsed['inputSchema'] as object).length === 0;
        const start = schema.valueStart + 1;
        edits.push({ start, end: start, text: isEmpty ? '"type":"object"' : '"type":"object",' });
        notes.push('added inputSchema.type');
      }
    }
  } else if (list !== 'prompts' && typeof parsed['name'] !== 'string') {
    if (Object.hasOwn(parsed, 'name')) return { text: null, repaired: 'its name is not a string' };
    const uri = members.find(({ key }) => key === KEY[list]);
    if (uri !== undefined) {
      added = `,"name":${source.slice(uri.valueStart, uri.valueEnd)}`;
      notes.push('added a name');
    }
  }
  const text = applyEdits(source, edits);
  return { text: added === '' ? text : `${text.slice(0, -1)}${added}}`, repaired: notes.join('; ') };
}

/** The tool with an input schema that clients take, where the rule is `compatible`, and what is said about it. */
function offered(
  text: string,
  parsed: Record<string, unknown>,
  schemas: SchemaRule,
): { text: string; note: string; remark: string } {
  const keywords = refusedKeywords(schemaOf(parsed));
  const member = keywords.length === 0 ? undefined : lastMember(objectMembers(text, 0), 'inputSchema');
  if (member === undefined) return asIs(text);
  const what = `inputSchema has ${keywords.join(', ')} at its root, which some model APIs refuse`;
  if (schemas === 'as-is') return { text, note: '', remark: `${what}; catalog.schemas: compatible offers it without` };
  const { valueStart, valueEnd } = member;
  const flat = flattenSchema(text.slice(valueStart, valueEnd));
  if (flat === null) return { text, note: '', remark: `${what}, and which its references do not let be left out` };
  parsed['inputSchema'] = JSON.parse(Buffer.from(flat, 'latin1').toString('utf8'));
  const note = `inputSchema is offered without ${keywords.join(', ')} at its root`;
  return { text: applyEdits(text, [{ start: valueStart, end: valueEnd, text: flat }]), note, remark: '' };
}

function asIs(text: string): { text: string; note: string; remark: string } {
  return { text, note: '', remark: '' };
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
  const input = lastMember(members, 'inputSchema');
  const output = lastMember(members, 'outputSchema');
  if (input !== undefined && hasBooleanProperty(parsed['inputSchema'])) {
    edits.push(...objectProperties(text, input.valueStart));
  }
  if (output === undefined || outputSchema === null) {
    edits.push(...removeMembers(members, ({ key }) => key === 'outputSchema'));
  } else if (needsWrapping(outputSchema)) {
    const { valueStart, valueEnd } = output;
    edits.push({ start: valueStart, end: valueEnd, text: wrapOutputSchema(text, valueStart, valueEnd) });
  } else if (hasBooleanProperty(outputSchema)) {
    edits.push(...objectProperties(text, output.valueStart));
  }
  return edits;
}

/** The member that counts of those with a key: JSON.parse uses the last one. */
function lastMember(members: readonly Member[], key: string): Member | undefined {
  return members.findLast((member) => member.key === key);
}

function taskFlag(execution: unknown): number {
  return isObject(execution) && execution['taskSupport'] === 'required' ? EntryFlag.needsTask : 0;
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
