import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { Manifest, ManifestError, manifestBytes, newSalt, writeManifest } from '../../src/catalog/manifest.js';
import type { ServerSnapshot } from '../../src/config/snapshot/index.js';
import { Era } from '../../src/protocol/revisions.js';
import { packedText, packShared } from '../../src/shared/packed.js';
import type { Discovery } from '../../src/upstream/core/types.js';
import { serverSnapshot } from '../config/support.js';
import { tempFolder } from '../support/process.js';

const MAX = 1_000_000;

function listsOf(more: Partial<Discovery> = {}): Discovery {
  return {
    server: 4,
    era: Era.legacy,
    revision: 3,
    capabilities: { tools: { listChanged: true }, x: [1] },
    instructions: null,
    serverInfo: { name: 'a' },
    tools: packShared(['{"name":"one" , "x":1.0e2,"name2":"\\u00e9é"}', '{"name":"two"}']),
    prompts: packShared([]),
    resources: packShared(['{"uri":"a:b","n":12345678901234567890}']),
    templates: packShared([]),
    ttlMs: 5_000,
    cacheScope: 'public',
    ...more,
  };
}

const server = (name: string, more: Partial<ServerSnapshot> = {}): ServerSnapshot => serverSnapshot({ name, ...more });
const texts = (lists: Discovery['tools']): string[] =>
  Array.from({ length: lists.offsets.length - 1 }, (_, index) => packedText(lists, index));

async function written(scope: { after(fn: () => unknown): void }, content: Buffer | string): Promise<string> {
  const path = join(await tempFolder(scope as never), 'manifest.json');
  await writeFile(path, content, { mode: 0o600 });
  return path;
}

test('lists come back byte for byte, for a server of the same configuration only', async (t) => {
  const path = join(await tempFolder(t), 'new', 'manifest.json');
  const { bytes, digest, omitted } = manifestBytes(
    newSalt(),
    [
      { server: server('a'), lists: listsOf(), used: [] },
      {
        server: server('__proto__'),
        lists: listsOf({ instructions: 'do', serverInfo: null, era: Era.modern, revision: 4 }),
        used: ['sampling'],
      },
    ],
    MAX,
  );
  assert.deepEqual(omitted, []);
  await writeManifest(path, bytes);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(join(path, '..')), ['manifest.json'], 'no draft is left');
  const manifest = (await Manifest.read(path, MAX))!;
  assert.equal(manifest.digest, digest);
  assert.deepEqual(manifest.names, ['a', '__proto__']);
  const { tools, prompts, resources, templates, ...found } = manifest.listsOf(server('a'), 1)!;
  const expected = listsOf();
  assert.deepEqual([tools, prompts, resources, templates].map(texts), [
    texts(expected.tools),
    [],
    texts(expected.resources),
    [],
  ]);
  assert.deepEqual(found, {
    server: 1,
    era: Era.legacy,
    revision: 3,
    capabilities: expected.capabilities,
    instructions: null,
    serverInfo: { name: 'a' },
    ttlMs: 0,
    cacheScope: 'public',
  });
  assert.equal(manifest.listsOf(server('__proto__'), 0)?.instructions, 'do');
  assert.deepEqual([manifest.usedBy(server('__proto__')), manifest.usedBy(server('a'))], [['sampling'], []]);
  assert.deepEqual(manifest.usedBy(server('__proto__', { isolation: 'session' })), []);
  assert.equal(manifest.listsOf(server('b'), 0), null);
  assert.equal(manifest.listsOf(server('a', { isolation: 'session' }), 0), null);
  assert.notEqual(
    manifest.listsOf(server('a', { priority: 7, include: ['x'] }), 0),
    null,
    'rules about names may change',
  );
});

test('a manifest has no secrets of the configuration, and differs between gateways', () => {
  const endpoint = {
    transport: 'stdio' as const,
    command: 'x',
    args: [],
    env: { TOKEN: 'hunter2-hunter2' },
    cwd: null,
    weight: 1,
    shownCommand: 'x',
  };
  const entries = [{ server: server('a', { endpoints: [endpoint] }), lists: listsOf(), used: [] }];
  const [one, two] = [manifestBytes(newSalt(), entries, MAX), manifestBytes(newSalt(), entries, MAX)];
  assert.ok(!one.bytes.includes('hunter2'));
  assert.notEqual(one.digest, two.digest);
});

