import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Exchange, type SessionLike } from '../../../src/request/exchange/index.js';
import { RecentClients } from '../../../src/upstream/core/recent-clients.js';

/** Clients 0 and 1 have sessions, 2 and 3 only a subject. */
const sessions = ['a', 'b'].map((id) => ({ id }) as unknown as SessionLike);
function callOf(client: number): Exchange {
  const exchange = new Exchange(0);
  if (client < 2) exchange.client.session = sessions[client]!;
  else exchange.verdict.subject[2] = client;
  return exchange;
}

test('a client is the only one when no other call ended within two seconds', () => {
  const step = fc.record({ client: fc.nat(3), wait: fc.nat(3_000) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), fc.nat(3), fc.nat(3_000), (steps, asked, wait) => {
      const recent = new RecentClients();
      const ends = new Map<number, number>();
      let now = 10_000;
      for (const { client, wait: before } of steps) {
        now += before;
        recent.ended(callOf(client), now);
        ends.set(client, now);
      }
      now += wait;
      const others = [...ends].filter(([client]) => client !== asked).map(([, at]) => now - at);
      assert.equal(
        recent.only(callOf(asked), now),
        others.every((age) => age >= 2_000),
      );
    }),
    { numRuns: 500 },
  );
});
