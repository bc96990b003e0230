import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deviationsOf } from '../../../src/catalog/pinning/compare.js';
import { definitionOf, hashOf } from '../../../src/catalog/pinning/definition.js';
import { differences } from '../../../src/catalog/pinning/differences.js';
import { pinFor } from '../../../src/catalog/pinning/lockfile.js';
import { AFTER, BEFORE } from '../../support/pinned-tools.js';

const listed = (tools: readonly { readonly name: string }[]) =>
  tools.map((tool) => ({ name: tool.name, definition: definitionOf({ ...tool }) }));
const pins = new Map(listed(BEFORE).map((tool) => [tool.name, pinFor(tool, () => false)]));

test('each deviation has its kind; what is only in another order is none', () => {
  const reversed = listed(BEFORE.map((tool) => Object.fromEntries(Object.entries(tool).reverse()) as { name: string }));
  assert.deepEqual(deviationsOf(pins, reversed.reverse()), []);
  const fresh = listed([{ name: 'fresh' }]);
  assert.deepEqual(
    deviationsOf(pins, [...listed(AFTER.slice(0, 3)), ...fresh]).map(({ kind, name, pinnedAs }) => [
      kind,
      name,
      pinnedAs,
    ]),
    [
      ['changed', 'read_note', 'read_note'],
      ['changed', 'find_note', 'find_note'],
      ['renamed', 'remove_note', 'drop_note'],
      ['new', 'fresh', ''],
      ['missing', 'list_notes', 'list_notes'],
    ],
  );
});

test('two tools of one definition are one that was renamed, and a new one', () => {
  const twice = listed([
    { ...BEFORE[2], name: 'a' },
    { ...BEFORE[2], name: 'b' },
  ]);
  const found = deviationsOf(new Map([...pins].slice(2, 3)), twice);
  assert.deepEqual(
    found.map(({ kind, pinnedAs }) => [kind, pinnedAs]),
    [
      ['renamed', 'drop_note'],
      ['new', ''],
    ],
  );
});

test('every pinned member changes the hash, and nothing else', () => {
  const tool = { name: 'a', description: 'd', inputSchema: { type: 'object' } };
  const hash = (more: object): string => hashOf(definitionOf({ ...tool, ...more }));
  const same = hash({});
  for (const more of [{ name: 'b' }, { _meta: {} }, { icons: [] }, { title: null }]) assert.equal(hash(more), same);
  const others = [
    { title: 't' },
    { description: 'D' },
    { inputSchema: {} },
    { outputSchema: { type: 'object' } },
    { annotations: { destructiveHint: false } },
  ];
  assert.equal(new Set([same, ...others.map(hash)]).size, others.length + 1);
});

test('differences are short, begin shortly before what differs, show what is invisible, and cut no word in two', () => {
  const secret = 'k-5f1d9c77a2e04b61';
  const [found] = differences(
    { description: 'word '.repeat(60) },
    { description: `${'word '.repeat(60)}\u202e${`${secret} `.repeat(40)}` },
    9,
  );
  assert.equal(found?.place, 'description');
  const { is = '' } = found ?? {};
  assert.ok(is !== null && is.length < 300 && is.startsWith('... word ') && is.endsWith(' ...'), String(is));
  assert.match(is, /\\u202e/);
  assert.doesNotMatch(is.replaceAll(secret, ''), /k-5f/);
  const many = (value: number) => ({
    inputSchema: Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`p${i}`, [value]])),
  });
  assert.equal(differences(many(1), many(2), 5).length, 5);
  assert.deepEqual(differences({ title: 'a', inputSchema: { enum: [1, 2] } }, { inputSchema: { enum: [1] } }, 9), [
    { place: 'title', was: '"a"', is: null },
    { place: 'inputSchema.enum.1', was: '2', is: null },
  ]);
});
