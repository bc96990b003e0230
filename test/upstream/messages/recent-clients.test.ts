import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Exchange, type SessionLike } from '../../../src/request/exchange/index.js';
import { RecentClients } from '../../../src/upstream/messages/recent-clients.js';

/** Clients 0 and 1 have sessions and one subject, 2 and 3 only a subject. */
const sessions = ['a', 'b'].map((id) => ({ id }) as unknown as SessionLike);
function callOf(client: number): Exchange {
  const exchange = new Exchange(0);
  if (client < 2) exchange.client.session = sessions[client]!;
  else exchange.verdict.subject[2] = client;
  return exchange;
}

for (const clients of ['session', 'subject'] as const)
  test(`by ${clients}: a client is the only one when no call of another ended within two seconds`, () => {
    const step = fc.record({ client: fc.nat(3), wait: fc.nat(3_000) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), fc.nat(3), fc.nat(3_000), (steps, asked, wait) => {
        const recent = new RecentClients(clients);
        const ends = new Map<number, number>();
        let now = 10_000;
        const clientOf = (number: number) => (clients === 'subject' && number < 2 ? 0 : number);
        for (const { client, wait: before } of steps) {
          now += before;
          recent.ended(callOf(client), now);
          ends.set(clientOf(client), now);
        }
        now += wait;
        const others = [...ends].filter(([client]) => client !== clientOf(asked)).map(([, at]) => now - at);
        assert.equal(
          recent.only(callOf(asked), now),
          others.every((age) => age >= 2_000),
        );
      }),
      { numRuns: 500 },
    );
  });
