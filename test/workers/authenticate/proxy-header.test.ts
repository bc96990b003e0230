import assert from 'node:assert/strict';
import { it } from 'node:test';
import { CREDENTIAL_SEPARATOR, Scheme } from '../../../src/shared/scheme.js';
import { authenticatorFor, judge } from './tokens.js';

it('headers of a proxy give subject, scopes and permissions, each from its own and within bounds', async () => {
  const authenticator = authenticatorFor({
    type: 'proxyHeader',
    scheme: Scheme.header,
    waitsFor: null,
    subjectHeader: 'x-user',
    scopesHeader: 'x-groups',
    permissionsHeader: 'x-may',
    trustedProxies: ['127.0.0.1'],
  });
  const rows: [values: string[], outcome: [subject: string, scopes: string[], permissions: string[]] | string][] = [
    [['pat'], ['pat', [], []]],
    [
      ['pat', 'a, b,c  d', 'read'],
      ['pat', ['a', 'b', 'c', 'd'], ['read']],
    ],
    [
      ['CN=pat, O=x', '', 'read write'],
      ['CN=pat, O=x', [], ['read', 'write']],
    ],
    [['', 'a', 'read'], 'GW_INVALID_TOKEN'],
    [['p'.repeat(8_192)], ['p'.repeat(8_192), [], []]],
    [['p'.repeat(8_193)], 'GW_INVALID_TOKEN'],
  ];
  for (const [values, outcome] of rows) {
    const found = await judge(authenticator, values.join(CREDENTIAL_SEPARATOR), Scheme.header);
    const told = typeof found === 'string' ? found : [found.subject, [...found.scopes], [...found.permissions]];
    assert.deepEqual(told, outcome);
  }
});
