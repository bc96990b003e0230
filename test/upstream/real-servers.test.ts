import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countingHttp, countingStdio, everythingHttp, everythingStdio } from '../support/upstreams.js';
import { httpOf, namesOf, serverOf, startPool, stdioOf } from './harness.js';

for (const family of ['legacy', 'modern'] as const) {
  test(`a ${family} stdio server is greeted, discovered and called`, async (t) => {
    const { entry } = await countingStdio(t, family);
    const pool = startPool(t, [serverOf([stdioOf(entry.command, entry.args, entry.env)])]);
    const discovery = await pool.ready();
    assert.equal(discovery.era, family === 'modern' ? 1 : 0);
    assert.ok(namesOf(discovery.tools).includes('echo'));
    assert.deepEqual(namesOf(discovery.prompts), ['greet']);
    assert.deepEqual(namesOf(discovery.resources), ['readme']);
    assert.deepEqual(namesOf(discovery.templates), ['city']);
    const { response, reports } = await pool.call('echo', { text: 'grüße' }).done;
    assert.equal(response.result.content[0].text, 'grüße');
    assert.equal(reports, 1);
  });

  test(`a ${family} HTTP server is greeted, discovered and called`, async (t) => {
    const { url } = await countingHttp(t, family);
    const pool = startPool(t, [serverOf([httpOf(url)])]);
    const discovery = await pool.ready();
    assert.equal(discovery.era, family === 'modern' ? 1 : 0);
    assert.ok(namesOf(discovery.tools).includes('echo'));
    assert.deepEqual(namesOf(discovery.templates), ['city']);
    const { response, reports } = await pool.call('echo', { text: 'grüße' }).done;
    assert.equal(response.result.content[0].text, 'grüße');
    assert.equal(reports, 1);
  });
}

test('the reference server works over stdio', async (t) => {
  const { command, args } = everythingStdio();
  const pool = startPool(t, [serverOf([stdioOf(command, args)])]);
  const discovery = await pool.ready();
  assert.ok(namesOf(discovery.tools).includes('echo'));
  const { response } = await pool.call('echo', { message: 'hello' }).done;
  assert.match(response.result.content[0].text, /hello/);
});

test('the reference server works over HTTP', async (t) => {
  const { url } = await everythingHttp(t);
  const pool = startPool(t, [serverOf([httpOf(url)])]);
  const discovery = await pool.ready();
  assert.ok(namesOf(discovery.tools).includes('echo'));
  const { response } = await pool.call('echo', { message: 'hello' }).done;
  assert.match(response.result.content[0].text, /hello/);
});