test('entries that do not fit are left out', () => {
  const large = listsOf({ tools: packShared([`{"name":"${'x'.repeat(5_000)}"}`]) });
  const entries = [
    { server: server('small'), lists: listsOf(), used: [] },
    { server: server('large'), lists: large, used: [] },
    { server: server('later'), lists: listsOf(), used: [] },
  ];
  const { bytes, omitted } = manifestBytes(newSalt(), entries, 2_000);
  assert.deepEqual(omitted, ['large']);
  assert.ok(bytes.length <= 2_000);
  assert.deepEqual(Object.keys(JSON.parse(bytes.toString()).servers), ['small', 'later']);
});

test('what is no manifest is refused', async (t) => {
  const entries = [{ server: server('a'), lists: listsOf(), used: [] }];
  const good = manifestBytes(newSalt(), entries, MAX).bytes.toString();
  const changed = (edit: (content: { servers: { a: Record<string, unknown> } }) => void): string => {
    const content = JSON.parse(good);
    edit(content);
    return JSON.stringify(content);
  };
  for (const content of [
    '',
    '[]',
    'null',
    '{',
    good.slice(0, -20),
    good.replace('"format":1', '"format":2'),
    '{"format":1,"salt":"x","servers":[]}',
    '{"format":1,"salt":1,"servers":{}}',
    '{"format":1,"salt":"x","servers":{"a":null}}',
    changed(({ servers }) => delete servers.a['hash']),
    changed(({ servers }) => (servers.a['era'] = 2)),
    changed(({ servers }) => (servers.a['revision'] = 99)),
    changed(({ servers }) => (servers.a['capabilities'] = null)),
    changed(({ servers }) => (servers.a['instructions'] = 1)),
    changed(({ servers }) => (servers.a['tools'] = {})),
    changed(({ servers }) => (servers.a['used'] = [1])),
    `${'['.repeat(200_000)}`,
    Buffer.from([0xff, 0xfe]),
    Buffer.alloc(100),
  ]) {
    await assert.rejects(Manifest.read(await written(t, content), MAX), ManifestError, String(content).slice(0, 80));
  }
  const earlier = changed(({ servers }) => delete servers.a['used']);
  assert.deepEqual((await Manifest.read(await written(t, earlier), MAX))?.usedBy(server('a')), []);
  const path = await written(t, good);
  await assert.rejects(Manifest.read(path, 100), /limits\.maxManifestBytes/);
  await chmod(path, 0o620);
  await assert.rejects(Manifest.read(path, MAX), /other users/);
  assert.equal(await Manifest.read(`${path}.missing`, MAX), null);
  await mkdir(`${path}.folder`);
  await assert.rejects(Manifest.read(`${path}.folder`, MAX), ManifestError);
  execFileSync('mkfifo', [`${path}.pipe`]);
  await assert.rejects(Manifest.read(`${path}.pipe`, MAX), /regular file/);
});

test('a manifest replaces a link, and is not written through it', async (t) => {
  const folder = await tempFolder(t);
  const [target, path] = [join(folder, 'target'), join(folder, 'manifest.json')];
  await writeFile(target, 'mine');
  await symlink(target, path);
  await writeManifest(path, manifestBytes(newSalt(), [], MAX).bytes);
  assert.equal(await readFile(target, 'utf8'), 'mine');
  assert.deepEqual((await Manifest.read(path, MAX))?.names, []);
});

test('any lists come back as they were', async (t) => {
  const folder = await tempFolder(t);
  const item = fc.json().filter((text) => text.length < 200);
  const property = fc.asyncProperty(
    fc.array(item),
    fc.array(item),
    fc.string(),
    fc.string(),
    async (a, b, name, text) => {
      const path = join(folder, 'manifest.json');
      const lists = listsOf({ tools: packShared(a), templates: packShared(b), instructions: text });
      const own = server(`s${name}`);
      await writeManifest(path, manifestBytes(newSalt(), [{ server: own, lists, used: [] }], MAX).bytes);
      const found = (await Manifest.read(path, MAX))!.listsOf(own, 4)!;
      assert.deepEqual([texts(found.tools), texts(found.templates)], [a, b]);
      assert.equal(found.instructions, text);
    },
  );
  await fc.assert(property, { seed: 20_261_128, numRuns: 200 });
});
