/** The Reply of the REST transport: a JSON-RPC response becomes the answer to an HTTP request. */
import { ERRORS, type ErrorCode } from '../../../errors.js';
import { Composer } from '../../../protocol/composer.js';
import { applyEdits, findMember, type Range, removeMembers, stringValue } from '../../../protocol/json-cursor.js';
import { Accepts, type Exchange } from '../../exchange/index.js';
import { EMPTY, JSON_HEAD } from '../http/answers.js';
import type { HttpCall } from '../http/call.js';
import type { FrontHandler } from '../http/handler.js';
import { OneShotReply } from '../http/one-shot-reply.js';

const CLOSE = Buffer.from('}');
const ERROR_OPEN = Buffer.from('{"error":');

const SPACE = 0x20;

const composer = new Composer();

/** An HTTP answer. */
interface RestAnswer {
  readonly status: number;
  readonly body: Uint8Array;
}

/** The Reply of one REST request. */
export class RestReply extends OneShotReply {
  readonly #isList: boolean;

  /** @param isList whether the result is a list, whose metadata is left out */
  constructor(call: HttpCall, exchange: Exchange, handler: FrontHandler, isList: boolean) {
    super(call, exchange, handler);
    this.#isList = isList;
    exchange.client.accepts = Accepts.json;
    exchange.message.paramHeaders = null;
  }

  override endStream(): void {
    this.send(200, JSON_HEAD, EMPTY, 0, 0);
  }

  protected override answer(
    exchange: Exchange,
    _status: number,
    head: readonly string[],
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    const { status, body } = restAnswer(exchange, bytes, start, end, this.#isList);
    exchange.client.status = status;
    this.answerClient(exchange, status, head, body);
  }

  /** Sends the HTTP answer. */
  protected answerClient(_exchange: Exchange, status: number, head: readonly string[], body: Uint8Array): void {
    this.call.send(status, head, body, 0, body.byteLength);
  }
}

/** The REST form of a JSON-RPC response. */
function restAnswer(exchange: Exchange, bytes: Uint8Array, start: number, end: number, isList: boolean): RestAnswer {
  let open = start;
  while (open < end && (bytes[open] ?? 0) <= SPACE) open += 1;
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

/** The gateway's own errors have a status each; for errors of an upstream it follows from their JSON-RPC code. */
function errorStatus(exchange: Exchange, bytes: Uint8Array, error: Range): number {
  if (exchange.client.error !== null && exchange.client.error !== 'GW_UPSTREAM_ERROR')
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
