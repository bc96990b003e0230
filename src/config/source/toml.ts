import { type AST, ParseError, parseTOML } from 'toml-eslint-parser';
import { type Position, SourceBudget, type SourceEntry, SourceError, type SourceNode } from './index.js';

/**
 * Reads TOML 1.1.
 * @throws SourceError at the first fault.
 */
export function readToml(text: string): SourceNode {
  const [document] = parse(text).body;
  const root = new Table({ line: 1, column: 1 });
  for (const item of document.body) {
    if (item.type === 'TOMLKeyValue') root.addPair(item);
    else root.addHeader(item);
  }
  return convertTable(root, new SourceBudget(), 0);
}

function parse(text: string): AST.TOMLProgram {
  try {
    return parseTOML(text);
  } catch (error) {
    // The parser recurses for nested values, and spreads the characters of a string into the arguments of a call.
    if (error instanceof RangeError) {
      throw new SourceError(
        null,
        'the document is nested too deeply, or holds a string of more than 100,000 characters',
      );
    }
    if (!(error instanceof ParseError)) throw error;
    throw new SourceError({ line: error.lineNumber, column: error.column + 1 }, sentence(error.message));
  }
}

/** The parser's reason, unless it has characters of the file in it. */
function sentence(message: string): string {
  const reason = message.charAt(0).toLowerCase() + message.slice(1);
  return /^[a-z ,'()=-]{1,100}$/.test(reason) ? reason : 'this is not valid TOML';
}

/** A member of a table: a value as it was parsed, a table, or an array of tables. */
type Value = AST.TOMLContentNode | Table | Table[];

/** One key of a table. */
interface Member {
  /** Where the key stands first. */
  readonly at: Position;
  value: Value;
}

/** A table while its members are collected: headers and dotted keys add to it in several places of a file. */
class Table {
  readonly members = new Map<string, Member>();
  /** Where its header stands; of a table that is implied by a longer key, where that key names it. */
  at: Position;

  constructor(at: Position) {
    this.at = at;
  }

  /** Adds `a.b = value`. */
  addPair({ key, value }: AST.TOMLKeyValue): void {
    const parts = [...key.keys];
    const last = parts.pop();
    if (last !== undefined) this.#descend(parts).members.set(nameOf(last), { at: startOf(last), value });
  }

  /** Adds `[a.b]` or `[[a.b]]` with the pairs below it. */
  addHeader(header: AST.TOMLTable): void {
    const { key, kind, body } = header;
    const parts = [...key.keys];
    const last = parts.pop();
    if (last === undefined) return;
    const parent = this.#descend(parts);
    const at = startOf(header);
    const table = kind === 'array' ? parent.#append(last, at) : parent.#child(last);
    table.at = at;
    for (const pair of body) table.addPair(pair);
  }

  #descend(parts: readonly KeyPart[]): Table {
    let table: Table = this;
    for (const part of parts) table = table.#child(part);
    return table;
  }

  /** The table under a key, the newest one of an array of tables; the parser has refused keys that are anything else. */
  #child(part: KeyPart): Table {
    const existing = this.members.get(nameOf(part))?.value;
    const table = Array.isArray(existing) ? existing.at(-1) : existing;
    if (table instanceof Table) return table;
    const made = new Table(startOf(part));
    this.members.set(nameOf(part), { at: made.at, value: made });
    return made;
  }

  #append(part: KeyPart, at: Position): Table {
    const table = new Table(at);
    const existing = this.members.get(nameOf(part))?.value;
    if (Array.isArray(existing)) existing.push(table);
    else this.members.set(nameOf(part), { at: startOf(part), value: [table] });
    return table;
  }
}

type KeyPart = AST.TOMLBare | AST.TOMLQuoted;

function nameOf(part: KeyPart): string {
  return part.type === 'TOMLBare' ? part.name : part.value;
}

function startOf({ loc }: AST.TOMLNode): Position {
  return { line: loc.start.line, column: loc.start.column + 1 };
}

function convertTable(table: Table, budget: SourceBudget, depth: number): SourceNode {
  budget.spend(depth, table.at);
  const entries: SourceEntry[] = [];
  for (const [key, { at, value }] of table.members) {
    entries.push({ key, at, value: convert(value, at, budget, depth + 1) });
  }
  return { kind: 'object', at: table.at, entries };
}

function convert(value: Value, keyAt: Position, budget: SourceBudget, depth: number): SourceNode {
  if (value instanceof Table) return convertTable(value, budget, depth);
  if (Array.isArray(value)) {
    budget.spend(depth, keyAt);
    return { kind: 'array', at: keyAt, items: value.map((table) => convertTable(table, budget, depth + 1)) };
  }
  const at = startOf(value);
  if (value.type === 'TOMLInlineTable') {
    const table = new Table(at);
    for (const pair of value.body) table.addPair(pair);
    return convertTable(table, budget, depth);
  }
  budget.spend(depth, at);
  if (value.type === 'TOMLArray') {
    return { kind: 'array', at, items: value.elements.map((item) => convert(item, at, budget, depth + 1)) };
  }
  if (value.kind === 'integer' && !Number.isSafeInteger(value.value)) {
    throw new SourceError(at, 'an integer lies between -(2^53 - 1) and 2^53 - 1');
  }
  return value.value instanceof Date ? { kind: 'other', at, what: 'date' } : { kind: 'scalar', at, value: value.value };
}
