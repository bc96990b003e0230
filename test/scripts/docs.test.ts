import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { COMMANDS } from '../../src/cli/commands.js';
import { ERRORS } from '../../src/errors.js';
import { packageRoot } from '../../src/package-root.js';
import { readSource } from '../support/sources.js';

const pages = [
  ...['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md'],
  ...readdirSync(join(packageRoot, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

interface SchemaNode {
  readonly properties?: Record<string, SchemaNode>;
  readonly items?: SchemaNode;
  readonly anyOf?: readonly SchemaNode[];
  readonly oneOf?: readonly SchemaNode[];
  readonly additionalProperties?: SchemaNode | boolean;
}

/** All dotted paths of the configuration; `*` stands for a free name. */
function pathsOf(node: SchemaNode, prefix: string, into: Set<string>): Set<string> {
  for (const variant of [...(node.anyOf ?? []), ...(node.oneOf ?? [])]) pathsOf(variant, prefix, into);
  if (node.items !== undefined) pathsOf(node.items, prefix, into);
  if (typeof node.additionalProperties === 'object') pathsOf(node.additionalProperties, `${prefix}*.`, into);
  for (const [name, child] of Object.entries(node.properties ?? {})) {
    into.add(prefix + name);
    pathsOf(child, `${prefix}${name}.`, into);
  }
  return into;
}

const keys = pathsOf(JSON.parse(readSource('schema/switchyard.schema.json')) as SchemaNode, '', new Set());
const sections = [...keys].filter((path) => !path.includes('.') && [...keys].some((key) => key.startsWith(`${path}.`)));

for (const page of pages) {
  const text = readSource(page);

  test(`${page} links only to what exists`, () => {
    const missing = [...text.matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, target]) => (target as string).replace(/#.*$/, ''))
      .filter((target) => target !== '' && !/^[a-z]+:/.test(target))
      .filter((target) => !existsSync(join(packageRoot, dirname(page), target)));
    assert.deepEqual(missing, []);
  });

  test(`${page} names only scripts, configuration keys and errors that exist`, () => {
    const { scripts } = JSON.parse(readSource('package.json')) as { scripts: Record<string, string> };
    const unknown = [
      ...[...text.matchAll(/\bnpm run ([\w:]+)/g)].filter(([, name]) => !(`${name}` in scripts)),
      ...[...text.matchAll(/`(\w+)\.(\w+)[:`]/g)].filter(
        ([, section, key]) => sections.includes(`${section}`) && key !== 'NAME' && !keys.has(`${section}.${key}`),
      ),
      ...[...text.matchAll(/\bGW_[A-Z_]+\b/g)].filter(([code]) => !(code in ERRORS)),
    ].map(([found]) => found);
    assert.deepEqual(unknown, []);
  });
}

test('the keys of the configuration are found at all', () => {
  assert.ok(keys.has('limits.maxBodyBytes') && keys.has('mcpServers.*.command') && sections.includes('limits'));
});

test('docs/errors.md is what the table of errors says', async () => {
  const module = await import(pathToFileURL(join(packageRoot, 'scripts/errors-page.mjs')).href);
  const { errorsPage } = module as { errorsPage(errors: typeof ERRORS): string };
  const page = errorsPage(ERRORS);
  for (const code of Object.keys(ERRORS)) assert.ok(page.includes(`\`${code}\``), `${code} has no row`);
  assert.equal(readSource('docs/errors.md'), page, 'run: npm run generate');
});

test('docs/cli.md has the options of every command', async () => {
  const module = await import(pathToFileURL(join(packageRoot, 'scripts/cli-page.mjs')).href);
  const { cliPage } = module as { cliPage(text: string, commands: typeof COMMANDS): string };
  const page = readSource('docs/cli.md');
  assert.equal(page, cliPage(page, COMMANDS), 'run: npm run generate');
  for (const { name, options } of COMMANDS) {
    const section = new RegExp(`^## ${name}\\n[\\s\\S]*?(?=^## |$(?![\\s\\S]))`, 'm').exec(page)?.[0] ?? '';
    for (const option of Object.keys(options)) assert.ok(section.includes(`\`--${option}`), `${name} --${option}`);
  }
});

test('the figures at the top of README.md are those of its table', () => {
  const text = readSource('README.md');
  /** The cells of a row of the first table, each with its values at 1, 32 and 64 connections. */
  const row = (name: string): string[][] => {
    const line = text.split('\n').find((candidate) => candidate.startsWith(`| ${name} |`)) ?? '';
    return line.split(' | ').map((cell) => cell.split(' · '));
  };
  const [, calls = [], medians = [], , cpu = []] = row('**Switchyard**, all policy on');
  const [, , direct = []] = row('direct');
  const expected = `**${calls[0]} calls/s on one connection and ${calls[2]} at 64** with all policy on, ${cpu[0]} of CPU per call at 64; a call takes ${medians[0]} at the median on one connection, ${direct[0]} without the gateway`;
  assert.ok(text.replaceAll('\n', ' ').includes(expected), expected);
});
