/** Many sessions at once whose clients choose the same ids: every answer reaches exactly its own caller. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startGateway } from '../support/gateway.js';
import { eventually } from '../support/process.js';
import { modernRpc, openSession } from '../support/rpc.js';
import { countingHttp, countingStdio } from '../support/upstreams.js';

const SESSIONS = 200;
const CALLS = 5;

describe('a crowd', () => {
  for (const frontEnd of ['uws', 'node'] as const) {
    it(`keeps ${SESSIONS} sessions with crossed ids apart, ${frontEnd} front end`, async (scope) => {
      const [child, http] = [await countingStdio(scope, 'legacy'), await countingHttp(scope, 'legacy')];
      const gateway = await startGateway(
        scope,
        { mcpServers: { child: child.entry, http: http.entry }, workers: 2 },
        { frontEnd },
      );
      const first = await openSession(gateway.url);
      await eventually('both upstreams are listed', async () => {
        const { message } = await first.request('tools/list');
        return (
          message.result.tools.some(({ name }: { name: string }) => name === 'http__echo') &&
          message.result.tools.some(({ name }: { name: string }) => name === 'child__echo')
        );
      });
      const sessions = await Promise.all(Array.from({ length: SESSIONS }, () => openSession(gateway.url)));
      assert.equal(new Set(sessions.map(({ id }) => id)).size, SESSIONS);
      let expected = 0;
      await Promise.all(
        sessions.map(async (session, number) => {
          for (let call = 0; call < CALLS; call += 1) {
            const server = (number + call) % 2 === 0 ? 'child' : 'http';
            const text = `session ${number} call ${call}`;
            // All sessions use the same few ids, as numbers and as strings.
            const id = call % 2 === 0 ? call : String(call);
            const reply = await session.request('tools/call', { name: `${server}__echo`, arguments: { text } }, { id });
            expected += 1;
            assert.equal(reply.status, 200, reply.text);
            assert.strictEqual(reply.message.id, id);
            assert.equal(reply.message.result?.content[0].text, text, reply.text);
          }
        }),
      );
      await Promise.all(
        Array.from({ length: SESSIONS }, async (_, number) => {
          const params = { name: 'child__echo', arguments: { text: `modern ${number}` } };
          const { message } = await modernRpc(gateway.url, 'tools/call', params, { id: 1 });
          expected += 1;
          assert.equal(message.result?.content[0].text, `modern ${number}`);
        }),
      );
      assert.equal(child.calls('echo').length + http.calls('echo').length, expected, 'each call was executed once');
    });
  }
});
