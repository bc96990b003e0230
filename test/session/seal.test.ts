import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MAX_CAPABILITIES, MAX_CLIENT_INFO, MAX_VIEW_BASE, SessionSealer } from '../../src/session/seal.js';

const SECRET = 'a secret that is long enough to be one';
const OTHER = 'another secret that is as long as it is';
const NOW = 1_800_000_000;
const TTL = 3600;

const sealed = fc.record({
  revision: fc.integer({ min: 0, max: 255 }),
  capabilities: fc.uint8Array({ maxLength: MAX_CAPABILITIES }),
  clientInfo: fc.uint8Array({ maxLength: MAX_CLIENT_INFO }),
  subject: fc.int32Array({ minLength: 4, maxLength: 4 }),
  issuedAt: fc.integer({ min: NOW - TTL, max: NOW + 60 }),
  viewBase: fc.constantFrom('', '/users', `/${'u'.repeat(MAX_VIEW_BASE - 1)}`),
});

function example(): Parameters<SessionSealer['seal']>[0] {
  return {
    revision: 3,
    capabilities: Buffer.from('{"roots":{}}'),
    clientInfo: Buffer.from('{"name":"c","version":"1"}'),
    subject: Int32Array.of(1, -2, 3, -4),
    issuedAt: NOW,
    viewBase: '',
  };
}

test('a sealed session opens again; ids are visible ASCII of bounded length, different every time', () => {
  const sealer = new SessionSealer([SECRET]);
  fc.assert(
    fc.property(sealed, (session) => {
      const id = sealer.seal(session);
      assert.match(id, /^[\x21-\x7e]{1,2350}$/);
      assert.notEqual(sealer.seal(session), id);
      const opened = sealer.open(id, NOW, TTL);
      assert.ok(opened !== null);
      assert.equal(opened.revision, session.revision);
      assert.deepEqual(Buffer.from(opened.capabilities), Buffer.from(session.capabilities));
      assert.deepEqual(Buffer.from(opened.clientInfo), Buffer.from(session.clientInfo));
      assert.deepEqual(opened.subject, session.subject);
      assert.equal(opened.issuedAt, session.issuedAt);
      assert.equal(opened.viewBase, session.viewBase);
    }),
  );
});

test('an ordinary id is far below the usual header limits', () => {
  assert.ok(new SessionSealer([SECRET]).seal(example()).length < 200);
});

test('an id with any character changed, removed or added is not opened', () => {
  const sealer = new SessionSealer([SECRET]);
  const id = sealer.seal(example());
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  for (let at = 0; at < id.length; at += 1) {
    for (const step of [1, 16, 33]) {
      const changed = alphabet[(alphabet.indexOf(id[at]!) + step) % 64]!;
      assert.equal(sealer.open(id.slice(0, at) + changed + id.slice(at + 1), NOW, TTL), null, `position ${at}`);
    }
    assert.equal(sealer.open(id.slice(0, at) + id.slice(at + 1), NOW, TTL), null);
    assert.equal(sealer.open(id.slice(0, at), NOW, TTL), null);
  }
  for (const extra of ['A', '=', ' ', '+', '\n', '%00']) {
    assert.equal(sealer.open(id + extra, NOW, TTL), null);
    assert.equal(sealer.open(extra + id, NOW, TTL), null);
  }
});

test('the trailing bits of the last character are checked too', () => {
  const sealer = new SessionSealer([SECRET]);
  let spellings = 0;
  for (let length = 0; length < 3; length += 1) {
    const id = sealer.seal({ ...example(), clientInfo: Buffer.alloc(length) });
    for (const last of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_') {
      if (sealer.open(id.slice(0, -1) + last, NOW, TTL) !== null) spellings += 1;
    }
  }
  assert.equal(spellings, 3);
});

test('arbitrary text is not opened and does not throw', () => {
  const sealer = new SessionSealer([SECRET]);
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 3000 }), (id) => sealer.open(id, NOW, TTL) === null));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      bytes[0] = 1;
      return sealer.open(Buffer.from(bytes).toString('base64url'), NOW, TTL) === null;
    }),
  );
});

test('another secret does not open it; a rotated-in secret seals while the old one still opens', () => {
  const old = new SessionSealer([SECRET]);
  const fresh = new SessionSealer([OTHER]);
  const rotated = new SessionSealer([OTHER, SECRET]);
  const oldId = old.seal(example());
  assert.equal(fresh.open(oldId, NOW, TTL), null);
  assert.ok(rotated.open(oldId, NOW, TTL) !== null);
  const newId = rotated.seal(example());
  assert.equal(old.open(newId, NOW, TTL), null);
  assert.ok(fresh.open(newId, NOW, TTL) !== null);
});

test('an id expires with its ttl and is refused from a future beyond clock skew', () => {
  const sealer = new SessionSealer([SECRET]);
  const id = sealer.seal(example());
  assert.ok(sealer.open(id, NOW + TTL, TTL) !== null);
  assert.equal(sealer.open(id, NOW + TTL + 1, TTL), null);
  assert.ok(sealer.open(id, NOW - 60, TTL) !== null);
  assert.equal(sealer.open(id, NOW - 61, TTL), null);
});

test('short secrets, no secrets and oversized claims are refused', () => {
  assert.throws(() => new SessionSealer([]), RangeError);
  assert.throws(() => new SessionSealer(['short']), RangeError);
  const sealer = new SessionSealer([SECRET]);
  assert.throws(() => sealer.seal({ ...example(), capabilities: new Uint8Array(MAX_CAPABILITIES + 1) }), RangeError);
  assert.throws(() => sealer.seal({ ...example(), clientInfo: new Uint8Array(MAX_CLIENT_INFO + 1) }), RangeError);
  assert.throws(() => sealer.seal({ ...example(), viewBase: '/'.repeat(MAX_VIEW_BASE + 1) }), RangeError);
});
