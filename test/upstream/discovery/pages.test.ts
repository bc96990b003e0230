import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decoder } from '../../../native/index.js';
import { Era } from '../../../src/protocol/revisions.js';
import { packedCount } from '../../../src/shared/packed.js';
import { inlineBackground } from '../../../src/upstream/core/background.js';
import { ControlError } from '../../../src/upstream/core/control.js';
import { readDiscover } from '../../../src/upstream/core/handshake.js';
import { brokenHeaderAnnotation } from '../../../src/upstream/core/header-annotations.js';
import { type DiscoveryReport, discover, sameDiscovery } from '../../../src/upstream/discovery/index.js';
import { LIMITS, namesOf, replyOf } from '../fixture.js';

type Lists = Record<string, (cursor: string | undefined) => object>;

async function read(lists: Lists, options: { era?: Era; limits?: Partial<typeof LIMITS>; http?: boolean } = {}) {
  const asked: string[] = [];
  const truncated: string[] = [];
  const dropped: string[] = [];
  const report: DiscoveryReport = {
    truncated: (method) => truncated.push(method),
    dropped: (tool) => dropped.push(tool),
  };
  const found = await discover(
    {
      server: 3,
      transport: options.http ? 'http' : 'stdio',
      background: inlineBackground(decoder),
      handshake: {
        era: options.era ?? Era.legacy,
        revision: options.era === Era.modern ? 4 : 3,
        capabilities: { tools: {}, prompts: {}, resources: {} },
        instructions: null,
        serverInfo: null,
        ttlMs: 0,
        unknownVersion: '',
        versionHeader: '',
        sessionId: '',
      },
      channel: {
        request: (method, params) => {
          const { cursor } = params as { cursor?: string };
          asked.push(cursor === undefined ? method : `${method} ${cursor}`);
          const answer = lists[method]?.(cursor);
          return Promise.resolve(replyOf(answer ?? { error: { code: -32_601, message: 'no' } }));
        },
      },
    },
    { ...LIMITS, ...options.limits },
    1_000,
    report,
  );
  return { found, asked, truncated, dropped };
}

const tools = (...names: string[]): object[] => names.map((name) => ({ name, inputSchema: { type: 'object' } }));

test('lists a server refuses are empty and take nothing from the others', async () => {
  const { found } = await read({ 'tools/list': () => ({ result: { tools: tools('a') } }) });
  assert.deepEqual(namesOf(found.tools), ['a']);
  assert.deepEqual([found.prompts, found.resources, found.templates].map(packedCount), [0, 0, 0]);
  assert.equal(found.server, 3);
});

test('tools that cannot be read are an error: an empty catalog would be a lie', async () => {
  await assert.rejects(read({}), (error: ControlError) => error.kind === 'rpc');
  await assert.rejects(
    read({ 'tools/list': () => ({ result: { tools: 'none' } }) }),
    (error: ControlError) => error.kind === 'invalid',
  );
});

test('pages are followed, and a cursor that repeats ends them', async () => {
  const { asked, truncated } = await read({
    'tools/list': () => ({ result: { tools: tools('a'), nextCursor: 'same' } }),
  });
  assert.deepEqual(asked.slice(0, 3), ['tools/list', 'tools/list same', 'prompts/list']);
  assert.deepEqual(truncated, []);
});

test('pages and items are bounded, and what is left out is told', async () => {
  let page = 0;
  const endless: Lists = {
    'tools/list': () => {
      page += 1;
      return { result: { tools: tools(`a${page}`, `b${page}`), nextCursor: String(page) } };
    },
  };
  const pages = await read(endless, { limits: { maxPages: 4 } });
  assert.equal(packedCount(pages.found.tools), 8);
  assert.deepEqual(pages.truncated, ['tools/list']);
  const items = await read(endless, { limits: { maxTools: 5 } });
  assert.equal(packedCount(items.found.tools), 5);
  assert.deepEqual(items.truncated, ['tools/list']);
});

