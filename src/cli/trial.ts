import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import {
  ListRootsRequestSchema,
  PromptSchema,
  ResourceSchema,
  ResourceTemplateSchema,
  ResultSchema,
  ToolSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { OwnGateway } from '../api/gateway.js';
import type { PatternFault } from '../catalog/pattern-faults.js';
import { grantFaults, type RouteFault } from '../catalog/route-faults.js';
import type { RenamedItem } from '../catalog/types.js';
import { compileSnapshot } from '../config/compile/index.js';
import type { LoadedConfig } from '../config/loaded.js';
import { allProviders, withProviders } from '../config/snapshot/endpoint-auth.js';
import type { ServerSnapshot, Snapshot } from '../config/snapshot/index.js';
import { loginsOf } from '../config/snapshot/user-logins.js';
import type { UpstreamHealth } from '../control/health.js';
import { packageVersion } from '../package-root.js';
import type { Count, Milliseconds } from '../units.js';
import type { Discovery } from '../upstream/core/types.js';
import { printNote } from './console/print.js';
import { StopSignals } from './console/stop-signals.js';

const POLL_MS: Milliseconds = 20;
/** Time between two lines that name the servers that are waited for. */
const PROGRESS_MS: Milliseconds = 5_000;
const OVERRIDES = { port: false, adminPort: false, workers: 1, logLevel: 'silent' } as const;

/** One server of a trial. */
export interface TrialServer {
  readonly name: string;
  readonly endpoints: UpstreamHealth['endpoints'];
  readonly isUp: boolean;
  /** From the start until it was up, or the wait ended. */
  readonly timeMs: Milliseconds;
  /** What it makes of client capabilities. */
  readonly clientUse: { readonly capabilities: readonly string[]; readonly tools: readonly string[] };
  /** `isolation` of the configuration. */
  readonly isolation: ServerSnapshot['isolation'];
  /** What it offers to clients. */
  readonly offers: { readonly tools: number; readonly prompts: number; readonly resources: number };
}

/** One item of a list as clients get it. */
export interface TrialItem {
  readonly list: 'tools' | 'prompts' | 'resources' | 'resourceTemplates';
  /** Name or URI. */
  readonly name: string;
  readonly description: string;
  /** Why clients on the SDK refuse it, '' = they take it. */
  readonly fault: string;
}

/** Lists of the protocol, and the SDK's idea of an item. */
const LISTS = [
  { list: 'tools', method: 'tools/list', schema: ToolSchema, key: 'name' },
  { list: 'prompts', method: 'prompts/list', schema: PromptSchema, key: 'name' },
  { list: 'resources', method: 'resources/list', schema: ResourceSchema, key: 'uri' },
  { list: 'resourceTemplates', method: 'resources/templates/list', schema: ResourceTemplateSchema, key: 'uriTemplate' },
] as const;

/** Lists that belong to the capability of another one. */
const CAPABILITY = {
  tools: 'tools',
  prompts: 'prompts',
  resources: 'resources',
  resourceTemplates: 'resources',
} as const;

/** Everything that a server can ask a client for. */
const CAPABLE = { sampling: {}, elicitation: { form: {}, url: {} }, roots: {} };
const UNUSED = { capabilities: [], tools: [] };

/** What a trial found. */
export interface TrialResult {
  readonly servers: readonly TrialServer[];
  readonly items: readonly TrialItem[];
  /** What is wrong with the routes, compared with what is offered. */
  readonly routeFaults: readonly RouteFault[];
  /** What is wrong with the patterns of other rules. */
  readonly patternFaults: readonly PatternFault[];
  /** Tools and prompts under another name than their own with the prefix; `renamedCount` counts all of them. */
  readonly renamed: readonly RenamedItem[];
  readonly renamedCount: Count;
  /** The lists as the servers sent them, and the configuration that their numbers belong to. */
  readonly lists: readonly Discovery[];
  readonly snapshot: Snapshot;
}

/**
 * Starts the servers of a configuration, lists what they offer and stops them; null when a signal ended it.
 *
 * @param showsUse find out what they make of client capabilities, which can start another child of each
 * @param isUnpinned whether the lockfile is not read, and all tools are offered
 */
export async function runTrial(
  loaded: LoadedConfig,
  showsUse: boolean,
  isUnpinned = false,
): Promise<TrialResult | null> {
  const trial = new Trial(loaded, isUnpinned);
  const stopping = new StopSignals();
  try {
    const work = trial.servers().then(async (servers) => ({
      items: await trial.items(),
      ...(await trial.findings()),
      servers: showsUse ? await trial.withClientUse(servers) : servers,
      lists: trial.lists,
      snapshot: trial.snapshot,
    }));
    return await Promise.race([work, stopping.first.then(() => null)]);
  } finally {
    await trial.stop();
  }
}

/**
 * A gateway with the servers of a configuration and without ports, rules and log: what a client of the SDK gets through it
 * is what clients will get.
 */
class Trial {
  readonly snapshot: Snapshot;
  readonly #gateway: OwnGateway;
  /** By name of the server, as configured. */
  readonly #isolation: ReadonlyMap<string, ServerSnapshot['isolation']>;
  readonly #waitMs: Milliseconds;
  readonly #grantFaults: readonly RouteFault[];

  constructor(loaded: LoadedConfig, isUnpinned: boolean) {
    const whole = compileSnapshot(loaded, { overrides: OVERRIDES, isUnpinned });
    const snapshot = trialSnapshot(whole);
    this.snapshot = snapshot;
    this.#grantFaults = grantFaults(whole.routes, allProviders(whole));
    this.#isolation = new Map(snapshot.servers.map(({ name, isolation }) => [name, isolation]));
    const servers = snapshot.servers.map((server) => ({ ...server, isolation: trialIsolation(server) }));
    this.#gateway = new OwnGateway({ ...snapshot, servers });
    this.#waitMs = Math.max(0, ...snapshot.servers.map(({ connectTimeoutMs }) => connectTimeoutMs));
  }

  /** See {@link TrialResult}. */
  get lists(): readonly Discovery[] {
    return this.#gateway.lists;
  }

  /** Starts all servers, and waits until each is listed or failed, at most the longest `connectTimeoutMs`. */
  async servers(): Promise<TrialServer[]> {
    const startedAt = performance.now();
    await this.#gateway.start();
    const times = new Map<string, Milliseconds>();
    let nextProgress = PROGRESS_MS;
    for (;;) {
      const stats = await this.#gateway.stats();
      const health = this.#gateway.upstreamHealth();
      const now = performance.now() - startedAt;
      const isListed = (name: string): boolean => !stats.catalog.undiscovered.includes(name);
      for (const server of health) {
        if (!times.has(server.name) && isSettled(server, isListed(server.name))) times.set(server.name, now);
      }
      if (times.size < health.length && now < this.#waitMs) {
        if (now > nextProgress) {
          const missing = health.map(({ name }) => name).filter((name) => !times.has(name));
          printNote(`waiting for ${missing.join(', ')} (${Math.round(now / 1_000)} s)`);
          nextProgress += PROGRESS_MS;
        }
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
        continue;
      }
      return health.map((server): TrialServer => {
        const offers = stats.upstreams.find(({ name }) => name === server.name)?.offers;
        const { tools = 0, prompts = 0, resources = 0, templates = 0 } = offers ?? {};
        return {
          name: server.name,
          endpoints: server.endpoints,
          isUp: server.endpoints.every(({ state }) => state === 'ready') && isListed(server.name),
          timeMs: times.get(server.name) ?? now,
          clientUse: UNUSED,
          isolation: this.#isolation.get(server.name) ?? 'shared',
          offers: { tools, prompts, resources: resources + templates },
        };
      });
    }
  }

  /** What the servers make of a client that declares all capabilities: known once such a client has listed. */
  async withClientUse(servers: readonly TrialServer[]): Promise<TrialServer[]> {
    const client = new Client({ name: 'switchyard', version: packageVersion }, { capabilities: CAPABLE });
    client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [] }));
    await client.connect(this.#gateway.connect() as Transport);
    try {
      await client.request({ method: 'tools/list' }, ResultSchema);
      const { upstreams } = await this.#gateway.stats();
      return servers.map((server) => {
        const use = upstreams.find(({ name }) => name === server.name)?.clientUse ?? UNUSED;
        return { ...server, clientUse: { capabilities: use.capabilities, tools: use.tools } };
      });
    } finally {
      await client.close();
    }
  }

  /** What operators should know of routes and names. */
  async findings(): Promise<Pick<TrialResult, 'routeFaults' | 'patternFaults' | 'renamed' | 'renamedCount'>> {
    const { cache, catalog, limiter, routes } = await this.#gateway.stats();
    const { renamed, renamedCount } = catalog;
    const patternFaults = [...limiter.faults, ...cache.faults];
    return { routeFaults: [...this.#grantFaults, ...routes.faults], patternFaults, renamed, renamedCount };
  }

  /** What a client gets in its lists. */
  async items(): Promise<TrialItem[]> {
    const client = new Client({ name: 'switchyard', version: packageVersion });
    await client.connect(this.#gateway.connect() as Transport);
    try {
      const capabilities = client.getServerCapabilities() ?? {};
      const items: TrialItem[] = [];
      for (const { list, method, schema, key } of LISTS) {
        if (capabilities[CAPABILITY[list]] === undefined) continue;
        let cursor: string | undefined;
        do {
          const params = cursor === undefined ? {} : { cursor };
          const page = (await client.request({ method, params }, ResultSchema)) as Record<string, unknown>;
          for (const item of page[list] as Record<string, unknown>[]) {
            const checked = schema.safeParse(item);
            const fault = checked.success ? '' : (checked.error.issues[0]?.message ?? 'it is not valid');
            items.push({ list, name: String(item[key]), description: String(item['description'] ?? ''), fault });
          }
          cursor = page['nextCursor'] as string | undefined;
        } while (cursor !== undefined);
      }
      return items;
    } finally {
      await client.close();
    }
  }

  /** Stops all servers. */
  stop(): Promise<void> {
    return this.#gateway.stop();
  }
}

/** A server that clients share shows what it would offer if they did not. */
function trialIsolation({ isolation }: ServerSnapshot): ServerSnapshot['isolation'] {
  return isolation === 'shared' ? 'auto' : isolation;
}

/** The servers of a configuration, and nothing that a client has to bring, waits for or shares with a running gateway. */
function trialSnapshot(snapshot: Snapshot): Snapshot {
  return {
    ...withProviders(snapshot, []),
    // They are only compared with what is offered: lists are on no route.
    routes: snapshot.routes.map((route) => ({ ...route, requiredScopes: [] })),
    catalog: { ...snapshot.catalog, startupWaitMs: 0, firstListWaitMs: 0, manifestFile: false },
    // The key is read only where it opens logins.
    sessions: snapshot.servers.some((server) => loginsOf(server).length > 0)
      ? snapshot.sessions
      : { ...snapshot.sessions, keyFile: null, isKeyFileOptional: false },
  };
}

/** Whether no more is to be expected of a server: it is listed, or a try has failed. */
function isSettled({ endpoints }: UpstreamHealth, isListed: boolean): boolean {
  if (endpoints.every(({ failedTries }) => failedTries > 0)) return true;
  return isListed && endpoints.every(({ state }) => state !== 'connecting');
}
