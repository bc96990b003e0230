import assert from 'node:assert/strict';
import { it } from 'node:test';
import { ConfigError, createGateway, defineConfig } from '../src/index.js';
import { eventually } from './support/process.js';
import { modernRpc } from './support/rpc.js';
import { countingStdio } from './support/upstreams.js';

it('runs within a program and leaves nothing behind', async (scope) => {
  const server = await countingStdio(scope, 'modern');
  const config = defineConfig({
    port: 0,
    admin: { port: 0 },
    log: { level: 'silent' },
    mcpServers: { peer: server.entry },
  });
  const gateway = await createGateway(config);
  const url = `http://127.0.0.1:${gateway.address.port}/mcp`;
  const call = { name: 'peer__echo', arguments: { text: 'from a program' } };
  await eventually('the call is answered', async () => {
    const { message } = await modernRpc(url, 'tools/call', call);
    return message.result?.content[0].text === 'from a program';
  });
  assert.ok(gateway.adminAddress !== null);
  const ended = gateway.stop();
  assert.equal(gateway.stop(), ended, 'a second call changes nothing');
  await ended;
  await assert.rejects(fetch(url));
});

it('refuses a configuration that cannot be used before anything starts', async () => {
  await assert.rejects(createGateway({ mcpServers: { a: {} } } as never), ConfigError);
});
