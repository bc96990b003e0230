/**
 * The composition root: one gateway from one snapshot, from the first thread to the last answer.
 */
import { decoder, decoderKind, decoderReason } from '../../native/index.js';
import type { Snapshot } from '../config/snapshot.js';
import { type Log, openLog } from '../observe/log.js';
import { watchLoopDelay } from '../observe/loop-delay.js';
import { secretsOf } from '../observe/secrets.js';
import { type Choice, observe } from '../observe/state.js';
import { type FrontEnd, frontEndKind, openFrontEnd, type PlainAnswer } from '../request/accept/index.js';
import { ExchangeTable } from '../request/exchanges.js';
import { openSealer, SessionTable, StandaloneStreams } from '../session/index.js';
import { SeriesNames } from '../shared/counters.js';
import { UpstreamPool } from '../upstream/pool.js';
import type { UpstreamEvents } from '../upstream/types.js';
import { Accounting } from './accounting.js';
import { type Admin, openAdmin } from './admin/admin.js';
import { Catalog } from './catalog/catalog.js';
import { ControlPool } from './control-pool.js';
import { Front } from './front.js';
import { tellListChanges } from './notices.js';
import { statsSources } from './stats-sources.js';
import { WorkerPool } from './worker-pool.js';

/** Where something listens. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** A gateway that serves. */
export interface RunningGateway {
  readonly address: Address;
  /** `null` without an admin listener. */
  readonly adminAddress: Address | null;
  /**
   * Drains and ends: readiness fails, requests in flight finish within `limits.drainMs`, children stop.
   * A second call returns the same promise.
   */
  stop(): Promise<void>;
}

/** Time left for answers that are complete to reach their clients once everything else has ended. */
const LAST_ANSWERS_MS = 500;

/** See {@link startGateway}. */
class Gateway implements RunningGateway {
  readonly #snapshot: Snapshot;
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
  #frontEnd: FrontEnd | null = null;
  #admin: Admin | null = null;
  #listening = false;
  #unwatch = (): void => {};
  #stopping: Promise<void> | null = null;

