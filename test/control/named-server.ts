/** A stdio MCP server of 2025-11-25 that answers calls of its tool `who` with its name (first argument) and their text. */
import { createInterface } from 'node:readline';

interface Message {
  readonly id?: number | string;
  readonly method?: string;
  readonly params?: { readonly arguments?: { readonly text?: string; readonly waitMs?: number } };
}

const name = process.argv[2];

function answer(id: number | string, body: object): void {
  process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id, ...body })}\n`);
}

const results: Readonly<Record<string, unknown>> = {
  initialize: {
    protocolVersion: '2025-11-25',
    capabilities: { tools: {} },
    serverInfo: { name: 'named', version: '1' },
  },
  'tools/list': { tools: [{ name: 'who', inputSchema: { type: 'object' } }] },
  ping: {},
};

createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method = '', params } = JSON.parse(line) as Message;
  if (id === undefined) return;
  if (method === 'tools/call') {
    const { text = '', waitMs = 0 } = params?.arguments ?? {};
    const result = { content: [{ type: 'text', text: `${name} ${process.pid} ${text}` }] };
    setTimeout(() => answer(id, { result }), waitMs);
    return;
  }
  const result = results[method];
  answer(id, result === undefined ? { error: { code: -32601, message: 'Method not found' } } : { result });
});
