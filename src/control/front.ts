/**
 * Assembles the request path on the main thread: the stages decode, dispatch, send and write around one exchange table,
 * with server requests, subscriptions and sessions beside them.
 */

import { decoder } from '../../native/index.js';
import { CatalogHistory } from '../catalog/history.js';
import type { Catalog } from '../catalog/index.js';
import type { PreparedCatalog } from '../catalog/prepared.js';
import type { CurrentConfig } from '../config/snapshot/current.js';
import type { Snapshot } from '../config/snapshot/index.js';
import { CallLimits } from '../request/call-limits.js';
import { Cancellation } from '../request/cancellation.js';
import { DecodeStage } from '../request/decode/index.js';
import { Dispatcher } from '../request/dispatch/index.js';
import type { ExchangeTable } from '../request/exchange/table.js';
import type { OverloadGuard } from '../request/overload/guard.js';
import { Shedding } from '../request/overload/index.js';
import { Pipeline } from '../request/pipeline.js';
import { SendStage } from '../request/send/index.js';
import { TakenTokens } from '../request/taken-tokens.js';
import { FirstLists } from '../request/write/first-lists.js';
import { WriteStage } from '../request/write/index.js';
import { LimitFields } from '../request/write/limit-fields.js';
import { LocalAnswers } from '../request/write/local.js';
import { ServerRequests } from '../server-requests/index.js';
import { InputRounds } from '../server-requests/input-rounds.js';
import { LoginNotices } from '../server-requests/login-notices.js';
import { ParkedCalls } from '../server-requests/parked/index.js';
import { PolledTasks } from '../server-requests/polled-tasks.js';
import { ServerRequestRouter } from '../server-requests/router.js';
import { AwaitedTasks } from '../session/awaited-tasks.js';
import { HandleSealer } from '../session/handles.js';
import { Rights } from '../session/rights.js';
import type { SessionTable } from '../session/sessions.js';
import type { StandaloneStreams } from '../session/streams/index.js';
import { KeepAlive } from '../session/streams/keep-alive.js';
import { StreamRequests } from '../session/streams/requests.js';
import { TaskRoutes } from '../session/tasks.js';
import { Access } from '../subscriptions/access.js';
import { Subscriptions } from '../subscriptions/index.js';
import type { UpstreamPool } from '../upstream/pool.js';
import type { Accounting } from './accounting.js';
import { ClientListSets } from './client-lists.js';
import { ExchangeOwners } from './exchange-owners.js';
import type { FrontLog } from './front-log.js';
import { Identity } from './identity.js';
import type { Readiness } from './readiness.js';
import { RouteHistory } from './route-history.js';
import { SessionEnds } from './session-ends.js';
import type { UpstreamMessages } from './upstreams/messages.js';
import type { WorkerPool } from './worker-pool.js';

/** The parts that the front shares with the rest of the gateway. */
export interface FrontParts {
  readonly config: CurrentConfig;
  readonly log: FrontLog;
  readonly table: ExchangeTable;
  readonly pool: WorkerPool;
  readonly catalog: Catalog;
  readonly upstreams: UpstreamPool;
  readonly sink: UpstreamMessages;
  readonly sessions: SessionTable;
  readonly streams: StandaloneStreams;
  readonly accounting: Accounting;
  readonly readiness: Readiness;
  readonly guard: OverloadGuard;
}

/** The assembled front; see the file comment. One per gateway. */
export class Front {
  readonly pipeline: Pipeline;
  readonly dispatch: Dispatcher;
  readonly write: WriteStage;
  readonly requests: ServerRequests;
  readonly parked: ParkedCalls;
  readonly subscriptions: Subscriptions;
  readonly logins: LoginNotices;
  readonly #config: CurrentConfig;
  readonly #identity: Identity;
  readonly #routes: RouteHistory;
  readonly #catalogs = new CatalogHistory();
  readonly #accounting: Accounting;
  readonly #handles: readonly HandleSealer[];
  readonly #router: ServerRequestRouter;
  readonly #rights: Rights;
  readonly #keepAlive: KeepAlive;
  readonly #firstLists: FirstLists;

