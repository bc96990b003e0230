/** One open `subscriptions/listen` of a modern client (MCP 2026-07-28, subscriptions). */

import { Composer } from '../protocol/composer.js';
import type { Caller } from '../request/exchange/caller.js';
import type { Exchange } from '../request/exchange/index.js';
import { writeMessage } from '../session/streams/index.js';
import type { Bytes, Count } from '../units.js';
import type { ClientIdentity, ListenFilter, WatchKind } from '../upstream/core/types.js';
import type { Requester } from './access.js';
import { honouredPart } from './listen-filter.js';
import type { Subscriber } from './subscriber-index.js';
import { SUBSCRIPTION_ID, tagged } from './tag.js';

/** A resource or task that is watched upstream for this stream. */
export interface ListenTarget {
  readonly server: number;
  readonly kind: WatchKind;
  /** The URI or task id at the upstream. */
  readonly id: string;
  /** The client's spelling of the URI, or its handle of the task. */
  readonly clientName: string;
  /** The upstream name of the tool that created the task; empty for resources. */
  readonly tool: string;
}

/** Notifications that are held back until the acknowledgement, which must come first. */
const MAX_HELD: Count = 100;

const composer = new Composer();

/** See the file comment. Every message on it has the subscription id of its request. Owned by ListenStreams. */
export class ListenStream implements Subscriber, Requester {
  readonly client: ClientIdentity;
  /** The exchange of the stream, one of LongLivedStreams. */
  readonly exchange: Exchange;
  readonly filter: ListenFilter;
  /** See Requester. */
  readonly caller: Caller;
  readonly targets: ListenTarget[] = [];
  /** The client disconnected or the stream was ended. */
  hasEnded = false;
  readonly #id: Buffer;
  readonly #maxBuffer: Bytes;
  #held: Uint8Array[] | null = [];

  constructor(exchange: Exchange, filter: ListenFilter, client: ClientIdentity, caller: Caller, maxBuffer: Bytes) {
    this.exchange = exchange;
    this.filter = filter;
    this.client = client;
    this.caller = caller;
    this.#maxBuffer = maxBuffer;
    this.#id = Buffer.from(exchange.client.id.subarray(0, exchange.client.idLength));
  }

  /** See Asker. */
  get address(): string {
    return this.exchange.client.remoteAddress;
  }

  /** The JSON token of the request's id. */
  get id(): Buffer {
    return this.#id;
  }

  /** Sends the acknowledgement, then the notifications that were held back. */
  acknowledge(honoured: ListenFilter): void {
    const notifications = JSON.stringify(honouredPart(honoured));
    const method = 'notifications/subscriptions/acknowledged';
    const text = `{"jsonrpc":"2.0","method":"${method}","params":{"notifications":${notifications}}}`;
    const held = this.#held ?? [];
    this.#held = null;
    this.#write(tagged(Buffer.from(text), this.#id));
    for (const message of held) this.deliver(message);
  }

  /**
   * Sends a notification with the subscription id; drops it when the client is too slow.
   *
   * @param message without a subscription id; must not change afterwards
   */
  deliver(message: Uint8Array): void {
    if (this.hasEnded) return;
    if (this.#held !== null) {
      if (this.#held.length < MAX_HELD) this.#held.push(message);
      return;
    }
    const { reply } = this.exchange.client;
    if (reply !== null && reply.buffered() <= this.#maxBuffer) this.#write(tagged(message, this.#id));
  }

  /**
   * Ends the stream with the response to its request, as MCP requires.
   *
   * @param serverInfo `"io.modelcontextprotocol/serverInfo":…`, the member of `_meta`
   */
  complete(serverInfo: Uint8Array): void {
    const id = this.#id.toString('utf8');
    const tag = `${JSON.stringify(SUBSCRIPTION_ID)}:${id}`;
    const meta = `{${tag},${Buffer.from(serverInfo).toString('utf8')}}`;
    this.#write(Buffer.from(`{"jsonrpc":"2.0","id":${id},"result":{"resultType":"complete","_meta":${meta}}}`));
    this.exchange.client.reply?.endStream();
  }

  #write(message: Uint8Array): void {
    writeMessage(composer, this.exchange, message, null);
  }
}
