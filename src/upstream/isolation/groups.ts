import type { ServerSnapshot } from '../../config/snapshot.js';
import { ASKABLE, Capability } from '../../protocol/client-capabilities.js';
import type { Exchange } from '../../request/exchange/index.js';
import { VerdictWord } from '../../shared/records.js';
import type { ClientIdentity } from '../core/types.js';

/** Lanes that are as good as one another for a client. */
export interface DedicatedGroup<Lane> {
  /** The session that has them for itself, '' = they belong to a principal, or to everybody. */
  readonly sessionId: string;
  /** All 0 where they belong to everybody. */
  readonly subject: Int32Array;
  /** What they declare, bits of Capability. */
  readonly mask: number;
  /** They serve one call at a time. */
  readonly exclusive: boolean;
  readonly members: Lane[];
}

/** What decides who shares lanes. */
export interface IsolationRules {
  isolation(): ServerSnapshot['isolation'];
  /** What a server asks comes on the stream of the call it belongs to (Streamable HTTP). */
  streams(): boolean;
}

/** Finds the lanes of a client. */
export class DedicatedGroups<Lane> {
  readonly #rules: IsolationRules;
  readonly #bySession = new Map<string, DedicatedGroup<Lane>>();
  /** By a number made of subject and mask; a list because two may have the same. */
  readonly #byPrincipal = new Map<number, DedicatedGroup<Lane>[]>();

  constructor(rules: IsolationRules) {
    this.#rules = rules;
  }

  /** The group of a call's client if there is one; without allocation. */
  find(exchange: Exchange): DedicatedGroup<Lane> | undefined {
    const isolation = this.#rules.isolation();
    const { session, verdict } = exchange;
    if (isolation === 'session' && session !== null) return this.#bySession.get(session.id);
    const mask = groupCapabilities(exchange.capabilities);
    const own = isolation !== 'shared';
    const groups = this.#byPrincipal.get(own ? verdict[VerdictWord.subject0]! ^ mask : mask);
    if (groups === undefined) return undefined;
    for (const group of groups) {
      if (group.mask === mask && (!own || sameSubject(group.subject, verdict, VerdictWord.subject0))) return group;
    }
    return undefined;
  }

  findSession(sessionId: string): DedicatedGroup<Lane> | undefined {
    return this.#bySession.get(sessionId);
  }

  /** The group of a client, made if there is none; an empty one is to be used or forgotten at once. */
  findOrCreate(client: ClientIdentity): DedicatedGroup<Lane> {
    const isolation = this.#rules.isolation();
    if (isolation === 'session' && client.sessionId !== '') return this.#forSession(client);
    const mask = groupCapabilities(client.capabilities);
    const subject = isolation === 'shared' ? new Int32Array(4) : client.subject;
    const key = subject[0]! ^ mask;
    let groups = this.#byPrincipal.get(key);
    if (groups === undefined) {
      groups = [];
      this.#byPrincipal.set(key, groups);
    }
    const known = groups.find((group) => group.mask === mask && sameSubject(group.subject, subject, 0));
    if (known !== undefined) return known;
    const group: DedicatedGroup<Lane> = { sessionId: '', subject, mask, exclusive: this.isLeased(client), members: [] };
    groups.push(group);
    return group;
  }

  /**
   * Whether lanes of this client serve one call at a time. Over Streamable HTTP a question comes on the stream of its
   * call, and a session has its lane for itself; elsewhere only one call may be meant.
   */
  isLeased({ sessionId, capabilities }: ClientIdentity): boolean {
    const isolation = this.#rules.isolation();
    if (isolation === 'shared' || (isolation === 'session' && sessionId !== '')) return false;
    return (capabilities & ASKABLE) !== 0 && !this.#rules.streams();
  }

  removeIfEmpty(group: DedicatedGroup<Lane>): void {
    if (group.members.length > 0) return;
    if (group.sessionId !== '') {
      if (this.#bySession.get(group.sessionId) === group) this.#bySession.delete(group.sessionId);
      return;
    }
    const key = group.subject[0]! ^ group.mask;
    const groups = this.#byPrincipal.get(key);
    if (groups === undefined) return;
    const at = groups.indexOf(group);
    if (at >= 0) groups.splice(at, 1);
    if (groups.length === 0) this.#byPrincipal.delete(key);
  }

  #forSession({ sessionId, subject, capabilities }: ClientIdentity): DedicatedGroup<Lane> {
    const known = this.#bySession.get(sessionId);
    if (known !== undefined) return known;
    const group: DedicatedGroup<Lane> = { sessionId, subject, mask: capabilities, exclusive: false, members: [] };
    this.#bySession.set(sessionId, group);
    return group;
  }
}

/** What is declared on a lane of many sessions: a change of the roots of one of them would be no news for the others. */
function groupCapabilities(capabilities: number): number {
  return Math.max(0, capabilities) & ~Capability.rootsListChanged;
}

function sameSubject(subject: Int32Array, words: Int32Array, at: number): boolean {
  return (
    subject[0] === words[at] &&
    subject[1] === words[at + 1] &&
    subject[2] === words[at + 2] &&
    subject[3] === words[at + 3]
  );
}
