/**
 * Lanes: further children or sessions of one endpoint before 2026-07-28, so that what a server asks and remembers belongs
 * to one client (configuration: `isolation`, `maxLanes`, `laneIdleMs`). Made when they are first needed.
 */
import type { ServerSnapshot } from '../../config/snapshot.js';
import type { ErrorCode } from '../../errors.js';
import { Capability } from '../../protocol/client-capabilities.js';
import { Era } from '../../protocol/revisions.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { Count, Milliseconds } from '../../units.js';
import { BackOff } from '../balance/back-off.js';
import { type Breaker, ConsecutiveFailureBreaker } from '../balance/breaker.js';
import type { HealthBoard } from '../balance/health.js';
import { controlMessage } from '../core/control.js';
import type { BaseEndpoint, EndpointOwner, EndpointStats } from '../core/endpoint.js';
import type { ClientIdentity, ConnectionProfile, WatchKind } from '../core/types.js';
import { Watches } from '../subscriptions/watches.js';
import { type DedicatedGroup, DedicatedGroups } from './groups.js';
import { clientIdentity } from './identity.js';

/** Longest pause after a lane that could not be started. */
const MAX_PAUSE_MS: Milliseconds = 5_000;
/** How often lanes are looked at for having been idle. */
const SWEEP_MS: Milliseconds = 250;

/** The server of the lanes. */
export interface DedicatedHost {
  readonly config: ServerSnapshot;
  readonly health: HealthBoard;
  /** Makes a lane's endpoint; it does nothing before `start`. */
  create(base: BaseEndpoint, owner: EndpointOwner, breaker: Breaker, profile: ConnectionProfile): BaseEndpoint;
  /** A lane has done its handshake. */
  dedicatedInitialized(endpoint: BaseEndpoint): void;
  isLast(endpoint: BaseEndpoint): boolean;
  listChanged(endpoint: BaseEndpoint): void;
  resourceUpdated(endpoint: BaseEndpoint, uri: string, bytes: Uint8Array, length: number): void;
  taskChanged(endpoint: BaseEndpoint, taskId: string, bytes: Uint8Array, length: number): void;
}

interface Dedicated {
  readonly endpoint: BaseEndpoint;
  readonly group: DedicatedGroup<Dedicated>;
  readonly watches: Watches;
  /** `performance.now()` of its last use. */
  usedAt: Milliseconds;
  /** The server takes no more calls here; it is stopped when the last one is over. */
  retired: boolean;
}

/** The lanes of one endpoint. See the file comment. */
export class DedicatedEndpoints implements EndpointOwner {
  readonly #host: DedicatedHost;
  readonly #baseOf: () => BaseEndpoint;
  readonly #groups: DedicatedGroups<Dedicated>;
  readonly #dedicated = new Map<BaseEndpoint, Dedicated>();
  readonly #stopping = new Set<Promise<void>>();
  readonly #backOff = new BackOff(100, MAX_PAUSE_MS);
  /** What lanes counted that are gone. */
  readonly #past: EndpointStats;
  #pausedUntil: Milliseconds = 0;
  #sweepAt: Milliseconds = 0;
  #stopped = false;

