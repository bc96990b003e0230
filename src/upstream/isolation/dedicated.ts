/**
 * Dedicated endpoints: further children, connections or sessions of a legacy upstream, each for one client, so that the
 * requests and the state of a server belong to that client (configuration: `isolation`, `maxDedicated`, `dedicatedIdleMs`). Started
 * when they are first needed.
 */
import type { ServerSnapshot } from '../../config/snapshot/index.js';
import type { ErrorCode } from '../../errors.js';
import { Capability } from '../../protocol/client-capabilities.js';
import { Era } from '../../protocol/revisions.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { Count, Milliseconds } from '../../units.js';
import { BackOff } from '../balance/back-off.js';
import { controlMessage } from '../core/control.js';
import { callerToken } from '../core/credentials.js';
import type { BaseEndpoint, EndpointContext, EndpointOwner } from '../core/endpoint.js';
import type { EndpointStats } from '../core/endpoint-stats.js';
import { reasonSentence } from '../core/reasons.js';
import type { ClientIdentity, ConnectionProfile, ListChanges, WatchKind } from '../core/types.js';
import { Watches } from '../subscriptions/watches.js';
import { type DedicatedGroup, DedicatedGroups, type IsolationRules } from './groups.js';
import { clientIdentity } from './identity.js';
import { OwnLists, type OwnListsListener } from './own-lists.js';

/** Longest pause after a dedicated endpoint that could not be started. */
const MAX_PAUSE_MS: Milliseconds = 5_000;
/** Time between two searches for idle dedicated endpoints. */
const SWEEP_MS: Milliseconds = 250;

/** The server of the dedicated endpoints. */
export interface DedicatedHost {
  readonly config: ServerSnapshot;
  readonly context: EndpointContext;
  /** Those that clients share, by index; another endpoint may take the place of one. */
  readonly endpoints: readonly BaseEndpoint[];
  /** Creates a dedicated endpoint; it does nothing before `start`. */
  create(base: BaseEndpoint, owner: EndpointOwner, profile: ConnectionProfile): BaseEndpoint;
  /** A dedicated endpoint became usable or unusable. */
  dedicatedChanged(endpoint: BaseEndpoint): void;
  /** A dedicated endpoint has made its handshake. */
  dedicatedInitialized(endpoint: BaseEndpoint): void;
  isLast(endpoint: BaseEndpoint): boolean;
  listChanged(endpoint: BaseEndpoint): void;
  /** The lists of a dedicated endpoint have changed since its client was given them. */
  ownListsChanged(endpoint: BaseEndpoint, changes: ListChanges): void;
  clientAsked(endpoint: BaseEndpoint, method: number): void;
  resourceUpdated(endpoint: BaseEndpoint, uri: string, bytes: Uint8Array, length: number): void;
  taskChanged(endpoint: BaseEndpoint, taskId: string, bytes: Uint8Array, length: number): void;
}

/** A dedicated endpoint that the lists of its client are read from. */
export interface ListedEndpoint {
  readonly lists: OwnLists;
  /** Whether it takes no more calls. */
  hasEnded(): boolean;
  /** It turned out that the client needs no dedicated endpoint: it takes no more calls and is stopped. */
  discard(): void;
}

interface Dedicated {
  readonly endpoint: BaseEndpoint;
  readonly group: DedicatedGroup<Dedicated>;
  readonly watches: Watches;
  readonly lists: OwnLists;
  /** `performance.now()` of its last use. */
  usedAt: Milliseconds;
  /** It takes no more calls, and is stopped when the last one has ended. */
  retired: boolean;
}

/** The dedicated endpoints beside one endpoint, which is their base. See the file comment. Owned by the server. */
export class DedicatedEndpoints implements EndpointOwner, IsolationRules, OwnListsListener {
  readonly #host: DedicatedHost;
  readonly #index: number;
  readonly #groups: DedicatedGroups<Dedicated>;
  readonly #dedicated = new Map<BaseEndpoint, Dedicated>();
  readonly #stopping = new Set<Promise<void>>();
  readonly #backOff = new BackOff(100, MAX_PAUSE_MS);
  /** The counters of those that have ended. */
  readonly #past: EndpointStats;
  #pausedUntil: Milliseconds = 0;
  /** Of the last one that could not be started. */
  #pauseReason = '';
  #sweepAt: Milliseconds = 0;
  #stopped = false;

  /** @param index of the base */
  constructor(host: DedicatedHost, index: number) {
    this.#host = host;
    this.#index = index;
    this.#groups = new DedicatedGroups(this);
    // A new endpoint has counted nothing.
    this.#past = { ...this.#base.stats };
  }

  get config(): ServerSnapshot {
    return this.#host.config;
  }

