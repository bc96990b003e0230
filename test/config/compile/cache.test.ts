import assert from 'node:assert/strict';
import { test } from 'node:test';
import { problemsOfObject, problemsOfText, snapshotOf, snapshotOfObject } from '../support.js';

const servers = { search: { url: 'http://localhost:1/mcp' } };
const cacheOf = (cache: object) => snapshotOfObject({ mcpServers: servers, cache }).cache;

test('a cache as in the example of the issue is understood', () => {
  const snapshot = snapshotOf(
    `
mcpServers: { search: { url: "http://localhost:1/mcp" } }
cache: { tools: true, resources: true, prompts: false, patterns: ["search__*"], exclude: ["*__delete_*"], includeHeaders: [X-User-ID], respectCacheControl: true }
`,
    'yaml',
  );
  const { tools, resources, prompts, patterns, exclude, includeHeaders, respectCacheControl, rule } = snapshot.cache;
  assert.deepEqual([tools, resources, prompts, respectCacheControl], [true, true, false, true]);
  assert.deepEqual([patterns, exclude], [['search__*'], ['*__delete_*']]);
  assert.deepEqual(
    includeHeaders.map((position) => snapshot.attributes[position]),
    ['x-user-id'],
  );
  assert.deepEqual(rule, { ttlMs: 60_000, staleMs: 0, staleIfErrorMs: 0, public: false });
});

test('the spellings of other gateways are understood', () => {
  const spelled = cacheOf({
    cache_tools: true,
    cache_resources: true,
    cache_prompts: false,
    include_headers: ['X-User-ID'],
    respect_cache_control: true,
    cache_patterns: ['search__*', 'docs://v1/**'],
    exclude_patterns: ['search__admin_*'],
    max_size: 1_000,
    ttl: 300,
  });
  const own = cacheOf({
    tools: true,
    resources: true,
    includeHeaders: 'X-User-ID',
    patterns: ['search__*', 'docs://v1/**'],
    exclude: 'search__admin_*',
    maxEntries: 1_000,
    ttlMs: 300_000,
  });
  assert.deepEqual(spelled, own);
  assert.deepEqual(cacheOf({ cacheTools: true, cachePrompts: true }), cacheOf({ tools: true, prompts: true }));
});

test('patterns over resources are in normal form, and templates may be among them', () => {
  const cache = cacheOf({ resources: true, patterns: ['TEST://A/*', 'file:///{+path}', 'search__*'] });
  assert.deepEqual(cache.resourcePatterns.slice(0, 2), ['test://a/*', 'file:///{+path}']);
});

test('what cannot be meant is refused with line and sentence', () => {
  const rows: [cache: object, sentence: RegExp][] = [
    [{ tools: true, ttl: 1, ttlMs: 1_000 }, /cache\.ttl: is "ttlMs" in seconds; write one of the two/],
    [{ patterns: ['a'] }, /cache\.patterns: has no effect without "tools", "resources" or "prompts"/],
    [{ exclude: ['a'] }, /cache\.exclude: has no effect without/],
    [{ tools: true, includeHeaders: ['Authorization'] }, /cache\.includeHeaders.*credentials/],
    [{ resources: true, patterns: ['http:x/{'] }, /cache\.patterns: the pattern "http:x\/\{"/],
    [{ tools: true, pattern: ['a'] }, /"patterns"/],
    [{ tools: true, ttlMs: 0 }, /ttlMs/],
  ];
  for (const [cache, sentence] of rows) {
    const problems = problemsOfObject({ mcpServers: servers, cache });
    assert.ok(
      problems.some((problem) => sentence.test(problem)),
      `${JSON.stringify(cache)}: ${problems.join('; ')}`,
    );
  }
  const text = 'mcpServers:\n  a: { url: "http://localhost:1/mcp" }\ncache:\n  tools: true\n  ttl: 1\n  ttlMs: 5\n';
  assert.match(problemsOfText(text, 'yaml')[0] ?? '', /gateway\.yaml:5/);
});

test('a route may have no cache at all', () => {
  const { routes } = snapshotOfObject({
    mcpServers: servers,
    routes: [
      { match: { tools: 'a' }, cache: false },
      { match: { tools: 'b' }, cache: { staleIfErrorMs: 5 } },
      { match: { tools: 'c' } },
    ],
  });
  assert.deepEqual(
    routes.map(({ cache }) => cache),
    [false, { ttlMs: 60_000, staleMs: 0, staleIfErrorMs: 5, public: false }, null],
  );
});