  constructor(snapshot: Snapshot, log: Log) {
    this.#snapshot = snapshot;
    this.#log = log;
    const { limits } = snapshot;
    const warn = (message: string): void => log.logger.warn(message);
    this.#table = new ExchangeTable(limits.maxInFlight);
    this.#control = new ControlPool();
    this.#catalog = new Catalog(snapshot, {
      build: (input) => this.#control.run('buildCatalog', input),
      distribute: (next) => this.#front.useCatalog(next),
      changed: (_catalog, changes, problems) => {
        tellListChanges(this.#streams, changes);
        for (const problem of problems) log.logger.warn(problem, 'catalog');
      },
      failed: (error) => log.logger.error({ error: String(error) }, 'the catalog cannot be built; the old one stays'),
    });
    this.#pool = new WorkerPool({
      snapshot,
      catalog: EMPTY_CATALOG,
      fetchKeys: (url) => this.#control.run('fetchKeys', url),
      report: warn,
    });
    this.#names = new SeriesNames(this.#pool.counterMemory);
    this.#accounting = new Accounting(this.#pool.counters, this.#names, this.#accessLog());
    this.#accounting.setServers(snapshot.servers.map(({ name }) => name));
    this.#streams = new StandaloneStreams(limits);
    this.#sessions = new SessionTable({
      sealer: openSealer(snapshot.sessions),
      ttlSeconds: snapshot.sessions.ttlSeconds,
      maxSessions: limits.maxSessions,
    });
    this.#front = new Front({
      snapshot,
      table: this.#table,
      pool: this.#pool,
      catalog: this.#catalog,
      sessions: this.#sessions,
      streams: this.#streams,
      accounting: this.#accounting,
      keepBodies: log.access !== null,
      upstreams: () => this.#upstreams,
      plain: (path) => this.#plain(path),
      broke: (error) =>
        log.logger.error({ error: error instanceof Error ? error.stack : String(error) }, 'a stage failed'),
    });
    this.#upstreams = new UpstreamPool({
      snapshot,
      table: this.#table,
      decoder,
      sink: this.#front.sink,
      events: this.#upstreamEvents(),
      log: log.logger,
    });
  }

  get address(): Address {
    return this.#frontEnd!.address;
  }

  get adminAddress(): Address | null {
    return this.#admin?.address ?? null;
  }

  /** Brings everything up; the upstreams may come later. */
  async start(): Promise<void> {
    const snapshot = this.#snapshot;
    await Promise.all([this.#catalog.start(), this.#pool.ready()]);
    this.#upstreams.start();
    this.#unwatch = watchLoopDelay(this.#pool.counters);
    await this.#firstDiscoveries();
    const { kind, reason } = frontEndKind(snapshot.frontEnd, snapshot.limits.maxHeaderBytes);
    const { admin } = snapshot;
    if (admin !== null) this.#admin = await this.#openAdmin({ ...snapshot, admin }, { kind, reason: reason ?? '' });
    this.#frontEnd = await openFrontEnd({
      snapshot,
      table: this.#table,
      handler: this.#front.pipeline,
      warn: (sentence) => this.#log.logger.warn(sentence),
    });
    this.#listening = true;
    if (decoderReason !== null)
      this.#log.logger.warn(`the TypeScript decoder runs, slower than the native one: ${decoderReason}`);
  }

  #openAdmin(snapshot: AdminSnapshot, frontEnd: Choice): Promise<Admin> {
    const sources = statsSources({
      snapshot,
      pool: this.#pool,
      table: this.#table,
      catalog: this.#catalog,
      sessions: this.#sessions,
      streams: this.#streams,
      upstreams: this.#upstreams,
      seriesNames: this.#names,
      decoder: { kind: decoderKind, reason: decoderReason ?? '' },
      frontEnd,
      connections: () => this.#frontEnd?.connections() ?? 0,
      memo: () => this.#front.dispatcher.remembered,
      notReady: () => this.#notReady(),
      logDropped: () => this.#log.dropped,
    });
    // Rendering takes milliseconds with many series: not on this thread.
    return openAdmin({
      snapshot,
      metrics: () => this.#control.run('renderMetrics', observe(sources)),
      stats: () => this.#control.run('renderStats', observe(sources)),
      notReady: () => this.#notReady(),
      failed: (error) => this.#log.logger.error({ error: String(error) }, 'an admin document cannot be made'),
    });
  }

  /** Gives upstreams that are quick the time to be listed before the first client asks. */
  async #firstDiscoveries(): Promise<void> {
    const deadline = performance.now() + this.#snapshot.catalog.startupWaitMs;
    while (performance.now() < deadline && this.#upstreams.servers.some(({ discovery }) => discovery === null)) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await this.#catalog.settled();
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#drain();
    return this.#stopping;
  }

  async #drain(): Promise<void> {
    const { limits } = this.#snapshot;
    this.#log.logger.info('draining: no new connections, requests in flight may finish');
    this.#frontEnd?.stopListening();
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
    await Promise.all([this.#pool.close(), this.#control.close()]);
    await this.#log.close();
  }

  #upstreamEvents(): UpstreamEvents {
    const { logger } = this.#log;
    const names = this.#snapshot.servers.map(({ name }) => name);
    return {
      discovered: (discovery) => {
        const { tools, prompts, resources, templates } = discovery;
        const counts = {
          tools: tools.length,
          prompts: prompts.length,
          resources: resources.length,
          templates: templates.length,
        };
        logger.info({ server: names[discovery.server], ...counts }, 'upstream listed');
        this.#catalog
          .update(discovery)
          .catch((error: unknown) => logger.error({ error: String(error) }, 'the catalog cannot be built'));
      },
      // Endpoints log their own changes; a server that is gone keeps its names, so that calls say what is wrong.
      stateChanged: () => {},
      resourceUpdated: (server, uri, bytes, length, owner) =>
        this.#front.dialogue.subscriptions.resourceUpdated(server, uri, bytes, length, owner),
      taskChanged: (server, taskId, bytes, length) =>
        this.#front.dialogue.subscriptions.taskChanged(server, taskId, bytes, length),
    };
  }

  #accessLog() {
    const { access } = this.#log;
    if (access === null) return null;
    const names = this.#snapshot.servers.map(({ name }) => name);
    return (exchange: Parameters<typeof access>[0]): void => access(exchange, names[exchange.server] ?? '');
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

const EMPTY_CATALOG = {
  version: 0,
  kind: new Uint8Array(0),
  server: new Int32Array(0),
  publicNames: [],
  upstreamNames: [],
  flags: new Uint8Array(0),
  undiscovered: [],
};

/**
 * Starts a gateway and resolves once it listens. Upstreams that are slow or down do not hold it up.
 *
 * @throws Error with `code` EADDRINUSE when a port is taken; what had started is ended again
 */
export async function startGateway(snapshot: Snapshot): Promise<RunningGateway> {
  const log = await openLog({ settings: snapshot.log, secrets: secretsOf(snapshot) });
  const gateway = new Gateway(snapshot, log);
  try {
    await gateway.start();
  } catch (error) {
    await gateway.close();
    throw error;
  }
  return gateway;
}
