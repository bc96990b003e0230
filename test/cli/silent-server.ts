/** A stdio MCP server that lists one tool and never answers a call of it. */
import { createInterface } from 'node:readline';

interface Message {
  readonly id?: number | string;
  readonly method?: string;
}

const results: Readonly<Record<string, unknown>> = {
  initialize: {
    protocolVersion: '2025-11-25',
    capabilities: { tools: {} },
    serverInfo: { name: 'silent', version: '1' },
  },
  'tools/list': { tools: [{ name: 'wait', inputSchema: { type: 'object' } }] },
  ping: {},
};

createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method = '' } = JSON.parse(line) as Message;
  if (method === 'tools/call') process.stderr.write('silent server called\n');
  if (id === undefined || method === 'tools/call') return;
  const result = results[method];
  const answer = result === undefined ? { error: { code: -32601, message: 'Method not found' } } : { result };
  process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id, ...answer })}\n`);
});
