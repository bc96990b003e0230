import { decoder } from '../../../native/index.js';
import type { Snapshot } from '../../../src/config/snapshot/index.js';
import { Exchange } from '../../../src/request/exchange/index.js';
import { ExchangeTable } from '../../../src/request/exchange/table.js';
import { UpstreamPool } from '../../../src/upstream/pool.js';
import { snapshotOf } from '../fixture.js';
import { type Case, keep, type Operation } from '../runner.js';

/** The choice among ready endpoints of one server; nothing is connected. */
function choice(endpoints: number): Operation {
  const full = snapshotOf({});
  const [server] = full.servers;
  const [endpoint] = server!.endpoints;
  const snapshot: Snapshot = {
    ...full,
    servers: [{ ...server!, endpoints: Array.from({ length: endpoints }, () => endpoint!) }],
  };
  const ignore = () => {};
  const pool = new UpstreamPool({
    config: { current: snapshot },
    table: new ExchangeTable(16),
    decoder,
    sink: {
      message: ignore,
      failed: ignore,
      serverRequest: ignore,
      serverNotification: ignore,
      disconnected: ignore,
      largeStart: () => false,
      largePart: ignore,
      largeEnd: ignore,
    },
    events: {
      discovered: ignore,
      resourceUpdated: ignore,
      ownListsChanged: ignore,
      taskChanged: ignore,
      stateChanged: ignore,
      loggedIn: ignore,
      replaced: ignore,
    },
    log: { info: ignore, warn: ignore },
  });
  const upstream = pool.servers[0]!;
  for (const each of upstream.endpoints) each.state = 'ready';
  const exchange = new Exchange(0);
  return {
    run(times) {
      for (let i = 0; i < times; i++) keep(upstream.choose(exchange)!.index);
    },
  };
}

export const checkoutCases: readonly Case[] = [
  {
    name: 'connection checkout',
    what: 'send: the endpoint for a call, state and breaker looked at, 1 endpoint',
    goalNs: 10,
    setup: () => choice(1),
  },
  {
    name: 'connection checkout of 3',
    what: 'send: the same among 3 endpoints, weighted round robin',
    setup: () => choice(3),
  },
];
