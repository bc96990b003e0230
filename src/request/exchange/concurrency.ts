/**
 * Limits on calls that are under way at once. All calls are counted on the front, whatever worker decides about them, so the
 * counts are exact. A call counts for its client and its route from its verdict until its request is answered, and for its
 * server until its exchange is released: a parked call still occupies its server, but no client.
 */
import { randomBytes } from 'node:crypto';
import type { ClientKey } from '../../config/snapshot/index.js';
import { sameDigest } from '../../shared/digest.js';
import type { Count, Milliseconds } from '../../units.js';
import { ATTRIBUTE_SEPARATOR, type Caller } from './caller.js';

/** Calls under way on one route or at one server. */
export class ActiveCalls {
  readonly name: string;
  count: Count = 0;

  constructor(name: string) {
    this.name = name;
  }
}

/** What a client is known by. */
const By = { subject: 0, address: 1, header: 2 } as const;
type By = (typeof By)[keyof typeof By];

/** Calls under way of one client; in a chain of those with the same place in the table. */
export class ActiveClient {
  count: Count = 0;
  hash = 0;
  by: By = By.subject;
  /** 128 bits of the subject's digest, if the client is known by it. */
  readonly subject = new Int32Array(4);
  /** The address or the value of the header, if the client is known by one of them. */
  text = '';
  next: ActiveClient | null = null;
}

/** A request of a client (`Client`), with what counts it; the fields are changed by {@link Concurrency} alone. */
export interface CountedRequest {
  readonly remoteAddress: string;
  readonly caller: Pick<Caller, 'attributes'>;
  countedGlobally: boolean;
  countedClient: ActiveClient | null;
  countedRoute: ActiveCalls | null;
}

/** A call upstream (`Call`), with what counts it. */
export interface CountedCall {
  countedServer: ActiveCalls | null;
}

/** Limits for all routes and servers; 0 = no limit. */
export interface ConcurrencyRules {
  readonly global: Count;
  readonly perClient: Count;
  /** What tells clients apart. A client without it is counted by its subject, or by its address if it has none. */
  readonly key: ClientKey;
}

/** A route or server with its limit; 0 = no limit. */
export interface LimitedPlace {
  readonly name: string;
  readonly maxConcurrent: Count;
}

/** A limit that refuses a call. */
export type FullLimit = 'global' | 'client' | 'route';

/** What {@link Concurrency} counts now. */
export interface ConcurrencyCounts {
  readonly global: Count;
  readonly clients: Count;
  readonly routes: Count;
  readonly servers: Count;
}

/** Time after which a refused call may be tried again: when another ends is not known. */
export const FULL_RETRY_MS: Milliseconds = 1_000;

/** Places of clients; a power of two. Chains grow beyond it, by at most one client for each exchange. */
const PLACES = 4_096;

/** See the file comment. One for each exchange table, which ends what is counted. */
export class Concurrency {
  readonly #clients = new Array<ActiveClient | null>(PLACES).fill(null);
  /** Clients without calls, to be used again. */
  #idle: ActiveClient | null = null;
  readonly #routes = new Map<string, ActiveCalls>();
  readonly #servers = new Map<string, ActiveCalls>();
  /** So that addresses with one place cannot be chosen. */
  readonly #seed = randomBytes(4).readInt32LE();
  #global: Count = 0;
  #clientCount: Count = 0;

  /** Calls counted globally, and clients, routes and servers with calls that are counted. */
  get counts(): ConcurrencyCounts {
    return {
      global: this.#global,
      clients: this.#clientCount,
      routes: this.#routes.size,
      servers: this.#servers.size,
    };
  }

