import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startProcess } from '../support/process.js';
import { connectV1 } from '../support/sdk-clients.js';

const example = (name: string): string => fileURLToPath(new URL(`../../examples/${name}.js`, import.meta.url));

test('a gateway in a program serves a client in it, and keeps what a server knows over a reload', async (t) => {
  const program = startProcess(t, process.execPath, [example('embedded')]);
  assert.deepEqual(await program.exited, { code: 0, signal: null }, program.output);
  const [tools, found, health, requests, ...more] = program.stdout.trimEnd().split('\n');
  assert.match(tools!, /^tools: (?=.*\bwork__search_notes\b)(?=.*\bhome__add_note\b)/);
  assert.equal(found, 'found: {"titles":["milk"]}');
  assert.match(health!, /^home: ready, \d{4}-\d\d-\d\d, 0 in flight$/);
  assert.match(requests!, /^requests: [1-9]\d*, failed: 0$/);
  assert.deepEqual(more, []);
});

test('a program is re-exposed on a port', async (t) => {
  const program = startProcess(t, process.execPath, [example('proxy')]);
  const [, url] = await program.waitForLine(/^Streamable HTTP +(\S+)$/);
  await program.waitForLine(/^WebSocket +ws:\S+\/ws$/);
  const client = await connectV1(t, url!);
  const { tools } = await client.listTools();
  assert.ok(tools.some(({ name }) => name === 'list_notes'));
  await client.close();
  assert.deepEqual(await program.stop('SIGINT'), { code: 0, signal: null });
});
