/** The open `subscriptions/listen` streams and their subscriptions (MCP 2026-07-28, subscriptions). */
import type { Current } from '../config/snapshot/current.js';
import type { LimitsSnapshot } from '../config/snapshot/index.js';
import type { ErrorCode } from '../errors.js';
import { EVENT_STREAM_HEAD } from '../protocol/event-frames.js';
import { applyEdits, type Range } from '../protocol/json-cursor.js';
import { type ListedSpellings, readUri, URI_FAULTS } from '../protocol/uri.js';
import { Accepts, type Exchange } from '../request/exchange/index.js';
import type { LongLivedStreams } from '../session/streams/long-lived.js';
import type { UpstreamTask } from '../session/tasks.js';
import type { FaultLog } from '../shared/fault-log.js';
import type { GatewayIdentity } from '../shared/gateway-identity.js';
import type { Count, Milliseconds } from '../units.js';
import type { ConnectionOwner, WatchKind } from '../upstream/core/types.js';
import { clientIdentity } from '../upstream/isolation/identity.js';
import { NO_SERVER, type Requester } from './access.js';
import { readListenFilter } from './listen-filter.js';
import { ListenStream, type ListenTarget } from './listen-stream.js';
import type { ListChanges, WatchedServer } from './servers.js';
import { isOwner, SubscriberIndex } from './subscriber-index.js';
import { untagged } from './tag.js';

/** Checks subscriptions and notifications against policy: Access. */
export interface ClientAccess {
  serverOf(asker: Requester, uri: string): Promise<number>;
  whenPermitted(asker: Requester, uri: string, then: () => void): void;
  whenTaskPermitted(asker: Requester, address: string, then: () => void): void;
}

/** How listen requests are answered: the write stage. */
export interface ListenAnswers {
  /** The head with the CORS headers for the client's origin. */
  head(exchange: Exchange, head: readonly string[]): readonly string[];
  /** Counts and releases an exchange whose response is complete. */
  complete(exchange: Exchange): void;
}

/** What {@link ListenStreams} works with. */
export interface ListenStreamsParts {
  readonly config: Current<{ readonly limits: Pick<LimitsSnapshot, 'maxSubscriptions' | 'maxClientBufferBytes'> }>;
  readonly longLived: LongLivedStreams;
  /** By server index. */
  readonly upstreams: { readonly servers: readonly WatchedServer[] };
  readonly access: ClientAccess;
  readonly catalog: ListedSpellings;
  readonly tasks: {
    /** The task of a client's handle, if it was issued to that subject. */
    taskOf(handle: string, subject: Int32Array): UpstreamTask | null;
  };
  readonly write: ListenAnswers;
  /** Releases the exchange of a request whose stream has an exchange of its own. */
  readonly table: { release(exchange: Exchange): void };
  readonly identity: GatewayIdentity;
  readonly log: FaultLog;
}

/** Subscriptions that an upstream has not confirmed within this time are left out of the acknowledgement. */
const CONFIRM_MS: Milliseconds = 10_000;
/** Resources and tasks of one stream that are subscribed to concurrently. */
const MAX_CONCURRENT: Count = 64;
const META_OPEN = '"_meta":{';

/** A resource in a listen filter. */
interface NamedResource {
  /** The client's spelling of the URI. */
  readonly clientName: string;
  /** The URI for upstreams. */
  readonly id: string;
  /** The URI for policy. */
  readonly judged: string;
}

/** See the file comment. Owned by Subscriptions. */
export class ListenStreams {
  readonly #parts: ListenStreamsParts;
  readonly #streams = new Map<Exchange, ListenStream>();
  readonly #subscribers = new SubscriberIndex<ListenStream>();

  constructor(parts: ListenStreamsParts) {
    this.#parts = parts;
  }

  /** Streams open now. */
  get size(): Count {
    return this.#streams.size;
  }

