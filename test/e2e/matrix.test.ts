/** Every client family against every kind of upstream, with the real SDKs at both ends. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type StartGatewayOptions, startGateway } from '../support/gateway.js';
import { eventually, type TestScope } from '../support/process.js';
import { connectV1, connectV2 } from '../support/sdk-clients.js';
import { type CountingServer, countingHttp, countingStdio, countingUrl } from '../support/upstreams.js';

type Answer = Record<string, unknown>;

/** The part of both SDKs' clients that the matrix uses, under one type. */
interface AnyClient {
  listTools(): Promise<{ tools: { name: string }[] }>;
  callTool(params: Answer, ...rest: unknown[]): Promise<Answer>;
  listResources(): Promise<{ resources: { uri: string }[] }>;
  listResourceTemplates(): Promise<{ resourceTemplates: { uriTemplate: string }[] }>;
  readResource(params: Answer): Promise<{ contents: Answer[] }>;
  listPrompts(): Promise<{ prompts: { name: string }[] }>;
  getPrompt(params: Answer): Promise<{ messages: Answer[] }>;
  complete(params: Answer): Promise<{ completion: { values: string[] } }>;
}

interface ClientKind {
  readonly name: string;
  connect(scope: TestScope, url: string): Promise<AnyClient>;
  call(client: AnyClient, params: Answer, onprogress: (progress: { progress: number }) => void): Promise<Answer>;
}

const clients: readonly ClientKind[] = [
  {
    name: 'SDK v1 client',
    connect: async (scope, url) => (await connectV1(scope, url)) as unknown as AnyClient,
    call: (client, params, onprogress) => client.callTool(params, undefined, { onprogress }),
  },
  {
    name: 'SDK v2 client, legacy',
    connect: async (scope, url) => (await connectV2(scope, url, 'legacy')) as unknown as AnyClient,
    call: (client, params, onprogress) => client.callTool(params, { onprogress }),
  },
  {
    name: 'SDK v2 client, 2026-07-28',
    connect: async (scope, url) => (await connectV2(scope, url, 'modern')) as unknown as AnyClient,
    call: (client, params, onprogress) => client.callTool(params, { onprogress }),
  },
];

interface UpstreamKind {
  readonly name: string;
  start(scope: TestScope): Promise<CountingServer<object>>;
}

const upstreams: readonly UpstreamKind[] = [
  { name: 'legacy stdio', start: (scope) => countingStdio(scope, 'legacy') },
  { name: 'modern stdio', start: (scope) => countingStdio(scope, 'modern') },
  { name: 'legacy HTTP', start: (scope) => countingHttp(scope, 'legacy') },
  { name: 'modern HTTP', start: (scope) => countingHttp(scope, 'modern') },
  // No transport is named: it has to be found out.
  { name: 'legacy HTTP with SSE', start: (scope) => countingUrl(scope, 'legacy', 'sse') },
  { name: 'legacy WebSocket', start: (scope) => countingUrl(scope, 'legacy', 'websocket') },
  { name: 'modern WebSocket', start: (scope) => countingUrl(scope, 'modern', 'websocket') },
];

const textOf = (answer: Answer): unknown => (answer['content'] as { text: string }[])[0]?.text;

const variants: readonly { name: string; options: StartGatewayOptions }[] = [
  { name: 'uws front end', options: { frontEnd: 'uws' } },
  { name: 'node front end', options: { frontEnd: 'node' } },
  {
    name: 'without any native binary',
    options: { env: { SWITCHYARD_UWS: 'off', SWITCHYARD_DECODER: 'typescript' } },
  },
];

for (const variant of variants) {
  describe(`every client on every upstream, ${variant.name}`, () => {
    for (const upstream of upstreams) {
      it(`serves all client families from a ${upstream.name} upstream`, async (scope) => {
        const server = await upstream.start(scope);
        const gateway = await startGateway(scope, { mcpServers: { peer: server.entry } }, variant.options);
        for (const kind of clients) {
          const client = await kind.connect(scope, gateway.url);
          const { tools } = await eventually('tools are listed', async () => {
            const listed = await client.listTools();
            return listed.tools.length > 0 ? listed : null;
          });
          assert.ok(
            tools.every(({ name }) => name.startsWith('peer__')),
            `${kind.name}: prefixed names`,
          );
          const echoed = await client.callTool({ name: 'peer__echo', arguments: { text: 'größe \u0000 "x"' } });
          assert.equal(textOf(echoed), 'größe \u0000 "x"', kind.name);
          const sum = await client.callTool({ name: 'peer__add', arguments: { a: 2, b: 3 } });
          assert.deepEqual(sum['structuredContent'], { sum: 5 }, kind.name);
          assert.equal((await client.callTool({ name: 'peer__fail', arguments: {} }))['isError'], true, kind.name);
          await assert.rejects(
            client.callTool({ name: 'peer__none', arguments: {} }),
            /-32602|Unknown tool/,
            kind.name,
          );

          const seen: number[] = [];
          const slow = { name: 'peer__slow', arguments: { ms: 80, steps: 4 } };
          const done = await kind.call(client, slow, ({ progress }) => seen.push(progress));
          assert.equal(textOf(done), 'done in 4 steps', kind.name);
          assert.deepEqual(seen, [1, 2, 3, 4], `${kind.name}: all progress, in order`);

          const { resources } = await client.listResources();
          assert.ok(
            resources.some(({ uri }) => uri === 'test://readme'),
            kind.name,
          );
          const { contents } = await client.readResource({ uri: 'test://readme' });
          assert.equal(contents[0]?.['text'], 'read me', kind.name);
          const { resourceTemplates } = await client.listResourceTemplates();
          assert.equal(resourceTemplates[0]?.uriTemplate, 'test://city/{name}', kind.name);
          const city = await client.readResource({ uri: 'test://city/bern' });
          assert.deepEqual(
            JSON.parse(String(city.contents[0]?.['text'])),
            { city: 'bern', people: 134_000 },
            kind.name,
          );
          await assert.rejects(client.readResource({ uri: 'test://nothing' }), kind.name);

          const { prompts } = await client.listPrompts();
          assert.deepEqual(
            prompts.map(({ name }) => name),
            ['peer__greet'],
            kind.name,
          );
          const prompt = await client.getPrompt({ name: 'peer__greet', arguments: { city: 'basel' } });
          assert.equal(prompt.messages.length, 1, kind.name);
          const byPrompt = await client.complete({
            ref: { type: 'ref/prompt', name: 'peer__greet' },
            argument: { name: 'city', value: 'b' },
          });
          assert.deepEqual(byPrompt.completion.values, ['basel', 'bern'], kind.name);
          const byTemplate = await client.complete({
            ref: { type: 'ref/resource', uri: 'test://city/{name}' },
            argument: { name: 'name', value: 'z' },
          });
          assert.deepEqual(byTemplate.completion.values, ['zurich'], kind.name);
        }
        assert.equal(server.calls('echo').length, clients.length, 'each call was executed once');
        assert.equal(server.calls('slow').length, clients.length, 'each call was executed once');
        assert.equal(await gateway.stop(), 0, gateway.output);
      });
    }
  });
}
