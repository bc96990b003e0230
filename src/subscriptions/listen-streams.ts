/** All open `subscriptions/listen` streams: what they ask for, and who gets what (MCP 2026-07-28, subscriptions). */
import type { Current } from '../config/current.js';
import type { LimitsSnapshot } from '../config/snapshot.js';
import type { ErrorCode } from '../errors.js';
import { EVENT_STREAM_HEAD } from '../protocol/event-frames.js';
import { applyEdits, type Range } from '../protocol/json-cursor.js';
import { type ListedResources, readUri, URI_FAULTS } from '../protocol/uri.js';
import type { Exchange } from '../request/exchange/index.js';
import type { LongLivedStreams } from '../session/streams/long-lived.js';
import type { UpstreamTask } from '../session/tasks.js';
import type { FaultLog } from '../shared/fault-log.js';
import type { GatewayIdentity } from '../shared/gateway-identity.js';
import type { Count, Milliseconds } from '../units.js';
import type { LaneOwner, WatchKind } from '../upstream/core/types.js';
import { laneClient } from '../upstream/isolation/client.js';
import { NO_SERVER, type Requester } from './access.js';
import { readListenFilter } from './listen-filter.js';
import { ListenStream, type ListenTarget } from './listen-stream.js';
import type { ListChanges, WatchedServer } from './servers.js';
import { SubscriberIndex } from './subscriber-index.js';
import { untagged } from './tag.js';

/** What clients may follow and hear of (src/subscriptions/access.ts). */
export interface ClientAccess {
  serverOf(asker: Requester, uri: string): Promise<number>;
  whenPermitted(asker: Requester, uri: string, then: () => void): void;
  whenTaskPermitted(asker: Requester, address: string, then: () => void): void;
}

/** How listen requests are answered: the write stage. */
export interface ListenAnswers {
  /** A head with what the client's origin needs besides. */
  head(exchange: Exchange, head: readonly string[]): readonly string[];
  /** Everything is written: counts the exchange and gives it back. */
  complete(exchange: Exchange): void;
}

/** What {@link ListenStreams} works with. */
export interface ListenStreamsParts {
  readonly config: Current<{ readonly limits: Pick<LimitsSnapshot, 'maxSubscriptions' | 'maxClientBufferBytes'> }>;
  readonly longLived: LongLivedStreams;
  /** By server index. */
  readonly upstreams: { readonly servers: readonly WatchedServer[] };
  readonly access: ClientAccess;
  readonly catalog: ListedResources;
  readonly tasks: {
    /** The task behind a client's handle, if it was made for that subject. */
    taskOf(handle: string, subject: Int32Array): UpstreamTask | null;
  };
  readonly write: ListenAnswers;
  /** Takes back the exchange of a request whose stream has one of its own. */
  readonly table: { release(exchange: Exchange): void };
  readonly identity: GatewayIdentity;
  readonly log: FaultLog;
}

/** What an upstream has not confirmed in this time is left out of the acknowledgement. */
const CONFIRM_MS: Milliseconds = 10_000;
/** Resources and tasks of one stream that are asked for at once. */
const MAX_CONCURRENT: Count = 64;
const META_OPEN = '"_meta":{';

/** A resource that a client wants to follow. */
interface NamedResource {
  /** As the client spells it. */
  readonly clientName: string;
  /** As it is sent to upstreams. */
  readonly id: string;
  /** As policy compares it. */
  readonly judged: string;
}

