/**
 * The composition root: builds one gateway from one snapshot, reloads and stops it.
 */
import { decoder, decoderKind, decoderReason } from '../../native/index.js';
import { Catalog } from '../catalog/index.js';
import { buildTable } from '../catalog/table.js';
import { authWarnings } from '../config/auth-warnings.js';
import { isTombstone, renumbered } from '../config/numbering.js';
import { restartProblems } from '../config/restart.js';
import { CurrentConfig } from '../config/snapshot/current.js';
import { allProviders } from '../config/snapshot/endpoint-auth.js';
import type { Snapshot } from '../config/snapshot/index.js';
import { ConfigError } from '../errors.js';
import type { Explanation } from '../explain/index.js';
import { type Log, openLog } from '../observe/log.js';
import { watchLoopDelay } from '../observe/loop-delay.js';
import { observe } from '../observe/state.js';
import type { Stats } from '../observe/stats.js';
import type { ClientListener, FrontEnd } from '../request/accept/http/handler.js';
import { frontEndKind, openFrontEnd } from '../request/accept/index.js';
import { Phase } from '../request/exchange/index.js';
import { ExchangeTable } from '../request/exchange/table.js';
import { EventLoop } from '../request/overload/event-loop.js';
import { OverloadGuard } from '../request/overload/guard.js';
import { Load, PROCESS_MEMORY } from '../request/overload/load.js';
import { RunQueue } from '../request/overload/run-queue.js';
import { openSealer } from '../session/secrets.js';
import { SessionTable } from '../session/sessions.js';
import { StandaloneStreams } from '../session/streams/index.js';
import { BufferBudget } from '../shared/buffer-budget.js';
import { Counter, SeriesNames } from '../shared/counters.js';
import type { Discovery } from '../upstream/core/types.js';
import { UpstreamPool } from '../upstream/pool.js';
import { Accounting } from './accounting.js';
import { type Admin, type AdminSource, openAdmin } from './admin/admin.js';
import { BufferRules } from './buffer-rules.js';
import { normalizeRevocation, type Revocation, Revocations, shownForLog } from './credentials/revocations.js';
import { Front } from './front.js';
import { FrontLog } from './front-log.js';
import { GatewayState } from './gateway-state.js';
import { type UpstreamHealth, upstreamHealth } from './health.js';
import { ManifestKeeper } from './manifest-keeper.js';
import { OverloadLogger } from './overload-log.js';
import { Readiness, type ServerDown } from './readiness.js';
import type { Address, PipelineEntry, RunningGateway } from './running-gateway.js';
import { withSessionSecrets } from './session-secrets.js';
import { ControlPool } from './threads/pool.js';
import { CachePurges } from './upstreams/cache-purges.js';
import { UpstreamChanges } from './upstreams/changes.js';
import { UpstreamMessages } from './upstreams/messages.js';
import { UpstreamSummary } from './upstreams/summary.js';
import { WorkerPool } from './worker-pool.js';

/** Time for complete responses to reach their clients after everything else has ended. */
const LAST_ANSWERS_MS = 500;

const NO_FRONT_END = { kind: 'none', reason: null };

/** See {@link startGateway}. */
class Gateway implements RunningGateway, AdminSource {
  readonly #config: CurrentConfig;
  readonly #log: Log;
  readonly #readiness: Readiness;
  readonly #summary: UpstreamSummary;
  readonly #table: ExchangeTable;
  readonly #control: ControlPool;
  readonly #revocations: Revocations;
  readonly #pool: WorkerPool;
  readonly #catalog: Catalog;
  readonly #manifest: ManifestKeeper;
  readonly #upstreams: UpstreamPool;
  readonly #purges: CachePurges;
  readonly #sessions: SessionTable;
  readonly #streams: StandaloneStreams;
  readonly #accounting: Accounting;
  readonly #guard: OverloadGuard;
  readonly #front: Front;
  readonly #state: GatewayState;
  readonly #listeners: ClientListener[] = [];
  #frontEnd: FrontEnd | null = null;
  #admin: Admin | null = null;
  #unwatch = (): void => {};
  #reloads: Promise<void> = Promise.resolve();
  #stopping: Promise<void> | null = null;

