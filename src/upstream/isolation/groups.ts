import type { ServerSnapshot } from '../../config/snapshot.js';
import { ASKABLE, Capability } from '../../protocol/client-capabilities.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { LaneClient } from '../core/types.js';

/** Lanes that are as good as one another for a client. */
export interface LaneGroup<Lane> {
  /** The session that has them for itself, '' = they belong to a principal, or to everybody. */
  readonly sessionId: string;
  /** All 0 where they belong to everybody. */
  readonly subject: Int32Array;
  /** What they declare, bits of Capability. */
  readonly mask: number;
  /** They serve one call at a time. */
  readonly exclusive: boolean;
  readonly lanes: Lane[];
}

/** What decides who shares lanes. */
export interface LaneRules {
  isolation(): ServerSnapshot['isolation'];
  /** What a server asks comes on the stream of the call it belongs to (Streamable HTTP). */
  streams(): boolean;
}

/** Finds the lanes of a client. */
export class LaneGroups<Lane> {
  readonly #rules: LaneRules;
  readonly #bySession = new Map<string, LaneGroup<Lane>>();
  /** By a number made of subject and mask; a list because two may have the same. */
  readonly #byPrincipal = new Map<number, LaneGroup<Lane>[]>();

  constructor(rules: LaneRules) {
    this.#rules = rules;
  }

  /** The group of a call's client if there is one; without allocation. */
  of(exchange: Exchange): LaneGroup<Lane> | undefined {
    const isolation = this.#rules.isolation();
    const { session } = exchange.client;
    const { verdict } = exchange;
    if (isolation === 'session' && session !== null) return this.#bySession.get(session.id);
    const mask = lentMask(exchange.client.capabilities);
    const own = isolation !== 'shared';
    const groups = this.#byPrincipal.get(own ? verdict.subject[0]! ^ mask : mask);
    if (groups === undefined) return undefined;
    for (const group of groups) {
      if (group.mask === mask && (!own || verdict.isFor(group.subject))) return group;
    }
    return undefined;
  }

  ofSession(sessionId: string): LaneGroup<Lane> | undefined {
    return this.#bySession.get(sessionId);
  }

  /** The group of a client, made if there is none; an empty one is to be used or forgotten at once. */
  for(client: LaneClient): LaneGroup<Lane> {
    const isolation = this.#rules.isolation();
    if (isolation === 'session' && client.sessionId !== '') return this.#forSession(client);
    const mask = lentMask(client.capabilities);
    const subject = isolation === 'shared' ? new Int32Array(4) : client.subject;
    const key = subject[0]! ^ mask;
    let groups = this.#byPrincipal.get(key);
    if (groups === undefined) {
      groups = [];
      this.#byPrincipal.set(key, groups);
    }
    const known = groups.find((group) => group.mask === mask && sameSubject(group.subject, subject, 0));
    if (known !== undefined) return known;
    const group: LaneGroup<Lane> = { sessionId: '', subject, mask, exclusive: this.lends(client), lanes: [] };
    groups.push(group);
    return group;
  }

  /**
   * Whether lanes of this client serve one call at a time. Over Streamable HTTP a question comes on the stream of its
   * call, and a session has its lane for itself; elsewhere only one call may be meant.
   */
  lends({ sessionId, capabilities }: LaneClient): boolean {
    const isolation = this.#rules.isolation();
    if (isolation === 'shared' || (isolation === 'session' && sessionId !== '')) return false;
    return (capabilities & ASKABLE) !== 0 && !this.#rules.streams();
  }

  forgetIfEmpty(group: LaneGroup<Lane>): void {
    if (group.lanes.length > 0) return;
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

  #forSession({ sessionId, subject, capabilities }: LaneClient): LaneGroup<Lane> {
    const known = this.#bySession.get(sessionId);
    if (known !== undefined) return known;
    const group: LaneGroup<Lane> = { sessionId, subject, mask: capabilities, exclusive: false, lanes: [] };
    this.#bySession.set(sessionId, group);
    return group;
  }
}

/** What is declared on a lane of many sessions: a change of the roots of one of them would be no news for the others. */
function lentMask(capabilities: number): number {
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
