import assert from 'node:assert/strict';
import { test } from 'node:test';
import { snapshotOfObject } from '../support.js';

test('isolation defaults to auto where a child or connection can be dedicated to a client', () => {
  const rows: readonly (readonly [entry: object, isolation: string])[] = [
    [{ command: 'node' }, 'auto'],
    [{ url: 'http://127.0.0.1:1/sse', type: 'sse' }, 'auto'],
    [{ url: 'ws://127.0.0.1:1/' }, 'auto'],
    [{ url: 'http://127.0.0.1:1/mcp' }, 'auto'],
    [{ url: 'http://127.0.0.1:1/mcp', type: 'http' }, 'shared'],
    [{ endpoints: [{ command: 'node' }, { command: 'node' }] }, 'shared'],
    [{ endpoints: [{ command: 'node' }] }, 'auto'],
    [{ command: 'node', isolation: 'shared' }, 'shared'],
    [{ command: 'node', isolation: 'principal' }, 'principal'],
  ];
  for (const [entry, isolation] of rows) {
    assert.equal(
      snapshotOfObject({ mcpServers: { it: entry } }).servers[0]?.isolation,
      isolation,
      JSON.stringify(entry),
    );
  }
});
