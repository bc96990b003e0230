import { Concurrency, type ConcurrencyRules, type LimitedPlace } from '../../../src/request/exchange/concurrency.js';
import { Exchange } from '../../../src/request/exchange/index.js';
import { type Case, keep } from '../runner.js';

const CLIENTS = 64;

/** One call from its verdict to its end. @param max of each limit that there is; 0 = no limits */
function limitedCall(name: string, what: string, max: number): Case {
  return {
    name,
    what: `send: limits on calls at once, ${what}`,
    setup() {
      const concurrency = new Concurrency();
      const rules: ConcurrencyRules = { global: max, perClient: max, key: { by: 'principal' } };
      const route: LimitedPlace = { name: 'route', maxConcurrent: max };
      const server: LimitedPlace = { name: 'server', maxConcurrent: max };
      const exchanges = Array.from({ length: CLIENTS }, (_, client) => {
        const exchange = new Exchange(client);
        exchange.verdict.subject.fill(Math.imul(client + 1, 0x9e3779b1));
        return exchange;
      });
      return {
        run(times) {
          for (let i = 0; i < times; i++) {
            const { call, client, verdict } = exchanges[i % CLIENTS]!;
            if (concurrency.beginRequest(client, verdict.subject, rules, route, []) !== null)
              throw new Error('refused');
            if (!concurrency.beginCall(call, server)) throw new Error('refused');
            concurrency.endRequest(client);
            concurrency.endCall(call);
            keep(i);
          }
        },
      };
    },
  };
}

export const concurrencyCases: readonly Case[] = [
  limitedCall('concurrency off', 'none', 0),
  limitedCall('concurrency', 'four (all, client, route, server)', 1000),
];