test('freshness is the shortest of all lists, and private if any is', async () => {
  const hints = (ttlMs: number, cacheScope: string) => ({ resultType: 'complete', ttlMs, cacheScope });
  const lists = (scope: string): Lists => ({
    'tools/list': () => ({ result: { tools: [], ...hints(5_000, 'public') } }),
    'prompts/list': () => ({ result: { prompts: [], ...hints(3_000, scope) } }),
    'resources/list': () => ({ result: { resources: [], ...hints(9_000, 'public') } }),
    'resources/templates/list': () => ({ result: { resourceTemplates: [], ...hints(9_000, 'public') } }),
  });
  const open = await read(lists('public'), { era: Era.modern });
  assert.deepEqual([open.found.ttlMs, open.found.cacheScope], [3_000, 'public']);
  const closed = await read(lists('private'), { era: Era.modern });
  assert.deepEqual([closed.found.ttlMs, closed.found.cacheScope], [3_000, 'private']);
  const legacy = await read(lists('public'));
  assert.deepEqual([legacy.found.ttlMs, legacy.found.cacheScope], [0, 'private']);
  assert.equal(sameDiscovery(open.found, closed.found), false);
  assert.equal(sameDiscovery(open.found, (await read(lists('public'), { era: Era.modern })).found), true);
});

const annotated = (inputSchema: object): Buffer => Buffer.from(JSON.stringify({ name: 'tool', inputSchema }));
const property = (schema: object) => ({ type: 'object', properties: { a: schema } });

test('tools with broken header annotations are left out over modern HTTP only', async () => {
  const bad = { name: 'bad', inputSchema: property({ type: 'number', 'x-mcp-header': 'A' }) };
  const lists: Lists = { 'tools/list': () => ({ result: { tools: [...tools('good'), bad] } }) };
  const overHttp = await read(lists, { era: Era.modern, http: true });
  assert.deepEqual(namesOf(overHttp.found.tools), ['good']);
  assert.deepEqual(overHttp.dropped, ['bad']);
  assert.deepEqual(namesOf((await read(lists, { era: Era.modern })).found.tools), ['good', 'bad']);
  assert.deepEqual(namesOf((await read(lists, { http: true })).found.tools), ['good', 'bad']);
});

test('header annotations follow the rules of the revision', () => {
  const fine: object[] = [
    property({ type: 'string' }),
    property({ type: 'string', 'x-mcp-header': 'Tenant' }),
    property({ type: 'integer', 'x-mcp-header': 'N' }),
    property({ type: 'boolean', 'x-mcp-header': 'B' }),
    property(property({ type: 'string', 'x-mcp-header': 'Deep' })),
    property({ type: 'object', default: { 'x-mcp-header': 5 } }),
    { type: 'object', properties: { 'x-mcp-header': { type: 'string' } } },
  ];
  for (const schema of fine) assert.equal(brokenHeaderAnnotation(annotated(schema)), null, JSON.stringify(schema));
  const broken: object[] = [
    property({ type: 'number', 'x-mcp-header': 'A' }),
    property({ type: ['string', 'null'], 'x-mcp-header': 'A' }),
    property({ 'x-mcp-header': 'A' }),
    property({ type: 'string', 'x-mcp-header': '' }),
    property({ type: 'string', 'x-mcp-header': 'a b' }),
    property({ type: 'string', 'x-mcp-header': 'a\r\nb' }),
    property({ type: 'string', 'x-mcp-header': 7 }),
    property({ type: 'array', items: { type: 'string', 'x-mcp-header': 'A' } }),
    property({ anyOf: [{ type: 'string', 'x-mcp-header': 'A' }] }),
    { type: 'object', oneOf: [property({ type: 'string', 'x-mcp-header': 'A' })] },
    { type: 'object', $defs: { x: { type: 'string', 'x-mcp-header': 'A' } } },
    { type: 'string', 'x-mcp-header': 'A' },
    {
      type: 'object',
      properties: { a: { type: 'string', 'x-mcp-header': 'A' }, b: { type: 'string', 'x-mcp-header': 'a' } },
    },
  ];
  for (const schema of broken) assert.notEqual(brokenHeaderAnnotation(annotated(schema)), null, JSON.stringify(schema));
  const spelled = Buffer.from(
    '{"name":"x","inputSchema":{"type":"object","properties":{"a":{"type":"number","x-mcp-\\u0068eader":"A"}}}}',
  );
  assert.notEqual(brokenHeaderAnnotation(spelled), null);
});

test('a discover result must name a revision that we speak', () => {
  const result = (supportedVersions: unknown) => replyOf({ result: { supportedVersions, capabilities: {} } });
  assert.equal(readDiscover(result(['2099-01-01', '2026-07-28'])).era, 1);
  for (const versions of [['2099-01-01'], [], 'any', undefined]) {
    assert.throws(() => readDiscover(result(versions)), ControlError);
  }
});
