/** Handles open for those who have the secret, as they were sealed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HandleSealer } from '../../src/session/handles.js';

const [NEW, OLD] = ['the newer secret, long enough to be one', 'the older secret, long enough to be one'];
const sealer = new HandleSealer([NEW, OLD], 'test', 'syt.');

test('a handle opens under any secret in use', () => {
  const older = new HandleSealer([OLD], 'test', 'syt.');
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (content, deterministic) => {
      const handle = sealer.seal(content, deterministic);
      assert.match(handle, /^syt\.[\w-]+$/);
      assert.deepEqual(new Uint8Array(sealer.open(handle)!), content);
      assert.equal(older.open(handle), null);
      assert.deepEqual(new Uint8Array(sealer.open(older.seal(content, deterministic))!), content);
      assert.equal(sealer.seal(content, deterministic) === handle, deterministic);
    }),
  );
});

test('a changed handle, or one of another purpose, does not open', () => {
  const content = Buffer.from('content');
  const handle = sealer.seal(content, false);
  fc.assert(
    fc.property(fc.nat(handle.length - 1), fc.constantFrom(...'Aa0-_.= '), (at, character) => {
      const changed = handle.slice(0, at) + character + handle.slice(at + 1);
      assert.equal(sealer.open(changed) === null, changed !== handle);
    }),
  );
  for (const other of [handle.slice(0, -1), `${handle}A`, `${handle}=`, ` ${handle}`, '', 'syt.', 'syt.AAAA']) {
    assert.equal(sealer.open(other), null);
  }
  assert.equal(new HandleSealer([NEW], 'another', 'syt.').open(handle), null);
  assert.equal(sealer.hasPrefix(handle), true);
  assert.equal(sealer.hasPrefix('other'), false);
  assert.throws(() => new HandleSealer([], 'test', 'syt.'), RangeError);
});

test('a reload decides which secrets open', () => {
  const followed = new HandleSealer([OLD], 'test', 'syt.');
  const handle = followed.seal(Buffer.from('content'), false);
  followed.reconfigure([NEW, OLD]);
  assert.equal(String(followed.open(handle)), 'content');
  followed.reconfigure([NEW]);
  assert.equal(followed.open(handle), null);
});
