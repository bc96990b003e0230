import type { ServerSnapshot } from '../../config/snapshot/index.js';
import { ASKABLE, Capability } from '../../protocol/client-capabilities.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { ClientIdentity } from '../core/types.js';

/** Dedicated endpoints that a client may use one like the other. */
export interface DedicatedGroup<Dedicated> {
  /** The session that they belong to, '' = they belong to a principal, or to all clients. */
  readonly sessionId: string;
  /** The principal; all 0 where they belong to all clients. */
  readonly subject: Int32Array;
  /** Capabilities that they declare, bits of Capability. */
  readonly mask: number;
  /** They serve one call at a time. */
  readonly exclusive: boolean;
  readonly members: Dedicated[];
}

/** What decides which clients share dedicated endpoints. */
export interface IsolationRules {
  readonly isolation: Exclude<ServerSnapshot['isolation'], 'auto'>;
  /** Requests of a server arrive on the stream of the call that they belong to (Streamable HTTP). */
  readonly hasCallStreams: boolean;
}

/** Finds the dedicated endpoints of a client. Owned by the dedicated endpoints of one endpoint. */
export class DedicatedGroups<Dedicated> {
  readonly #rules: IsolationRules;
  readonly #bySession = new Map<string, DedicatedGroup<Dedicated>>();
  /** By a number made of subject and mask; a list because two groups may have the same. */
  readonly #byPrincipal = new Map<number, DedicatedGroup<Dedicated>[]>();

  constructor(rules: IsolationRules) {
    this.#rules = rules;
  }

  /** The group of a call's client if there is one; without allocation. */
  find(exchange: Exchange): DedicatedGroup<Dedicated> | undefined {
    const { isolation } = this.#rules;
    const { session } = exchange.client;
    const { verdict } = exchange;
    if (isolation === 'session' && session !== null) return this.#bySession.get(session.id);
    const mask = groupCapabilities(exchange.client.capabilities);
    const isIsolated = isolation !== 'shared';
    const groups = this.#byPrincipal.get(isIsolated ? verdict.subject[0]! ^ mask : mask);
    if (groups === undefined) return undefined;
    for (const group of groups) {
      if (group.mask !== mask) continue;
      if (!isIsolated || verdict.isFor(group.subject)) return group;
    }
    return undefined;
  }

  findSession(sessionId: string): DedicatedGroup<Dedicated> | undefined {
    return this.#bySession.get(sessionId);
  }

  /** The group of a client, created if there is none; followed by {@link removeIfEmpty} where no member is added. */
  findOrCreate(client: ClientIdentity): DedicatedGroup<Dedicated> {
    const { isolation } = this.#rules;
    if (isolation === 'session' && client.sessionId !== '') return this.#ofSession(client);
    const mask = groupCapabilities(client.capabilities);
    const subject = isolation === 'shared' ? new Int32Array(4) : client.subject;
    const key = keyOf(subject, mask);
    let groups = this.#byPrincipal.get(key);
    if (groups === undefined) {
      groups = [];
      this.#byPrincipal.set(key, groups);
    }
    const known = groups.find((group) => group.mask === mask && sameSubject(group.subject, subject));
    if (known !== undefined) return known;
    const group = { sessionId: '', subject, mask, exclusive: this.isLeased(client), members: [] };
    groups.push(group);
    return group;
  }

  /**
   * Whether a dedicated endpoint is leased to one call of this client at a time, so that a request of the server can only
   * belong to that call. Not over Streamable HTTP, where it arrives on the stream of its call, and not for a session, which
   * does not share its endpoint.
   */
  isLeased({ sessionId, capabilities }: ClientIdentity): boolean {
    const { isolation, hasCallStreams } = this.#rules;
    if (isolation === 'shared' || (isolation === 'session' && sessionId !== '')) return false;
    return (capabilities & ASKABLE) !== 0 && !hasCallStreams;
  }

  removeIfEmpty(group: DedicatedGroup<Dedicated>): void {
    if (group.members.length > 0) return;
    if (group.sessionId !== '') {
      if (this.#bySession.get(group.sessionId) === group) this.#bySession.delete(group.sessionId);
      return;
    }
    const key = keyOf(group.subject, group.mask);
    const groups = this.#byPrincipal.get(key);
    if (groups === undefined) return;
    const at = groups.indexOf(group);
    if (at >= 0) groups.splice(at, 1);
    if (groups.length === 0) this.#byPrincipal.delete(key);
  }

  #ofSession({ sessionId, subject, capabilities }: ClientIdentity): DedicatedGroup<Dedicated> {
    const known = this.#bySession.get(sessionId);
    if (known !== undefined) return known;
    const group = { sessionId, subject, mask: capabilities, exclusive: false, members: [] };
    this.#bySession.set(sessionId, group);
    return group;
  }
}

/** What is declared for several sessions together: not `roots.listChanged`, as the roots of one are not those of the others. */
function groupCapabilities(capabilities: number): number {
  return Math.max(0, capabilities) & ~Capability.rootsListChanged;
}

function keyOf(subject: Int32Array, mask: number): number {
  return subject[0]! ^ mask;
}

function sameSubject(a: Int32Array, b: Int32Array): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3];
}
