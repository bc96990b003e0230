import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../support/process.js';
import { countingHttp, countingStdio, everythingHttp, everythingStdio } from '../support/upstreams.js';
import { httpOf, namesOf, serverOf, startPool, stdioOf } from './fixture.js';

for (const family of ['legacy', 'modern'] as const) {
  test(`a ${family} stdio server is initialized, discovered and called`, async (t) => {
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

  test(`a ${family} HTTP server is initialized, discovered and called`, async (t) => {
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

for (const family of ['legacy', 'modern'] as const) {
  for (const transport of ['stdio', 'http'] as const) {
    test(`${family} ${transport}: a cancelled call is cancelled in the server too`, async (t) => {
      const server = transport === 'stdio' ? await countingStdio(t, family) : await countingHttp(t, family);
      const { entry } = server;
      const endpoint = 'url' in entry ? httpOf(entry.url) : stdioOf(entry.command, entry.args, entry.env);
      const pool = startPool(t, [serverOf([endpoint])]);
      await pool.ready();
      const { exchange } = pool.call('hang');
      await eventually('the call arrived', () => server.calls('hang').length === 1);
      pool.server().endpoints[0]!.cancel(exchange);
      await eventually('the call is cancelled', () => server.calls('hang').some(({ event }) => event === 'cancelled'));
      assert.equal(pool.pool.inFlight, 0);
    });

    test(`${family} ${transport}: progress and log messages reach the call`, async (t) => {
      const { entry } = transport === 'stdio' ? await countingStdio(t, family) : await countingHttp(t, family);
      const endpoint = 'url' in entry ? httpOf(entry.url) : stdioOf(entry.command, entry.args, entry.env);
      const pool = startPool(t, [serverOf([endpoint])]);
      await pool.ready();
      const slow = await pool.call('slow', { ms: 40, steps: 4 }, { progress: true }).done;
      assert.deepEqual(
        slow.notifications.map(({ params }) => params.progress),
        [1, 2, 3, 4],
      );
      const log = await pool.call('log', { text: 'said' }).done;
      assert.deepEqual(
        log.notifications.map(({ params }) => params.data),
        ['said'],
      );
    });
  }
}
