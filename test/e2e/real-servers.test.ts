/** The reference servers people really run, several at once behind one endpoint. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { startGateway } from '../support/gateway.js';
import { eventually, tempFolder } from '../support/process.js';
import { connectV1, connectV2 } from '../support/sdk-clients.js';
import { countingHttp, everythingHttp, everythingStdio, filesystemServer, memoryServer } from '../support/upstreams.js';

type Listed = { tools: { name: string }[] };
type Called = { content: { text: string }[] };

describe('the reference servers', () => {
  it('work together for SDK v1 and v2 clients', async (scope) => {
    const folder = await tempFolder(scope);
    await writeFile(join(folder, 'hello.txt'), 'hello from a file');
    const modern = await countingHttp(scope, 'modern');
    const gateway = await startGateway(scope, {
      mcpServers: {
        everything: everythingStdio(),
        remote: { url: (await everythingHttp(scope)).url },
        files: filesystemServer(folder),
        memory: await memoryServer(scope),
        modern: modern.entry,
      },
    });
    const clients = [
      await connectV1(scope, gateway.url),
      await connectV2(scope, gateway.url, 'legacy'),
      await connectV2(scope, gateway.url, 'modern'),
    ];
    for (const client of clients) {
      const names = await eventually(
        'all five servers are listed',
        async () => {
          const { tools } = (await client.listTools()) as Listed;
          const prefixes = new Set(tools.map(({ name }) => name.split('__')[0]));
          return prefixes.size === 5 ? tools.map(({ name }) => name) : null;
        },
        30_000,
      );
      assert.equal(new Set(names).size, names.length, 'names are unique');
      const text = async (name: string, args: Record<string, unknown>): Promise<string> =>
        ((await client.callTool({ name, arguments: args })) as Called).content[0]!.text;
      assert.match(await text('everything__echo', { message: 'one' }), /one/);
      assert.match(await text('remote__echo', { message: 'two' }), /two/);
      assert.equal(await text('files__read_text_file', { path: join(folder, 'hello.txt') }), 'hello from a file');
      assert.match(await text('memory__read_graph', {}), /entities/);
      assert.equal(await text('modern__echo', { text: 'five' }), 'five');
      // Explicit addresses work whatever the naming rule is.
      assert.match(await text('everything:echo', { message: 'six' }), /six/);
      assert.match(await text('everything__get-sum', { a: 40, b: 2 }), /42/);
    }
    assert.equal(await gateway.stop(), 0, gateway.output);
  });
});