  /** See {@link IsolationRules}. The server decides which clients get dedicated endpoints under `auto`. */
  get isolation(): IsolationRules['isolation'] {
    const { isolation } = this.config;
    if (isolation !== 'auto') return isolation;
    return this.#base.transport === 'http' ? 'shared' : 'session';
  }

  /** See {@link IsolationRules}. */
  get hasCallStreams(): boolean {
    return this.#base.transport === 'http';
  }

  get #base(): BaseEndpoint {
    const base = this.#host.endpoints[this.#index];
    if (base === undefined) throw new RangeError(`there is no endpoint ${this.#index}`);
    return base;
  }

  /** Their number, without those that are being stopped. */
  get size(): Count {
    return this.#dedicated.size;
  }

  /** Calls in flight on all of them. */
  get inFlight(): Count {
    let count = 0;
    for (const endpoint of this.#dedicated.keys()) count += endpoint.inFlight;
    return count;
  }

  /** Whether the server of one of them exceeds `limits.maxNotificationsPerSecond`. */
  get overLimit(): boolean {
    for (const endpoint of this.#dedicated.keys()) if (endpoint.notificationLimit.exceeding) return true;
    return false;
  }

  /**
   * Whether calls to the base can need a dedicated endpoint: they are sent with credentials of the client, or the server is
   * legacy, and isolated or over Streamable HTTP, where its requests arrive on the stream of the call that they belong to.
   */
  get isNeeded(): boolean {
    const { handshake, transport } = this.#base;
    if (this.config.clientCredentials) return true;
    if (handshake === null || handshake.era !== Era.legacy) return false;
    // Without a session it keeps no state and cannot receive responses.
    if (transport === 'http' && handshake.sessionId === '') return false;
    return this.isolation !== 'shared' || transport === 'http';
  }

  /** One of this client that can take the call now; null = there is none, or the server is shared by all clients. */
  find(exchange: Exchange): BaseEndpoint | null {
    if (this.#dedicated.size === 0 || this.isolation === 'shared') return null;
    const found = firstFree(this.#groups.find(exchange));
    if (found === null || !this.#mayUse(found)) return null;
    found.usedAt = exchange.client.startedAt;
    return found.endpoint;
  }

  /**
   * The endpoint for a call: a dedicated one, started if necessary, or the base where that is enough; null = see
   * {@link refusalOf}.
   */
  acquire(exchange: Exchange): BaseEndpoint | null {
    if (this.isolation === 'shared' && exchange.client.capabilities <= 0) return this.#base;
    const found = firstFree(this.#groups.find(exchange));
    if (found !== null) {
      found.usedAt = exchange.client.startedAt;
      return found.endpoint;
    }
    this.#retireDeclined(exchange);
    const added = this.#add(clientIdentity(exchange), exchange.client.startedAt);
    if (added !== null) return added.endpoint;
    // On the base of a shared server the call can be made, but the server can send no requests.
    return this.isolation === 'shared' ? this.#base : null;
  }

  /**
   * A dedicated endpoint of a client to read its lists from: also one that is leased, as lists belong to no call.
   *
   * @param create start one if there is none
   * @returns null = there is none, or none can be started at the moment
   */
  forLists(exchange: Exchange, create: boolean): ListedEndpoint | null {
    const now = exchange.client.startedAt;
    const found = this.#groups.find(exchange)?.members[0] ?? (create ? this.#add(clientIdentity(exchange), now) : null);
    if (found === null) return null;
    found.usedAt = now;
    return {
      lists: found.lists,
      hasEnded: () => found.retired,
      discard: () => this.#retire(found),
    };
  }

  /** Why {@link acquire} has just returned null. */
  refusalOf(exchange: Exchange): ErrorCode {
    if (hasNoCredentials(this.config, callerToken(exchange), exchange.verdict.subject))
      return 'GW_CLIENT_TOKEN_REQUIRED';
    return this.#isPaused ? 'GW_UPSTREAM_DOWN' : 'GW_UPSTREAM_BUSY';
  }

  /** Why the last one could not be started, as a sentence for the client; '' = {@link refusalOf} has another cause. */
  get refusalReason(): string {
    return this.#isPaused ? reasonSentence(this.#pauseReason) : '';
  }

  get #isPaused(): boolean {
    return performance.now() < this.#pausedUntil;
  }

  /**
   * What is followed at the dedicated endpoint of this client.
   *
   * @param create start one if there is none
   * @returns null = there is none, or none can be started at the moment
   */
  watchesOf(client: ClientIdentity, create: boolean): Watches | null {
    // Subscriptions outlive leases: they have an endpoint that declares no capabilities.
    const follower = this.#groups.isLeased(client) ? { ...client, capabilities: 0 } : client;
    const group = this.#groups.findOrCreate(follower);
    const found = group.members[0] ?? (create ? this.#add(follower, performance.now()) : null);
    this.#groups.removeIfEmpty(group);
    return found?.watches ?? null;
  }

  /** A legacy session has ended. */
  sessionEnded(sessionId: string): void {
    const group = this.#groups.findSession(sessionId);
    if (group !== undefined) for (const member of [...group.members]) this.#retire(member);
  }

  /** The roots of a legacy session's client changed. */
  rootsChanged(sessionId: string): void {
    for (const { endpoint } of this.#groups.findSession(sessionId)?.members ?? []) {
      if ((endpoint.profile.capabilities & Capability.rootsListChanged) === 0 || endpoint.state !== 'ready') continue;
      endpoint.reply(controlMessage(null, 'notifications/roots/list_changed', null, false));
    }
  }

  /** Calls `visit` for each of them. */
  forEach(visit: (endpoint: BaseEndpoint) => void): void {
    for (const endpoint of this.#dedicated.keys()) visit(endpoint);
  }

  tick(now: Milliseconds): void {
    if (this.#dedicated.size === 0) return;
    for (const endpoint of this.#dedicated.keys()) endpoint.tick(now);
    if (now < this.#sweepAt) return;
    this.#sweepAt = now + Math.min(SWEEP_MS, this.config.dedicatedIdleMs);
    for (const dedicated of this.#dedicated.values()) {
      if (!isIdle(dedicated)) dedicated.usedAt = now;
      else if (dedicated.retired || now - dedicated.usedAt >= this.config.dedicatedIdleMs) this.#retire(dedicated);
    }
  }

  /** The sum of `stats` and the counters of all dedicated endpoints, also of those that have ended. */
  addTo(stats: EndpointStats): EndpointStats {
    const sum = { ...stats };
    add(sum, this.#past);
    for (const endpoint of this.#dedicated.keys()) add(sum, endpoint.stats);
    return sum;
  }

  /** Stops all. Settles when they have ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const dedicated of [...this.#dedicated.values()]) this.#end(dedicated);
    await Promise.all(this.#stopping);
  }

  stateChanged(endpoint: BaseEndpoint): void {
    const dedicated = this.#dedicated.get(endpoint);
    if (dedicated !== undefined) this.#host.dedicatedChanged(endpoint);
    if (dedicated === undefined || endpoint.state === 'ready' || endpoint.state === 'connecting') return;
    if (endpoint.handshake === null && !this.#isOfOneClient) {
      this.#pausedUntil = performance.now() + this.#backOff.next();
      this.#pauseReason = endpoint.reason;
    }
    dedicated.watches.endpointUnavailable();
    // It restarts by itself as long as its client follows something; otherwise the next call starts another.
    if (dedicated.watches.size > 0 && !dedicated.retired) return;
    this.#retire(dedicated);
    // Calls in flight fail right after this; then it can be stopped.
    setImmediate(() => this.#retire(dedicated));
  }

  /** The failure of a dedicated endpoint concerns no other client: where the base is ready, it is about the credentials. */
  get #isOfOneClient(): boolean {
    return this.config.clientCredentials && this.#base.state === 'ready';
  }

  initialized(endpoint: BaseEndpoint): void {
    this.#backOff.reset();
    this.#pausedUntil = 0;
    this.#host.dedicatedInitialized(endpoint);
    const dedicated = this.#dedicated.get(endpoint);
    dedicated?.watches.initialized(endpoint);
    dedicated?.lists.initialized();
  }

  isLast(): boolean {
    return this.#host.isLast(this.#base);
  }

  /**
   * The lists that all clients share may have changed too: a remote server has one program behind all its connections, and some
   * announce a change to the session that made it alone. A child is on its own.
   */
  listChanged(endpoint: BaseEndpoint): void {
    this.#dedicated.get(endpoint)?.lists.changed();
    if (endpoint.transport !== 'stdio') this.#host.listChanged(endpoint);
  }

  ownListsChanged(endpoint: BaseEndpoint, changes: ListChanges): void {
    this.#host.ownListsChanged(endpoint, changes);
  }

  clientAsked(endpoint: BaseEndpoint, method: number): void {
    this.#host.clientAsked(endpoint, method);
  }

  /** A dedicated endpoint declares what its client can do. */
  callFailed(): void {}

  resourceUpdated(endpoint: BaseEndpoint, uri: string, bytes: Uint8Array, length: number): void {
    this.#host.resourceUpdated(endpoint, uri, bytes, length);
  }

  taskChanged(endpoint: BaseEndpoint, taskId: string, bytes: Uint8Array, length: number): void {
    this.#host.taskChanged(endpoint, taskId, bytes, length);
  }

  follows(endpoint: BaseEndpoint, kind: WatchKind, id: string): boolean {
    return this.#dedicated.get(endpoint)?.watches.has(kind, id) ?? false;
  }

  #add(client: ClientIdentity, now: Milliseconds): Dedicated | null {
    if (hasNoCredentials(this.config, client.token, client.subject)) return null;
    if (this.#stopped || now < this.#pausedUntil || !this.#makeRoom()) return null;
    const group = this.#groups.findOrCreate(client);
    const profile: ConnectionProfile = {
      capabilities: group.mask,
      owner: this.isolation === 'shared' ? null : { sessionId: group.sessionId, subject: group.subject },
      exclusive: group.exclusive,
      legacyOnly: this.#base.era === Era.legacy,
      lazy: true,
      token: client.token,
    };
    const endpoint = this.#host.create(this.#base, this, profile);
    const lists = new OwnLists(endpoint, this.config, this.#host.context, this);
    const added: Dedicated = { endpoint, group, watches: new Watches([endpoint]), lists, usedAt: now, retired: false };
    group.members.push(added);
    this.#dedicated.set(endpoint, added);
    endpoint.start();
    return added.retired ? null : added;
  }

  /** Makes room for one more, by stopping the one that was idle for longest if necessary. @returns false = there is no room */
  #makeRoom(): boolean {
    if (this.#dedicated.size < this.config.maxDedicated) return true;
    // Those that are being stopped are still processes.
    if (this.#stopping.size >= this.config.maxDedicated) return false;
    let oldest: Dedicated | null = null;
    for (const dedicated of this.#dedicated.values()) {
      if (isIdle(dedicated) && (oldest === null || dedicated.usedAt < oldest.usedAt)) oldest = dedicated;
    }
    if (oldest === null) return false;
    this.#retire(oldest);
    return true;
  }

  /** Those whose server was refused what it asked before its first call: a call gets one that asks again. */
  #retireDeclined(exchange: Exchange): void {
    for (const member of [...(this.#groups.find(exchange)?.members ?? [])]) {
      if (member.endpoint.hasDeclinedOpening && member.watches.size === 0) this.#retire(member);
    }
  }

  #mayUse({ endpoint: { breaker } }: Dedicated): boolean {
    if (!breaker.tripped) return true;
    const now = performance.now();
    if (!breaker.allows(now)) return false;
    breaker.trialStarted(now);
    return true;
  }

  /** It takes no more calls; calls in flight are finished first. */
  #retire(dedicated: Dedicated): void {
    const { group, watches, endpoint } = dedicated;
    if (!dedicated.retired) {
      dedicated.retired = true;
      group.members.splice(group.members.indexOf(dedicated), 1);
      this.#groups.removeIfEmpty(group);
      watches.close();
    }
    if (endpoint.inFlight === 0) this.#end(dedicated);
  }

  #end(dedicated: Dedicated): void {
    const { watches, lists, endpoint } = dedicated;
    dedicated.retired = true;
    if (!this.#dedicated.delete(endpoint)) return;
    watches.close();
    lists.close();
    add(this.#past, endpoint.stats);
    const stopped = stop(endpoint).finally(() => this.#stopping.delete(stopped));
    this.#stopping.add(stopped);
  }
}

/** Whether a client cannot have credentials of its own: they are made of a token, or kept for a subject, that it does not have. */
function hasNoCredentials(config: ServerSnapshot, token: string, subject: Int32Array): boolean {
  if (config.clientTokens) return token === '';
  return config.clientCredentials && subject.every((word) => word === 0);
}

/** Never fails: nothing can be done about an endpoint that cannot be stopped. */
async function stop(endpoint: BaseEndpoint): Promise<void> {
  // It may be reporting its end right now.
  await new Promise((resolve) => setImmediate(resolve));
  await endpoint.stop().catch(() => {});
}

/** The first of the group that can take one more call. */
function firstFree(group: DedicatedGroup<Dedicated> | undefined): Dedicated | null {
  if (group === undefined) return null;
  for (const member of group.members) {
    if (member.endpoint.hasDeclinedOpening) continue;
    // After a cancelled call a leased endpoint is not used until the server must have stopped working on it.
    if (!group.exclusive || (member.endpoint.inFlight === 0 && member.endpoint.isSettled)) return member;
  }
  return null;
}

function isIdle({ endpoint, watches }: Dedicated): boolean {
  return endpoint.inFlight === 0 && watches.size === 0;
}

function add(stats: EndpointStats, more: EndpointStats): void {
  for (const key of Object.keys(stats) as (keyof EndpointStats)[]) stats[key] += more[key];
}
