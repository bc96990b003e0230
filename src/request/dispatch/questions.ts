import type { Decoder } from '../../../native/layout.js';
import { Flag, Kind, Method, Span } from '../../../native/layout.js';
import { Era, LATEST_LEGACY } from '../../protocol/revisions.js';
import { Operation } from '../../shared/ring/records.js';
import type { VerdictRecord } from '../../shared/ring/verdict-record.js';
import type { Caller } from '../exchange/caller.js';
import { type Exchange, MessageFlag } from '../exchange/index.js';
import type { ExchangeTable } from '../exchange/table.js';

/** A question of the gateway to its policy about a client that has no request in flight for it. */
export interface Question {
  readonly caller: Caller;
  /** Its address, by which anonymous clients are counted; empty where nothing is counted. */
  readonly address: string;
  /**
   * Whether the token is good; whether its owner may follow the resource `name`; whether it may have to do with a task
   * that the tool with the address `name` (`server:tool`) made.
   */
  readonly about: 'token' | 'resource' | 'task';
  /** Of a resource what policy compares (src/protocol/uri.ts). */
  readonly name: string;
  /** Takes the rate-limit tokens of a `resources/subscribe`. */
  readonly isMetered: boolean;
}

/** Told the verdict, which is valid during the call. */
export type Answered = (verdict: VerdictRecord) => void;

/** The policy as parts ask it on behalf of clients: `Dispatcher.ask`. */
export interface Policy {
  /**
   * Asks about a client. The question takes the way of every message, so that one set of rules decides.
   *
   * @param answered called once with the verdict, which is valid during the call; maybe before this returns
   * @returns false when no exchange is free; `answered` is not called then
   */
  ask(question: Question, answered: Answered): boolean;
}

const METHOD = { token: Operation.stream, resource: Method.resourcesSubscribe, task: Method.tasksGet } as const;

/** The exchanges of questions (`MessageFlag.question`), which have no client, and the callback of each. */
export class Questions {
  readonly #table: ExchangeTable;
  readonly #decoder: Pick<Decoder, 'hash'>;
  readonly #answered = new Map<Exchange, Answered>();

  constructor(table: ExchangeTable, decoder: Pick<Decoder, 'hash'>) {
    this.#table = table;
    this.#decoder = decoder;
  }

  /** Makes the exchange of a question, which owns its body. @returns null when none is free */
  open({ caller, address, about, name, isMetered }: Question, answered: Answered): Exchange | null {
    const exchange = this.#table.acquire();
    if (exchange === null) return null;
    const { spans } = exchange.message;
    const body = Buffer.from(name);
    spans.clear();
    spans.kind = Kind.request;
    spans.method = METHOD[about];
    spans.flags = about === 'resource' ? Flag.nameIsUri : 0;
    spans.nameHashLow = 0;
    spans.nameHashHigh = 0;
    if (body.length > 0) {
      spans.nameStart = 0;
      spans.nameEnd = body.length;
      this.#decoder.hash(body, 0, body.length, spans.words.subarray(Span.nameHashLow, Span.nameHashHigh + 1));
    }
    exchange.message.body = body;
    exchange.message.bodyLength = body.length;
    exchange.client.startedAt = performance.now();
    exchange.message.flags = isMetered ? MessageFlag.question : MessageFlag.question | MessageFlag.unmetered;
    exchange.client.caller = caller;
    exchange.client.remoteAddress = address;
    exchange.client.era = Era.legacy;
    exchange.client.revision = LATEST_LEGACY;
    this.#answered.set(exchange, answered);
    return exchange;
  }

  /** Calls back with the verdict and releases the exchange. */
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
