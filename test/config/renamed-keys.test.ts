import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfigObject, parseConfig } from '../../src/config/load.js';
import { type JsonSchema, jsonSchema } from '../../src/config/reference/json-schema.js';
import { referencePage } from '../../src/config/reference/page.js';
import { RENAMED_KEYS } from '../../src/config/renamed-keys.js';
import { snakeCase } from '../../src/config/schema-walk.js';
import { problemsOfText } from './support.js';

/** A configuration with `value` at `path`, `*` being the name `a`. */
function nested(path: readonly string[], value: unknown): Record<string, unknown> {
  const [first = '', ...rest] = path;
  return { [first === '*' ? 'a' : first]: rest.length === 0 ? value : nested(rest, value) };
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  let found = value;
  for (const part of path) found = (found as Record<string, unknown>)[part === '*' ? 'a' : part];
  return found;
}

function schemaAt(path: readonly string[]): JsonSchema | undefined {
  let found: JsonSchema | undefined = jsonSchema();
  for (const part of path) {
    found = part === '*' ? (found?.additionalProperties as JsonSchema) : found?.properties?.[part];
  }
  return found;
}

for (const [path, now] of Object.entries(RENAMED_KEYS)) {
  const parts = path.split('.');
  const parents = parts.slice(0, -1);
  const before = parts.at(-1) as string;

  for (const spelling of [before, snakeCase(before)]) {
    test(`${spelling} means ${now}, with a warning`, () => {
      const { config, warnings } = loadConfigObject(nested([...parents, spelling], 7));
      assert.equal(valueAt(config, [...parents, now]), 7);
      assert.equal(warnings.length, 1);
      assert.match(warnings[0] as string, new RegExp(`"${before}" is now called "${now}"; the old name still works$`));
    });
  }

  test(`${before} is deprecated in the JSON Schema, and named in the reference`, () => {
    const schema = schemaAt(parts);
    assert.equal(schema?.deprecated, true);
    assert.equal(schema?.description, `Renamed to \`${now}\`.`);
    assert.equal(schemaAt([...parents, now])?.deprecated, undefined);
    assert.match(
      referencePage(),
      new RegExp(`^\\| \`${now}\` .* Formerly \`${before}\`, which still works. \\|$`, 'm'),
    );
  });
}

test('the warning about an old name says where it is written', () => {
  const { warnings } = parseConfig('mcpServers:\n  a:\n    command: x\n    maxLanes: 3\n', 'yaml', {
    fileName: 'g.yaml',
  });
  assert.deepEqual(warnings, [
    'g.yaml:4:5: mcpServers.a: "maxLanes" is now called "maxDedicated"; the old name still works',
  ]);
});

test('a wrong value under an old name is a problem where it is written', () => {
  assert.deepEqual(problemsOfText('mcpServers:\n  a:\n    command: x\n    lane_idle_ms: 0\n', 'yaml'), [
    'gateway.yaml:4:19: mcpServers.a.dedicatedIdleMs: must be at least 1',
  ]);
});

test('both names at once are one problem that has both', () => {
  const text = '[mcpServers.a]\ncommand = "x"\nmaxDedicated = 2\nmaxLanes = 3\n';
  assert.deepEqual(problemsOfText(text, 'toml'), [
    'gateway.toml:4:1: mcpServers.a.maxDedicated: given twice, as "maxDedicated" and "maxLanes"',
  ]);
});

test('an old name is no key anywhere else', () => {
  assert.match(problemsOfText('maxLanes: 3\n', 'yaml')[0] as string, /^gateway.yaml:1:1: unknown key "maxLanes"/);
});