  /** Opens the stream of a listen request. @returns why it is refused, or null */
  open(from: Exchange, bytes: Uint8Array): ErrorCode | null {
    const { config, longLived, table, write } = this.#parts;
    const { limits } = config.current;
    if ((from.client.accepts & (Accepts.sse | Accepts.anySse)) === 0) return 'GW_NOT_ACCEPTABLE_STREAM';
    const filter = readListenFilter(from, bytes);
    if (filter === null) return 'GW_INVALID_FILTER';
    const targets = filter.resourceSubscriptions.length + filter.taskIds.length;
    if (targets > limits.maxSubscriptions || longLived.isFull) return 'GW_SUBSCRIPTION_LIMIT';
    const resources = this.#resources(filter.resourceSubscriptions);
    if (typeof resources === 'string') {
      from.message.detail = resources;
      return 'GW_INVALID_URI';
    }
    const { caller } = from.client;
    const exchange = longLived.open(from);
    table.release(from);
    const stream = new ListenStream(exchange, filter, clientIdentity(exchange), caller, limits.maxClientBufferBytes);
    this.#streams.set(exchange, stream);
    exchange.client.reply?.openStream(200, write.head(exchange, EVENT_STREAM_HEAD));
    if (targets === 0) this.#acknowledge(stream, [], []);
    else this.#begin(stream, resources).catch((error: unknown) => this.#parts.log.fault(error));
    return null;
  }

