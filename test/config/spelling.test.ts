import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { z } from 'zod';
import { nearest } from '../../src/config/nearest.js';
import { aliasesOf } from '../../src/config/schema/fields.js';
import { configSchema } from '../../src/config/schema/index.js';
import { alternatives, snakeCase, spellingsOf } from '../../src/config/schema-walk.js';
import { problemsOfObject, snapshotOfObject } from './support.js';

/** Every object of the schema. */
function objects(schema: z.ZodType, found = new Set<z.ZodObject>()): Set<z.ZodObject> {
  const { objects: own, record, element } = alternatives(schema);
  for (const object of own) {
    if (found.has(object)) continue;
    found.add(object);
    for (const field of Object.values(object.shape)) objects(field as z.ZodType, found);
  }
  if (record !== null) objects(record, found);
  if (element !== null) objects(element, found);
  return found;
}

const CAMEL = {
  frontEnd: 'node',
  allowedHosts: ['a.example'],
  mcpServers: {
    my_server: {
      command: 'x',
      env: { lower_case: '1', camelCase: '2' },
      requestTimeoutMs: 5,
      maxConnections: 7,
    },
  },
  routes: [
    { match: { tools: ['a_b'] }, requiredScopes: ['x'], clientRateLimit: { rate: 1 }, cache: { ttlMs: 5, staleMs: 6 } },
  ],
  rateLimits: { perTool: [{ tools: 'x', rate: 2 }], maxClients: 9 },
  limits: { maxBodyBytes: 2048, drainMs: 1 },
  sessions: { ttlSeconds: 90 },
};
const SNAKE = {
  front_end: 'node',
  allowed_hosts: ['a.example'],
  mcp_servers: {
    my_server: {
      command: 'x',
      env: { lower_case: '1', camelCase: '2' },
      request_timeout_ms: 5,
      max_connections: 7,
    },
  },
  routes: [
    {
      match: { tools: ['a_b'] },
      required_scopes: ['x'],
      client_rate_limit: { rate: 1 },
      cache: { ttl_ms: 5, stale_ms: 6 },
    },
  ],
  rate_limits: { per_tool: [{ tools: 'x', rate: 2 }], max_clients: 9 },
  limits: { max_body_bytes: 2048, drain_ms: 1 },
  sessions: { ttl_seconds: 90 },
};

test('snake_case keys mean the same, and free names stay as they are', () => {
  const camel = snapshotOfObject(CAMEL);
  assert.deepEqual(snapshotOfObject(SNAKE), camel);
  const [endpoint] = camel.servers[0]?.endpoints ?? [];
  assert.deepEqual(endpoint?.transport === 'stdio' && endpoint.env, { lower_case: '1', camelCase: '2' });
  assert.equal(camel.servers[0]?.name, 'my_server');
});

test('every key and alias of the schema has one meaning in its object', () => {
  const all = objects(configSchema);
  assert.ok(all.size >= 15, `${all.size} objects`);
  for (const object of all) {
    const spellings = spellingsOf(object);
    for (const [name, field] of Object.entries(object.shape)) {
      for (const spelling of [name, ...aliasesOf(field as object)]) {
        assert.equal(spellings.get(spelling)?.name, name, spelling);
        assert.equal(spellings.get(snakeCase(spelling))?.name, name, snakeCase(spelling));
      }
    }
  }
});

test('every key of the schema is described', () => {
  for (const object of objects(configSchema)) {
    for (const [name, field] of Object.entries(object.shape)) {
      const { description } = field as z.ZodType;
      assert.ok(
        description !== undefined && description.length > 5 && description.endsWith('.'),
        `${name}: ${description}`,
      );
    }
  }
});

test('a key that may be 0 says what 0 means', () => {
  for (const object of objects(configSchema)) {
    for (const [name, field] of Object.entries(object.shape)) {
      const accepts = (value: number) => (field as z.ZodType).safeParse(value).success;
      const signed = accepts(-1);
      if (!accepts(0) || signed || name === 'timeout') continue;
      assert.match((field as z.ZodType).description as string, /\b0 = /, name);
    }
  }
});

test('a slip of the fingers in any key leads to that key', () => {
  for (const object of objects(configSchema)) {
    const names = Object.keys(object.shape);
    for (const name of names.filter((candidate) => candidate.length > 4)) {
      const swapped = name.slice(0, 2) + name[3] + name[2] + name.slice(4);
      const slips = [
        swapped,
        name.slice(0, 2) + name.slice(3),
        `${name}s`,
        name.toUpperCase(),
        snakeCase(name).replaceAll('_', '-'),
      ];
      for (const slip of slips) {
        const meant = nearest(slip, names);
        assert.ok(meant === name || spellingsOf(object).has(slip), `${slip} leads to ${meant}, not ${name}`);
      }
    }
  }
});

test('a word that resembles no key gets the list of keys', () => {
  const [problem] = problemsOfObject({ log: { destination: 'x' } });
  assert.equal(problem, 'log: unknown key "destination"; known keys are access, format, level');
});

test('the names and control characters of unknown keys do not flood or break the message', () => {
  const [problem] = problemsOfObject({ [`evil\u001b[31m\n${'x'.repeat(10_000)}`]: 1 });
  assert.ok((problem as string).length < 400);
  assert.doesNotMatch(problem as string, /\p{Cc}/u);
});
