/** Clients of every transport on upstreams of every kind, through a running gateway. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Client as ClientV2 } from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import {
  LoggingMessageNotificationSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { startGateway } from '../support/gateway.js';
import { eventually, type TestScope, tempFolder } from '../support/process.js';
import { sdkTransport, stdioTransport } from '../support/transports.js';
import { type CountingServer, countingHttp, countingStdio } from '../support/upstreams.js';

const upstreams = [
  { name: 'legacy HTTP', start: (scope: TestScope) => countingHttp(scope, 'legacy') },
  { name: 'modern HTTP', start: (scope: TestScope) => countingHttp(scope, 'modern') },
  { name: 'legacy stdio', start: (scope: TestScope) => countingStdio(scope, 'legacy') },
  { name: 'modern stdio', start: (scope: TestScope) => countingStdio(scope, 'modern') },
];

const textOf = (result: unknown): string => (result as { content: { text: string }[] }).content[0]!.text;

/** Everything that an SDK client of the older revisions does on one connection; `name` names the tool that it adds. */
async function exercise(
  scope: TestScope,
  transport: Transport,
  server: CountingServer<object>,
  name: string,
): Promise<void> {
  const hung = server.calls('hang').length;
  const client = new Client({ name: 'client', version: '1' });
  scope.after(() => client.close());
  await client.connect(transport);
  await eventually('the tools', async () => (await client.listTools()).tools.some(({ name }) => name === 'peer__echo'));
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, index) =>
      client.callTool({ name: 'peer__echo', arguments: { text: `text ${index}` } }),
    ),
  );
  assert.deepEqual(
    answers.map(textOf),
    answers.map((_, index) => `text ${index}`),
  );
  assert.equal(((await client.readResource({ uri: 'test://readme' })).contents[0] as { text: string }).text, 'read me');
  const prompt = await client.getPrompt({ name: 'peer__greet', arguments: { city: 'Bern' } });
  assert.match(JSON.stringify(prompt), /Greet the people of Bern/);

  const progress: number[] = [];
  await client.callTool({ name: 'peer__slow', arguments: { ms: 80, steps: 4 } }, undefined, {
    onprogress: (step) => progress.push(step.progress),
  });
  // This SDK forgets its listener with the answer, which the last reports may come together with.
  assert.ok(progress.length > 0);
  assert.deepEqual(progress, [1, 2, 3, 4].slice(0, progress.length));

  const lines: unknown[] = [];
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => {
    lines.push(params.data);
  });
  await client.setLoggingLevel('info');
  await client.callTool({ name: 'peer__log', arguments: { text: 'a line' } });
  await eventually('the log message', () => lines.length === 1);
  assert.deepEqual(lines, ['a line']);

  const leaving = new AbortController();
  const hanging = client.callTool({ name: 'peer__hang', arguments: {} }, undefined, { signal: leaving.signal });
  await eventually('the call arrived', () => server.calls('hang').length === hung + 1);
  leaving.abort('enough');
  await assert.rejects(hanging);
  await eventually('it was cancelled', () => server.calls('hang').length === hung + 2);

  let changes = 0;
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => {
    changes += 1;
  });
  await client.callTool({ name: 'peer__add_tool', arguments: { name: `from_${name}` } });
  await eventually('the notification of the change', () => changes > 0);
  assert.ok((await client.listTools()).tools.some((tool) => tool.name === `peer__from_${name}`));

  // The end of standard input is no cancellation: what was asked before is still answered.
  if (name === 'stdio') return;
  client.callTool({ name: 'peer__hang', arguments: {} }).catch(() => {});
  await eventually('another call arrived', () => server.calls('hang').length === hung + 3);
  await client.close();
  await eventually('the end of the connection cancelled it', () => server.calls('hang').length === hung + 4);
}

for (const upstream of upstreams) {
  describe(`SDK clients on a ${upstream.name} upstream`, () => {
    for (const frontEnd of ['uws', 'node'] as const) {
      it(`through WebSocket and HTTP with SSE on ${frontEnd}`, async (scope) => {
        const server = await upstream.start(scope);
        const gateway = await startGateway(scope, { mcpServers: { peer: server.entry } }, { frontEnd });
        for (const name of ['websocket', 'sse'] as const) {
          await exercise(scope, sdkTransport[name](gateway.origin), server, name);
        }
        for (const mode of ['legacy', 'auto', { pin: '2026-07-28' }] as const) {
          const client = new ClientV2({ name: 'client', version: '2' }, { versionNegotiation: { mode } });
          scope.after(() => client.close());
          await client.connect(sdkTransport.sseV2(gateway.origin));
          assert.ok((await client.listTools()).tools.some(({ name }) => name === 'peer__echo'));
          assert.equal(textOf(await client.callTool({ name: 'peer__echo', arguments: { text: 'v2' } })), 'v2');
        }
      });
    }

    it('through stdio', async (scope) => {
      const server = await upstream.start(scope);
      const configFile = join(await tempFolder(scope), 'switchyard.json');
      await writeFile(configFile, JSON.stringify({ mcpServers: { peer: server.entry } }));
      await exercise(scope, stdioTransport(configFile), server, 'stdio');
    });
  });
}
