/**
 * Subscriptions of clients: `resources/subscribe` of legacy sessions and `subscriptions/listen` of modern clients, which
 * share one subscription at the upstream (MCP, resources; 2026-07-28, subscriptions).
 */

import { Method } from '../../native/layout.js';
import type { ErrorCode } from '../errors.js';
import { decodeString, findPath } from '../protocol/json-cursor.js';
import { judgedUri } from '../protocol/uri.js';
import { type Caller, NOBODY } from '../request/exchange/caller.js';
import { type Exchange, Phase, sessionMissing } from '../request/exchange/index.js';
import type { Session } from '../session/sessions.js';
import type { Count } from '../units.js';
import { ControlError } from '../upstream/core/control.js';
import type { ClientIdentity, ConnectionOwner } from '../upstream/core/types.js';
import { clientIdentity } from '../upstream/isolation/identity.js';
import { type Requester, refusalOf } from './access.js';
import { type ListenAnswers, ListenStreams, type ListenStreamsParts } from './listen-streams.js';
import type { ListChanges } from './servers.js';
import { isOwner, type Subscriber, SubscriberIndex } from './subscriber-index.js';
import { untagged } from './tag.js';

/** How requests to subscribe are answered: the write stage. */
export interface SubscribeAnswers extends ListenAnswers {
  /** Answers with a `result` object. */
  result(exchange: Exchange, result: Uint8Array): void;
  refuse(exchange: Exchange, code: ErrorCode): void;
}

/** What {@link Subscriptions} works with. */
export interface SubscriptionsParts extends ListenStreamsParts {
  readonly sessions: {
    /** Calls `visit` for each session with state in this process. */
    forEach(visit: (session: Session) => void): void;
  };
  readonly write: SubscribeAnswers;
  readonly streams: {
    /** Sends a notification on the standalone stream of a session; `message` must not change afterwards. */
    notify(session: Session, message: Uint8Array): void;
    /** The same for all sessions. */
    broadcast(message: Uint8Array): void;
  };
}

const EMPTY_RESULT = Buffer.from('{}');
const PENDING = new Promise<void>(() => {});

function listChanged(list: keyof ListChanges): Buffer {
  return Buffer.from(`{"jsonrpc":"2.0","method":"notifications/${list}/list_changed"}`);
}

const LIST_CHANGED = {
  tools: listChanged('tools'),
  prompts: listChanged('prompts'),
  resources: listChanged('resources'),
};

interface Subscription {
  readonly server: number;
  readonly uri: string;
  /** Fulfilled when the upstream has confirmed; shared by requests for the same resource. */
  confirmed: Promise<void>;
}

/** A legacy session with subscriptions. */
class SubscribedSession implements Subscriber, Requester {
  readonly session: Session;
  readonly client: ClientIdentity;
  /** Of the session's last `resources/subscribe`. */
  requestCaller: Caller = NOBODY;
  /** See Requester. */
  address = '';
  readonly subscriptions = new Map<string, Subscription>();

  constructor(session: Session, client: ClientIdentity) {
    this.session = session;
    this.client = client;
  }

  get isDisconnected(): boolean {
    return this.session.stream === null;
  }

  /** The one of the standalone stream, where one is open. */
  get caller(): Caller {
    return this.session.stream?.client.caller ?? this.requestCaller;
  }
}

/** See the file comment. The write stage calls it for permitted requests, UpstreamChanges for notifications; one per front. */
export class Subscriptions {
  readonly #parts: SubscriptionsParts;
  readonly #sessions = new Map<string, SubscribedSession>();
  readonly #subscribers = new SubscriberIndex<SubscribedSession>();
  readonly #listens: ListenStreams;

  constructor(parts: SubscriptionsParts) {
    this.#parts = parts;
    this.#listens = new ListenStreams(parts);
  }

  /** Sessions with subscriptions. */
  get sessions(): Count {
    return this.#sessions.size;
  }

  /** Open listen streams. */
  get listens(): Count {
    return this.#listens.size;
  }

  /** Answers `resources/subscribe` and `resources/unsubscribe`; the exchange's verdict names the server. */
  subscribe(exchange: Exchange, bytes: Uint8Array): void {
    const { spans } = exchange.message;
    const { verdict } = exchange;
    const { session } = exchange.client;
    if (session === null) {
      this.#parts.write.refuse(exchange, sessionMissing(exchange));
      return;
    }
    const uri = this.#parts.catalog.listedAs(decodeString(bytes, spans.nameStart, spans.nameEnd));
    const server = verdict.server;
    if (spans.method === Method.resourcesSubscribe) this.#subscribe(exchange, session as Session, server, uri);
    else this.#unsubscribe(exchange, session.id, server, uri);
  }

