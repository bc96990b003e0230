/**
 * The REST door: requests become messages of the newest revision, results and errors become HTTP answers. No streams:
 * whoever wants progress or questions speaks MCP.
 */

import { decoder } from '../../../../native/index.js';
import { ScanStatus } from '../../../../native/layout.js';
import { Spans } from '../../../../native/spans.js';
import type { ErrorCode } from '../../../errors.js';
import { Composer } from '../../../protocol/composer.js';
import type { Range } from '../../../protocol/json-cursor.js';
import { MODERN, REVISIONS } from '../../../protocol/revisions.js';
import type { Exchange } from '../../exchange/index.js';
import type { ExchangeTable } from '../../exchange/table.js';
import { OVERLOADED, OVERLOADED_HEAD } from '../http/answers.js';
import type { HttpCall } from '../http/call.js';
import type { FrontHandler } from '../http/handler.js';
import type { Target } from '../http/paths.js';
import type { RestCall } from '../http/rest-paths.js';
import type { AcceptRules } from '../http/rules.js';
import { OpenApi } from './openapi.js';
import { RestReply } from './reply.js';

const ENVELOPE = `"_meta":{"io.modelcontextprotocol/protocolVersion":"${REVISIONS[MODERN]}","io.modelcontextprotocol/clientCapabilities":{}}`;
const PROBE_OPEN = Buffer.from('{"jsonrpc":"2.0","id":1,"method":"x","params":');
const CLOSE = Buffer.from('}');
const COMMA = Buffer.from(',');
const EMPTY_OBJECT = Buffer.from('{}');
/** The nesting that counts is that of the message, which decode measures. */
const ANY_DEPTH = 1_000;

const composer = new Composer();
const spans = new Spans();

/** See the file comment; one per front end. */
export class RestDoor {
  readonly #handler: FrontHandler;
  readonly #table: ExchangeTable;
  readonly #rules: () => AcceptRules;
  readonly #openApi: OpenApi;

  constructor(handler: FrontHandler, table: ExchangeTable, rules: () => AcceptRules) {
    this.#handler = handler;
    this.#table = table;
    this.#rules = rules;
    this.#openApi = new OpenApi({
      rules,
      page: (call, cursor, reply) => {
        const exchange = this.#acquire(call);
        if (exchange === null) return;
        reply(exchange);
        this.#request(exchange, listMessage('tools/list', cursor));
      },
    });
  }

  /** Serves one request; `bytes[0, length)` is its body, valid during the call only. */
  serve(call: HttpCall, target: Target, bytes: Uint8Array, length: number): void {
    const rest = target.rest!;
    if (rest.method === '') {
      this.#openApi.serve(call, this.#handler);
      return;
    }
    const exchange = this.#acquire(call);
    if (exchange === null) return;
    exchange.client.reply = new RestReply(call, exchange, this.#handler, rest.verb === 'GET');
    if (call.head.refusesJson(this.#rules())) {
      this.#handler.refuse(exchange, 'GW_NOT_ACCEPTABLE_JSON');
    } else if (rest.verb === 'GET') {
      this.#request(exchange, listMessage(rest.method, new URLSearchParams(target.query).get('cursor')));
    } else {
      const message = callMessage(rest, bytes, length);
      if (typeof message === 'string') this.#handler.refuse(exchange, message);
      else this.#request(exchange, message);
    }
  }

  #acquire(call: HttpCall): Exchange | null {
    const exchange = this.#table.acquire();
    if (exchange === null) call.send(503, OVERLOADED_HEAD, OVERLOADED, 0, OVERLOADED.byteLength);
    else call.head.fill(exchange, this.#rules(), call.verb, call.startedAt);
    return exchange;
  }

  #request(exchange: Exchange, message: Buffer): void {
    this.#handler.request(exchange, message, message.byteLength);
  }
}

function listMessage(method: string, cursor: string | null): Buffer {
  const page = cursor === null ? '' : `,"cursor":${JSON.stringify(cursor)}`;
  return Buffer.from(`${messageOpen(method)}${page}}}`);
}

/**
 * The message of a call: the body's members become those of `params`, or with the tool in the path the body becomes
 * `arguments`; its bytes stay as they are.
 */
export function callMessage(rest: RestCall, bytes: Uint8Array, length: number): Buffer | ErrorCode {
  const body = length === 0 ? EMPTY_OBJECT : bytes.subarray(0, length);
  const object = soleObject(body);
  if (typeof object === 'string') return object;
  composer.reset();
  if (rest.tool !== null) {
    composer.text(`${messageOpen(rest.method)},"name":${JSON.stringify(rest.tool)},"arguments":`);
    composer.range(body, object.start, object.end);
  } else {
    composer.text(messageOpen(rest.method));
    if (!isEmpty(body, object)) composer.put(COMMA).range(body, object.start + 1, object.end - 1);
  }
  return composer.put(CLOSE).put(CLOSE).take();
}

function messageOpen(method: string): string {
  return `{"jsonrpc":"2.0","id":1,"method":"${method}","params":{${ENVELOPE}`;
}

/**
 * Where the one object is that a body consists of. What is put into a message must be one value by itself: a body that
 * only fits the gap could close `params` and go on with members of its own.
 */
function soleObject(body: Uint8Array): Range | ErrorCode {
  let start = 0;
  let end = body.byteLength;
  while (start < end && isSpace(body[start]!)) start += 1;
  while (end > start && isSpace(body[end - 1]!)) end -= 1;
  const probe = composer.reset().put(PROBE_OPEN).range(body, start, end).put(CLOSE);
  const status = decoder.scan(probe.bytes, probe.length, spans.words, ANY_DEPTH);
  if (status === ScanStatus.ambiguous) return 'GW_AMBIGUOUS';
  if (status === ScanStatus.badParams) return 'GW_INVALID_PARAMS';
  const isWhole =
    status === ScanStatus.ok &&
    spans.paramsStart === PROBE_OPEN.length &&
    spans.paramsEnd === PROBE_OPEN.length + end - start;
  return isWhole ? { start, end } : 'GW_PARSE';
}

function isEmpty(body: Uint8Array, object: Range): boolean {
  for (let at = object.start + 1; at < object.end - 1; at += 1) if (!isSpace(body[at]!)) return false;
  return true;
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
