/**
 * The composition root: one gateway from one snapshot, from the first thread to the last answer.
 */
import { decoder, decoderKind, decoderReason } from '../../native/index.js';
import { Catalog } from '../catalog/index.js';
import { buildTable } from '../catalog/table.js';
import { isTombstone, renumbered } from '../config/numbering.js';
import { restartProblems } from '../config/restart.js';
import type { Snapshot } from '../config/snapshot.js';
import { ConfigError } from '../errors.js';
import { type Log, openLog } from '../observe/log.js';
import { watchLoopDelay } from '../observe/loop-delay.js';
import { type Choice, observe, type StatsSources } from '../observe/state.js';
import type { Stats } from '../observe/stats.js';
import type { FrontEnd, PlainAnswer } from '../request/accept/http/handler.js';
import { frontEndKind, openFrontEnd } from '../request/accept/index.js';
import { Phase } from '../request/exchange/index.js';
import { ExchangeTable } from '../request/exchange/table.js';
import { openSealer } from '../session/secrets.js';
import { SessionTable } from '../session/sessions.js';
import { StandaloneStreams } from '../session/streams/index.js';
import { BufferBudget } from '../shared/buffer-budget.js';
import { Counter, SeriesNames } from '../shared/counters.js';
import { packedCount } from '../shared/packed.js';
import { LogLimit } from '../upstream/core/log-limit.js';
import type { UpstreamEvents } from '../upstream/core/types.js';
import { UpstreamPool } from '../upstream/pool.js';
import { Accounting } from './accounting.js';
import { type Admin, openAdmin } from './admin/admin.js';
import { Front } from './front.js';
import { type UpstreamHealth, upstreamHealth } from './health.js';
import { RulesInForce } from './in-force.js';
import { normalRevocation, type Revocation, Revocations, shown } from './revocations.js';
import type { Address, Door, RunningGateway } from './running-gateway.js';
import { withSessionSecrets } from './session-secrets.js';
import { statsSources } from './stats-sources.js';
import { ControlPool } from './threads/pool.js';
import { WorkerPool } from './worker-pool.js';

/** Time left for answers that are complete to reach their clients once everything else has ended. */
const LAST_ANSWERS_MS = 500;

const NO_FRONT_END = { kind: 'none', reason: null };

/** See {@link startGateway}. */
class Gateway implements RunningGateway {
  readonly #rules: RulesInForce;
  readonly #log: Log;
  readonly #table: ExchangeTable;
  readonly #pool: WorkerPool;
  readonly #control: ControlPool;
  readonly #catalog: Catalog;
  readonly #sessions: SessionTable;
  readonly #streams: StandaloneStreams;
  readonly #front: Front;
  readonly #upstreams: UpstreamPool;
  readonly #accounting: Accounting;
  readonly #names: SeriesNames;
  readonly #frameLog = new LogLimit(1);
  readonly #revocations: Revocations;
  #frontEnd: FrontEnd | null = null;
  #admin: Admin | null = null;
  #listening = false;
  #sources: StatsSources;
  #unwatch = (): void => {};
  #reloads: Promise<void> = Promise.resolve();
  #stopping: Promise<void> | null = null;

