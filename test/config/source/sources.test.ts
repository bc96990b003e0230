import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { stringify as toToml } from 'smol-toml';
import { stringify as toYaml } from 'yaml';
import type { Position, SourceNode } from '../../../src/config/source/index.js';
import { readJson } from '../../../src/config/source/json.js';
import { readToml } from '../../../src/config/source/toml.js';
import { readYaml } from '../../../src/config/source/yaml.js';

/** Trees of objects and lists whose keys and texts are all different: each is found in the text in one place only. */
const { object: shape } = fc.letrec<{ node: unknown; object: unknown }>((tie) => ({
  object: fc.dictionary(fc.constantFrom('a', 'b-c', 'd.e', 'f g', '"', "'", '#'), tie('node'), {
    minKeys: 1,
    maxKeys: 4,
  }),
  node: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom('', '"', "'", '#', '\n', '[', '= {', '\\'),
    fc.array(tie('node'), { minLength: 1, maxLength: 3 }),
    tie('object'),
  ),
}));

/** Gives every key and text a number of its own. */
function unique(value: unknown, next: () => number): unknown {
  if (typeof value === 'string') return `v${next()}v${value}`;
  if (Array.isArray(value)) return value.map((item) => unique(item, next));
  return Object.fromEntries(
    Object.entries(value as object).map(([key, member]) => [`k${next()}k${key}`, unique(member, next)]),
  );
}

/** What stands at a position. */
function textAt(text: string, at: Position | null): string {
  if (at === null) return '(no position)';
  const lines = text.split('\n').slice(at.line - 1);
  return [(lines[0] ?? '').slice(at.column - 1), ...lines.slice(1)].join('\n');
}

/** Every key and text of a tree with its place. */
function* places(node: SourceNode): Generator<[text: string, at: Position | null]> {
  if (node.kind === 'scalar') yield [String(node.value), node.at];
  else if (node.kind === 'array') for (const item of node.items) yield* places(item);
  else if (node.kind === 'object') {
    for (const entry of node.entries) {
      yield [entry.key, entry.at];
      yield* places(entry.value);
    }
  }
}

const FORMATS: readonly [name: string, write: (value: object) => string, read: (text: string) => SourceNode][] = [
  ['JSON', (value) => JSON.stringify(value, null, 2), readJson],
  ['JSON on one line', (value) => JSON.stringify(value), readJson],
  ['YAML', (value) => toYaml(value), readYaml],
  ['YAML in flow style', (value) => toYaml(value, { collectionStyle: 'flow' }), readYaml],
  ['TOML', (value) => toToml(value), readToml],
];

/** Quotes, or the head of a YAML block, before a text. */
const OPENING = /^(?:[|>][-+\d]*\n\s*|["']{0,3}\n?)/;

for (const [name, write, read] of FORMATS) {
  test(`${name}: every key and value is where its position says`, () => {
    fc.assert(
      fc.property(shape, (pattern) => {
        let count = 0;
        const text = write(unique(pattern, () => ++count) as object);
        const found = [...places(read(text))];
        assert.equal(found.length, count);
        for (const [content, at] of found) {
          const marker = /^[kv]\d+[kv]/.exec(content)?.[0] as string;
          const there = textAt(text, at).replace(OPENING, '');
          assert.ok(there.startsWith(marker), `${marker} is not at ${JSON.stringify(at)} of\n${text}`);
        }
      }),
      { numRuns: 300 },
    );
  });
}
