import { parse, TomlDate, TomlError } from 'smol-toml';
import { type Position, SourceBudget, SourceError, type SourceNode } from './index.js';
import { indexToml, type TomlIndex } from './toml-positions.js';

/**
 * Reads TOML 1.0. The parser keeps no positions, so a second pass over the accepted text finds them.
 * @throws SourceError at the first fault.
 */
export function readToml(text: string): SourceNode {
  let value: unknown;
  try {
    value = parse(text, { maxDepth: 200 });
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    throw new SourceError({ line: error.line, column: error.column }, sentence(error.message));
  }
  return convert(value, indexToml(text), [], { line: 1, column: 1 }, new SourceBudget());
}

/** The parser's reason without the quotation of the file that follows it, or without words of the file within it. */
function sentence(message: string): string {
  const reason = (message.split('\n', 1)[0] as string).replace(/^Invalid TOML document: /, '');
  return /^[a-z ,'-]{1,100}$/i.test(reason) ? reason : 'this is not valid TOML';
}

function convert(
  value: unknown,
  index: TomlIndex,
  path: readonly (string | number)[],
  inherited: Position,
  budget: SourceBudget,
): SourceNode {
  const at = index.value(path) ?? inherited;
  budget.spend(path.length, at);
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
    return { kind: 'scalar', at, value };
  }
  if (Array.isArray(value)) {
    return { kind: 'array', at, items: value.map((item, i) => convert(item, index, [...path, i], at, budget)) };
  }
  if (value instanceof TomlDate) return { kind: 'other', at, what: 'date' };
  if (typeof value !== 'object' || value === null) return { kind: 'other', at, what: typeof value };
  const entries = Object.entries(value).map(([key, member]) => {
    const memberPath = [...path, key];
    const keyAt = index.key(memberPath) ?? at;
    return { key, at: keyAt, value: convert(member, index, memberPath, keyAt, budget) };
  });
  return { kind: 'object', at, entries };
}
