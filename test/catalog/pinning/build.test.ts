/** What pinning leaves of the lists of several servers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Method } from '../../../native/layout.js';
import { Catalog } from '../../../src/catalog/index.js';
import { definitionOf } from '../../../src/catalog/pinning/definition.js';
import { pinFor } from '../../../src/catalog/pinning/lockfile.js';
import type { Lock } from '../../../src/config/snapshot/pinning.js';
import { Revision } from '../../../src/protocol/revisions.js';
import { EntryFlag } from '../../../src/shared/catalog-table.js';
import { catalogOf, discovery, pageValue, server, snapshot, texts, tool } from '../discoveries.js';

const LEGACY = Revision.r2025_11_25;
const PINNING = { onChange: 'refuse', onNew: 'refuse' } as const;
const described = (description: string) => ({ tools: [tool('search', { description })] });

/** A lockfile in which a server has the tool `search` with a description. */
function lockWith(digest: string, descriptions: Readonly<Record<string, string>>): Lock {
  const pins = Object.entries(descriptions).map(([name, description]) => {
    const definition = definitionOf({ ...tool('search', { description }) });
    return [name, new Map([['search', pinFor({ name: 'search', definition }, () => false)]])] as const;
  });
  return { path: 'x.lock.json', digest, servers: new Map(pins) };
}

const names = (result: { tools: { name: string }[] }): string[] => result.tools.map(({ name }) => name);

test('a tool that is refused does not change the names of others', async () => {
  for (const conflict of ['auto-prefix', 'reject', 'priority'] as const) {
    const servers = [server('b', { priority: 9 }), server('a')];
    const rules = { conflict, pinning: PINNING };
    const from = { ...snapshot(servers, rules), lock: lockWith('1', { a: 'known' }) };
    const lists = [discovery(0, described('new')), discovery(1, described('known'))];
    const catalog = await catalogOf(from, ...lists);
    assert.deepEqual(names(pageValue(catalog, Method.toolsList, LEGACY)), ['search'], conflict);
    const refused = Array.from(catalog.table.flags, (flags) => (flags & EntryFlag.unapproved) !== 0);
    const entry = texts(catalog.table.publicNames).indexOf('search');
    assert.equal(refused[entry], false, conflict);
    assert.equal(catalog.problemCounts['unapproved'], 1);
    assert.equal(catalog.problemCounts['collision'], undefined, conflict);
  }
});

test('a tool that is described differently to some clients is kept from all, until both descriptions are approved of', async () => {
  const base = snapshot([server('a')], { pinning: PINNING });
  const catalog = new Catalog({ ...base, lock: lockWith('1', { a: 'known' }) });
  await catalog.start();
  await catalog.update(discovery(0, described('known')));
  assert.deepEqual(names(pageValue(catalog.current, Method.toolsList, LEGACY)), ['a__search']);
  const set = await catalog.listSet([discovery(0, described('other'))], 0);
  assert.equal(catalog.current.hasListSet(set), true);
  assert.deepEqual(names(pageValue(catalog.current, Method.toolsList, LEGACY)), []);
  assert.deepEqual(
    catalog.current.problems.map(({ detail }) => detail),
    ['calls are refused: description was "known", is "other"'],
  );
  assert.deepEqual(
    catalog.lists.map(({ tools }) => JSON.parse(texts(tools)[0] ?? '').description),
    ['known', 'other'],
  );

  await catalog.reconfigure({ ...base, lock: lockWith('2', { a: 'other' }) }, () => true);
  assert.deepEqual(
    catalog.current.problems.map(({ detail }) => detail),
    ['calls are refused: description was "other", is "known"'],
  );
  await catalog.update(discovery(0, described('other')));
  assert.deepEqual(names(pageValue(catalog.current, Method.toolsList, LEGACY)), ['a__search']);
  await catalog.reconfigure({ ...base, lock: lockWith('1', { a: 'known' }) }, () => true);
  assert.deepEqual(names(pageValue(catalog.current, Method.toolsList, LEGACY)), []);
  await catalog.reconfigure({ ...base, lock: null, catalog: { ...base.catalog, pinning: null } }, () => true);
  assert.deepEqual(names(pageValue(catalog.current, Method.toolsList, LEGACY)), ['a__search']);
});
