/** Servers with protocol versions of their own, on every channel that calls share. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../../support/process.js';
import { startChannel } from '../channel-servers.js';

for (const transport of ['stdio', 'sse', 'websocket'] as const) {
  test(`${transport}: a server that announces an unknown version is served as the nearest older revision`, async (t) => {
    for (const [version, revision, servedAs] of [
      ['2025-01-01', 0, '2024-11-05'],
      ['2025-07-01', 2, '2025-06-18'],
      ['2031-01-01', 3, '2025-11-25'],
    ] as const) {
      const pool = await startChannel(t, transport, `announces:${version}`);
      assert.equal((await pool.ready()).revision, revision);
      const { response } = await pool.call('call', { a: 1 }).done;
      assert.deepEqual(response.result.content, [{ type: 'text', text: '{"a":1}' }]);
      const warnings = pool.log.filter(({ fields }) => fields['protocolVersion'] !== undefined);
      assert.deepEqual(
        warnings.map(({ level, fields }) => [level, fields['server'], fields['protocolVersion'], fields['servedAs']]),
        [['warn', pool.server().config.name, version, servedAs]],
      );
      await pool.pool.close(0);
    }
  });

  test(`${transport}: a server that refuses the newest revision is asked for older ones`, async (t) => {
    for (const [mode, revision] of [
      ['supports:2024-11-05', 0],
      ['supports:2025-06-18', 2],
      ['lists:2025-03-26', 1],
    ] as const) {
      const pool = await startChannel(t, transport, mode);
      assert.equal((await pool.ready()).revision, revision, mode);
      assert.equal((await pool.call('call', { a: 1 }).done).error, null);
      assert.equal(pool.server().endpoints[0]!.stats.restarts, 0);
      await pool.pool.close(0);
    }
  });

  test(`${transport}: the reason of a server that refuses all revisions names them`, async (t) => {
    for (const [mode, reason] of [
      ['lists:2031-01-01', /supports none of the protocol versions of the gateway, only 2031-01-01$/],
      ['supports:none', /each of the protocol versions 2025-11-25, 2025-06-18, 2025-03-26, 2024-11-05$/],
    ] as const) {
      const pool = await startChannel(t, transport, mode);
      const endpoint = pool.server().endpoints[0]!;
      await eventually('refused', () => reason.test(endpoint.reason));
      assert.equal((await pool.call('call').done).error, 'GW_UPSTREAM_NOT_CONNECTED');
      await pool.pool.close(0);
    }
  });
}