  constructor(snapshot: Snapshot, log: Log) {
    const { frontEnd, limits, listens, sessions } = snapshot;
    const { logger } = log;
    const config = new CurrentConfig(snapshot);
    this.#config = config;
    this.#log = log;
    this.#readiness = new Readiness(config);
    this.#table = new ExchangeTable(limits.maxInFlight, new BufferBudget(new BufferRules(config, logger)));

    // Threads: policy and control.
    this.#control = new ControlPool();
    this.#revocations = new Revocations(config);
    this.#pool = new WorkerPool({
      snapshot,
      catalog: EMPTY_CATALOG,
      keys: this.#control,
      passwords: this.#control,
      revocations: this.#revocations,
      log: logger,
    });
    this.#revocations.attach(this.#pool);
    const { counters } = this.#pool;

    // Upstreams and the catalog.
    this.#catalog = new Catalog(snapshot, { threads: this.#control });
    this.#manifest = new ManifestKeeper(config, logger);
    this.#purges = new CachePurges(config, this.#pool, logger);
    const changes = new UpstreamChanges(config, this.#catalog, this.#manifest, this.#purges, logger);
    const sink = new UpstreamMessages();
    this.#upstreams = new UpstreamPool({
      config,
      table: this.#table,
      decoder,
      sink,
      events: changes,
      log: logger,
      background: this.#control,
    });
    this.#readiness.attach(this.#upstreams);
    this.#summary = new UpstreamSummary({ upstreams: this.#upstreams, catalog: this.#catalog }, logger);

    // Clients and the request path.
    const seriesNames = new SeriesNames(this.#pool.counterMemory);
    this.#accounting = new Accounting(counters, seriesNames, config, log);
    this.#streams = new StandaloneStreams(config);
    this.#sessions = new SessionTable({
      sealer: openSealer(sessions),
      ttlSeconds: sessions.ttlSeconds,
      maxSessions: limits.maxSessions,
      revocations: this.#revocations,
    });
    const load = new Load({
      pool: this.#pool,
      budget: this.#table.budget,
      memory: PROCESS_MEMORY,
      runQueue: new RunQueue(),
      eventLoop: new EventLoop(),
    });
    this.#guard = new OverloadGuard({
      config,
      load,
      counters,
      accounting: this.#accounting,
      log: new OverloadLogger(logger),
    });
    this.#front = new Front({
      config,
      log: new FrontLog(logger, counters),
      table: this.#table,
      pool: this.#pool,
      catalog: this.#catalog,
      upstreams: this.#upstreams,
      sink,
      sessions: this.#sessions,
      streams: this.#streams,
      accounting: this.#accounting,
      readiness: this.#readiness,
      guard: this.#guard,
    });
    changes.attach(this.#front, this.#summary);

    const kind = listens ? frontEndKind(frontEnd, limits.maxHeaderBytes) : NO_FRONT_END;
    this.#state = new GatewayState({
      config,
      pool: this.#pool,
      table: this.#table,
      catalog: this.#catalog,
      sessions: this.#sessions,
      streams: this.#streams,
      upstreams: this.#upstreams,
      listeners: this.#listeners,
      front: this.#front,
      guard: this.#guard,
      seriesNames,
      revocations: this.#revocations,
      readiness: this.#readiness,
      log,
      decoder: { kind: decoderKind, reason: decoderReason ?? '' },
      frontEnd: { kind: kind.kind, reason: kind.reason ?? '' },
    });
  }

  get address(): Address | null {
    return this.#frontEnd?.address ?? null;
  }

  get snapshot(): Snapshot {
    return this.#config.current;
  }

  get entry(): PipelineEntry {
    return { handler: this.#front.pipeline, table: this.#table };
  }

  stats(): Promise<Stats> {
    // Adding up many series takes milliseconds, so it runs in the control pool.
    return this.#control.buildStats(observe(this.#state));
  }

  revoke(revocation: Revocation): boolean {
    const { kind, value, until } = normalizeRevocation(revocation);
    if (kind === 'session') return this.#revokeSession(value);
    // A fixed token in the form of a JWT does not expire.
    const areJwts = allProviders(this.#config.current).every(
      (provider) => provider.type === 'jwt' && provider.verifyExpiry,
    );
    const message = this.#revocations.add(kind, value, areJwts ? until : Number.POSITIVE_INFINITY);
    if (message !== null) this.#pool.revoke(message);
    // Rights ends streams and connections.
    this.#front.endRevokedCalls();
    this.#log.logger.info({ kind, value: shownForLog(kind, value) }, 'revoked');
    return true;
  }

  #revokeSession(id: string): boolean {
    const session = this.#sessions.open(id);
    if (session === null) return this.#revocations.hasSession(id);
    this.#revocations.add('session', id, session.issuedAt + this.#config.current.sessions.ttlSeconds);
    this.#sessions.drop(session);
    this.#log.logger.info({ kind: 'session', value: shownForLog('session', id) }, 'revoked');
    return true;
  }

  unrevoke(revocation: Revocation): boolean {
    const { kind, value } = normalizeRevocation(revocation);
    const message = this.#revocations.remove(kind, value);
    if (message === undefined) return false;
    if (message !== null) this.#pool.revoke(message);
    this.#log.logger.info({ kind, value: shownForLog(kind, value) }, 'revocation removed');
    return true;
  }

  upstreamHealth(): UpstreamHealth[] {
    return upstreamHealth(this.#upstreams, this.#config.current.order);
  }

  get lists(): readonly Discovery[] {
    return this.#catalog.lists;
  }

  get adminAddress(): Address | null {
    return this.#admin?.address ?? null;
  }

  /** Starts all parts; upstreams may become ready later. */
  async start(): Promise<void> {
    const snapshot = this.#config.current;
    for (const warning of authWarnings(snapshot)) this.#log.logger.warn(warning);
    await Promise.all([this.#catalog.start(), this.#pool.ready()]);
    await this.#manifest.restore(this.#upstreams, this.#catalog);
    // The ports come first: where one is in use, no child is started in vain.
    const { admin } = snapshot;
    if (admin !== null) this.#admin = await openAdmin(this, { ...snapshot, admin });
    if (snapshot.listens) await this.#listen(snapshot);
    this.#upstreams.start();
    this.#unwatch = watchLoopDelay(this.#pool.counters, this.#guard);
    await this.#firstDiscoveries(() => true);
    this.#readiness.started();
    this.#summary.started();
    if (decoderReason !== null)
      this.#log.logger.warn(`the TypeScript decoder runs, slower than the native one: ${decoderReason}`);
  }

  async #listen(snapshot: Snapshot): Promise<void> {
    const { logger } = this.#log;
    this.#frontEnd = await openFrontEnd(snapshot, this.#front.pipeline, this.#table, logger, this.#guard.early);
    this.#listeners.push(this.#frontEnd);
    this.#upstreams.credentials.listening(loopbackOrigin(this.#frontEnd.address));
  }

  purgeCache(request: unknown): void {
    this.#purges.requested(request);
  }

  /** The document of /metrics, rendered in the control pool: many series take milliseconds. */
  metrics(): Promise<string> {
    return this.#control.renderMetrics(observe(this.#state));
  }

  /** Which rules apply to the call in the body of a request to /explain; decided in the control pool, and nothing is called. */
  async explain(body: unknown): Promise<Explanation> {
    // What few gateways are asked is loaded by the first question.
    const { callOf } = await import('../explain/index.js');
    const input = { call: callOf(body), snapshot: this.#config.current, catalog: this.#catalog.current.table };
    return this.#control.explain(input);
  }

  /** The document of /stats as text. */
  statsText(): Promise<string> {
    return this.#control.renderStats(observe(this.#state));
  }

  notReady(): readonly string[] {
    return this.#readiness.reasons();
  }

  down(): readonly ServerDown[] {
    return this.#readiness.down();
  }

  documentFailed(error: unknown): void {
    this.#log.logger.error({ error: String(error) }, 'an admin document cannot be made');
  }

  /**
   * Waits up to `catalog.startupWaitMs` for the discovery of servers that have not failed, so that the first clients get their
   * lists.
   */
  async #firstDiscoveries(concerns: (name: string) => boolean): Promise<void> {
    const deadline = performance.now() + this.#config.current.catalog.startupWaitMs;
    const waits = (): boolean =>
      this.#upstreams.changing ||
      this.#upstreams.servers.some(
        (server) =>
          server.discovery === null && !server.health.hasFailed && !isTombstone(server) && concerns(server.name),
      );
    while (performance.now() < deadline && this.#stopping === null && waits()) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await this.#catalog.settled();
  }

  reload(snapshot: Snapshot): Promise<void> {
    const done = this.#reloads.then(() => this.#reload(snapshot));
    this.#reloads = done.catch((error: unknown) => this.reloadFailed(error));
    return done;
  }

  reloadFailed(error: unknown): void {
    this.#pool.counters.add(Counter.configReloadFailures);
    const problems = error instanceof ConfigError ? error.problems : [String(error)];
    this.#log.logger.error({ problems }, 'the configuration is not reloaded; the current one stays in force');
  }

  async #reload(given: Snapshot): Promise<void> {
    if (this.#stopping !== null) throw new Error('the gateway is stopping');
    const before = this.#config.current;
    const problems = restartProblems(before, given);
    if (problems.length > 0) throw new ConfigError(problems);
    const { snapshot: wanted } = withSessionSecrets(given);
    const sealer = openSealer(wanted.sessions);
    const next = {
      ...renumbered(before, wanted, (server) => !this.#isReferenced(server)),
      version: before.version + 1,
    };
    // These lines run in one turn of the event loop, so each request is handled under one snapshot.
    this.#config.replace(next);
    this.#front.reconfigure(before);
    for (const listener of this.#listeners) listener.reconfigure(next);
    this.#sessions.reconfigure(sealer, next.sessions.ttlSeconds, next.limits.maxSessions);
    this.#log.configure(next.log, next.secrets);
    this.#upstreams.replace(next);
    this.#pool.counters.add(Counter.configReloads);
    this.#log.logger.info({ version: next.version, servers: wanted.servers.length }, 'configuration reloaded');
    for (const warning of authWarnings(next)) this.#log.logger.warn(warning);
    // A changed server keeps its lists until its replacement is discovered.
    await this.#catalog.reconfigure(next, () => true);
    this.#upstreams.retire(next);
    this.#front.recheckRights();
    const known = new Set(before.servers.map(({ name }) => name));
    await this.#firstDiscoveries((name) => !known.has(name));
  }

  /** Whether a request in flight may still be sent to the server of that number. */
  #isReferenced(server: number): boolean {
    let found = false;
    this.#table.forEach(({ phase, call: { server: own } }) => {
      found ||= own === server && phase !== Phase.accepting && phase !== Phase.deciding;
    });
    return found;
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#drain();
    return this.#stopping;
  }

  async #drain(): Promise<void> {
    const { limits } = this.#config.current;
    this.#readiness.draining();
    this.#log.logger.info('draining: no new connections, requests in flight may finish');
    for (const listener of this.#listeners) listener.stopListening();
    await this.#reloads;
    // Clients can no longer connect, so parked calls and server requests cannot be answered.
    this.#front.drain();
    this.#streams.endAll((exchange) => this.#front.write.abandon(exchange, 'GW_DRAINING'));
    const deadline = performance.now() + limits.drainMs;
    while (this.#table.inUse > 0 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    if (this.#table.inUse > 0)
      this.#log.logger.warn(`${this.#table.inUse} requests were cut off by the end of the drain`);
    await this.close();
  }

  /** Ends everything that was started, in reverse order; also after a failed start. */
  async close(): Promise<void> {
    this.#unwatch();
    this.#summary.close();
    this.#front.close();
    await this.#upstreams.close(0);
    await Promise.all(this.#listeners.map((listener) => listener.close(LAST_ANSWERS_MS)));
    await this.#admin?.close();
    this.#front.dispatch.close();
    this.#sessions.close();
    await this.#manifest.close();
    await Promise.all([this.#pool.close(), this.#control.close()]);
    await this.#log.close();
  }
}

/** By which a browser on this machine reaches a listener. */
function loopbackOrigin({ host, port }: Address): string {
  const isAny = host === '0.0.0.0' || host === '::' || host === '';
  return `http://${isAny ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host}:${port}`;
}

const NO_COLUMNS = { kind: [], server: [], flags: [], publicNames: [], upstreamNames: [], aliases: [] };
const EMPTY_CATALOG = buildTable(0, NO_COLUMNS, [], []);

/**
 * Starts a gateway and resolves once it listens. Upstreams that are slow or down do not delay it beyond
 * `catalog.startupWaitMs`.
 *
 * @throws Error with `code` EADDRINUSE when a port is in use; everything that was started is ended
 * @throws ConfigError when the key file of sessions cannot be used; nothing was started
 */
export async function startGateway(given: Snapshot): Promise<RunningGateway> {
  const { snapshot, volatileReason } = withSessionSecrets(given);
  const log = await openLog({ settings: snapshot.log, secrets: snapshot.secrets });
  const gateway = new Gateway(snapshot, log);
  if (volatileReason !== null && snapshot.listens) {
    const advice = 'to keep them set sessions.secret, or sessions.keyFile to a place that can be written';
    log.logger.info(`sessions end with this process (${volatileReason}); ${advice}`);
  }
  try {
    await gateway.start();
  } catch (error) {
    await gateway.close();
    throw error;
  }
  return gateway;
}
