import { Flag, Kind, Method, Span } from '../../../native/layout.js';
import { Era, LATEST_LEGACY } from '../../protocol/revisions.js';
import { Operation, VerdictWord } from '../../shared/records.js';
import { type Exchange, Phase, Wish } from '../exchange.js';
import type { ExchangeTable } from '../exchanges.js';

/** Told the verdict, which is valid during the call. */
export type Answered = (verdict: Int32Array) => void;

/** What the gateway asks its policy on its own behalf: exchanges without a client (`Wish.question`), and who waits for each. */
export class Questions {
  readonly #table: ExchangeTable;
  readonly #answered = new Map<Exchange, Answered>();

  constructor(table: ExchangeTable) {
    this.#table = table;
  }

  /**
   * Makes the question whether a token is good or, with `uri`, whether its owner may follow that resource.
   *
   * @returns null when no exchange is free
   */
  open(token: string, uri: Uint8Array | null, answered: Answered): Exchange | null {
    const exchange = this.#table.acquire();
    if (exchange === null) return null;
    const { spans, verdict } = exchange;
    spans.fill(-1);
    spans[Span.kind] = Kind.request;
    spans[Span.method] = uri === null ? Operation.stream : Method.resourcesSubscribe;
    spans[Span.flags] = uri === null ? 0 : Flag.nameIsUri;
    spans[Span.nameHashLow] = 0;
    spans[Span.nameHashHigh] = 0;
    if (uri !== null) {
      spans[Span.nameStart] = 0;
      spans[Span.nameEnd] = uri.byteLength;
      exchange.body = Buffer.from(uri.buffer, uri.byteOffset, uri.byteLength);
      exchange.bodyLength = uri.byteLength;
    }
    verdict[VerdictWord.verdict] = 0;
    exchange.phase = Phase.deciding;
    exchange.startedAt = performance.now();
    exchange.wishes = Wish.question;
    exchange.token = token;
    exchange.era = Era.legacy;
    exchange.revision = LATEST_LEGACY;
    this.#answered.set(exchange, answered);
    return exchange;
  }

  /** The verdict is there: tells who waits for it, and gives the exchange back. */
  answer(exchange: Exchange): void {
    const answered = this.#answered.get(exchange)!;
    this.#answered.delete(exchange);
    try {
      answered(exchange.verdict);
    } finally {
      this.#table.release(exchange);
    }
  }
}
