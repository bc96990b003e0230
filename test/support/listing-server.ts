/** A stdio MCP server whose tools are those of a JSON file, which is read at each list: `node listing-server.js FILE`. */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

interface Message {
  readonly id?: number | string;
  readonly method?: string;
}

const answers: Readonly<Record<string, () => unknown>> = {
  initialize: () => ({
    protocolVersion: '2025-11-25',
    capabilities: { tools: {} },
    serverInfo: { name: 'listing', version: '1' },
  }),
  'tools/list': () => ({ tools: JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) }),
  'tools/call': () => ({ content: [{ type: 'text', text: 'done' }] }),
  ping: () => ({}),
};

createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method = '' } = JSON.parse(line) as Message;
  if (id === undefined) return;
  const result = answers[method]?.();
  const answer = result === undefined ? { error: { code: -32601, message: 'Method not found' } } : { result };
  process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id, ...answer })}\n`);
});
