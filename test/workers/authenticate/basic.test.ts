/** User names and passwords in every spelling, beside a model that decodes base64 bit by bit. */
import assert from 'node:assert/strict';
import { isUtf8 } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import type { BasicProvider } from '../../../src/config/snapshot/auth.js';
import { CredentialChecks } from '../../../src/control/credentials/checks.js';
import { Counters, counterMemory } from '../../../src/shared/counters.js';
import { Scheme } from '../../../src/shared/scheme.js';
import { phc } from '../../support/credentials.js';
import { authenticatorFor, judge } from './tokens.js';

const USERS: Readonly<Record<string, string>> = {
  ann: 'secret',
  b: '',
  'björn ': 'pä:ss',
  constructor: 'x',
  tab: 'x\ty',
  '\ufffd': 'x',
  eve: phc('hashed'),
};

function provider(users: Readonly<Record<string, string>>): BasicProvider {
  return {
    type: 'basic',
    scheme: Scheme.basic,
    waitsFor: 'room among auth.maxWaiting',
    maxWaiting: 10,
    users: Object.entries(users).map(([subject, password]) => ({
      subject,
      password,
      scopes: [],
      permissions: [],
      metadata: {},
    })),
  };
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** RFC 4648 section 4, every bit accounted for; null = it is another text. */
function decoded(text: string): Buffer | null {
  const content = text.replace(/={1,2}$/, '');
  if (text === '' || text.length % 4 !== 0) return null;
  let bits = '';
  for (const character of content) {
    const at = ALPHABET.indexOf(character);
    if (at < 0) return null;
    bits += at.toString(2).padStart(6, '0');
  }
  const whole = bits.length - (bits.length % 8);
  if (bits.slice(whole).includes('1')) return null;
  return Buffer.from((bits.slice(0, whole).match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
}

function model(credential: string): string | null {
  const bytes = decoded(credential);
  if (bytes === null || !isUtf8(bytes)) return null;
  const text = bytes.toString();
  const at = text.indexOf(':');
  if (at < 0 || [...text].some((character) => character < ' ' || character === '\x7f')) return null;
  const [name, password] = [text.slice(0, at), text.slice(at + 1)];
  if (name === 'eve') return password === 'hashed' ? name : null;
  return Object.hasOwn(USERS, name) && USERS[name] === password ? name : null;
}

const known = fc.constantFrom(
  'ann:secret',
  'b:',
  'björn :pä:ss',
  'constructor:x',
  'tab:x\ty',
  '\ufffd:x',
  '\u00ff:x',
  'eve:hashed',
  `eve:${USERS['eve']}`,
);
const pair = fc.oneof(
  known,
  fc.constantFrom('ann:secret ', 'ann', 'Ann:secret', 'ann:secret\0', '\ufeffann:secret', ':', '__proto__:x', 'b'),
  fc.string().map((text) => `ann:${text}`),
  fc.string({ unit: 'binary' }),
);
const credential = fc.oneof(
  known.map((text) => Buffer.from(text).toString('base64')),
  pair.map((text) => Buffer.from(text).toString('base64')),
  pair.map((text) => Buffer.from(text, 'latin1').toString('base64')),
  pair.map((text) => Buffer.from(text).toString('base64url')),
  fc
    .tuple(pair, fc.nat(), fc.constantFrom('', '=', '==', 'A', ' ', '-', '_', '\t', '\n', '\x7f'))
    .map(([text, at, inserted]) => {
      const spelled = Buffer.from(text).toString('base64');
      const place = at % (spelled.length + 1);
      return spelled.slice(0, place) + inserted + spelled.slice(place + (at % 2));
    }),
);

test('a user gets in by the one spelling of name and password in UTF-8 and base64', async () => {
  const authenticator = authenticatorFor(provider(USERS));
  let good = 0;
  await fc.assert(
    fc.asyncProperty(credential, async (text) => {
      const expected = model(text);
      const found = await judge(authenticator, text, Scheme.basic);
      assert.equal(typeof found === 'string' ? null : found.subject, expected);
      if (expected !== null) good += 1;
    }),
    { numRuns: 300 },
  );
  assert.ok(good > 15, `only ${good} good credentials were generated`);
});

test('a credential that is too long is refused without being decoded', async () => {
  const authenticator = authenticatorFor(provider({ ann: 'a'.repeat(1_024), bob: 'a'.repeat(6_000) }));
  const spelled = (name: string, length: number) => Buffer.from(`${name}:${'a'.repeat(length)}`).toString('base64');
  assert.notEqual(typeof (await judge(authenticator, spelled('ann', 1_024), Scheme.basic)), 'string');
  assert.equal(await judge(authenticator, spelled('bob', 6_000), Scheme.basic), 'GW_INVALID_TOKEN');
});

test('every attempt costs a check where any password is hashed, so that no time tells which names there are', async () => {
  const checked: string[] = [];
  let fails = false;
  const checkPassword = async ({ hash }: { readonly hash: string }) => {
    if (fails) throw new Error('the thread has ended');
    checked.push(hash);
    return false;
  };
  const checks = new CredentialChecks({ checkPassword }, new Counters(counterMemory(1, 1), 0), { warn() {} });
  const hashes = [phc('one'), phc('two')];
  const users = { ann: 'secret', one: hashes[0]!, two: hashes[1]! };
  const authenticator = authenticatorFor(provider(users), undefined, undefined, [], checks);
  const attempt = async (name: string, password: string) => {
    checked.length = 0;
    const found = await judge(authenticator, Buffer.from(`${name}:${password}`).toString('base64'), Scheme.basic);
    return typeof found === 'string' ? found : found.subject;
  };
  assert.equal(await attempt('ann', 'secret'), 'ann');
  assert.equal(checked.length, 1);
  for (const name of ['ann', 'one', 'two', 'nobody', '']) {
    const seen = new Set<string>();
    for (const guess of ['a', 'b', 'c', '']) {
      assert.equal(await attempt(name, guess), 'GW_INVALID_TOKEN');
      assert.equal(checked.length, 1, name);
      seen.add(checked[0] ?? '');
    }
    assert.equal(seen.size, 1, 'always against the same hash');
  }
  fails = true;
  assert.equal(await attempt('one', 'd'), 'GW_AUTH_UNAVAILABLE');
});
