import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { getNodeValue, parseTree } from 'jsonc-parser';
import { parse as parseToml } from 'smol-toml';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { starterFile } from '../../src/cli/files/starter.js';
import { compileSnapshot } from '../../src/config/compile/index.js';
import { type ConfigFormat, formatOf, parseConfig } from '../../src/config/load.js';
import { jsonSchema, schemaFile } from '../../src/config/reference/json-schema.js';
import { referencePage } from '../../src/config/reference/page.js';
import { packageRoot } from '../../src/package-root.js';

test('the published JSON Schema is the one the schema gives (npm run generate)', () => {
  assert.equal(readFileSync(join(packageRoot, 'schema/switchyard.schema.json'), 'utf8'), schemaFile());
});

test('the reference page is the one the schema gives (npm run generate)', () => {
  assert.equal(readFileSync(join(packageRoot, 'docs/configuration.md'), 'utf8'), referencePage());
});

/** A validator made from the published schema, not from the zod schema behind it. */
const published = z.fromJSONSchema(JSON.parse(schemaFile()) as Parameters<typeof z.fromJSONSchema>[0]);

function plainValue(text: string, format: ConfigFormat): unknown {
  if (format === 'yaml') return parseYaml(text, { merge: true });
  if (format === 'toml') return JSON.parse(JSON.stringify(parseToml(text)));
  return getNodeValue(parseTree(text, [], { allowTrailingComma: true })!);
}

/** Every variable the examples use, long enough for any of them. */
const env = new Proxy<Record<string, string>>(
  {},
  {
    getOwnPropertyDescriptor: () => ({ configurable: true, enumerable: true, value: '' }),
    get: (_target, name) =>
      String(name).endsWith('_URL')
        ? 'https://example.com'
        : `value-of-${String(name)}-0123456789abcdef0123456789abcdef`,
  },
);

/** Files of other gateways lie in a folder of their own: the schema has no keys for them. */
const filesOf = (folder: string): string[] =>
  readdirSync(join(packageRoot, folder), { withFileTypes: true }).flatMap((each) => (each.isFile() ? [each.name] : []));

const documents: [name: string, format: ConfigFormat, text: string][] = [
  ...(['json', 'jsonc', 'yaml', 'toml'] as const).map((format): [string, ConfigFormat, string] => [
    `the ${format} starter file`,
    format,
    starterFile(format),
  ]),
  ...['examples/config', 'test/config/fixtures'].flatMap((folder) =>
    filesOf(folder).map((name): [string, ConfigFormat, string] => [
      `${folder}/${name}`,
      formatOf(name),
      readFileSync(join(packageRoot, folder, name), 'utf8'),
    ]),
  ),
];

for (const [name, format, text] of documents) {
  test(`${name} passes the gateway and the published JSON Schema`, () => {
    compileSnapshot(parseConfig(text, format, { fileName: name, env }));
    const result = published.safeParse(plainValue(text, format));
    assert.ok(result.success, result.error?.message);
  });
}

/** Configurations that stand in fences of the documentation. */
const fences = ['README.md', ...readdirSync(join(packageRoot, 'docs')).map((name) => `docs/${name}`)]
  .filter((name) => name.endsWith('.md'))
  .flatMap((name) => {
    const text = readFileSync(join(packageRoot, name), 'utf8');
    return [...text.matchAll(/^```(json|jsonc|yaml|toml)\n([\s\S]*?)^```/gm)].map(
      ([, format, body]): [string, ConfigFormat, string] => [name, format as ConfigFormat, body as string],
    );
  })
  .filter(([, , text]) => text.includes('mcpServers'));

test('every configuration in the documentation can be used', () => {
  assert.ok(fences.length > 0);
  for (const [name, format, text] of fences) {
    // The lockfile that one names is written in its own test.
    compileSnapshot(parseConfig(text, format, { fileName: name, env }), { isUnpinned: true });
  }
});

for (const format of ['json', 'yaml', 'toml'] as const) {
  test(`what is commented out in the ${format} starter file is valid, too`, () => {
    const lines = starterFile(format).split('\n');
    const first = lines.findIndex((line) => /^\{|^host/.test(line));
    const marker =
      format === 'json' ? /^(\s*)\/\/ (?=[\s,"{}\]]|$)/ : /^(\s*)# (?=\s*[\w[-]+[\w.\]]*( =|:|\]|$)|\s*- )/;
    const opened = lines.map((line, i) =>
      i < first || / [a-z]+ .*\.$/.test(line) ? line : line.replace(marker, '$1'),
    );
    assert.notDeepEqual(opened, lines);
    const { servers, auth, routes, rateLimits } = compileSnapshot(parseConfig(opened.join('\n'), format, { env }));
    assert.deepEqual(
      [servers.length, auth.providers[0]?.type, routes.length, rateLimits.perClient?.burst],
      [2, 'bearer', 1, 100],
    );
  });
}

test('the published JSON Schema refuses what the gateway refuses key by key', () => {
  const wrong = [
    { prot: 1 },
    { port: 'x' },
    { port: 65_536 },
    { log: { level: 'loud' } },
    { mcpServers: { a: { comand: 'x' } } },
    { mcpServers: { a: { command: 5 } } },
    { auth: { type: 'jwt' } },
    { limits: { maxBodyBytes: 1 } },
    { routes: [{ cache: { ttlMs: 0 } }] },
  ];
  for (const value of wrong) assert.equal(published.safeParse(value).success, false, JSON.stringify(value));
});

test('the published JSON Schema accepts a variable where a number or a switch stands', () => {
  const value = {
    port: '$' + '{PORT:-8000}',
    log: { access: '$' + '{A}', level: '$' + '{L}' },
    sessions: { secret: '$' + '{S}' },
  };
  assert.equal(published.safeParse(value).success, true);
});

test('every default of the schema is in the published JSON Schema', () => {
  const { properties = {} } = jsonSchema();
  assert.equal(properties['port']?.default, 8000);
  assert.equal(properties['limits']?.properties?.['maxBodyBytes']?.default, 16 * 1024 * 1024);
});
