/** The Reply of the REST door: a JSON-RPC response becomes the answer to an HTTP request. */
import { ERRORS, type ErrorCode } from '../../../errors.js';
import { Composer } from '../../../protocol/composer.js';
import { applyEdits, findMember, type Range, removeMembers, stringValue } from '../../../protocol/json-cursor.js';
import { Accepts, type Exchange, type Reply } from '../../exchange/index.js';
import { JSON_HEAD } from '../http/answers.js';
import type { CallListener, HttpCall } from '../http/call.js';
import type { FrontHandler } from '../http/handler.js';

const CLOSE = Buffer.from('}');
const ERROR_OPEN = Buffer.from('{"error":');

const NOTHING = Buffer.alloc(0);
const SPACE = 0x20;

const composer = new Composer();

/** What a REST answer is made into. */
interface RestResult {
  readonly status: number;
  readonly body: Uint8Array;
}

/** The Reply of one REST request. */
export class RestReply implements Reply, CallListener {
  protected readonly call: HttpCall;
  readonly #handler: FrontHandler;
  readonly #isList: boolean;
  #exchange: Exchange | null;

  /** @param isList whether the result is a list, whose metadata says nothing to its reader */
  constructor(call: HttpCall, exchange: Exchange, handler: FrontHandler, isList: boolean) {
    this.call = call;
    this.#exchange = exchange;
    this.#handler = handler;
    this.#isList = isList;
    exchange.client.headerless = true;
    exchange.client.accepts = Accepts.json;
    exchange.client.sessionId = '';
    exchange.message.versionHeader = '';
    exchange.message.paramHeaders = null;
    exchange.client.remoteAddress = call.remoteAddress();
    exchange.client.reply = this;
    call.exchange = null;
    call.listener = this;
  }

  send(_status: number, head: readonly string[], bytes: Uint8Array, start: number, end: number): void {
    const exchange = this.#take();
    if (exchange === null) return;
    const { status, body } = restAnswer(exchange, bytes, start, end, this.#isList);
    exchange.client.status = status;
    this.call.listener = null;
    this.answer(status, head, body);
  }

  /** Gives the answer to the client. */
  protected answer(status: number, head: readonly string[], body: Uint8Array): void {
    this.call.send(status, head, body, 0, body.byteLength);
  }

  /** Only JSON is accepted, so a stream is opened only to end without an answer (cancellation). */
  openStream(): void {}

  write(): boolean {
    return true;
  }

  endStream(): void {
    this.send(200, JSON_HEAD, NOTHING, 0, 0);
  }

  buffered(): number {
    return 0;
  }

  abort(): void {
    this.#take();
    this.call.listener = null;
    this.call.abort();
  }

  adopt(exchange: Exchange): void {
    this.#exchange = exchange;
  }

  taken(): void {}

  drained(): void {}

  gone(): void {
    const exchange = this.#take();
    if (exchange !== null) this.#handler.aborted(exchange);
  }

  #take(): Exchange | null {
    const exchange = this.#exchange;
    this.#exchange = null;
    return exchange;
  }
}

/** The REST form of a JSON-RPC response. */
export function restAnswer(
  exchange: Exchange,
  bytes: Uint8Array,
  start: number,
  end: number,
  isList: boolean,
): RestResult {
  let open = start;
  while (open < end && bytes[open]! <= SPACE) open += 1;
  const result = findMember(bytes, open, end, 'result');
  if (result !== undefined) {
    const type = findMember(bytes, result.start, result.end, 'resultType');
    if (type === undefined || stringValue(bytes, type.start, type.end) === 'complete') {
      return { status: 200, body: plainResult(bytes, result, isList) };
    }
    exchange.client.error = 'GW_INPUT_REQUIRED_UNSUPPORTED';
    return { status: ERRORS.GW_INPUT_REQUIRED_UNSUPPORTED.restStatus, body: errorOf('GW_INPUT_REQUIRED_UNSUPPORTED') };
  }
  const error = findMember(bytes, open, end, 'error');
  if (error === undefined) return { status: 502, body: errorOf('GW_UPSTREAM_PROTOCOL') };
  composer.reset().put(ERROR_OPEN).range(bytes, error.start, error.end).put(CLOSE);
  return { status: errorStatus(exchange, bytes, error), body: composer.take() };
}

function plainResult(bytes: Uint8Array, { start, end }: Range, isList: boolean): Uint8Array {
  const edits = removeMembers(bytes, start, (cursor) => {
    if (cursor.keyIs('resultType') || cursor.keyIs('ttlMs') || cursor.keyIs('cacheScope')) return true;
    return isList && cursor.keyIs('_meta');
  });
  return applyEdits(bytes, start, end, edits);
}

/** The gateway's own errors have a status each; of an upstream's the code tells whose fault it is. */
function errorStatus(exchange: Exchange, bytes: Uint8Array, error: Range): number {
  if (exchange.client.error !== null && exchange.client.error !== 'GW_UPSTREAM_PROTOCOL')
    return ERRORS[exchange.client.error].restStatus;
  const code = findMember(bytes, error.start, error.end, 'code');
  const value = code === undefined ? 0 : Number(Buffer.from(bytes.subarray(code.start, code.end)).toString('latin1'));
  if (value === -32602) return 400;
  return value === -32601 ? 404 : 502;
}

function errorOf(code: ErrorCode): Buffer {
  const { rpc, sentence, retryable } = ERRORS[code];
  return Buffer.from(JSON.stringify({ error: { code: rpc, message: sentence, data: { code, retryable } } }));
}
