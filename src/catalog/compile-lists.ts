/**
 * Compiles the lists of one server, independently of other servers: the expensive part of a catalog runs once for each
 * change of one server, and build.ts merges the results. A pure function that runs in the control pool.
 */
import type { PinnedTools, ToolDefinition } from '../config/snapshot/pinning.js';
import { Era } from '../protocol/revisions.js';
import {
  NO_ITEMS,
  type Packed,
  packedCount,
  packedText,
  packedView,
  packShared,
  sharedCopy,
} from '../shared/packed.js';
import { type Item, readItem, renderItem, type SchemaRule } from './items/index.js';
import { toLatin1 } from './items/json-text.js';
import { LISTS, type ListName } from './items/list-names.js';
import { withOwnName } from './items/own-name.js';
import { packedViews } from './pack.js';
import { deviationsOf, type ListedTool } from './pinning/compare.js';
import { definitionOf } from './pinning/definition.js';
import { inWords } from './pinning/words.js';
import { MAX_PROBLEMS } from './types.js';

/** The lists of one server. */
export interface ListsInput {
  /** By position in {@link LISTS}; shared memory. */
  readonly lists: readonly Packed[];
  /** The server is reached by modern HTTP, where invalid `x-mcp-header` annotations forbid a tool. */
  readonly checkHeaders: boolean;
  /** Default: as they are. */
  readonly schemas?: SchemaRule;
  /** What the lockfile says of the server's tools; default null = nothing is compared. */
  readonly pins?: PinnedTools | null;
}

/** A problem with an item, for operators. */
export interface ItemNote {
  readonly name: string;
  readonly detail: string;
}

/** How an item is offered to modern clients. */
const Modern = { sameText: 0, ownText: 1 } as const;

/** What had to be done to an item so that clients accept it. */
export const Repair = {
  none: 0,
  changed: 1,
  /** Nothing was, and some clients may refuse it. */
  refusable: 2,
} as const;

/** One list, compiled. Everything that grows with it is shared memory, which crosses threads without a copy. */
export interface CompiledList {
  /** Upstream names as JSON strings: names with lone surrogates have no UTF-8 form. */
  readonly names: Packed;
  /** Bits of `EntryFlag`. */
  readonly flags: Uint8Array;
  /** Header parameters as JSON, empty for none. */
  readonly headerParams: Packed;
  /** Items for legacy clients under their upstream names, and the start and end of the name's content in each. */
  readonly legacy: Packed;
  readonly legacyNames: Int32Array;
  /** The same for modern clients, where `modernKinds` (one of `Modern` by item) says that it differs. */
  readonly modern: Packed;
  readonly modernNames: Int32Array;
  readonly modernKinds: Uint8Array;
  /** Items that cannot be offered: the first {@link MAX_PROBLEMS}, and how many there are. */
  readonly dropped: readonly ItemNote[];
  readonly droppedCount: number;
  /** One of `Repair` by item, and what there is to say for the first {@link MAX_PROBLEMS}. */
  readonly repaired: Uint8Array;
  readonly repairs: readonly (readonly [position: number, detail: string])[];
  /** Tools that are not as the lockfile says; empty for other lists, and without one. */
  readonly unapproved: readonly UnapprovedItem[];
}

/** A tool that is not as the lockfile says. */
export interface UnapprovedItem {
  readonly position: number;
  /** The lockfile has the name, with another definition. */
  readonly isChanged: boolean;
  /** A clause, of the first {@link MAX_PROBLEMS}; '' for the others. */
  readonly detail: string;
}

/** See the file comment. @returns by position in {@link LISTS} */
export function compileLists({ lists, checkHeaders, schemas = 'as-is', pins = null }: ListsInput): CompiledList[] {
  return LISTS.map((list, kind) => {
    return compileList(list, lists[kind] ?? NO_ITEMS, checkHeaders, schemas, list === 'tools' ? pins : null);
  });
}

