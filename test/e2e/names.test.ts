/** Names that model APIs refuse, through a running gateway: what is offered, and what can be called. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startGateway } from '../support/gateway.js';
import { eventually, type TestScope } from '../support/process.js';
import { type RawUpstream, rawUpstream } from '../support/raw-upstream.js';
import { type Message, modernRpc, openSession } from '../support/rpc.js';

const ACCEPTED = /^[a-zA-Z0-9_-]{1,64}$/;
const OWN = ['get.weather', 'files/read', 'a.b', 'a/b', 'plain', 'sp ace', '天气', 'x'.repeat(90), 'über'];
const TOOLS = OWN.map((name) => ({ name, inputSchema: { type: 'object' } }));
const PROMPTS = [{ name: 'ask.me', title: 'Ask' }, { name: 'ask_you' }];

type Item = { name: string; title?: string; _meta?: Record<string, string> };

/** Answers with the name that arrived. */
function named(scope: TestScope, family: 'legacy' | 'modern'): Promise<RawUpstream> {
  const type = family === 'legacy' ? {} : { resultType: 'complete' };
  return rawUpstream(
    scope,
    ({ message }, answer) => {
      if (message.method === 'prompts/list') {
        const cache = family === 'legacy' ? {} : { ttlMs: 60_000, cacheScope: 'public' };
        answer.result({ prompts: PROMPTS, ...type, ...cache });
      } else if (message.method === 'prompts/get') {
        const content = { type: 'text', text: message.params.name };
        answer.result({ messages: [{ role: 'user', content }], ...type });
      } else {
        answer.result({ content: [{ type: 'text', text: message.params.name }], ...type });
      }
    },
    { family, tools: TOOLS, capabilities: { prompts: {} } },
  );
}

type Asker = (method: string, params?: Record<string, unknown>) => Promise<Message>;

async function askerOf(url: string, client: 'legacy' | 'modern'): Promise<Asker> {
  if (client === 'modern') return async (method, params) => (await modernRpc(url, method, params)).message;
  const session = await openSession(url);
  return async (method, params) => (await session.request(method, params)).message;
}

const originalOf = ({ name, _meta }: Item): string => _meta?.['switchyard/originalName'] ?? name.replace(/^srv__/, '');

for (const frontEnd of ['uws', 'node'] as const) {
  for (const family of ['legacy', 'modern'] as const) {
    for (const client of ['legacy', 'modern'] as const) {
      describe(`Names of a ${family} server, towards a ${client} client on ${frontEnd}`, () => {
        it('are offered as model APIs accept them, and called by both', async (scope) => {
          const upstream = await named(scope, family);
          const gateway = await startGateway(scope, { mcpServers: { srv: { url: upstream.url } } }, { frontEnd });
          const ask = await askerOf(gateway.url, client);
          const tools: Item[] = await eventually('the tools', async () => {
            const { result } = await ask('tools/list');
            return result.tools.length > 0 && result.tools;
          });
          assert.equal(tools.length, OWN.length);
          assert.equal(new Set(tools.map(({ name }) => name)).size, OWN.length);
          for (const tool of tools) {
            assert.match(tool.name, ACCEPTED);
            assert.ok(tool.name.length <= 48, tool.name);
            const own = originalOf(tool);
            assert.ok(OWN.includes(own), own);
            if (own !== 'plain') assert.equal(tool.title, own);
            for (const name of [tool.name, `srv__${own}`, `srv:${own}`, ...(own === 'plain' ? [] : [own])]) {
              const { result } = await ask('tools/call', { name, arguments: {} });
              assert.equal(result?.content[0].text, own, name);
            }
          }
          const byOwn = new Map(tools.map((tool) => [originalOf(tool), tool.name]));
          assert.equal(byOwn.get('get.weather'), 'srv__get_weather');
          assert.equal(byOwn.get('plain'), 'srv__plain');
          assert.match(byOwn.get('a.b')!, /^srv__a_b_[a-z2-7]{8}$/);

          const { result } = await ask('prompts/list');
          assert.deepEqual(
            result.prompts.map(({ name, title, _meta }: Item) => [name, title, _meta?.['switchyard/originalName']]),
            [
              ['srv__ask_me', 'Ask', 'ask.me'],
              ['srv__ask_you', undefined, undefined],
            ],
          );
          for (const name of ['srv__ask_me', 'srv__ask.me', 'ask.me']) {
            assert.equal((await ask('prompts/get', { name })).result?.messages[0].content.text, 'ask.me', name);
          }

          const rows: [method: string, name: string, sentence: string][] = [
            ['tools/call', 'srv__plian', 'Unknown tool "srv__plian"; did you mean "srv__plain"?'],
            ['tools/call', 'plain', 'Unknown tool "plain"; did you mean "srv__plain"?'],
            ['tools/call', 'no such "x"', 'Unknown tool "no such \\"x\\""; tools/list has all names.'],
            ['prompts/get', 'srv__ask_yuo', 'Unknown prompt "srv__ask_yuo"; did you mean "srv__ask_you"?'],
          ];
          for (const [method, name, sentence] of rows) {
            const { error } = await ask(method, { name });
            assert.equal(error?.message, sentence);
            assert.equal(error.code, -32602);
          }
          const stats = (await (await fetch(`${gateway.adminUrl}/stats`)).json()) as Message;
          const changed = stats.catalog.renamed.find(({ name }: Item) => name === 'get.weather');
          assert.deepEqual(changed, {
            list: 'tools',
            server: 'srv',
            name: 'get.weather',
            offered: 'srv__get_weather',
            reason: 'characters',
          });
          assert.equal(stats.catalog.renamedCount, OWN.length);
        });
      });
    }
  }
}

describe('The configuration of names', () => {
  const listed = async (scope: TestScope, entry: object, more: object = {}): Promise<[string, string][]> => {
    const upstream = await named(scope, 'legacy');
    const gateway = await startGateway(scope, {
      mcpServers: { srv: { url: upstream.url, include: ['get.weather', 'a.b', 'plain'], ...entry } },
      ...more,
    });
    const ask = await askerOf(gateway.url, 'modern');
    const tools: Item[] = await eventually('the tools', async () => {
      const { result } = await ask('tools/list');
      return result.tools.length > 0 && result.tools;
    });
    const calls = tools.map(async ({ name }): Promise<[string, string]> => {
      const { result } = await ask('tools/call', { name, arguments: {} });
      return [name, result.content[0].text];
    });
    return Promise.all(calls);
  };

  it('leaves dots and slashes where they are asked for', async (scope) => {
    assert.deepEqual(await listed(scope, {}, { catalog: { names: 'as-is' } }), [
      ['srv__get.weather', 'get.weather'],
      ['srv__a.b', 'a.b'],
      ['srv__plain', 'plain'],
    ]);
  });

  it('renames by a map', async (scope) => {
    assert.deepEqual(await listed(scope, { rename: { 'get.weather': 'weather', plain: 'simple' } }), [
      ['srv__weather', 'get.weather'],
      ['srv__a_b', 'a.b'],
      ['srv__simple', 'plain'],
    ]);
  });

  it('renames by a template, without a prefix', async (scope) => {
    assert.deepEqual(await listed(scope, { prefix: false, rename: '{server}-{name}-v2' }), [
      ['srv-get_weather-v2', 'get.weather'],
      ['srv-a_b-v2', 'a.b'],
      ['srv-plain-v2', 'plain'],
    ]);
  });
});
