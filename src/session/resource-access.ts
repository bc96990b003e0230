/**
 * Asks the policy where a resource that a listen stream names lives and whether its client may read it: with a message of
 * the gateway's own that takes the way of every `resources/subscribe`, under the client's token.
 */
import type { ErrorCode } from '../errors.js';
import { LATEST_LEGACY } from '../protocol/revisions.js';
import { Accepts, type Exchange, type Reply } from '../request/exchange.js';
import type { ExchangeTable } from '../request/exchanges.js';
import { VerdictWord } from '../shared/records.js';

/** What {@link ResourceAccess} needs of the rest. */
export interface ResourceAccessOptions {
  readonly table: ExchangeTable;
  /** Takes a message that came without a session of its own (DecodeStage.element). */
  decode(exchange: Exchange, bytes: Uint8Array, length: number): void;
}

const MESSAGE_OPEN = '{"jsonrpc":"2.0","id":0,"method":"resources/subscribe","params":{"uri":';

/** No server: denied, unknown, or nothing could be asked. */
export const NO_SERVER = -1;

/** See the file comment. */
export class ResourceAccess {
  readonly #options: ResourceAccessOptions;

  constructor(options: ResourceAccessOptions) {
    this.#options = options;
  }

  /** The index of the server whose resource it is, or {@link NO_SERVER}; why is not for the client. */
  serverOf(client: Exchange, token: string, uri: string): Promise<number> {
    const exchange = this.#options.table.acquire();
    if (exchange === null) return Promise.resolve(NO_SERVER);
    return new Promise((resolve) => {
      exchange.reply = new AccessReply(resolve);
      exchange.accepts = Accepts.json;
      exchange.token = token;
      exchange.remoteAddress = client.remoteAddress;
      exchange.revision = LATEST_LEGACY;
      exchange.startedAt = performance.now();
      const bytes = Buffer.from(`${MESSAGE_OPEN}${JSON.stringify(uri)}}}`);
      exchange.bytesIn = bytes.length;
      this.#options.decode(exchange, bytes, bytes.length);
    });
  }

  /**
   * Takes a permitted message of this class.
   *
   * @returns false when it is that of a client
   */
  permitted(exchange: Exchange): boolean {
    const { reply } = exchange;
    if (!(reply instanceof AccessReply)) return false;
    const server = exchange.verdict[VerdictWord.server]!;
    this.#options.table.release(exchange);
    reply.settle(server);
    return true;
  }
}

/** Any answer means no: what is permitted never gets as far as an answer. */
class AccessReply implements Reply {
  readonly settle: (server: number) => void;

  constructor(settle: (server: number) => void) {
    this.settle = settle;
  }

  send(): void {
    this.settle(NO_SERVER);
  }

  openStream(): void {}

  write(): boolean {
    return true;
  }

  endStream(): void {
    this.settle(NO_SERVER);
  }

  buffered(): number {
    return 0;
  }

  abort(): void {
    this.settle(NO_SERVER);
  }

  adopt(): void {}

  taken(): void {}
}

/** The error that says why an upstream does not let a resource be followed. */
export function refusalOf(error: { readonly kind: string; readonly number: number }): ErrorCode {
  if (error.kind === 'timeout') return 'GW_UPSTREAM_TIMEOUT';
  if (error.kind === 'refused') return 'GW_UPSTREAM_REFUSED';
  if (error.kind === 'unreachable') return 'GW_UPSTREAM_UNREACHABLE';
  if (error.kind !== 'rpc') return 'GW_UPSTREAM_DOWN';
  // It has no subscriptions at all, or not to this resource (-32002 before 2026-07-28).
  if (error.number === -32601) return 'GW_METHOD_NOT_FOUND';
  return error.number === -32602 || error.number === -32002 ? 'GW_UNKNOWN_RESOURCE' : 'GW_UPSTREAM_PROTOCOL';
}
