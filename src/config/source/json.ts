import { type Node, type ParseError, parseTree, printParseErrorCode } from 'jsonc-parser';
import { LineIndex, repeatedKey, SourceBudget, type SourceEntry, SourceError, type SourceNode } from './index.js';

const SENTENCES: Readonly<Record<string, string>> = {
  InvalidSymbol: 'something that is neither a value nor a key stands here',
  InvalidNumberFormat: 'this is not a number',
  PropertyNameExpected: 'a key in double quotes is missing here',
  ValueExpected: 'a value is missing here',
  ColonExpected: 'a colon is missing here',
  CommaExpected: 'a comma is missing before this',
  CloseBraceExpected: 'the file ends, or goes on wrongly, where "}" is missing',
  CloseBracketExpected: 'the file ends, or goes on wrongly, where "]" is missing',
  EndOfFileExpected: 'something follows after the end of the document',
  InvalidCommentToken: 'this comment is not allowed here',
  UnexpectedEndOfComment: 'a comment does not end',
  UnexpectedEndOfString: 'a string does not end on its line',
  UnexpectedEndOfNumber: 'a number is not complete',
  InvalidUnicode: 'a \\u escape needs four hexadecimal digits',
  InvalidEscapeCharacter: 'this escape does not exist in JSON',
  InvalidCharacter: 'a control character stands in a string; write it as an escape',
};

/**
 * Reads JSON with comments and trailing commas (JSONC); plain JSON is a part of it.
 * @throws SourceError at the first fault.
 */
export function readJson(text: string): SourceNode {
  const lines = new LineIndex(text);
  const errors: ParseError[] = [];
  const root = parseTree(text, errors, { allowTrailingComma: true, disallowComments: false });
  const first = errors[0];
  if (first !== undefined) {
    throw new SourceError(
      lines.position(first.offset),
      SENTENCES[printParseErrorCode(first.error)] ?? 'this is not valid JSON',
    );
  }
  if (root === undefined) throw new SourceError({ line: 1, column: 1 }, 'the file holds no value');
  return convert(root, lines, new SourceBudget(), 0);
}

function convert(node: Node, lines: LineIndex, budget: SourceBudget, depth: number): SourceNode {
  const at = lines.position(node.offset);
  budget.spend(depth, at);
  if (node.type === 'array') {
    return { kind: 'array', at, items: (node.children ?? []).map((item) => convert(item, lines, budget, depth + 1)) };
  }
  if (node.type !== 'object') {
    return { kind: 'scalar', at, value: node.value as string | number | boolean | null };
  }
  const seen = new Set<string>();
  const entries: SourceEntry[] = [];
  for (const property of node.children ?? []) {
    const [keyNode, valueNode] = property.children as [Node, Node];
    const key = keyNode.value as string;
    const keyAt = lines.position(keyNode.offset);
    if (seen.has(key)) throw repeatedKey(keyAt, key);
    seen.add(key);
    entries.push({ key, at: keyAt, value: convert(valueNode, lines, budget, depth + 1) });
  }
  return { kind: 'object', at, entries };
}
