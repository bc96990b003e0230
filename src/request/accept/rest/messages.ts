/** The JSON-RPC messages of the newest revision that REST requests become. */
import { decoder } from '../../../../native/index.js';
import { ScanStatus } from '../../../../native/layout.js';
import { Spans } from '../../../../native/spans.js';
import type { ErrorCode } from '../../../errors.js';
import { Composer } from '../../../protocol/composer.js';
import type { Range } from '../../../protocol/json-cursor.js';
import { MODERN, REVISIONS } from '../../../protocol/revisions.js';
import type { RestCall } from '../http/rest-paths.js';

const ENVELOPE = `"_meta":{"io.modelcontextprotocol/protocolVersion":"${REVISIONS[MODERN]}","io.modelcontextprotocol/clientCapabilities":{}}`;
const PROBE_OPEN = Buffer.from('{"jsonrpc":"2.0","id":1,"method":"x","params":');
const CLOSE = Buffer.from('}');
const COMMA = Buffer.from(',');
const EMPTY_OBJECT = Buffer.from('{}');
/** The limit on nesting holds for the message, and decode enforces it. */
const ANY_DEPTH = 1_000;

const composer = new Composer();
const spans = new Spans();

/** The request for a page of a list. @param cursor null = the first page */
export function listMessage(method: string, cursor: string | null): Buffer {
  const page = cursor === null ? '' : `,"cursor":${JSON.stringify(cursor)}`;
  return Buffer.from(`${messageOpen(method)}${page}}}`);
}

/**
 * The message of a call: the members of the body become those of `params`; with the tool in the path the body becomes
 * `arguments`. Its bytes are copied unchanged.
 *
 * @returns the error code when the body is not one JSON object
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
 * Finds the one object that a body consists of. It must be a value by itself: a body that is valid only inside a message
 * could close `params` and add members to the message.
 */
function soleObject(body: Uint8Array): Range | ErrorCode {
  let start = 0;
  let end = body.byteLength;
  while (start < end && isSpace(body[start])) start += 1;
  while (end > start && isSpace(body[end - 1])) end -= 1;
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
  for (let at = object.start + 1; at < object.end - 1; at += 1) if (!isSpace(body[at])) return false;
  return true;
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
