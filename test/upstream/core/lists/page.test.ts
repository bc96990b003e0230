import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { decoder } from '../../../../native/index.js';
import { ControlPool } from '../../../../src/control/threads/pool.js';
import { Era } from '../../../../src/protocol/revisions.js';
import { packedCount, packedText } from '../../../../src/shared/packed.js';
import { type Background, inlineBackground } from '../../../../src/upstream/core/background.js';
import type { Handshake } from '../../../../src/upstream/core/handshake.js';
import { LARGE_PAGE, readPage } from '../../../../src/upstream/core/lists/page.js';
import { discover } from '../../../../src/upstream/discovery/index.js';
import { startProcess } from '../../../support/process.js';
import { httpOf, LIMITS, replyOf, serverOf, startPool } from '../../fixture.js';

const program = fileURLToPath(new URL('../../../support/flooding-server.js', import.meta.url));

const handshake: Handshake = {
  era: Era.legacy,
  revision: 3,
  capabilities: { tools: {} },
  instructions: null,
  serverInfo: null,
  ttlMs: 0,
  unknownVersion: '',
  versionHeader: '',
  sessionId: '',
};

/** Pages of this many tools each, read with `background`. */
async function read(pages: readonly number[], background: Background) {
  let number = 0;
  const tools = (count: number): object[] =>
    Array.from({ length: count }, () => ({ name: `tool${number++}`, description: 'grün'.repeat(50) }));
  const answers = pages.map((count, index) => ({
    result: { tools: tools(count), ...(index + 1 < pages.length ? { nextCursor: `${index + 1}\u00e9` } : {}) },
  }));
  let asked = 0;
  const channel = { request: () => Promise.resolve(replyOf(answers[asked++]!)) };
  const source = { server: 0, transport: 'stdio' as const, handshake, channel, background };
  const fail = () => assert.fail();
  const report = { truncated: fail, repeated: fail, dropped: fail, partial: fail };
  return (await discover(source, LIMITS, 1_000, report)).discovery;
}

test('large pages are read in another thread, with the same result', async (t) => {
  const pool = new ControlPool();
  t.after(() => pool.close());
  const sizes: number[] = [];
  const threaded: Background = {
    scanResponse: (bytes) => pool.scanResponse(bytes),
    readPage: (source) => {
      sizes.push(source.bytes.length);
      return pool.readPage(source);
    },
  };
  const pages = [10, 3_000, 0, 2_000];
  const [a, b] = [await read(pages, threaded), await read(pages, inlineBackground(decoder))];
  assert.equal(sizes.length, 2, 'only the large ones');
  assert.ok(sizes.every((size) => size > LARGE_PAGE));
  assert.equal(packedCount(a.tools), 5_010);
  for (const index of [0, 9, 10, 3_009, 3_010, 5_009]) {
    assert.equal(JSON.parse(packedText(a.tools, index)).name, `tool${index}`);
    assert.equal(packedText(a.tools, index), packedText(b.tools, index));
  }
});

test('a large answer over HTTP is scanned in another thread, and refused there if it is none', async (t) => {
  const running = startProcess(t, process.execPath, [program, 'http', '--send', 'none', '--tools', '5000']);
  const [, host] = await running.waitForLine(/^listening on http:\/\/(\S+)/);
  const pool = startPool(t, [serverOf([httpOf(`http://${host}/mcp`)])]);
  const { tools } = await pool.ready();
  assert.equal(packedCount(tools), 5_003);
  assert.equal(JSON.parse(packedText(tools, 5_002)).name, 'tool4999');
  const control = new ControlPool();
  t.after(() => control.close());
  const shared = (text: string): Uint8Array => {
    const bytes = Buffer.from(text);
    const memory = new Uint8Array(new SharedArrayBuffer(bytes.length));
    memory.set(bytes);
    return memory;
  };
  assert.equal(await control.scanResponse(shared('{"jsonrpc":"2.0","id":1,"result":')), null);
  assert.equal(await control.scanResponse(shared('{"jsonrpc":"2.0","method":"x"}')), null);
  assert.ok(await control.scanResponse(shared('{"jsonrpc":"2.0","id":1,"result":{}}')));
});

test('a page with two lists counts with the last one, one without a list is empty, and one with another type has none', () => {
  const page = (text: string) =>
    readPage({ bytes: Buffer.from(text), result: 0, key: 'tools', maxItems: 2, checkHeaders: false });
  for (const empty of ['{"other":[]}', '{}', '{"tools":null}', '{"tools":[1],"tools":null}']) {
    assert.equal(packedCount(page(empty).items!), 0, empty);
  }
  for (const last of [
    '{"nextCursor":""}',
    '{"nextCursor":null}',
    '{"nextCursor":1}',
    '{"nextCursor":"2","nextCursor":""}',
  ]) {
    assert.equal(page(last).cursor, null, last);
  }
  assert.equal(page('{"nextCursor":" "}').cursor, ' ');
  for (const other of ['{"tools":1}', '{"tools":"none"}', '{"tools":false}']) assert.equal(page(other).items, null);
  assert.equal(page('{"tools":{}}').items, null);
  assert.equal(page('[]').items, null);
  const { items, full } = page('{"tools":[1,2,3],"tools":[4 , {"a":[5]}]}');
  assert.deepEqual(
    [0, 1].map((index) => packedText(items!, index)),
    ['4', '{"a":[5]}'],
  );
  assert.equal(full, false);
  assert.equal(page('{"tools":[1,2,3]}').full, true);
});