  #subscribe(exchange: Exchange, session: Session, server: number, uri: string): void {
    const subscribed = this.#sessions.get(session.id) ?? new SubscribedSession(session, clientIdentity(exchange));
    const key = `${server} ${uri}`;
    subscribed.requestCaller = exchange.client.caller;
    subscribed.address = exchange.client.remoteAddress;
    let subscription = subscribed.subscriptions.get(key);
    if (subscription === undefined) {
      if (subscribed.subscriptions.size >= this.#parts.config.current.limits.maxSubscriptions) {
        this.#parts.write.refuse(exchange, 'GW_SUBSCRIPTION_LIMIT');
        return;
      }
      subscription = { server, uri, confirmed: PENDING };
      subscribed.subscriptions.set(key, subscription);
      this.#sessions.set(session.id, subscribed);
      subscription.confirmed = this.#watch(subscribed, key, subscription);
    }
    this.#answerWhen(subscription.confirmed, exchange);
  }

  /** Watches a resource upstream and registers the subscription, unless it was removed meanwhile. */
  async #watch(subscribed: SubscribedSession, key: string, subscription: Subscription): Promise<void> {
    const { client, subscriptions } = subscribed;
    const { server, uri } = subscription;
    const isCurrent = (): boolean => subscriptions.get(key) === subscription;
    const upstream = this.#parts.upstreams.servers[server];
    try {
      if (upstream === undefined) throw new ControlError('closed', 'the server was removed');
      await upstream.watch('resource', uri, client);
    } catch (error) {
      if (isCurrent()) this.#drop(subscribed, key);
      throw error;
    }
    // The client may have unsubscribed, or its session ended, before the confirmation.
    if (isCurrent()) this.#subscribers.add(server, 'resource', uri, subscribed);
    else upstream.unwatch('resource', uri, client);
  }

  #answerWhen(confirmed: Promise<void>, exchange: Exchange): void {
    const { generation } = exchange;
    // No call is in flight upstream, so there is nothing to cancel when the client disconnects.
    exchange.enter(Phase.sending);
    const isCurrent = (): boolean => exchange.generation === generation && exchange.phase !== Phase.free;
    confirmed.then(
      () => {
        if (isCurrent()) this.#parts.write.result(exchange, EMPTY_RESULT);
      },
      (error: unknown) => {
        if (!isCurrent()) return;
        this.#parts.write.refuse(exchange, error instanceof ControlError ? refusalOf(error) : 'GW_INTERNAL');
      },
    );
  }

  #unsubscribe(exchange: Exchange, sessionId: string, server: number, uri: string): void {
    const subscribed = this.#sessions.get(sessionId);
    const key = `${server} ${uri}`;
    const subscription = subscribed?.subscriptions.get(key);
    if (subscribed !== undefined && subscription !== undefined) {
      this.#drop(subscribed, key);
      this.#unwatch(subscribed, subscription);
    }
    this.#parts.write.result(exchange, EMPTY_RESULT);
  }

  #drop(subscribed: SubscribedSession, key: string): void {
    const { session, subscriptions } = subscribed;
    subscriptions.delete(key);
    if (subscriptions.size === 0 && this.#sessions.get(session.id) === subscribed) this.#sessions.delete(session.id);
  }

  /** The session ended: its subscriptions end with it. */
  sessionEnded(sessionId: string): void {
    const subscribed = this.#sessions.get(sessionId);
    if (subscribed === undefined) return;
    this.#sessions.delete(sessionId);
    const all = [...subscribed.subscriptions.values()];
    subscribed.subscriptions.clear();
    for (const subscription of all) this.#unwatch(subscribed, subscription);
  }

  /** Ends a confirmed subscription; {@link #watch} ends one that is not confirmed yet. */
  #unwatch(subscribed: SubscribedSession, { server, uri }: Subscription): void {
    if (!this.#subscribers.remove(server, 'resource', uri, subscribed)) return;
    this.#parts.upstreams.servers[server]?.unwatch('resource', uri, subscribed.client);
  }

  /** Answers `subscriptions/listen`. */
  listen(exchange: Exchange, bytes: Uint8Array): void {
    const refused = this.#listens.open(exchange, bytes);
    if (refused !== null) this.#parts.write.refuse(exchange, refused);
  }

  /** Sends `list_changed`. Call it when the new lists are in force: clients fetch them at once. */
  listsChanged(changes: ListChanges): void {
    for (const list of ['tools', 'prompts', 'resources'] as const) {
      if (!changes[list]) continue;
      this.#parts.streams.broadcast(LIST_CHANGED[list]);
      this.#listens.listChanged(list, LIST_CHANGED[list]);
    }
  }

  /** Sends `list_changed` to one client: its session, or the sessions and listen streams of a principal. */
  clientListsChanged(owner: ConnectionOwner, changes: ListChanges): void {
    const { sessions, streams } = this.#parts;
    const owned: Session[] = [];
    sessions.forEach((session) => {
      if (isOwner(owner, { sessionId: session.id, subject: session.subject })) owned.push(session);
    });
    for (const list of ['tools', 'prompts', 'resources'] as const) {
      if (!changes[list]) continue;
      for (const session of owned) streams.notify(session, LIST_CHANGED[list]);
      this.#listens.listChanged(list, LIST_CHANGED[list], owner);
    }
  }

  /** An upstream's `notifications/resources/updated`. */
  resourceUpdated(server: number, uri: string, bytes: Uint8Array, length: number, owner: ConnectionOwner | null): void {
    const sessions = this.#subscribers.ofResource(server, uri, owner);
    const listens = this.#listens.ofResource(server, uri, owner);
    if (sessions.size === 0 && listens.size === 0) return;
    const message = untagged(new Uint8Array(bytes.subarray(0, length)));
    // Permission for a parent resource does not imply permission for its sub-resources.
    const judged = judgedUri(uri);
    const { access, streams } = this.#parts;
    for (const subscribed of sessions) {
      access.whenPermitted(subscribed, judged, () => streams.notify(subscribed.session, message));
    }
    for (const stream of listens) access.whenPermitted(stream, judged, () => stream.deliver(message));
  }

  /** An upstream's `notifications/tasks`. */
  taskChanged(server: number, taskId: string, bytes: Uint8Array, length: number): void {
    const place = findPath(bytes.subarray(0, length), 0, length, 'params', 'taskId');
    if (place === undefined) return;
    this.#listens.taskChanged(server, taskId, new Uint8Array(bytes.subarray(0, length)), place);
  }

  /** A server was replaced: its subscriptions are made at the new server. */
  serverReplaced(server: number): void {
    for (const { id: uri, subscriber } of this.#subscribers.ofServer(server)) {
      const key = `${server} ${uri}`;
      const subscription = subscriber.subscriptions.get(key);
      this.#subscribers.remove(server, 'resource', uri, subscriber);
      if (subscription === undefined) continue;
      subscription.confirmed = this.#watch(subscriber, key, subscription);
      // MCP has no message that would notify the session; it may subscribe again.
      subscription.confirmed.catch(() => {});
    }
    this.#listens.serverReplaced(server);
  }

  /** URIs of the resources that a stream gets updates of, by its session or as a listen stream. */
  subscribedUris(exchange: Exchange): readonly string[] {
    if (exchange.client.session === null) return this.#listens.subscribedUris(exchange);
    const subscribed = this.#sessions.get(exchange.client.session.id);
    return subscribed === undefined ? [] : [...subscribed.subscriptions.values()].map(({ uri }) => uri);
  }

  /** Ends the subscriptions of a session to a resource. MCP has no message that would notify the client. */
  endResource(sessionId: string, uri: string): void {
    const subscribed = this.#sessions.get(sessionId);
    if (subscribed === undefined) return;
    for (const [key, subscription] of [...subscribed.subscriptions]) {
      if (subscription.uri !== uri) continue;
      this.#drop(subscribed, key);
      this.#unwatch(subscribed, subscription);
    }
  }

  /** The client of a listen stream disconnected. @returns false when the exchange is not a listen stream */
  disconnected(exchange: Exchange): boolean {
    return this.#listens.disconnected(exchange);
  }

  /** A client cancels a listen request on its connection. @returns false when there is none with that id */
  cancelled(origin: Exchange, bytes: Uint8Array, start: number, end: number): boolean {
    return this.#listens.cancelled(origin, bytes, start, end);
  }

  /** Ends all listen streams with the responses to their requests. */
  endListens(): void {
    this.#listens.endAll();
  }
}