  /** @param owner the principal whose lists have changed; default: those of all clients */
  listChanged(list: keyof ListChanges, message: Uint8Array, owner: ConnectionOwner | null = null): void {
    for (const stream of [...this.#streams.values()]) {
      if (owner !== null && !isOwner(owner, stream.client)) continue;
      if (stream.filter[`${list}ListChanged`]) stream.deliver(message);
    }
  }

  /** The streams that are subscribed to a resource or to a parent of it. */
  ofResource(server: number, uri: string, owner: ConnectionOwner | null): Set<ListenStream> {
    return this.#subscribers.ofResource(server, uri, owner);
  }

  /** @param place of the task's id in `message`, where each client gets its own handle */
  taskChanged(server: number, taskId: string, message: Uint8Array, place: Range): void {
    this.#subscribers.forEachOf(server, 'task', taskId, (stream) => {
      const target = stream.targets.find(
        ({ kind, id, server: at }) => kind === 'task' && id === taskId && at === server,
      );
      if (target === undefined) return;
      const text = Buffer.from(JSON.stringify(target.clientName));
      const own = untagged(applyEdits(message, 0, message.length, [{ ...place, text }]));
      const address = `${this.#parts.upstreams.servers[server]?.name ?? ''}:${target.tool}`;
      this.#parts.access.whenTaskPermitted(stream, address, () => stream.deliver(own));
    });
  }

  /** See Subscriptions.serverReplaced. A stream ends when the new server refuses one of its subscriptions. */
  serverReplaced(server: number): void {
    for (const { kind, id, subscriber: stream } of this.#subscribers.ofServer(server)) {
      const index = stream.targets.findIndex(
        (target) => target.server === server && target.kind === kind && target.id === id,
      );
      const [target] = stream.targets.splice(index, 1);
      this.#subscribers.remove(server, kind, id, stream);
      if (target === undefined) continue;
      this.#subscribe(stream, target).then(
        (isKept) => {
          if (!isKept && !stream.hasEnded) this.#complete(stream);
        },
        (error: unknown) => this.#parts.log.fault(error),
      );
    }
  }

  /** URIs of the resources that a stream is subscribed to; none when the exchange is not a listen stream. */
  subscribedUris(exchange: Exchange): readonly string[] {
    const targets = this.#streams.get(exchange)?.targets ?? [];
    return targets.flatMap(({ kind, clientName }) => (kind === 'resource' ? [clientName] : []));
  }

  /** The client disconnected. @returns false when the exchange is not a listen stream */
  disconnected(exchange: Exchange): boolean {
    const stream = this.#streams.get(exchange);
    if (stream === undefined) return false;
    this.#remove(stream);
    return true;
  }

  /** See Subscriptions.cancelled. */
  cancelled(origin: Exchange, bytes: Uint8Array, start: number, end: number): boolean {
    if (origin.client.link === null) return false;
    for (const stream of this.#streams.values()) {
      const { exchange } = stream;
      if (exchange.client.link !== origin.client.link || !stream.id.equals(bytes.subarray(start, end))) continue;
      this.#remove(stream);
      exchange.client.reply?.endStream();
      this.#parts.write.complete(exchange);
      return true;
    }
    return false;
  }

  endAll(): void {
    for (const stream of [...this.#streams.values()]) this.#complete(stream);
  }

  /** The resources of a filter. @returns a sentence when a URI is invalid */
  #resources(uris: readonly string[]): NamedResource[] | string {
    const resources: NamedResource[] = [];
    for (const clientName of uris) {
      const read = readUri(clientName, this.#parts.catalog);
      if (typeof read === 'string') return URI_FAULTS[read];
      resources.push({ clientName, id: this.#parts.catalog.listedAs(clientName), judged: read.judged });
    }
    return resources;
  }

  async #begin(stream: ListenStream, named: readonly NamedResource[]): Promise<void> {
    const { taskIds } = stream.filter;
    const confirmed = await filterConcurrently(named, (resource) => this.#subscribeResource(stream, resource));
    const resources = confirmed.map(({ clientName }) => clientName);
    const tasks = await filterConcurrently(taskIds, (handle) => this.#subscribeTask(stream, handle));
    if (stream.hasEnded) return;
    this.#acknowledge(stream, resources, tasks);
  }

  #acknowledge(stream: ListenStream, resourceSubscriptions: readonly string[], taskIds: readonly string[]): void {
    const honoured = { ...stream.filter, resourceSubscriptions, taskIds };
    stream.acknowledge(honoured);
    const { toolsListChanged, promptsListChanged, resourcesListChanged } = honoured;
    const isEmpty = !toolsListChanged && !promptsListChanged && !resourcesListChanged && stream.targets.length === 0;
    if (isEmpty) this.#complete(stream);
  }

  async #subscribeResource(stream: ListenStream, { clientName, id, judged }: NamedResource): Promise<boolean> {
    // Policy is not asked for the rest of a stream whose client disconnected.
    if (stream.hasEnded) return false;
    const server = await this.#parts.access.serverOf(stream, judged);
    return server !== NO_SERVER && this.#subscribe(stream, { server, kind: 'resource', id, clientName, tool: '' });
  }

  #subscribeTask(stream: ListenStream, handle: string): Promise<boolean> {
    const task = this.#parts.tasks.taskOf(handle, stream.client.subject);
    if (task === null) return Promise.resolve(false);
    const { server, id, tool } = task;
    return this.#subscribe(stream, { server, kind: 'task', id, clientName: handle, tool });
  }

  /** @returns whether the upstream has confirmed within {@link CONFIRM_MS} */
  #subscribe(stream: ListenStream, target: ListenTarget): Promise<boolean> {
    const { server, kind, id } = target;
    const upstream = this.#parts.upstreams.servers[server];
    // No promise and timer for targets that cannot be watched: there may be thousands.
    if (upstream === undefined || stream.hasEnded || !upstream.announces(kind)) return Promise.resolve(false);
    return new Promise((resolve) => {
      let isLate = false;
      const timer = setTimeout(() => {
        isLate = true;
        resolve(false);
      }, CONFIRM_MS);
      timer.unref();
      upstream.watch(kind, id, stream.client).then(
        () => {
          clearTimeout(timer);
          if (isLate || stream.hasEnded) {
            upstream.unwatch(kind, id, stream.client);
          } else {
            stream.targets.push(target);
            this.#subscribers.add(server, kind, id, stream);
          }
          resolve(!isLate);
        },
        () => {
          clearTimeout(timer);
          resolve(false);
        },
      );
    });
  }

  #complete(stream: ListenStream): void {
    const info = this.#parts.identity.serverInfo;
    stream.complete(info.subarray(META_OPEN.length, info.length - 1));
    this.#remove(stream);
    this.#parts.write.complete(stream.exchange);
  }

  #remove(stream: ListenStream): void {
    stream.hasEnded = true;
    this.#streams.delete(stream.exchange);
    for (const { server, kind, id } of stream.targets) this.#unsubscribe(stream, server, kind, id);
    stream.targets.length = 0;
  }

  #unsubscribe(stream: ListenStream, server: number, kind: WatchKind, id: string): void {
    this.#subscribers.remove(server, kind, id, stream);
    this.#parts.upstreams.servers[server]?.unwatch(kind, id, stream.client);
  }
}

/** The items for which `test` resolves to true, in their order; {@link MAX_CONCURRENT} tests run concurrently. */
async function filterConcurrently<T>(items: readonly T[], test: (item: T) => Promise<boolean>): Promise<T[]> {
  const passed: boolean[] = [];
  const queue = items.entries();
  const run = async (): Promise<void> => {
    // All runs share one iterator.
    for (const [index, item] of queue) passed[index] = await test(item);
  };
  await Promise.all(Array.from({ length: Math.min(MAX_CONCURRENT, items.length) }, run));
  return items.filter((_, index) => passed[index]);
}
