/**
 * A gateway inside a program, with a client in the same process and no port: two servers, one client, a reload.
 *
 *     node dist/examples/embedded.js
 */
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { createGateway, defineConfig } from '../src/index.js';

const notes = { command: process.execPath, args: [fileURLToPath(new URL('./notes-server.js', import.meta.url))] };
const base = { port: false, admin: false, log: { level: 'warn' } } as const;

const gateway = createGateway(defineConfig({ ...base, mcpServers: { work: notes, home: notes } }));
await gateway.start();

const client = new Client({ name: 'embedded-example', version: '1.0.0' });
await client.connect(gateway.connect());
const { tools } = await client.listTools();
console.log(`tools: ${tools.map(({ name }) => name).join(', ')}`);

await client.callTool({ name: 'home__add_note', arguments: { title: 'milk', text: 'two bottles' } });

// What is written at home stays there, also over a reload that takes the other server away.
await gateway.reload({ ...base, mcpServers: { home: { ...notes, exclude: ['add_*'] } } });
const found = await client.callTool({ name: 'home__search_notes', arguments: { word: 'bottles' } });
console.log(`found: ${JSON.stringify(found.structuredContent)}`);

for (const { name, endpoints } of gateway.upstreamHealth()) {
  for (const { state, revision, inFlight } of endpoints)
    console.log(`${name}: ${state}, ${revision}, ${inFlight} in flight`);
}
const { requests } = await gateway.stats();
console.log(`requests: ${requests.total}, failed: ${requests.failed}`);
await gateway.stop();
