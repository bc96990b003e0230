/** Writes a configuration as YAML, with what was not taken over as comments where it stood. */
import { Document, isMap, isScalar, isSeq, type Pair, type Scalar, visit, type YAMLMap } from 'yaml';
import { type ConfigPath, showPath, type Warning } from './problems.js';

/** Longest line, in characters; texts that cannot be broken are longer. */
const LINE_WIDTH = 120;

/**
 * The text of a configuration file.
 * @param value keys and values, variables as they are written
 * @param notes become comments in front of the nearest key that is there
 */
export function yamlText(value: unknown, notes: readonly Warning[]): string {
  const document = new Document(value);
  visit(document, {
    Seq: (_key, list) => {
      list.flow = list.items.every(isScalar);
    },
  });
  const above: string[] = [];
  for (const { path, sentence } of notes) {
    const [key, rest] = nearestKey(document, path);
    const text = rest.length === 0 ? sentence : `${showPath(rest)}: ${sentence}`;
    if (key === null) above.push(` ${text}`);
    else key.commentBefore = key.commentBefore ? `${key.commentBefore}\n ${text}` : ` ${text}`;
  }
  if (above.length > 0) document.commentBefore = above.join('\n');
  return document.toString({ lineWidth: LINE_WIDTH, flowCollectionPadding: false });
}

/** The key of the innermost member on the way along `path`, and what of the path is behind it. */
function nearestKey(document: Document, path: ConfigPath): [key: Scalar | null, rest: ConfigPath] {
  let node: unknown = document.contents;
  let found: [Scalar | null, ConfigPath] = [null, path];
  path.every((part, at) => {
    if (isSeq(node)) node = node.items[part as number];
    else {
      const pair = isMap(node) ? pairOf(node, part) : undefined;
      if (pair === undefined) return false;
      found = [pair.key as Scalar, path.slice(at + 1)];
      node = pair.value;
    }
    return true;
  });
  return found;
}

function pairOf(map: YAMLMap, key: string | number): Pair | undefined {
  return map.items.find((pair) => isScalar(pair.key) && pair.key.value === key);
}
