/** Whatever happens to calls, no limit is exceeded, and no count is left when they have ended. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { ClientKey } from '../../../src/config/snapshot/index.js';
import { Caller, NOBODY, Scheme } from '../../../src/request/exchange/caller.js';
import { Concurrency } from '../../../src/request/exchange/concurrency.js';
import { handOver } from '../../../src/request/exchange/handover.js';
import type { Exchange } from '../../../src/request/exchange/index.js';
import { ExchangeTable } from '../../../src/request/exchange/table.js';

const NOTHING = { global: 0, clients: 0, routes: 0, servers: 0 };
const NAMES = ['first', 'second', 'third'];
const ANONYMOUS = Int32Array.of(0, 0, 0, 0);

interface Life {
  readonly exchange: Exchange;
  /** Who is counted; null = its client is answered or was refused. */
  client: string | null;
  route: string | null;
  server: string | null;
}

const KEYS: readonly ClientKey[] = [{ by: 'principal' }, { by: 'address' }, { by: 'header', attribute: 1 }];

const addressOf = (client: number): string => (client < 4 ? '10.0.0.1' : `10.0.0.${client}`);
/** A value that is the address of another client, which it is not to be taken for. */
const headerOf = (client: number): string => `10.0.0.${client < 4 ? 4 : 6}`;
const callerWith = (header: string): Caller => new Caller('', Scheme.none, 0, ['x', header, 'y'].join('\n'), NAMES);

/** What tells a client apart from the others. */
function nameBy({ by }: ClientKey, client: number): string {
  if (by === 'header' && client % 2 === 1) return `header ${headerOf(client)}`;
  return client < 4 && by !== 'address' ? `subject ${client}` : addressOf(client);
}

const step = fc.record({
  action: fc.constantFrom('begin', 'begin', 'begin', 'send', 'suspend', 'resume', 'end', 'end'),
  pick: fc.nat(1_000),
  /** Clients 0 to 3 have a subject, 4 to 7 only an address, and the odd ones of both a header. */
  client: fc.nat(7),
  route: fc.constantFrom(null, 'a', 'b'),
  server: fc.constantFrom('x', 'y', 'free'),
});

describe('calls at once', () => {
  it('never exceed a limit, are refused only at one, and leave no count behind', () => {
    fc.assert(
      fc.property(
        fc.record({ global: fc.nat(6), perClient: fc.nat(3), key: fc.constantFrom(...KEYS) }),
        fc.record({ a: fc.nat(3), b: fc.nat(3), x: fc.nat(3), y: fc.nat(3) }),
        fc.array(step, { maxLength: 120 }),
        (rules, limits, steps) => {
          const table = new ExchangeTable(32);
          const { concurrency } = table;
          const lives: Life[] = [];
          const places: Record<string, number> = { ...limits, free: 0 };
          const count = (key: 'client' | 'route' | 'server', value: string): number =>
            lives.filter((life) => life[key] === value).length;

          for (const { action, pick, client, route, server } of steps) {
            const life = lives[pick % Math.max(1, lives.length)];
            if (action === 'begin') {
              const exchange = table.acquire();
              if (exchange === null) continue;
              const name = nameBy(rules.key, client);
              exchange.client.remoteAddress = addressOf(client);
              exchange.client.caller = callerWith(client % 2 === 0 ? '' : headerOf(client));
              exchange.verdict.subject.set(client < 4 ? [7, 7, 7, client + 1] : ANONYMOUS);
              const place = route === null ? null : { name: route, maxConcurrent: places[route]! };
              const full = concurrency.beginRequest(exchange.client, exchange.verdict.subject, rules, place, NAMES);
              const isGlobal =
                rules.global > 0 && lives.filter((other) => other.client !== null).length >= rules.global;
              const isRoute = route !== null && places[route]! > 0 && count('route', route) >= places[route]!;
              const isClient = rules.perClient > 0 && count('client', name) >= rules.perClient;
              assert.equal(full !== null, isGlobal || isRoute || isClient, `refused by ${full}`);
              if (full === null) lives.push({ exchange, client: name, route, server: null });
              else table.release(exchange);
            } else if (life === undefined) {
            } else if (action === 'send') {
              const isFull =
                places[server]! > 0 && life.server !== server && count('server', server) >= places[server]!;
              const isCounted = concurrency.beginCall(life.exchange.call, {
                name: server,
                maxConcurrent: places[server]!,
              });
              assert.equal(isCounted, !isFull);
              if (isCounted) life.server = server;
            } else if (action === 'suspend') {
              table.suspended(life.exchange);
              life.client = null;
              life.route = null;
            } else if (action === 'resume') {
              const retry = lives.find((other) => other !== life && other.client !== null);
              if (life.client !== null || retry === undefined) continue;
              handOver(retry.exchange, life.exchange);
              life.client = retry.client;
              life.route = retry.route;
              table.release(retry.exchange);
              lives.splice(lives.indexOf(retry), 1);
            } else {
              table.release(life.exchange);
              lives.splice(lives.indexOf(life), 1);
            }
          }
          const clients = new Set(lives.flatMap(({ client }) => client ?? []));
          assert.equal(concurrency.counts.clients, rules.perClient > 0 ? clients.size : 0);
          for (const { exchange } of lives) table.release(exchange);
          assert.deepEqual(concurrency.counts, NOTHING);
        },
      ),
      { numRuns: 400 },
    );
  });

  it('of a thousand clients are told apart, in whatever order they end', () => {
    const concurrency = new Concurrency();
    const requests = Array.from({ length: 10_000 }, (_, index) => ({
      remoteAddress: `10.1.${index >> 8}.${index & 255}`,
      caller: NOBODY,
      countedGlobally: false,
      countedClient: null,
      countedRoute: null,
    }));
    const rules = { global: 0, perClient: 1, key: { by: 'principal' } } as const;
    for (const request of requests)
      assert.equal(concurrency.beginRequest(request, ANONYMOUS, rules, null, NAMES), null);
    const again = { ...requests[5_000]!, countedClient: null };
    assert.equal(concurrency.beginRequest(again, ANONYMOUS, rules, null, NAMES), 'client');
    assert.equal(concurrency.counts.clients, requests.length);
    for (const request of requests.filter((_, index) => index % 3 === 1)) concurrency.endRequest(request);
    for (const request of requests) concurrency.endRequest(request);
    assert.deepEqual(concurrency.counts, NOTHING);
  });

  it('follow a limit that a reload changes or removes', () => {
    const table = new ExchangeTable(4);
    const [first, second] = [table.acquire()!, table.acquire()!];
    const { concurrency } = table;
    assert.equal(concurrency.beginCall(first.call, { name: 'x', maxConcurrent: 1 }), true);
    assert.equal(concurrency.beginCall(second.call, { name: 'x', maxConcurrent: 1 }), false);
    assert.equal(concurrency.beginCall(second.call, { name: 'x', maxConcurrent: 2 }), true);
    assert.equal(concurrency.beginCall(first.call, { name: 'x', maxConcurrent: 0 }), true);
    table.release(first);
    table.release(second);
    assert.deepEqual(concurrency.counts, NOTHING);
  });
});
