/** Which credential of a request counts, beside a model that reads the lines of the head one by one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { AuthSnapshot } from '../../../../src/config/snapshot/auth.js';
import { RequestHead } from '../../../../src/request/accept/http/head.js';
import { AcceptRules } from '../../../../src/request/accept/http/rules.js';
import { Exchange, Verb } from '../../../../src/request/exchange/index.js';
import { CREDENTIAL_SEPARATOR, Scheme } from '../../../../src/shared/scheme.js';
import { snapshotOfObject } from '../../../config/support.js';

const KEY = 'a key of some length'.replaceAll(' ', '_');
const PROVIDERS = [
  { type: 'basic', users: { ann: 'password' } },
  { type: 'bearer', tokens: { ann: KEY } },
  { type: 'jwt', audience: 'a', secret: 's'.repeat(32) },
  { type: 'apiKey', header: 'X-First-Key', keys: { ann: KEY } },
  { type: 'apiKey', header: 'X-Second-Key', keys: { ann: KEY } },
  {
    type: 'proxyHeader',
    subjectHeader: 'X-User',
    scopesHeader: 'X-Groups',
    permissionsHeader: 'X-May',
    trustedProxies: ['10.0.0.0/8', '::1'],
  },
] as const;
type Provider = (typeof PROVIDERS)[number];

const PEERS = ['10.1.2.3', '11.1.2.3', '::1', '::2', ''];
const value = fc.oneof(
  fc.constantFrom(
    'Bearer a',
    'bearer  a.b',
    'BEARER a b',
    'Bearer',
    'Bearera',
    'Bearer\ta',
    'Bearer a\tb',
    'Basic YTpi',
  ),
  fc.constantFrom(
    'bAsIc   YTpi=',
    'Basic',
    'Basic a b',
    'Digest a',
    'Basic a, Bearer b',
    'a',
    '',
    'a b',
    'ä',
    'a\u00a0b',
  ),
  fc
    .tuple(fc.constantFrom('Bearer', 'Basic', 'Token'), fc.constantFrom(' ', '  ', '\t', ''), fc.string())
    .map((all) => all.join('').trim()),
);
const NAMES = ['authorization', 'x-first-key', 'x-second-key', 'x-user', 'x-groups', 'x-may', 'x-other'];
const lines = fc.array(fc.tuple(fc.constantFrom(...NAMES), value), { maxLength: 5 });

/** What follows the name of a scheme, spaces and no further space; null = the field has another form. */
function behindScheme(field: string, scheme: string): string | null {
  const [word = '', ...rest] = field.split(' ');
  const parts = rest.filter((part) => part !== '');
  return word.toLowerCase() === scheme && parts.length === 1 && field.endsWith(parts[0] ?? '')
    ? (parts[0] ?? '')
    : null;
}

type Found = { readonly kind: string; readonly token: string };

/** The credential that counts: 'none', 'other', or the place of the provider in the list. */
function model(providers: readonly Provider[], fields: ReadonlyMap<string, string>, peer: string): Found {
  const authorization = fields.get('authorization') ?? '';
  const sent = (name: string): string => {
    const text = fields.get(name.toLowerCase()) ?? '';
    return [...text].every((character) => character === '\t' || (character >= ' ' && character <= '~')) ? text : '';
  };
  for (const provider of providers) {
    if (provider.type === 'apiKey') {
      const token = sent(provider.header);
      if (token !== '') return { kind: provider.header.toLowerCase(), token };
    } else if (provider.type === 'proxyHeader') {
      const subject = sent(provider.subjectHeader);
      if (subject === '' || !(peer.startsWith('10.') || peer === '::1')) continue;
      const token = [subject, sent(provider.scopesHeader), sent(provider.permissionsHeader)].join(CREDENTIAL_SEPARATOR);
      return { kind: 'proxy', token };
    } else {
      const scheme = provider.type === 'basic' ? 'basic' : 'bearer';
      const token = behindScheme(authorization, scheme);
      if (token !== null) return { kind: scheme, token };
    }
  }
  return { kind: authorization === '' ? 'none' : 'other', token: '' };
}

/** What a scheme of a snapshot is called by the model. */
function kindOf({ providers }: AuthSnapshot, scheme: number): string {
  const provider = providers.find((one) => one.scheme === scheme);
  if (provider === undefined) return scheme === Scheme.none ? 'none' : 'other';
  if (provider.type === 'apiKey') return provider.header;
  if (provider.type === 'proxyHeader') return 'proxy';
  return provider.type === 'basic' ? 'basic' : 'bearer';
}

const lists = fc.oneof(
  fc.subarray([...PROVIDERS], { minLength: 1 }).chain((some) => fc.shuffledSubarray(some, { minLength: some.length })),
  fc.constant([PROVIDERS[1]]),
);
const requests = fc.array(fc.tuple(lines, fc.constantFrom(...PEERS)), { minLength: 1, maxLength: 8 });

test('the first provider whose credential is there gets it, and two lines of one field are no request', () => {
  const head = new RequestHead();
  const counts = new Map<string, number>();
  fc.assert(
    fc.property(lists, requests, (providers, all) => {
      const snapshot = snapshotOfObject({ mcpServers: {}, auth: providers });
      const rules = new AcceptRules(snapshot);
      head.credentialNames = rules.credentialNames;
      const used = new Set(['authorization', ...(rules.credentialNames?.keys() ?? [])]);
      for (const [sent, peer] of all) {
        head.reset();
        head.add('host', 'localhost');
        for (const [name, text] of sent) head.add(name, text);
        const names = sent.map(([name]) => name).filter((name) => used.has(name));
        const isValid = new Set(names).size === names.length;
        assert.equal(head.hasValidFraming(rules), isValid);
        if (!isValid) continue;
        const exchange = new Exchange(0);
        head.fill(exchange, rules, { remoteAddress: () => peer }, Verb.post, 1, 0);
        const { scheme, token } = exchange.client.caller;
        const expected = model(providers, new Map(sent), peer);
        assert.deepEqual({ kind: kindOf(snapshot.auth, scheme), token }, expected);
        counts.set(expected.kind, (counts.get(expected.kind) ?? 0) + 1);
      }
    }),
    { numRuns: 1_600 },
  );
  for (const kind of ['none', 'other', 'basic', 'bearer', 'x-first-key', 'x-second-key', 'proxy']) {
    assert.ok((counts.get(kind) ?? 0) > 10, `${kind}: only ${counts.get(kind)} were generated`);
  }
});
