/** What a server asks when it starts reaches the one client that it belongs to, whose first call waits for the response. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { ListRootsRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { startGateway } from '../support/gateway.js';
import { type TestScope, tempFolder } from '../support/process.js';
import { rawUpstream } from '../support/raw-upstream.js';
import { connectV1, connectV2 } from '../support/sdk-clients.js';
import { filesystemServer } from '../support/upstreams.js';

/** The folder that clients name as their root, with one file; the server itself is started with another one. */
async function folders(scope: TestScope) {
  const [configured, root] = [await tempFolder(scope), await tempFolder(scope)];
  const file = join(root, 'note.txt');
  await writeFile(file, 'of the root');
  return { entry: filesystemServer(configured), file, roots: { roots: [{ uri: pathToFileURL(root).href }] } };
}

for (const frontEnd of ['uws', 'node'] as const) {
  for (const isolation of ['session', 'principal'] as const) {
    test(`the first call to a child with isolation ${isolation} finds the roots of its client (${frontEnd})`, async (t) => {
      const { entry, file, roots } = await folders(t);
      const mcpServers = { files: { ...entry, isolation } };
      const gateway = await startGateway(t, { mcpServers }, { frontEnd });
      const options = { capabilities: { roots: {} } };
      const [legacy, modern] = [
        await connectV1(t, gateway.url, options),
        await connectV2(t, gateway.url, 'modern', options),
      ];
      legacy.setRequestHandler(ListRootsRequestSchema, () => roots);
      modern.setRequestHandler('roots/list', () => roots);
      for (const client of [legacy, modern]) {
        const result = await client.callTool({ name: 'files__read_text_file', arguments: { path: file } });
        assert.match(JSON.stringify(result), /of the root/);
      }
    });
  }
}

/** A server of Streamable HTTP that asks for the roots on the standalone stream of each session, and answers calls with them. */
function askingHttp(scope: TestScope) {
  let answered: unknown = null;
  const ask = { jsonrpc: '2.0', id: 'opening', method: 'roots/list' };
  return rawUpstream(
    scope,
    ({ message }, answer) => {
      if (message.method === undefined) {
        if (message.result !== undefined) answered = message.result;
        answer.response.writeHead(202).end();
      } else {
        answer.result({ content: [{ type: 'text', text: JSON.stringify(answered) }] });
        answered = null;
      }
    },
    // A stream takes longer to open than a ping takes.
    { streams: (_, answer) => void setTimeout(() => answer.sse().event(ask), 100) },
  );
}

for (const [isolation, family] of [
  ['session', 'legacy'],
  ['principal', 'legacy'],
  ['principal', 'modern'],
] as const) {
  test(`the first call in a session over HTTP waits for what its server asked (${isolation}, ${family})`, async (t) => {
    const upstream = await askingHttp(t);
    const gateway = await startGateway(t, { mcpServers: { it: { url: upstream.url, isolation } } });
    const options = { capabilities: { roots: {} } };
    const roots = { roots: [{ uri: 'file:///of/the/client' }] };
    const expected = [{ type: 'text', text: JSON.stringify(roots) }];
    const call = { name: 'it__call', arguments: {} };
    if (family === 'legacy') {
      const client = await connectV1(t, gateway.url, options);
      client.setRequestHandler(ListRootsRequestSchema, () => roots);
      assert.deepEqual((await client.callTool(call)).content, expected);
    } else {
      const client = await connectV2(t, gateway.url, 'modern', options);
      client.setRequestHandler('roots/list', () => roots);
      // The session is opened for the lists first, where nobody can be asked.
      await client.listTools();
      assert.deepEqual((await client.callTool(call)).content, expected);
    }
  });
}
