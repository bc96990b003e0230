import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { stringify as toToml } from 'smol-toml';
import { stringify as toYaml } from 'yaml';
import type { ConfigFormat } from '../../../src/config/load.js';
import type { Snapshot } from '../../../src/config/snapshot/index.js';
import * as support from '../support.js';

const { snapshotOfObject } = support;

/** The snapshot of a text, without the place that only a file has for the manifest. */
function snapshotOf(text: string, format: ConfigFormat, env = {}, options = {}) {
  const snapshot = support.snapshotOf(text, format, env, options);
  return { ...snapshot, catalog: { ...snapshot.catalog, manifestFile: null } };
}

/** Text that looks like syntax somewhere: quotes, braces, comments, YAML words, variables that are escaped. */
const hostileText = fc.oneof(
  fc.constantFrom(
    'true',
    'null',
    '~',
    '0x10',
    '1e3',
    '- a',
    'a: b',
    '# no',
    '"',
    "'",
    '\\',
    '<<',
    '&a',
    '*a',
    '[[x]]',
    'on',
  ),
  fc.constantFrom(
    '//',
    '/* x */',
    '{',
    '}',
    ',',
    '"""',
    "'''",
    '\t',
    'ünï',
    '漢字',
    '🚦',
    '---',
    'a=b',
    ' lead',
    'trail ',
  ),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
);
const text = hostileText
  .filter((value) => !value.includes('\0') && !/\p{Surrogate}/u.test(value))
  .map((value) => value.replaceAll('$', ''))
  .filter((value) => value !== '');
const names = text.filter(
  (name) => /^[^\p{C}:]{1,64}$/u.test(name) && !['__proto__', 'constructor', 'prototype', '<<'].includes(name),
);
const patterns = text.filter((pattern) => !/\p{Cc}/u.test(pattern));
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });

const stdio = fc.record(
  {
    command: text,
    args: fc.array(text, { maxLength: 4 }),
    env: fc.dictionary(fc.constantFrom('A', 'B_C', 'lower_case'), text),
    timeout: fc.nat(100),
  },
  { requiredKeys: ['command'] },
);
const http = fc.record(
  {
    url: fc.webUrl({ validSchemes: ['http', 'https'] }),
    headers: fc.dictionary(fc.constantFrom('X-A', 'x_b'), fc.constantFrom('1', 'a b')),
    priority: fc.integer({ min: -9, max: 9 }),
  },
  { requiredKeys: ['url'] },
);
const config = fc.record(
  {
    name: text,
    port: fc.nat(65_535),
    admin: fc.oneof(fc.constant(false), fc.record({ port: fc.constant(0) })),
    workers: fc.oneof(fc.constant('auto'), fc.integer({ min: 1, max: 8 })),
    // Every server without a prefix, so that no two random names can end in the same one.
    mcpServers: fc.dictionary(
      names,
      fc.oneof(stdio, http).map((server) => ({ ...server, prefix: false })),
      { maxKeys: 4 },
    ),
    routes: fc.array(
      fc.record(
        { match: fc.record({ tools: fc.array(patterns, { minLength: 1, maxLength: 3 }) }), idempotent: fc.boolean() },
        { requiredKeys: ['match'] },
      ),
      { maxLength: 3 },
    ),
    rateLimits: fc.record({ perClient: optional(fc.record({ rate: fc.constantFrom(0.5, 1, 250) })) }),
    log: fc.record({ level: fc.constantFrom('info', 'silent'), access: fc.boolean() }),
  },
  { requiredKeys: [] },
);

/** Comments, trailing commas and another indentation: what JSONC has over JSON. */
function toJsonc(value: unknown): string {
  return `// comment "with" {marks}\n${JSON.stringify(value, null, '\t')
    .replace(/\n(\t*)([}\]])/g, ',\n$1$2 /* x */')
    .replace(/([[{]),\n/g, '$1\n')}`;
}

/** A snapshot without the places of state, which are named after the file. */
function withoutState({ catalog, logins, sessions, ...rest }: Snapshot): Snapshot {
  return {
    ...rest,
    logins: { ...logins, folder: null },
    catalog: { ...catalog, manifestFile: null },
    sessions: { ...sessions, keyFile: null, isKeyFileOptional: false },
  };
}

const valuesOf = (text: string, format: ConfigFormat): Snapshot => withoutState(snapshotOf(text, format));

test('the four formats give the same snapshot', () => {
  fc.assert(
    fc.property(config, (value) => {
      const plain = JSON.parse(JSON.stringify(value)) as object;
      const expected = withoutState(snapshotOfObject(plain));
      assert.deepEqual(valuesOf(JSON.stringify(plain), 'json'), expected, 'JSON');
      assert.deepEqual(valuesOf(toJsonc(plain), 'jsonc'), expected, 'JSONC');
      assert.deepEqual(valuesOf(toYaml(plain), 'yaml'), expected, 'YAML in blocks');
      assert.deepEqual(valuesOf(toYaml(plain, { collectionStyle: 'flow' }), 'yaml'), expected, 'YAML in flow');
      assert.deepEqual(valuesOf(toToml(plain), 'toml'), expected, 'TOML');
    }),
    { numRuns: 300 },
  );
});

test('YAML anchors, aliases and merge keys mean what they mean elsewhere', () => {
  const snapshot = snapshotOf(
    [
      'mcpServers:',
      '  a: &base',
      '    url: http://localhost:1/mcp',
      '    headers: &h { X-One: "1" }',
      '  b:',
      '    <<: *base',
      '    url: http://localhost:2/mcp',
      '  c:',
      '    <<: [{ priority: 7 }, *base]',
      '    priority: 8',
    ].join('\n'),
    'yaml',
  );
  const shown = snapshot.servers.map(({ endpoints: [endpoint], priority }) => [
    endpoint?.transport === 'http' && endpoint.url,
    endpoint?.transport === 'http' && endpoint.headers,
    priority,
  ]);
  assert.deepEqual(shown, [
    ['http://localhost:1/mcp', { 'x-one': '1' }, 0],
    ['http://localhost:2/mcp', { 'x-one': '1' }, 0],
    ['http://localhost:1/mcp', { 'x-one': '1' }, 8],
  ]);
});

test('an empty YAML or TOML file is a configuration of defaults', () => {
  assert.deepEqual(valuesOf('', 'yaml'), withoutState(snapshotOfObject({})));
  assert.deepEqual(valuesOf('# nothing\n', 'toml'), withoutState(snapshotOfObject({})));
  assert.deepEqual(valuesOf('{}', 'json'), withoutState(snapshotOfObject({})));
});
