import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decoder } from '../../../native/index.js';
import { Era } from '../../../src/protocol/revisions.js';
import { packedCount } from '../../../src/shared/packed.js';
import { inlineBackground } from '../../../src/upstream/core/background.js';
import { ControlError } from '../../../src/upstream/core/control.js';
import { readDiscover } from '../../../src/upstream/core/handshake.js';
import { brokenHeaderAnnotation } from '../../../src/upstream/core/lists/header-annotations.js';
import { type DiscoveryReport, discover, type Reading, sameDiscovery } from '../../../src/upstream/discovery/index.js';
import { LIMITS, namesOf, replyOf } from '../fixture.js';

type Lists = Record<string, (cursor: string | undefined) => object | Promise<never>>;

interface ReadOptions {
  readonly era?: Era;
  readonly limits?: Partial<typeof LIMITS>;
  readonly http?: boolean;
  readonly capabilities?: Record<string, unknown>;
  readonly before?: Reading;
}

async function read(lists: Lists, options: ReadOptions = {}) {
  const asked: string[] = [];
  const repeated: string[] = [];
  const partial: Reading[] = [];
  const truncated: string[] = [];
  const dropped: string[] = [];
  const report: DiscoveryReport = {
    truncated: (method) => truncated.push(method),
    repeated: (method) => repeated.push(method),
    dropped: (tool) => dropped.push(tool),
    partial: (reading) => partial.push(reading),
  };
  const reading = await discover(
    {
      server: 3,
      transport: options.http ? 'http' : 'stdio',
      background: inlineBackground(decoder),
      handshake: {
        era: options.era ?? Era.legacy,
        revision: options.era === Era.modern ? 4 : 3,
        capabilities: options.capabilities ?? { tools: {}, prompts: {}, resources: {} },
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
          if (answer instanceof Promise) return answer;
          return Promise.resolve(replyOf(answer ?? { error: { code: -32_601, message: 'no' } }));
        },
      },
    },
    { ...LIMITS, ...options.limits },
    1_000,
    report,
    options.before,
  );
  return { found: reading.discovery, reading, asked, truncated, repeated, dropped, partial };
}

const tools = (...names: string[]): object[] => names.map((name) => ({ name, inputSchema: { type: 'object' } }));

test('lists a server refuses are empty and take nothing from the others', async () => {
  const { found } = await read({ 'tools/list': () => ({ result: { tools: tools('a') } }) });
  assert.deepEqual(namesOf(found.tools), ['a']);
  assert.deepEqual([found.prompts, found.resources, found.templates].map(packedCount), [0, 0, 0]);
  assert.equal(found.server, 3);
});

const result = (value: object) => () => ({ result: value });
const refused = (code: number) => () => ({ error: { code, message: 'no' } });
const failing = (error: ControlError) => () => Promise.reject(error);
const resources = [{ uri: 'a:b', name: 'b' }];
const ALL: Lists = {
  'tools/list': result({ tools: tools('a') }),
  'prompts/list': result({ prompts: [{ name: 'p' }] }),
  'resources/list': result({ resources }),
  'resources/templates/list': result({ resourceTemplates: [{ uriTemplate: 'a:{x}', name: 't' }] }),
};
const counts = (reading: Reading): number[] => reading.lists.map(({ items }) => packedCount(items));

test('a list that is null or absent is empty', async () => {
  for (const empty of [{ tools: null }, {}, { tools: [] }, { tools: null, nextCursor: '' }, { nextCursor: null }]) {
    const { reading } = await read({ ...ALL, 'tools/list': result(empty) });
    assert.deepEqual(counts(reading), [0, 1, 1, 1], JSON.stringify(empty));
    assert.deepEqual(reading.failures, []);
  }
});

const FAULTS: readonly [string, Lists[string], RegExp][] = [
  ['an error', refused(-32_603), /error -32603/],
  [
    'a list of another type',
    result({ tools: 'none', prompts: 1, resources: {}, resourceTemplates: 'x' }),
    /no list of/,
  ],
  ['a result of another type', () => ({ result: 'none' }), /without a result object/],
  ['a status', failing(new ControlError('http', 'the upstream answered with status 500', 500)), /status 500/],
  ['silence', failing(new ControlError('timeout', 'no answer in time')), /no answer in time/],
];

for (const [fault, answer, reason] of FAULTS) {
  test(`a list that fails takes nothing from the others: ${fault}`, async () => {
    for (const [position, method] of Object.keys(ALL).entries()) {
      const { reading } = await read({ ...ALL, [method]: answer! });
      assert.deepEqual(counts(reading), [1, 1, 1, 1].with(position, 0));
      assert.equal(reading.failures.length, 1);
      assert.ok(reading.failures[0]!.startsWith(`${method}: `));
      assert.match(reading.failures[0]!, reason);
      const later = await read({ ...ALL, [method]: answer! }, { before: (await read(ALL)).reading });
      assert.deepEqual(counts(later.reading), [1, 1, 1, 1], 'the list is what it was before');
      assert.equal(later.reading.failures.length, 1);
    }
  });
}

