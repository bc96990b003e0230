/**
 * Asks the policy on behalf of a client that waits for no answer of its own: where a resource lives that it wants to follow,
 * and, when something changes, whether it may still hear of it. The question takes the way of every message, under the
 * client's token, so that one set of rules decides.
 */
import type { Decoder } from '../../native/layout.js';
import { Flag, Kind, Span } from '../../native/layout.js';
import type { Snapshot } from '../config/snapshot.js';
import type { ErrorCode } from '../errors.js';
import { LATEST_LEGACY } from '../protocol/revisions.js';
import { Accepts, type Exchange, type Reply } from '../request/exchange.js';
import type { ExchangeTable } from '../request/exchanges.js';
import { Operation, Verdict, VerdictWord } from '../shared/records.js';

/** What {@link Access} needs of the rest. */
export interface AccessOptions {
  /** The rules in force. */
  readonly snapshot: Pick<Snapshot, 'auth' | 'routes'>;
  readonly table: ExchangeTable;
  readonly decoder: Decoder;
  /** Gets a verdict (Dispatcher.dispatch); it comes back by {@link Access.decided}. */
  dispatch(exchange: Exchange, bytes: Uint8Array, length: number): void;
}

/** No server: denied, unknown, or nothing could be asked. */
export const NO_SERVER = -1;

/** Whose access is asked for. */
export interface Asker {
  /** Bearer token; empty = none. */
  readonly token: string;
  /** By which anonymous clients are counted. */
  readonly address: string;
}

/** See the file comment. */
export class Access {
  readonly #options: AccessOptions;

  constructor(options: AccessOptions) {
    this.#options = options;
  }

  /**
   * The index of the server whose resource it is, or {@link NO_SERVER}; why is not for the client. Counts like
   * `resources/subscribe`.
   *
   * @param uri what policy compares of it (src/protocol/uri.ts)
   */
  serverOf(asker: Asker, uri: string): Promise<number> {
    return new Promise((resolve) => this.#ask(Operation.follow, true, asker, uri, resolve));
  }

  /** Calls `then` if the client may hear of a change of a resource. @param uri as in {@link serverOf} */
  hearsOf(asker: Asker, uri: string, then: () => void): void {
    this.#hears(true, asker, uri, then);
  }

  /** Calls `then` if the client may hear of a task that the tool with this address (`server:tool`) made. */
  hearsOfTask(asker: Asker, address: string, then: () => void): void {
    this.#hears(false, asker, address, then);
  }

  #hears(isUri: boolean, asker: Asker, name: string, then: () => void): void {
    const { auth, routes } = this.#options.snapshot;
    // Without tokens and scopes everybody may hear of everything.
    if (auth.type === 'none' && routes.every(({ requiredScopes }) => requiredScopes.length === 0)) then();
    else this.#ask(Operation.hear, isUri, asker, name, (server) => server !== NO_SERVER && then());
  }

  #ask(operation: number, isUri: boolean, asker: Asker, name: string, settle: (server: number) => void): void {
    const { decoder, dispatch, table } = this.#options;
    const exchange = table.acquire();
    if (exchange === null) {
      settle(NO_SERVER);
      return;
    }
    const { spans } = exchange;
    const bytes = Buffer.from(name);
    spans.fill(-1);
    spans[Span.kind] = Kind.request;
    spans[Span.method] = operation;
    spans[Span.flags] = isUri ? Flag.nameIsUri : 0;
    spans[Span.nameStart] = 0;
    spans[Span.nameEnd] = bytes.length;
    decoder.hash(bytes, 0, bytes.length, spans.subarray(Span.nameHashLow, Span.nameHashHigh + 1));
    exchange.reply = new AccessReply(settle);
    exchange.accepts = Accepts.json;
    exchange.token = asker.token;
    exchange.remoteAddress = asker.address;
    exchange.revision = LATEST_LEGACY;
    exchange.startedAt = performance.now();
    dispatch(exchange, bytes, bytes.length);
  }

  /**
   * Takes the verdict about a question of this class.
   *
   * @returns false when the exchange is that of a client
   */
  decided(exchange: Exchange): boolean {
    const { reply, verdict } = exchange;
    if (!(reply instanceof AccessReply)) return false;
    const server = verdict[VerdictWord.verdict] === Verdict.local ? verdict[VerdictWord.server]! : NO_SERVER;
    this.#options.table.release(exchange);
    reply.settle(server);
    return true;
  }
}

/** Any answer means no: a verdict never gets as far as an answer. */
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
