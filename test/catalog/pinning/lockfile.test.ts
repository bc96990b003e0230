import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { LockError, lockText, pinFor, readLock } from '../../../src/catalog/pinning/lockfile.js';
import { BEFORE, lockOf } from '../../support/pinned-tools.js';
import { tempFolder } from '../../support/process.js';

test('a lockfile that cannot be used says why', async (t) => {
  const path = join(await tempFolder(t), 'x.lock.json');
  const whole = lockOf(['a'], BEFORE);
  const rows: [text: string, reason: RegExp][] = [
    ['{', /not valid JSON/],
    ['[]', /not a lockfile/],
    [whole.replace('"format": 1', '"format": 2'), /another version/],
    [whole.replace('Reads a note.', 'Reads all notes.'), /"a", "read_note" .*edited by hand/],
    [whole.replaceAll('"hash"', '"hush"'), /"a", "drop_note"/],
  ];
  assert.throws(() => readLock(path, 1e6), { message: /does not exist; `switchyard lock` writes it/ });
  for (const [text, message] of rows) {
    writeFileSync(path, text);
    assert.throws(
      () => readLock(path, 1e6),
      (error) => error instanceof LockError && message.test(error.message),
      text.slice(0, 40),
    );
  }
  writeFileSync(path, whole);
  assert.throws(() => readLock(path, 100), { message: /larger than limits.maxManifestBytes/ });
});

test('a lockfile does not depend on the order of servers, tools and members, and any name can be read back', async (t) => {
  const reversed = BEFORE.map((tool) => Object.fromEntries(Object.entries(tool).reverse())).reverse();
  assert.equal(lockOf(['b', 'a'], reversed as unknown as typeof BEFORE), lockOf(['a', 'b'], BEFORE));
  const path = join(await tempFolder(t), 'x.lock.json');
  for (const name of ['__proto__', 'constructor', '\ud800', '']) {
    writeFileSync(path, lockOf([name], [{ name, description: '__proto__' }]));
    assert.deepEqual([...(readLock(path, 1e6).servers.get(name)?.keys() ?? [])], [name]);
  }
});

test('a definition that is long, or holds a secret, is kept by its hash alone', () => {
  const pin = (description: string, isSecret = false) =>
    pinFor({ name: 'a', definition: { description } }, () => isSecret);
  assert.notEqual(pin('short').definition, null);
  assert.equal(pin('x'.repeat(70_000)).definition, null);
  assert.equal(pin('short', true).definition, null);
  assert.equal(pin('short', true).hash, pin('short').hash);
  assert.doesNotMatch(lockText(new Map([['s', new Map([['a', pin('short', true)]])]])), /short/);
});