  constructor(parts: FrontParts) {
    const { accounting, catalog, config, guard, log, pool, readiness, sessions, sink, streams, table, upstreams } =
      parts;
    const { limits, sessions: sealing } = config.current;
    this.#config = config;
    this.#accounting = accounting;

    // Data that the stages read.
    const identity = new Identity(config, upstreams);
    const routes = new RouteHistory(config);
    const catalogs = this.#catalogs;
    const exchanges = new ExchangeOwners(table, streams);
    const taskHandles = new HandleSealer(sealing.secrets, 'task', 'sy1t.');
    const parkedHandles = new HandleSealer(sealing.secrets, 'parked call', 'sy1p.');

    // The stages after the verdict.
    const dispatch = new Dispatcher({ table, pool, decoder });
    const write = new WriteStage({
      config,
      identity,
      catalogs,
      cache: dispatch,
      limits: new LimitFields(pool),
      log: streams.log,
      routes,
      accounting,
      exchanges,
    });
    const awaitedTasks = new AwaitedTasks(config);
    const tokens = new TakenTokens(pool);
    const send = new SendStage({
      upstreams,
      routes,
      catalogs,
      counters: pool.counters,
      concurrency: table.concurrency,
      tokens,
      awaitedTasks,
      write,
    });

    // Server requests and subscriptions.
    const access = new Access({ config, policy: dispatch, log });
    const tasks = new TaskRoutes({
      handles: taskHandles,
      upstreams,
      decoder,
      tools: catalogs,
      send,
      write,
      sessions,
      streams,
      access,
    });
    const requests = new ServerRequests({ config, table, sessions, write, streams, upstreams });
    const rounds = new InputRounds({ config, requests, decoder, log: streams.log, send, write });
    const polledTasks = new PolledTasks({ config, upstreams, decoder, rounds, write });
    const parked = new ParkedCalls({ config, table, handles: parkedHandles, identity, write, upstreams });
    const logins = new LoginNotices({ sessions, streams });
    const router = new ServerRequestRouter({ requests, rounds, logins, parked, tasks });
    const subscriptions = new Subscriptions({
      config,
      longLived: streams.longLived,
      upstreams,
      access,
      catalog,
      sessions,
      tasks,
      write,
      table,
      identity,
      streams,
      log,
    });

    // The end of sessions, streams, rights and cancelled requests.
    const ends = new SessionEnds({ write, sessions, streams, requests, subscriptions, upstreams });
    const rights = new Rights({ config, epochs: pool.epochs, policy: dispatch, subscriptions, listener: ends, log });
    const cancellation = new Cancellation({ table, dispatch, write, streams: ends });

    // The stages before the verdict, and the pipeline that joins all stages.
    const streamRequests = new StreamRequests({ sessions, streams, write, table });
    const local = new LocalAnswers({
      config,
      write,
      catalog,
      catalogs,
      dispatch,
      listSets: new ClientListSets({ upstreams, catalog, send }),
      sessions,
      ends,
      streams: streamRequests,
      calls: cancellation,
      requests,
      subscriptions,
      tasks,
      upstreams,
    });
    this.#firstLists = new FirstLists({ config, table, catalog, upstreams, write });
    const decode = new DecodeStage({ decoder, config, sessions, catalog, upstreams, write });
    this.pipeline = new Pipeline({
      config,
      table,
      accounting,
      decode,
      decoder,
      maxBatch: limits.maxBatch,
      tasks,
      dispatch,
      parked,
      questions: requests,
      shedding: new Shedding({ guard, routes, tokens, write }),
      callLimits: new CallLimits({
        config,
        routes,
        concurrency: table.concurrency,
        counters: pool.counters,
        tokens,
        write,
      }),
      send,
      firstLists: this.#firstLists,
      local,
      write,
      cancellation,
      rights,
      ends,
      readiness,
      logins: upstreams.credentials,
      log,
    });
    this.#keepAlive = new KeepAlive({ config, table, longLived: streams.longLived, answers: write.streams });

    // Where two parts need each other, the earlier one gets the later one here.
    write.attach(router);
    rounds.attach(polledTasks);
    streams.longLived.attach(rights);
    sink.attach({ pipeline: this.pipeline, send, write, parked, tasks, awaitedTasks, polledTasks, router });

    this.dispatch = dispatch;
    this.write = write;
    this.requests = requests;
    this.parked = parked;
    this.subscriptions = subscriptions;
    this.logins = logins;
    this.#identity = identity;
    this.#routes = routes;
    this.#handles = [taskHandles, parkedHandles];
    this.#router = router;
    this.#rights = rights;
  }

  /** Distributes a catalog to the workers; it is in force when this returns. */
  useCatalog(next: PreparedCatalog): void {
    this.#catalogs.add(next);
    this.#accounting.setCatalog(next);
    this.dispatch.setCatalog(next.table);
  }

  /**
   * Follows a reload; the new snapshot is in force already.
   *
   * @param before the snapshot that was in force; calls in flight finish with its routes
   */
  reconfigure(before: Snapshot): void {
    const { current } = this.#config;
    for (const handles of this.#handles) handles.reconfigure(current.sessions.secrets);
    this.#routes.keep(before);
    this.#identity.follow();
    this.#accounting.follow();
    this.dispatch.reconfigure(current);
  }

  /** Checks the tokens of streams and connections again after a reload. */
  recheckRights(): void {
    this.#rights.recheck();
  }

  /** Ends the parked calls whose token was revoked. `Rights` ends streams and connections. */
  endRevokedCalls(): void {
    this.parked.endRevoked(this.dispatch);
  }

  /** Ends everything that waits for clients: during a drain they cannot send answers. */
  drain(): void {
    this.#firstLists.close();
    this.#router.close();
    this.subscriptions.endListens();
  }

  /** Ends everything but the dispatcher, which upstreams and listeners still use. */
  close(): void {
    this.drain();
    this.#keepAlive.close();
  }
}