test('tools that are refused hide no resources, and are told', async () => {
  const { reading } = await read({ ...ALL, 'tools/list': refused(-32_601) });
  assert.deepEqual(counts(reading), [0, 1, 1, 1]);
  assert.match(reading.failures.join(), /^tools\/list: .*-32601/);
});

test('a server of which no list can be read has none: an empty catalog would be a lie', async () => {
  const all = Object.fromEntries(Object.keys(ALL).map((method) => [method, refused(-32_603)]));
  await assert.rejects(read(all), /tools\/list: .*prompts\/list: .*resources\/list: /);
  await assert.rejects(
    read({ 'tools/list': result({ tools: 'none' }) }, { capabilities: { tools: {} } }),
    ControlError,
  );
});

test('pages before one that fails are kept, and a whole list of before is better', async () => {
  const second = (tool: string): Lists => ({
    ...ALL,
    'tools/list': (cursor) =>
      cursor === undefined
        ? { result: { tools: tools(tool), nextCursor: '2' } }
        : { error: { code: -32_603, message: 'no' } },
  });
  const first = (await read(second('x'))).reading;
  assert.deepEqual(namesOf(first.discovery.tools), ['x']);
  assert.match(first.failures.join(), /^tools\/list: /);
  const again = (await read(second('y'), { before: first })).reading;
  assert.deepEqual(namesOf(again.discovery.tools), ['y'], 'the pages of before were no whole list');
  const whole = (await read(ALL, { before: again })).reading;
  assert.deepEqual(namesOf((await read(second('z'), { before: whole })).found.tools), ['a']);
  const none = await read({ ...ALL, 'tools/list': refused(-32_603) }, { before: first });
  assert.deepEqual(namesOf(none.found.tools), ['x']);
});

test('what is read is published while another list is silent', async () => {
  const silence = () =>
    new Promise<never>((_, reject) => {
      setTimeout(() => reject(new ControlError('timeout', 'no answer in time')), 1_500);
    });
  const lists: Lists = { ...ALL, 'prompts/list': silence };
  const { partial, reading } = await read(lists);
  const [seen] = partial;
  assert.deepEqual(counts(seen!), [1, 0, 1, 1]);
  assert.deepEqual(seen!.failures, []);
  assert.deepEqual(reading.failures, ['prompts/list: no answer in time']);
});

test('a server without capabilities is asked once', async () => {
  for (const capabilities of [{}, { logging: {} }, { tools: null, prompts: false }]) {
    const { reading, asked } = await read({ 'tools/list': ALL['tools/list']! }, { capabilities });
    assert.equal(asked.length, 4);
    assert.deepEqual([counts(reading), reading.failures], [[1, 0, 0, 0], []]);
    const again = await read({ 'tools/list': ALL['tools/list']! }, { capabilities, before: reading });
    assert.equal(again.asked.length, 4, 'it has lists, which may change');
    const silent = await read({}, { capabilities });
    assert.deepEqual([counts(silent.reading), silent.reading.failures], [[0, 0, 0, 0], []]);
    const later = await read({}, { capabilities, before: silent.reading });
    assert.deepEqual(later.asked, []);
  }
  const { asked } = await read(ALL, { capabilities: { tools: true } });
  assert.deepEqual(asked, ['tools/list']);
});

test('an empty cursor ends a list, and so does one that was seen before', async () => {
  const cycle = (...cursors: string[]): Lists => {
    let page = 0;
    return {
      ...ALL,
      'tools/list': () => {
        const nextCursor = cursors[page % cursors.length];
        page += 1;
        return { result: { tools: tools(`t${page}`), nextCursor } };
      },
    };
  };
  const pages = async (...cursors: string[]) => {
    const { asked, repeated, truncated } = await read(cycle(...cursors));
    assert.deepEqual(truncated, []);
    return [asked.filter((line) => line.startsWith('tools/list')).length, repeated.length];
  };
  assert.deepEqual(await pages(''), [1, 0]);
  assert.deepEqual(await pages('1', '2', ''), [3, 0]);
  assert.deepEqual(await pages('same'), [2, 1]);
  assert.deepEqual(await pages('a', 'b'), [3, 1]);
  assert.deepEqual(await pages('a', 'b', 'c', 'd'), [5, 1]);
  assert.deepEqual(await pages('x'.repeat(100_000), 'y'), [3, 1]);
  const { asked, repeated } = await read({ ...ALL, 'resources/list': result({ resources, nextCursor: 'r' }) });
  assert.deepEqual(
    asked.filter((line) => line.startsWith('resources/list')),
    ['resources/list', 'resources/list r'],
  );
  assert.deepEqual(repeated, ['resources/list']);
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
