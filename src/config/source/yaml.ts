import { createRequire } from 'node:module';
import type { Alias, Document, Node, YAMLMap } from 'yaml';
import {
  LineIndex,
  type Position,
  quoteKey,
  repeatedKey,
  SourceBudget,
  type SourceEntry,
  SourceError,
  type SourceNode,
} from './index.js';

/** Loaded by the first YAML file: every gateway and every command would load it. */
let yaml: typeof import('yaml') | null = null;

/** The parser's own messages can quote the text, so each kind of fault has its sentence here. */
const SENTENCES: Readonly<Record<string, string>> = {
  ALIAS_PROPS: 'an alias cannot have a tag or an anchor',
  BAD_ALIAS: 'this alias has no anchor before it',
  BAD_COLLECTION_TYPE: 'the tag does not fit this collection',
  BAD_DIRECTIVE: 'this directive is not known',
  BAD_DQ_ESCAPE: 'this escape does not exist in a double-quoted string',
  BAD_INDENT: 'the indentation does not fit',
  BAD_PROP_ORDER: 'anchor and tag must stand before the value',
  BAD_SCALAR_START: 'a value cannot start with this character; put it in quotes',
  BLOCK_AS_IMPLICIT_KEY: 'a block cannot be a key',
  BLOCK_IN_FLOW: 'a block cannot stand within [ ] or { }',
  DUPLICATE_KEY: 'a key is given twice in one object',
  KEY_OVER_1024_CHARS: 'a key is longer than 1024 characters',
  MISSING_CHAR: 'a character is missing here: a quote, a bracket, a comma or a space',
  MULTILINE_IMPLICIT_KEY: 'a key must stand on one line',
  MULTIPLE_ANCHORS: 'a value has more than one anchor',
  MULTIPLE_DOCS: 'the file holds more than one document',
  MULTIPLE_TAGS: 'a value has more than one tag',
  NON_STRING_KEY: 'a key must be a string',
  RESOURCE_EXHAUSTION: 'the document is nested too deeply',
  TAB_AS_INDENT: 'tabs cannot indent; use spaces',
  TAG_RESOLVE_FAILED: 'this tag is not supported',
};

interface Context {
  readonly yaml: typeof import('yaml');
  readonly document: Document;
  readonly lines: LineIndex;
  readonly budget: SourceBudget;
}

/**
 * Reads YAML 1.2 with anchors, aliases and merge keys, within a bound on the expanded size.
 * @throws SourceError at the first fault.
 */
export function readYaml(text: string): SourceNode {
  const lines = new LineIndex(text);
  yaml ??= createRequire(import.meta.url)('yaml') as typeof import('yaml');
  const document = yaml.parseDocument(text, { prettyErrors: false, uniqueKeys: false, strict: true });
  const fault = document.errors[0] ?? document.warnings[0];
  if (fault !== undefined) {
    throw new SourceError(lines.position(fault.pos[0]), SENTENCES[fault.code] ?? 'this is not valid YAML');
  }
  if (document.contents === null) return { kind: 'object', at: { line: 1, column: 1 }, entries: [] };
  return convert(document.contents as Node, { yaml, document, lines, budget: new SourceBudget() }, 0);
}

function place(node: Node, context: Context): Position | null {
  return node.range ? context.lines.position(node.range[0]) : null;
}

function resolve(node: Alias, context: Context): Node {
  const target = node.resolve(context.document);
  if (target === undefined) throw new SourceError(place(node, context), SENTENCES['BAD_ALIAS'] as string);
  return target;
}

function convert(node: Node | null, context: Context, depth: number): SourceNode {
  if (node === null) return { kind: 'scalar', at: null, value: null };
  const at = place(node, context);
  context.budget.spend(depth, at);
  const { isAlias, isMap, isScalar, isSeq } = context.yaml;
  if (isAlias(node)) return convert(resolve(node, context), context, depth + 1);
  if (isSeq(node)) {
    return { kind: 'array', at, items: node.items.map((item) => convert(item as Node | null, context, depth + 1)) };
  }
  if (isMap(node)) return { kind: 'object', at, entries: convertMap(node, context, depth) };
  const value = isScalar(node) ? node.value : undefined;
  if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
    return { kind: 'scalar', at, value };
  }
  return { kind: 'other', at, what: typeof value };
}

function convertMap(map: YAMLMap, context: Context, depth: number): SourceEntry[] {
  const entries = new Map<string, SourceEntry>();
  const merged: Node[] = [];
  for (const pair of map.items) {
    const keyNode = pair.key as Node;
    const keyAt = place(keyNode, context);
    if (!context.yaml.isScalar(keyNode) || keyNode.value === null || typeof keyNode.value === 'object') {
      throw new SourceError(keyAt, SENTENCES['NON_STRING_KEY'] as string);
    }
    const key = String(keyNode.value);
    if (key === '<<' && keyNode.type === 'PLAIN') {
      merged.push(pair.value as Node);
      continue;
    }
    if (entries.has(key)) throw repeatedKey(keyAt, key);
    const value = convert(pair.value as Node | null, context, depth + 1);
    entries.set(key, { key, at: keyAt, value: value.at === null ? { ...value, at: keyAt } : value });
  }
  for (const source of merged) mergeInto(entries, source, context, depth + 1);
  return [...entries.values()];
}

/** Merge keys (https://yaml.org/type/merge.html): what the object itself says wins, then the earlier source. */
function mergeInto(entries: Map<string, SourceEntry>, node: Node, context: Context, depth: number): void {
  const tree = convert(node, context, depth);
  for (const part of tree.kind === 'array' ? tree.items : [tree]) {
    if (part.kind !== 'object') {
      throw new SourceError(tree.at, `${quoteKey('<<')} needs an object or a list of objects`);
    }
    for (const entry of part.entries) if (!entries.has(entry.key)) entries.set(entry.key, entry);
  }
}
