/** A server may have any number of endpoints. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startGateway } from '../support/gateway.js';
import { eventually } from '../support/process.js';
import { rawUpstream } from '../support/raw-upstream.js';
import { modernRpc } from '../support/rpc.js';

const COUNT = 100;

test('of 100 endpoints of which 99 fail, the last one answers, and each of the others was asked once', async (t) => {
  const failed: string[] = [];
  const upstream = await rawUpstream(t, ({ path }, answer) => {
    if (failed.length === COUNT - 1) {
      answer.result({ content: [{ type: 'text', text: path }] });
      return;
    }
    failed.push(path);
    answer.response.writeHead(503).end();
  });
  const endpoints = Array.from({ length: COUNT }, (_, index) => ({ url: `${upstream.url}/${index}` }));
  const gateway = await startGateway(t, { mcpServers: { raw: { endpoints, transport: 'http' } } });
  await eventually('all endpoints ready', async () => {
    const stats = (await (await fetch(`${gateway.adminUrl}/stats`)).json()) as {
      upstreams: { endpoints: { state: string }[] }[];
    };
    return stats.upstreams[0]!.endpoints.filter(({ state }) => state === 'ready').length === COUNT;
  });
  const { message } = await modernRpc(gateway.url, 'tools/call', { name: 'raw__read', arguments: {} });
  const text: string = message.result.content[0].text;
  assert.equal(new Set([...failed, text]).size, COUNT);
});
