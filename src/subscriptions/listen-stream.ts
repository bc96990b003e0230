/** One open `subscriptions/listen` of a modern client (MCP 2026-07-28, subscriptions). */
import { Composer } from '../protocol/composer.js';
import type { Exchange } from '../request/exchange/index.js';
import { writeMessage } from '../session/streams/index.js';
import type { Bytes, Count } from '../units.js';
import type { LaneClient, ListenFilter, WatchKind } from '../upstream/core/types.js';
import type { Requester } from './access.js';
import { honouredPart } from './listen-filter.js';
import type { Subscriber } from './subscriber-index.js';
import { SUBSCRIPTION_ID, tagged } from './tag.js';

/** Something followed upstream for this stream. */
export interface ListenTarget {
  readonly server: number;
  readonly kind: WatchKind;
  /** At the upstream. */
  readonly id: string;
  /** What the client calls it. */
  readonly clientName: string;
  /** The tool that made the task, as its server calls it; empty for resources. */
  readonly tool: string;
}

/** Notifications that are held until the acknowledgement is out, which comes first. */
const MAX_HELD: Count = 100;

const composer = new Composer();

/** See the file comment. Everything it sends bears the id of its request. */
export class ListenStream implements Subscriber, Requester {
  readonly client: LaneClient;
  /** The exchange of the stream; see StandingStreams. */
  readonly exchange: Exchange;
  readonly filter: ListenFilter;
  /** The token under which policy is asked. */
  readonly token: string;
  readonly targets: ListenTarget[] = [];
  /** The client left or the stream was ended. */
  hasEnded = false;
  /** Notifications that the client was too slow for. */
  lost: Count = 0;
  readonly #id: Buffer;
  readonly #maxBuffer: Bytes;
  #held: Uint8Array[] | null = [];

  constructor(exchange: Exchange, filter: ListenFilter, client: LaneClient, token: string, maxBuffer: Bytes) {
    this.exchange = exchange;
    this.filter = filter;
    this.client = client;
    this.token = token;
    this.#maxBuffer = maxBuffer;
    this.#id = Buffer.from(exchange.client.id.subarray(0, exchange.client.idLength));
  }

  /** See Asker. */
  get address(): string {
    return this.exchange.client.remoteAddress;
  }

  /** The id of the request as the client spelled it. */
  get id(): Buffer {
    return this.#id;
  }

  /** Says what of the filter is honoured, then what happened meanwhile. */
  acknowledge(honoured: ListenFilter): void {
    const notifications = JSON.stringify(honouredPart(honoured));
    const method = 'notifications/subscriptions/acknowledged';
    const text = `{"jsonrpc":"2.0","method":"${method}","params":{"notifications":${notifications}}}`;
    const held = this.#held ?? [];
    this.#held = null;
    this.#write(tagged(Buffer.from(text), this.#id));
    for (const message of held) this.deliver(message);
  }

  /** Sends a notification, with its mark. @param message without a mark; must not change any more */
  deliver(message: Uint8Array): void {
    if (this.hasEnded) return;
    if (this.#held !== null) {
      if (this.#held.length < MAX_HELD) this.#held.push(message);
      else this.lost += 1;
      return;
    }
    const { reply } = this.exchange.client;
    if (reply === null || reply.buffered() > this.#maxBuffer) this.lost += 1;
    else this.#write(tagged(message, this.#id));
  }

  /**
   * Ends the stream in the way of the protocol: with the response to its request.
   *
   * @param serverInfo `"io.modelcontextprotocol/serverInfo":…`, the member of `_meta`
   */
  complete(serverInfo: Uint8Array): void {
    const id = this.#id.toString('utf8');
    const mark = `${JSON.stringify(SUBSCRIPTION_ID)}:${id}`;
    const meta = `{${mark},${Buffer.from(serverInfo).toString('utf8')}}`;
    this.#write(Buffer.from(`{"jsonrpc":"2.0","id":${id},"result":{"resultType":"complete","_meta":${meta}}}`));
    this.exchange.client.reply?.endStream();
  }

  #write(message: Uint8Array): void {
    writeMessage(composer, this.exchange, message, null);
  }
}