/** See the file comment. */
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

  /** Takes over a listen request. @returns why it is refused, or null */
  open(from: Exchange, bytes: Uint8Array): ErrorCode | null {
    const { config, longLived: standing, table, write } = this.#parts;
    const { limits } = config.current;
    const filter = readListenFilter(from, bytes);
    if (filter === null) return 'GW_INVALID_FILTER';
    const wanted = filter.resourceSubscriptions.length + filter.taskIds.length;
    if (wanted > limits.maxSubscriptions || standing.isFull) return 'GW_SUBSCRIPTION_LIMIT';
    const resources = this.#resources(filter.resourceSubscriptions);
    if (typeof resources === 'string') {
      from.message.detail = resources;
      return 'GW_INVALID_URI';
    }
    const { token } = from.client;
    const exchange = standing.open(from);
    table.release(from);
    const stream = new ListenStream(exchange, filter, laneClient(exchange), token, limits.maxClientBufferBytes);
    this.#streams.set(exchange, stream);
    exchange.client.reply?.openStream(200, write.head(exchange, EVENT_STREAM_HEAD));
    if (wanted === 0) this.#acknowledge(stream, [], []);
    else this.#begin(stream, resources).catch((error: unknown) => this.#parts.log.fault(error));
    return null;
  }

  listChanged(list: keyof ListChanges, message: Uint8Array): void {
    for (const stream of [...this.#streams.values()]) {
      if (stream.filter[`${list}ListChanged`]) stream.deliver(message);
    }
  }

  /** The streams that follow a resource or one that it is part of. */
  ofResource(server: number, uri: string, owner: LaneOwner | null): Set<ListenStream> {
    return this.#subscribers.ofResource(server, uri, owner);
  }

  /** @param place of the task's id in `message`: each client gets the one it knows */
  taskChanged(server: number, taskId: string, message: Uint8Array, place: Range): void {
    this.#subscribers.forEachOf(server, 'task', taskId, (stream) => {
      const known = stream.targets.find(
        ({ kind, id, server: at }) => kind === 'task' && id === taskId && at === server,
      );
      if (known === undefined) return;
      const text = Buffer.from(JSON.stringify(known.clientName));
      const own = untagged(applyEdits(message, 0, message.length, [{ ...place, text }]));
      const address = `${this.#parts.upstreams.servers[server]?.name ?? ''}:${known.tool}`;
      this.#parts.access.whenTaskPermitted(stream, address, () => stream.deliver(own));
    });
  }

  /** See Subscriptions.serverReplaced. A stream that cannot be kept as it was acknowledged ends. */
  serverReplaced(server: number): void {
    for (const { kind, id, subscriber: stream } of this.#subscribers.ofServer(server)) {
      const index = stream.targets.findIndex(
        (known) => known.server === server && known.kind === kind && known.id === id,
      );
      const [followed] = stream.targets.splice(index, 1);
      this.#subscribers.remove(server, kind, id, stream);
      this.#subscribe(stream, followed!).then(
        (isKept) => {
          if (!isKept && !stream.hasEnded) this.#complete(stream);
        },
        (error: unknown) => this.#parts.log.fault(error),
      );
    }
  }

  /** Resources that a stream follows; none when it is no listen stream. */
  subscribedUris(exchange: Exchange): readonly string[] {
    const followed = this.#streams.get(exchange)?.targets ?? [];
    return followed.flatMap(({ kind, clientName: name }) => (kind === 'resource' ? [name] : []));
  }

  /** The client left. @returns false when the exchange is none of a listen stream */
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

  /** The resources of a filter with what policy compares of each and what upstreams are sent; a text = why one is refused. */
  #resources(uris: readonly string[]): NamedResource[] | string {
    const resources: NamedResource[] = [];
    for (const name of uris) {
      const read = readUri(name, this.#parts.catalog);
      if (typeof read === 'string') return URI_FAULTS[read];
      resources.push({ clientName: name, id: read.text, judged: read.judged });
    }
    return resources;
  }

  async #begin(stream: ListenStream, wanted: readonly NamedResource[]): Promise<void> {
    const { taskIds } = stream.filter;
    const followed = await filterConcurrently(wanted, (resource) => this.#subscribeResource(stream, resource));
    const resources = followed.map(({ clientName: name }) => name);
    const tasks = await filterConcurrently(taskIds, (handle) => this.#subscribeTask(stream, handle));
    if (stream.hasEnded) return;
    this.#acknowledge(stream, resources, tasks);
  }

  #acknowledge(stream: ListenStream, resourceSubscriptions: readonly string[], taskIds: readonly string[]): void {
    const honoured = { ...stream.filter, resourceSubscriptions, taskIds };
    stream.acknowledge(honoured);
    const { toolsListChanged, promptsListChanged, resourcesListChanged } = honoured;
    const nothing = !toolsListChanged && !promptsListChanged && !resourcesListChanged && stream.targets.length === 0;
    if (nothing) this.#complete(stream);
  }

  async #subscribeResource(stream: ListenStream, { clientName: name, id, judged }: NamedResource): Promise<boolean> {
    // Its client has left: the rest of what it named need not be judged.
    if (stream.hasEnded) return false;
    const server = await this.#parts.access.serverOf(stream, judged);
    return (
      server !== NO_SERVER && this.#subscribe(stream, { server, kind: 'resource', id, clientName: name, tool: '' })
    );
  }

  #subscribeTask(stream: ListenStream, handle: string): Promise<boolean> {
    const task = this.#parts.tasks.taskOf(handle, stream.client.subject);
    if (task === null) return Promise.resolve(false);
    const { server, id, tool } = task;
    return this.#subscribe(stream, { server, kind: 'task', id, clientName: handle, tool });
  }

  /** @returns whether the upstream has confirmed, in time */
  #subscribe(stream: ListenStream, followed: ListenTarget): Promise<boolean> {
    const { server, kind, id } = followed;
    const upstream = this.#parts.upstreams.servers[server];
    // Without a promise and a timer for each of a thousand that cannot be had.
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
            stream.targets.push(followed);
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

/** Those of `items` for which `test` comes out true, in their order; some at once. */
async function filterConcurrently<T>(items: readonly T[], test: (item: T) => Promise<boolean>): Promise<T[]> {
  const passed: boolean[] = [];
  let next = 0;
  const run = async (): Promise<void> => {
    while (next < items.length) {
      const index = next;
      next += 1;
      passed[index] = await test(items[index]!);
    }
  };
  await Promise.all(Array.from({ length: Math.min(MAX_CONCURRENT, items.length) }, run));
  return items.filter((_, index) => passed[index]);
}