  /**
   * Counts the request of a client whose call may be sent, for every limit that there is.
   *
   * @param subject 128 bits of the subject's digest, all 0 = anonymous
   * @param route null = the call is on none
   * @param names the headers that policy reads (`Snapshot.attributes`)
   * @returns the limit that is reached, and nothing is counted then; null = counted
   */
  beginRequest(
    client: CountedRequest,
    subject: Int32Array,
    rules: ConcurrencyRules,
    route: LimitedPlace | null,
    names: readonly string[],
  ): FullLimit | null {
    if (rules.global > 0 && this.#global >= rules.global) return 'global';
    const maxOnRoute = route === null ? 0 : route.maxConcurrent;
    let onRoute: ActiveCalls | null = null;
    if (maxOnRoute > 0) {
      onRoute = placeIn(this.#routes, route!.name);
      if (onRoute.count >= maxOnRoute) return 'route';
    }
    if (rules.perClient > 0) {
      const own = this.#clientOf(client, subject, rules.key, names);
      if (own.count >= rules.perClient) return 'client';
      own.count += 1;
      client.countedClient = own;
    }
    if (onRoute !== null) {
      if (onRoute.count === 0) this.#routes.set(onRoute.name, onRoute);
      onRoute.count += 1;
      client.countedRoute = onRoute;
    }
    if (rules.global > 0) {
      this.#global += 1;
      client.countedGlobally = true;
    }
    return null;
  }

  /** The request is answered, or ended without an answer. */
  endRequest(client: CountedRequest): void {
    if (client.countedGlobally) {
      client.countedGlobally = false;
      this.#global -= 1;
    }
    const { countedClient, countedRoute } = client;
    if (countedClient !== null) {
      client.countedClient = null;
      countedClient.count -= 1;
      if (countedClient.count === 0) this.#forget(countedClient);
    }
    if (countedRoute !== null) {
      client.countedRoute = null;
      leave(this.#routes, countedRoute);
    }
  }

  /**
   * Counts a call for the server it is about to be sent to, and no longer for the one it was sent to before.
   *
   * @returns false when the server's limit is reached; nothing changes then
   */
  beginCall(call: CountedCall, server: LimitedPlace): boolean {
    const { countedServer } = call;
    if (server.maxConcurrent === 0) {
      if (countedServer !== null) this.endCall(call);
      return true;
    }
    if (countedServer !== null && countedServer.name === server.name) return true;
    const place = placeIn(this.#servers, server.name);
    if (place.count >= server.maxConcurrent) return false;
    this.endCall(call);
    if (place.count === 0) this.#servers.set(place.name, place);
    place.count += 1;
    call.countedServer = place;
    return true;
  }

  /** The call is under way no longer. */
  endCall(call: CountedCall): void {
    const { countedServer } = call;
    if (countedServer === null) return;
    call.countedServer = null;
    leave(this.#servers, countedServer);
  }

  /** The client of a request; one that has no call is added, so its count has to be raised. */
  #clientOf(client: CountedRequest, subject: Int32Array, key: ClientKey, names: readonly string[]): ActiveClient {
    let by: By = By.subject;
    let text = '';
    let from = 0;
    let to = 0;
    const attributes = key.by === 'header' ? client.caller.attributes(names) : '';
    if (key.by === 'header') {
      from = startOf(attributes, key.attribute);
      to = endOf(attributes, from);
    }
    if (to > from) {
      by = By.header;
      text = attributes;
    } else if (key.by === 'address' || (subject[0]! | subject[1]! | subject[2]! | subject[3]!) === 0) {
      by = By.address;
      text = client.remoteAddress;
      from = 0;
      to = text.length;
    }
    let hash = this.#seed;
    for (let at = from; at < to; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
    hash ^= by === By.subject ? subject[0]! : hash >>> 15;
    hash &= PLACES - 1;
    for (let known: ActiveClient | null = this.#clients[hash]!; known !== null; known = known.next) {
      if (known.by !== by) continue;
      if (by === By.subject ? sameDigest(known.subject, subject) : isRange(known.text, text, from, to)) return known;
    }
    const added = this.#idle ?? new ActiveClient();
    this.#idle = added.next;
    added.hash = hash;
    added.by = by;
    added.text = text.slice(from, to);
    added.subject.set(subject);
    added.next = this.#clients[hash]!;
    this.#clients[hash] = added;
    this.#clientCount += 1;
    return added;
  }

  #forget(client: ActiveClient): void {
    let before: ActiveClient | null = this.#clients[client.hash]!;
    if (before === client) {
      this.#clients[client.hash] = client.next;
    } else {
      while (before !== null && before.next !== client) before = before.next;
      if (before !== null) before.next = client.next;
    }
    client.next = this.#idle;
    this.#idle = client;
    this.#clientCount -= 1;
  }
}

/** The calls at a place; those of a place without calls are in no map yet. */
function placeIn(places: ReadonlyMap<string, ActiveCalls>, name: string): ActiveCalls {
  return places.get(name) ?? new ActiveCalls(name);
}

function leave(places: Map<string, ActiveCalls>, place: ActiveCalls): void {
  place.count -= 1;
  if (place.count === 0) places.delete(place.name);
}

/** Where the value of a request header begins among those that the policy reads. */
function startOf(attributes: string, position: number): number {
  let start = 0;
  for (let i = 0; i < position; i += 1) {
    const at = attributes.indexOf(ATTRIBUTE_SEPARATOR, start);
    if (at < 0) return attributes.length;
    start = at + 1;
  }
  return start;
}

function endOf(attributes: string, start: number): number {
  const at = attributes.indexOf(ATTRIBUTE_SEPARATOR, start);
  return at < 0 ? attributes.length : at;
}

/** Whether `text[from, to)` is `value`. */
function isRange(value: string, text: string, from: number, to: number): boolean {
  return value.length === to - from && text.startsWith(value, from);
}
