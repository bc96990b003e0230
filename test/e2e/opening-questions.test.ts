/** What a dedicated child asks when it starts reaches its one client, and the client's first call waits for the response. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { ListRootsRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { startGateway } from '../support/gateway.js';
import { type TestScope, tempFolder } from '../support/process.js';
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
