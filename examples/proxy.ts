/**
 * An MCP server on standard input and output, re-exposed on a port over every transport for clients:
 *
 *     node dist/examples/proxy.js COMMAND [ARGUMENTS]
 *
 * Without arguments it is the example with notes. SIGTERM and SIGINT stop it once the calls in flight are done.
 */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { createProxy } from '../src/index.js';

const notes = [process.execPath, fileURLToPath(new URL('./notes-server.js', import.meta.url))];
const [command, ...args] = process.argv.length > 2 ? process.argv.slice(2) : notes;

const proxy = createProxy({
  command: command ?? '',
  args,
  port: Number(process.env['PORT'] ?? 0),
  log: { level: 'warn' },
});
await proxy.start();
const url = new URL(proxy.url ?? '');
console.log(`Streamable HTTP  ${url.href}`);
console.log(`HTTP with SSE    ${url.origin}/sse`);
console.log(`WebSocket        ws://${url.host}/ws`);

await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
await proxy.stop();