function compileList(
  list: ListName,
  { bytes, offsets }: Packed,
  checkHeaders: boolean,
  schemas: SchemaRule,
  pins: PinnedTools | null,
): CompiledList {
  const items: Item[] = [];
  const listed: ListedTool[] = [];
  const dropped: ItemNote[] = [];
  const repairs: [number, string][] = [];
  let droppedCount = 0;
  // Copied, because the bytes arrive as shared memory, which not every API of Node.js accepts.
  packedViews({ bytes: new Uint8Array(bytes), offsets }).forEach((source, position) => {
    const item = readItem(list, source, checkHeaders, schemas);
    if (typeof item === 'string') {
      droppedCount += 1;
      if (dropped.length < MAX_PROBLEMS) dropped.push({ name: nameForReport(source, position), detail: item });
      return;
    }
    const note = [item.repaired, item.remark].filter((part) => part !== '').join('; ');
    if (note !== '' && repairs.length < MAX_PROBLEMS) repairs.push([items.length, note]);
    items.push(item);
    if (pins !== null) listed.push({ name: item.name, definition: definitionIn(source) });
  });
  const legacy = items.map((item) => renderItem(item, Era.legacy));
  const kinds = items.map(modernKind);
  const modern = items.map((item, index) => (kinds[index] === Modern.ownText ? renderItem(item, Era.modern) : ''));
  return {
    names: packShared(items.map(({ name }) => JSON.stringify(name))),
    flags: sharedCopy(Uint8Array.from(items, ({ flags }) => flags)),
    headerParams: packShared(
      items.map(({ headerParams: params }) => (params.length > 0 ? JSON.stringify(params) : '')),
    ),
    legacy: packShared(legacy, 'latin1'),
    legacyNames: namePlaces(items, Era.legacy),
    modern: packShared(modern, 'latin1'),
    modernNames: namePlaces(items, Era.modern),
    modernKinds: sharedCopy(Uint8Array.from(kinds)),
    dropped,
    droppedCount,
    repaired: sharedCopy(Uint8Array.from(items, repairOf)),
    repairs,
    unapproved: pins === null ? [] : unapprovedOf(pins, listed),
  };
}

/** As the server sent it, whatever is repaired or left out for clients. */
function definitionIn(source: Buffer): ToolDefinition {
  return definitionOf(JSON.parse(source.toString('utf8')) as Record<string, unknown>);
}

function unapprovedOf(pins: PinnedTools, listed: readonly ListedTool[]): UnapprovedItem[] {
  return deviationsOf(pins, listed).flatMap((deviation, index) => {
    const tool = listed[deviation.position];
    if (tool === undefined) return [];
    const detail = index < MAX_PROBLEMS ? inWords(deviation, pins, tool.definition) : '';
    return [{ position: deviation.position, isChanged: deviation.kind === 'changed', detail }];
  });
}

function repairOf({ repaired, remark }: Item): number {
  if (repaired !== '') return Repair.changed;
  return remark === '' ? Repair.none : Repair.refusable;
}

function modernKind(item: Item): number {
  return item.edits.every((edits) => edits.length === 0) ? Modern.sameText : Modern.ownText;
}

/** Where the content of each name is in its rendered item, after the edits before it. */
function namePlaces(items: readonly Item[], era: Era): Int32Array {
  const places = new Int32Array(new SharedArrayBuffer(items.length * 8));
  items.forEach(({ nameStart, nameEnd, edits }, index) => {
    let moved = 0;
    for (const { start, end, text } of edits[era] ?? []) if (end <= nameStart) moved += text.length - (end - start);
    places[index * 2] = nameStart + 1 + moved;
    places[index * 2 + 1] = nameEnd - 1 + moved;
  });
  return places;
}

function nameForReport(bytes: Buffer, position: number): string {
  try {
    const { name, uri } = JSON.parse(bytes.toString('utf8')) as { name?: unknown; uri?: unknown };
    if (typeof name === 'string') return name;
    if (typeof uri === 'string') return uri;
  } catch {
    // Invalid JSON: reported by its position.
  }
  return `item ${position}`;
}

/** Reads the items of a compiled list. */
export class CompiledItems {
  readonly list: CompiledList;
  readonly count: number;

  constructor(list: CompiledList) {
    this.list = list;
    this.count = packedCount(list.names);
  }

  name(index: number): string {
    return JSON.parse(packedText(this.list.names, index)) as string;
  }

  /**
   * The item under its public name, in one line: its bytes as latin-1 texts.
   *
   * @param isRenamed the public name is not the item's own with a prefix: its own is added as `title` and in `_meta`
   */
  render(index: number, publicName: string, isRenamed: boolean): [legacy: string, modern: string] {
    const { legacy, legacyNames, modern, modernNames, modernKinds } = this.list;
    const name = this.name(index);
    const of = (packed: Packed, places: Int32Array): string => {
      const text = rendered(packed, places, index, name, publicName);
      return isRenamed ? withOwnName(text, name) : text;
    };
    const text = of(legacy, legacyNames);
    const kind = modernKinds[index];
    return [text, kind === Modern.sameText ? text : of(modern, modernNames)];
  }
}

/** Inserts the prefix before the upstream's spelling of the name; a name that does not end with it is replaced. */
function rendered(packed: Packed, places: Int32Array, index: number, name: string, publicName: string): string {
  const text = packedView(packed, index).toString('latin1');
  if (name === publicName) return text;
  const start = places[index * 2];
  if (!publicName.endsWith(name)) {
    return text.slice(0, start) + jsonContent(publicName) + text.slice(places[index * 2 + 1]);
  }
  const prefix = publicName.slice(0, publicName.length - name.length);
  return text.slice(0, start) + jsonContent(prefix) + text.slice(start);
}

function jsonContent(value: string): string {
  return toLatin1(JSON.stringify(value).slice(1, -1));
}
