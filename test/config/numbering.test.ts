import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isTombstone, MAX_TOMBSTONES, renumbered, sameUpstream, TOMBSTONE } from '../../src/config/numbering.js';
import { restartProblems } from '../../src/config/restart.js';
import type { Snapshot } from '../../src/config/snapshot/index.js';
import { snapshotOfObject } from './support.js';

/** A snapshot with these servers, and one route that names all of them in order. */
const withServers = (names: readonly string[]): Snapshot =>
  snapshotOfObject({
    mcpServers: Object.fromEntries(names.map((name) => [name, { command: name }])),
    routes: [{ servers: [...names] }],
  });

const namesOf = ({ servers }: Snapshot): string[] => servers.map(({ name }) => name);
const never = (): boolean => false;

/** Names that no JavaScript engine puts into another order. */
const lists = fc.uniqueArray(
  fc.integer({ min: 0, max: 12 }).map((number) => `s${number}`),
  { maxLength: 8 },
);

test('whatever is reloaded, a server keeps its number while it stays, and routes lead to the same servers', () => {
  fc.assert(
    fc.property(fc.array(lists, { minLength: 1, maxLength: 8 }), (rounds) => {
      let before = withServers([]);
      for (const names of rounds) {
        const next = renumbered(before, withServers(names), never);
        assert.deepEqual(
          next.order?.map((number) => next.servers[number]?.name),
          names,
        );
        assert.deepEqual(
          next.routes[0]?.servers.map((number) => next.servers[number]?.name),
          names,
        );
        before.servers.forEach((server, number) => {
          if (names.includes(server.name)) assert.equal(next.servers[number]?.name, server.name);
          else assert.ok(isTombstone(next.servers[number]!), 'a number is not given away');
        });
        assert.equal(next.servers.filter((server) => !isTombstone(server)).length, names.length);
        before = next;
      }
    }),
  );
});

test('numbers of removed servers are reused once there are many, and nothing refers to them', () => {
  const servers = Array.from({ length: MAX_TOMBSTONES + 1 }, () => TOMBSTONE);
  const before = { ...withServers([]), servers };
  assert.equal(namesOf(renumbered(before, withServers(['a', 'b']), never)).indexOf('a'), MAX_TOMBSTONES + 1);
  const reused = renumbered(before, withServers(['a', 'b']), (number) => number > 10);
  assert.deepEqual([namesOf(reused).indexOf('a'), namesOf(reused).indexOf('b')], [11, 12]);
  const few = { ...before, servers: servers.slice(1) };
  assert.equal(namesOf(renumbered(few, withServers(['a']), () => true)).indexOf('a'), MAX_TOMBSTONES);
});

test('a server is the same while what it runs on is', () => {
  const one = (entry: object) => snapshotOfObject({ mcpServers: { a: entry } }).servers[0]!;
  const plain = one({ command: 'x', env: { A: '1', B: '2' } });
  const rules = { prefix: 'p', exclude: 'a*', priority: 3, requestTimeoutMs: 7, tags: ['t'], methods: 'm' };
  assert.ok(sameUpstream(plain, one({ command: 'x', env: { B: '2', A: '1' }, ...rules })));
  for (const other of [
    { command: 'y', env: { A: '1', B: '2' } },
    { command: 'x', env: { A: '1' } },
    { command: 'x', env: { A: '1', B: '2' }, isolation: 'session' },
    { command: 'x', env: { A: '1', B: '2' }, maxConnections: 3 },
  ]) {
    assert.equal(sameUpstream(plain, one(other)), false, JSON.stringify(other));
  }
});

test('what needs a restart is reported by its key, everything else is not', () => {
  const base = snapshotOfObject({});
  const rows: [change: object, key: string][] = [
    [{ host: 'localhost' }, 'host'],
    [{ port: 1 }, 'port'],
    [{ port: false }, 'port'],
    [{ admin: false }, 'admin'],
    [{ workers: 9 }, 'workers'],
    [{ frontEnd: 'node' }, 'frontEnd'],
    [{ log: { format: 'json' } }, 'log.format'],
    [{ limits: { maxBatch: 3 } }, 'limits.maxBatch'],
    [{ limits: { maxHeaderBytes: 4_096 } }, 'limits.maxHeaderBytes'],
    [{ limits: { maxInFlight: 3 } }, 'limits.maxInFlight'],
    [{ limits: { maxToolMetrics: 3 } }, 'limits.maxToolMetrics'],
    [{ limits: { ringBytes: 2_097_152 } }, 'limits.ringBytes'],
  ];
  for (const [change, key] of rows) {
    const problems = restartProblems(base, snapshotOfObject(change));
    assert.deepEqual([problems.length, problems[0]?.split(':')[0]], [1, key]);
  }
  const rules = { name: 'n', cache: { enabled: false }, limits: { maxBodyBytes: 70_000 }, log: { level: 'warn' } };
  assert.deepEqual(restartProblems(base, snapshotOfObject(rules)), []);
});