  /** @param base the endpoint that all clients share, at the moment */
  constructor(host: DedicatedHost, base: () => BaseEndpoint) {
    this.#host = host;
    this.#baseOf = base;
    this.#groups = new DedicatedGroups({
      isolation: () => this.config.isolation,
      streams: () => this.#base.transport === 'http',
    });
    // Nothing has been counted yet.
    this.#past = { ...base().stats };
  }

  get config(): ServerSnapshot {
    return this.#host.config;
  }

  get health(): HealthBoard {
    return this.#host.health;
  }

  get #base(): BaseEndpoint {
    return this.#baseOf();
  }

  /** Lanes that exist, those that are being stopped not counted. */
  get size(): Count {
    return this.#dedicated.size;
  }

  /** Calls in flight on all lanes. */
  get inFlight(): Count {
    let count = 0;
    for (const endpoint of this.#dedicated.keys()) count += endpoint.inFlight;
    return count;
  }

  /** Whether one of them sends more than `limits.maxNotificationsPerSecond` allows. */
  get overLimit(): boolean {
    for (const endpoint of this.#dedicated.keys()) if (endpoint.notificationLimit.exceeding) return true;
    return false;
  }

  /**
   * Whether calls of this endpoint can need a lane: a legacy server that is isolated, or one over Streamable HTTP, where
   * what a server asks comes on the stream of the call it belongs to.
   */
  get isNeeded(): boolean {
    const { handshake, transport } = this.#base;
    if (handshake === null || handshake.era !== Era.legacy) return false;
    // Without sessions it remembers nothing, and has no way to hear an answer.
    if (transport === 'http' && handshake.sessionId === '') return false;
    return this.config.isolation !== 'shared' || transport === 'http';
  }

  /** A lane of this client that can take the call as it is; null = none yet. Servers that all clients share have none. */
  find(exchange: Exchange): BaseEndpoint | null {
    if (this.#dedicated.size === 0 || this.config.isolation === 'shared') return null;
    const lane = free(this.#groups.find(exchange));
    if (lane === null || !this.#mayUse(lane)) return null;
    lane.usedAt = exchange.startedAt;
    return lane.endpoint;
  }

  /** The endpoint for a call: a lane, made if need be, or the shared endpoint where that is enough; null = {@link refusal} says why. */
  acquire(exchange: Exchange): BaseEndpoint | null {
    const { isolation } = this.config;
    if (isolation === 'shared' && exchange.capabilities <= 0) return this.#base;
    const found = free(this.#groups.find(exchange));
    if (found !== null) {
      found.usedAt = exchange.startedAt;
      return found.endpoint;
    }
    const lane = this.#add(clientIdentity(exchange), exchange.startedAt);
    // Shared by all: without a lane nothing can be asked, but the call can be made.
    if (lane === null) return isolation === 'shared' ? this.#base : null;
    return lane.endpoint;
  }

  /** Why {@link acquire} has none. */
  get refusal(): ErrorCode {
    return performance.now() < this.#pausedUntil ? 'GW_UPSTREAM_DOWN' : 'GW_UPSTREAM_BUSY';
  }

  /** What is followed on the lane of this client; made if need be. Null = there is none, or can be none at the moment. */
  watchesOf(client: ClientIdentity, make: boolean): Watches | null {
    // A lane that is lent to one call at a time is no place to stay: subscriptions have one that declares nothing.
    const follower = this.#groups.isLeased(client) ? { ...client, capabilities: 0 } : client;
    const group = this.#groups.findOrCreate(follower);
    const lane = group.members[0] ?? (make ? this.#add(follower, performance.now()) : null);
    this.#groups.removeIfEmpty(group);
    return lane?.watches ?? null;
  }

  /** A legacy session is over. */
  sessionEnded(sessionId: string): void {
    const group = this.#groups.findSession(sessionId);
    if (group !== undefined) for (const lane of [...group.members]) this.#retire(lane);
  }

  /** The roots of a legacy session's client changed. */
  rootsChanged(sessionId: string): void {
    for (const { endpoint } of this.#groups.findSession(sessionId)?.members ?? []) {
      if ((endpoint.profile.capabilities & Capability.rootsListChanged) === 0 || endpoint.state !== 'ready') continue;
      endpoint.reply(controlMessage(null, 'notifications/roots/list_changed', null, false));
    }
  }

  /** Calls `visit` for the endpoint of each lane. */
  forEach(visit: (endpoint: BaseEndpoint) => void): void {
    for (const endpoint of this.#dedicated.keys()) visit(endpoint);
  }

  tick(now: Milliseconds): void {
    if (this.#dedicated.size === 0) return;
    for (const endpoint of this.#dedicated.keys()) endpoint.tick(now);
    if (now < this.#sweepAt) return;
    this.#sweepAt = now + Math.min(SWEEP_MS, this.config.laneIdleMs);
    for (const lane of this.#dedicated.values()) {
      if (!idle(lane)) lane.usedAt = now;
      else if (lane.retired || now - lane.usedAt >= this.config.laneIdleMs) this.#retire(lane);
    }
  }

  /** The sum of `stats` and what all lanes, past and present, have counted. */
  addTo(stats: EndpointStats): EndpointStats {
    const sum = { ...stats };
    add(sum, this.#past);
    for (const endpoint of this.#dedicated.keys()) add(sum, endpoint.stats);
    return sum;
  }

  /** Settles when nothing of any lane is left. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const lane of [...this.#dedicated.values()]) this.#end(lane);
    await Promise.all(this.#stopping);
  }

  stateChanged(endpoint: BaseEndpoint): void {
    const lane = this.#dedicated.get(endpoint);
    if (lane === undefined || endpoint.state === 'ready' || endpoint.state === 'connecting') return;
    if (endpoint.handshake === null) this.#pausedUntil = performance.now() + this.#backOff.next();
    lane.watches.endpointUnavailable();
    // What its client follows makes it worth to be started again by itself; else the next call starts another.
    if (lane.watches.size > 0 && !lane.retired) return;
    this.#retire(lane);
    // Calls in flight are failed right after this, and then it need not be kept.
    setImmediate(() => this.#retire(lane));
  }

  initialized(endpoint: BaseEndpoint): void {
    this.#backOff.reset();
    this.#pausedUntil = 0;
    this.#host.dedicatedInitialized(endpoint);
    this.#dedicated.get(endpoint)?.watches.initialized(endpoint);
  }

  isLast(): boolean {
    return this.#host.isLast(this.#base);
  }

  listChanged(endpoint: BaseEndpoint): void {
    this.#host.listChanged(endpoint);
  }

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
    if (this.#stopped || now < this.#pausedUntil || !this.#makeRoom()) return null;
    const group = this.#groups.findOrCreate(client);
    const profile: ConnectionProfile = {
      capabilities: group.mask,
      owner: this.config.isolation === 'shared' ? null : { sessionId: group.sessionId, subject: group.subject },
      exclusive: group.exclusive,
      legacyOnly: true,
      lazy: true,
    };
    // Connections go to one origin and share its breaker; the failure of one child says nothing about another.
    const breaker = this.#base.transport === 'stdio' ? new ConsecutiveFailureBreaker() : this.#base.breaker;
    const endpoint = this.#host.create(this.#base, this, breaker, profile);
    const lane: Dedicated = { endpoint, group, watches: new Watches([() => endpoint]), usedAt: now, retired: false };
    group.members.push(lane);
    this.#dedicated.set(endpoint, lane);
    endpoint.start();
    return lane.retired ? null : lane;
  }

  /** A place for one more lane: the longest idle one goes if there is none. */
  #makeRoom(): boolean {
    if (this.#dedicated.size < this.config.maxLanes) return true;
    // Those that take their time to stop are processes too.
    if (this.#stopping.size >= this.config.maxLanes) return false;
    let oldest: Dedicated | null = null;
    for (const lane of this.#dedicated.values()) {
      if (idle(lane) && (oldest === null || lane.usedAt < oldest.usedAt)) oldest = lane;
    }
    if (oldest === null) return false;
    this.#retire(oldest);
    return true;
  }

  #mayUse(lane: Dedicated): boolean {
    const { breaker } = lane.endpoint;
    if (!breaker.tripped) return true;
    const now = performance.now();
    if (!breaker.allows(now)) return false;
    breaker.trialStarted(now);
    return true;
  }

  /** No new calls come here; what is in flight is finished first. */
  #retire(lane: Dedicated): void {
    if (!lane.retired) {
      lane.retired = true;
      const { group } = lane;
      group.members.splice(group.members.indexOf(lane), 1);
      this.#groups.removeIfEmpty(group);
      lane.watches.close();
    }
    if (lane.endpoint.inFlight === 0) this.#end(lane);
  }

  #end(lane: Dedicated): void {
    lane.retired = true;
    if (!this.#dedicated.delete(lane.endpoint)) return;
    lane.watches.close();
    add(this.#past, lane.endpoint.stats);
    // The endpoint may be in the midst of telling that it ended.
    const gone = new Promise<void>((resolve) => setImmediate(resolve))
      .then(() => lane.endpoint.stop())
      // There is nothing more that could be done about it.
      .catch(() => {})
      .finally(() => this.#stopping.delete(gone));
    this.#stopping.add(gone);
  }
}

/** A lane of the group that can take one more call. */
function free(group: DedicatedGroup<Dedicated> | undefined): Dedicated | null {
  if (group === undefined) return null;
  for (const lane of group.members) {
    // A lane whose last call was taken back rests until the server has certainly forgotten it.
    if (!group.exclusive || (lane.endpoint.inFlight === 0 && lane.endpoint.isSettled)) return lane;
  }
  return null;
}

function idle(lane: Dedicated): boolean {
  return lane.endpoint.inFlight === 0 && lane.watches.size === 0;
}

function add(stats: EndpointStats, more: EndpointStats): void {
  for (const key of Object.keys(stats) as (keyof EndpointStats)[]) stats[key] += more[key];
}