  constructor(snapshot: Snapshot, log: Log) {
    this.#rules = new RulesInForce(snapshot);
    this.#log = log;
    const rules = this.#rules.view;
    const { limits } = rules;
    const warn = (message: string): void => log.logger.warn(message);
    this.#table = new ExchangeTable(limits.maxInFlight, this.#budget());
    this.#control = new ControlPool();
    this.#catalog = new Catalog(snapshot, {
      compile: (input) => this.#control.run('compileLists', input),
      build: (input) => this.#control.run('buildCatalog', input),
      distribute: (next) => this.#front.useCatalog(next),
      changed: (_catalog, changes, problems) => {
        this.#front.dialogue.subscriptions.listsChanged(changes);
        for (const problem of problems) log.logger.warn(problem, 'catalog');
      },
      failed: (error) => log.logger.error({ error: String(error) }, 'the catalog cannot be built; the old one stays'),
    });
    // Tokens that have expired are refused anyway: nothing decided before has to be decided again.
    this.#revocations = new Revocations(limits, (message) => this.#pool.forgetRevoked(message));
    this.#pool = new WorkerPool({
      snapshot,
      catalog: EMPTY_CATALOG,
      fetchKeys: (url) => this.#control.run('fetchKeys', url),
      revoked: () => this.#revocations.messages(),
      report: warn,
    });
    this.#names = new SeriesNames(this.#pool.counterMemory);
    this.#accounting = new Accounting(this.#pool.counters, this.#names, this.#accessLog());
    this.#accounting.setServers(snapshot.servers.map(({ name }) => name));
    this.#streams = new StandaloneStreams(rules);
    this.#sessions = new SessionTable({
      sealer: openSealer(snapshot.sessions),
      ttlSeconds: snapshot.sessions.ttlSeconds,
      maxSessions: limits.maxSessions,
      isRevoked: (id) => this.#revocations.hasSession(id),
      dropped: (session, isOver) => this.#front.sessionDropped(session, isOver),
    });
    this.#front = new Front({
      snapshot: rules,
      table: this.#table,
      pool: this.#pool,
      catalog: this.#catalog,
      sessions: this.#sessions,
      streams: this.#streams,
      accounting: this.#accounting,
      keepBodies: () => log.access !== null,
      upstreams: () => this.#upstreams,
      plain: (path) => this.#plain(path),
      tooManyFrames: (address) => {
        const suppressed = this.#frameLog.admit(performance.now());
        if (suppressed < 0) return;
        log.logger.warn(
          { address, suppressed },
          'a WebSocket was closed: it sent more small frames than limits.smallFrameRate allows',
        );
      },
      broke: (error) =>
        log.logger.error({ error: error instanceof Error ? error.stack : String(error) }, 'a stage failed'),
    });
    this.#upstreams = new UpstreamPool({
      snapshot,
      table: this.#table,
      decoder,
      sink: this.#front.sink,
      limits,
      events: this.#upstreamEvents(),
      log: log.logger,
      background: {
        scanResponse: (bytes) => this.#control.run('scanResponse', bytes),
        readPage: (source) => this.#control.run('readPage', source),
      },
    });
    const { frontEnd, listens } = snapshot;
    this.#sources = this.#openSources(listens ? frontEndKind(frontEnd, limits.maxHeaderBytes) : NO_FRONT_END);
  }

  #budget(): BufferBudget {
    const { limits } = this.#rules.view;
    const budget = new BufferBudget({
      max: () => limits.maxBufferedBytes,
      reached: () =>
        this.#log.logger.warn(
          { ...budget.counts },
          'limits.maxBufferedBytes is reached: the largest answers, bodies and slow clients are ended to make room',
        ),
    });
    return budget;
  }

  get address(): Address | null {
    return this.#frontEnd?.address ?? null;
  }

  get snapshot(): Snapshot {
    return this.#rules.snapshot;
  }

  get door(): Door {
    return { handler: this.#front.pipeline, table: this.#table };
  }

  stats(): Promise<Stats> {
    // Adding up many series takes milliseconds: not on this thread.
    return this.#control.run('buildStats', observe(this.#sources));
  }

  revoke(revocation: Revocation): boolean {
    const { kind, value, until } = normalRevocation(revocation);
    if (kind === 'session') return this.#revokeSession(value);
    // A fixed token that happens to look like a JWT has no expiry.
    const isJwt = this.#rules.snapshot.auth.type === 'jwt';
    const message = this.#revocations.add(kind, value, isJwt ? until : Number.POSITIVE_INFINITY);
    if (message !== null) this.#pool.revoke(message);
    // Streams and connections follow by themselves (session/rights.ts).
    this.#front.endRevokedCalls();
    this.#log.logger.info({ kind, value: shown(kind, value) }, 'revoked');
    return true;
  }

  #revokeSession(id: string): boolean {
    const session = this.#sessions.open(id);
    if (session === null) return this.#revocations.hasSession(id);
    this.#revocations.add('session', id, session.issuedAt + this.#rules.snapshot.sessions.ttlSeconds);
    this.#sessions.drop(session);
    this.#log.logger.info({ kind: 'session', value: shown('session', id) }, 'revoked');
    return true;
  }

  unrevoke(revocation: Revocation): boolean {
    const { kind, value } = normalRevocation(revocation);
    const message = this.#revocations.remove(kind, value);
    if (message === undefined) return false;
    if (message !== null) this.#pool.revoke(message);
    this.#log.logger.info({ kind, value: shown(kind, value) }, 'revocation taken back');
    return true;
  }

  upstreamHealth(): UpstreamHealth[] {
    return upstreamHealth(this.#upstreams, this.#rules.snapshot.order);
  }

  get adminAddress(): Address | null {
    return this.#admin?.address ?? null;
  }

  /** Brings everything up; the upstreams may come later. */
  async start(): Promise<void> {
    const { snapshot } = this.#rules;
    await Promise.all([this.#catalog.start(), this.#pool.ready()]);
    this.#upstreams.start();
    this.#unwatch = watchLoopDelay(this.#pool.counters);
    await this.#firstDiscoveries(() => true);
    const { admin } = snapshot;
    if (admin !== null) this.#admin = await this.#openAdmin({ ...snapshot, admin });
    if (snapshot.listens) await this.#listen(snapshot);
    this.#listening = true;
    if (decoderReason !== null)
      this.#log.logger.warn(`the TypeScript decoder runs, slower than the native one: ${decoderReason}`);
  }

  async #listen(snapshot: Snapshot): Promise<void> {
    this.#frontEnd = await openFrontEnd({
      snapshot,
      table: this.#table,
      handler: this.#front.pipeline,
      warn: (sentence) => this.#log.logger.warn(sentence),
    });
  }

  #openSources(frontEnd: { readonly kind: string; readonly reason: string | null }): StatsSources {
    const choice: Choice = { kind: frontEnd.kind, reason: frontEnd.reason ?? '' };
    return statsSources({
      snapshot: this.#rules.view,
      pool: this.#pool,
      table: this.#table,
      catalog: this.#catalog,
      sessions: this.#sessions,
      streams: this.#streams,
      upstreams: this.#upstreams,
      serverRequests: this.#front.dialogue.requests,
      seriesNames: this.#names,
      decoder: { kind: decoderKind, reason: decoderReason ?? '' },
      frontEnd: choice,
      connections: () => this.#frontEnd?.connections() ?? 0,
      memo: () => this.#front.dispatcher.remembered,
      parked: () => this.#front.dialogue.parked.size,
      revoked: () => this.#revocations.size,
      notReady: () => this.#notReady(),
      logDropped: () => this.#log.dropped,
    });
  }

  #openAdmin(snapshot: AdminSnapshot): Promise<Admin> {
    const sources = this.#sources;
    // Rendering takes milliseconds with many series: not on this thread.
    return openAdmin({
      snapshot,
      metrics: () => this.#control.run('renderMetrics', observe(sources)),
      stats: () => this.#control.run('renderStats', observe(sources)),
      notReady: () => this.#notReady(),
      revoke: (body) => this.revoke(body as Revocation),
      unrevoke: (body) => this.unrevoke(body as Revocation),
      failed: (error) => this.#log.logger.error({ error: String(error) }, 'an admin document cannot be made'),
    });
  }

  /** Gives upstreams that are quick the time to be listed before the first client asks. */
  async #firstDiscoveries(concerns: (name: string) => boolean): Promise<void> {
    const deadline = performance.now() + this.#rules.snapshot.catalog.startupWaitMs;
    const waits = (): boolean =>
      this.#upstreams.changing ||
      this.#upstreams.servers.some(
        (server) => server.discovery === null && !isTombstone(server) && concerns(server.name),
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
    this.#log.logger.error({ problems }, 'the configuration is not reloaded; the one in force stays');
  }

  async #reload(given: Snapshot): Promise<void> {
    if (this.#stopping !== null) throw new Error('the gateway is stopping');
    const before = this.#rules.snapshot;
    const problems = restartProblems(before, given);
    if (problems.length > 0) throw new ConfigError(problems);
    const wanted = withSessionSecrets(given);
    const sealer = openSealer(wanted.sessions);
    const next = { ...renumbered(before, wanted, (server) => !this.#concerns(server)), version: before.version + 1 };
    // No request comes between these lines: each is decided and sent by one set of rules.
    this.#rules.follow(next);
    this.#front.reconfigure(before);
    this.#front.dispatcher.reconfigure(next);
    this.#frontEnd?.reconfigure(next);
    this.#sessions.reconfigure(sealer, next.sessions.ttlSeconds, next.limits.maxSessions);
    this.#log.configure(next.log, next.secrets);
    this.#accounting.setLog(this.#accessLog());
    this.#accounting.setServers(next.servers.map(({ name }) => name));
    this.#upstreams.replace(next);
    this.#pool.counters.add(Counter.configReloads);
    this.#log.logger.info({ version: next.version, servers: wanted.servers.length }, 'configuration reloaded');
    // A changed server keeps its names until its successor has told its own.
    await this.#catalog.reconfigure(next, () => true);
    this.#upstreams.retire(next);
    this.#front.recheckRights();
    const known = new Set(before.servers.map(({ name }) => name));
    await this.#firstDiscoveries((name) => !known.has(name));
  }

  /** Whether a request in flight may still go to the server of that number. */
  #concerns(server: number): boolean {
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
    const { limits } = this.#rules.view;
    this.#log.logger.info('draining: no new connections, requests in flight may finish');
    this.#frontEnd?.stopListening();
    await this.#reloads;
    // What waits for clients would wait in vain: they cannot come back.
    this.#front.dialogue.drain();
    this.#streams.endAll((exchange) => this.#front.write.abandon(exchange));
    const deadline = performance.now() + limits.drainMs;
    while (this.#table.inUse > 0 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    if (this.#table.inUse > 0)
      this.#log.logger.warn(`${this.#table.inUse} requests were cut off by the end of the drain`);
    await this.close();
  }

  /** Ends everything that was started, in the reverse order; also what a failed start leaves. */
  async close(): Promise<void> {
    this.#listening = false;
    this.#unwatch();
    this.#front.dialogue.close();
    await this.#upstreams.close(0);
    await this.#frontEnd?.close(LAST_ANSWERS_MS);
    await this.#admin?.close();
    this.#front.dispatcher.close();
    this.#sessions.close();
    await Promise.all([this.#pool.close(), this.#control.close()]);
    await this.#log.close();
  }

  #upstreamEvents(): UpstreamEvents {
    const { logger } = this.#log;
    return {
      discovered: (discovery) => {
        const { tools, prompts, resources, templates } = discovery;
        const counts = {
          tools: packedCount(tools),
          prompts: packedCount(prompts),
          resources: packedCount(resources),
          templates: packedCount(templates),
        };
        const { name } = this.#rules.view.servers[discovery.server]!;
        logger.info({ server: name, ...counts }, 'upstream listed');
        this.#catalog
          .update(discovery)
          .catch((error: unknown) => logger.error({ error: String(error) }, 'the catalog cannot be built'));
      },
      resourceUpdated: (server, uri, bytes, length, owner) =>
        this.#front.dialogue.subscriptions.resourceUpdated(server, uri, bytes, length, owner),
      taskChanged: (server, taskId, bytes, length) =>
        this.#front.dialogue.subscriptions.taskChanged(server, taskId, bytes, length),
      replaced: (server) => this.#front.dialogue.subscriptions.serverReplaced(server),
    };
  }

  #accessLog() {
    const { access } = this.#log;
    if (access === null) return null;
    const { view } = this.#rules;
    return (exchange: Parameters<typeof access>[0]): void =>
      access(exchange, view.servers[exchange.call.server]?.name ?? '');
  }

  #notReady(): string[] {
    if (this.#stopping !== null) return ['the gateway is draining'];
    return this.#listening ? [] : ['the gateway is starting'];
  }

  #plain(path: string): PlainAnswer | null {
    if (path === '/health') return { status: 200, contentType: 'application/json', body: '{"status":"ok"}' };
    if (path !== '/ready') return null;
    const reasons = this.#notReady();
    const ready = reasons.length === 0;
    const body = JSON.stringify(ready ? { status: 'ready' } : { status: 'not ready', reasons });
    return { status: ready ? 200 : 503, contentType: 'application/json', body };
  }
}

type AdminSnapshot = Snapshot & { readonly admin: NonNullable<Snapshot['admin']> };

const NOTHING = { kind: [], server: [], flags: [], publicNames: [], upstreamNames: [] };
const EMPTY_CATALOG = buildTable(0, NOTHING, [], []);

/**
 * Starts a gateway and resolves once it listens. Upstreams that are slow or down do not hold it up.
 *
 * @throws Error with `code` EADDRINUSE when a port is taken; what had started is ended again
 * @throws ConfigError when the key file of sessions cannot be used; nothing has started then
 */
export async function startGateway(given: Snapshot): Promise<RunningGateway> {
  const snapshot = withSessionSecrets(given);
  const log = await openLog({ settings: snapshot.log, secrets: snapshot.secrets });
  const gateway = new Gateway(snapshot, log);
  if (given.sessions.secrets.length === 0 && given.sessions.keyFile === null) {
    log.logger.info('sessions end with this process; to keep them set sessions.secret or sessions.keyFile');
  }
  try {
    await gateway.start();
  } catch (error) {
    await gateway.close();
    throw error;
  }
  return gateway;
}
