/**
 * Converts requests of a legacy upstream to `inputRequests` of MCP 2026-07-28 (multi round-trip requests), and the
 * `inputResponses` to responses. Bytes of the server stay as they are, except members that `inputRequests` do not have.
 */

import { Method } from '../../../native/layout.js';
import type { Spans } from '../../../native/spans.js';
import { Capability, declaredCapabilities } from '../../protocol/client-capabilities.js';
import {
  applyEdits,
  findMember,
  findPath,
  JsonCursor,
  parseValue,
  removeMembers,
  stringValue,
  valueType,
} from '../../protocol/json-cursor.js';
import type { Exchange } from '../../request/exchange/index.js';
import { LOGIN_MESSAGE } from '../../request/write/login-link.js';

/** The key in `_meta` of a request by which a legacy server chooses the key of its entry in `inputRequests`. */
const INPUT_KEY = 'switchyard/inputKey';
const KEY_FORM = /^[A-Za-z0-9_.-]{1,64}$/;
const EMPTY = Buffer.from('{}');
const NEWLINE = 10;
const RETURN = 13;
const SPACE = 32;

/** One request of a legacy server without an answer. */
export interface InputRequest {
  /** The key of its entry, unique among the open requests of its call. */
  readonly key: string;
  /** The raw id token. */
  readonly id: string;
  /** Method id (native/layout.ts). */
  readonly method: number;
  /** The client capabilities that it needs: bits of Capability (src/protocol/client-capabilities.ts). */
  readonly needed: number;
  /** Raw `{"method":…,"params":…}`. */
  readonly entry: Buffer;
}

/**
 * Converts a request of a legacy server.
 *
 * @param spans the scan of `bytes[0, length)`, a request
 * @param needed the capabilities that it needs
 * @param isUsed whether a key is in use
 */
export function readInputRequest(
  bytes: Uint8Array,
  length: number,
  spans: Spans,
  needed: number,
  isUsed: (key: string) => boolean,
): InputRequest {
  const message = bytes.subarray(0, length);
  const method = spans.method;
  const params = paramsOf(message, spans, method);
  const name = text(message, spans.methodStart, spans.methodEnd);
  return {
    key: keyOf(message, spans, isUsed),
    id: idToken(message, spans),
    method,
    needed,
    entry: Buffer.concat([Buffer.from(`{"method":"${name}","params":`), params, Buffer.from('}')]),
  };
}

/** The raw id token of a request. */
export function idToken(bytes: Uint8Array, spans: Spans): string {
  return text(bytes, spans.idStart, spans.idEnd);
}

/** The key that the server chose if it is valid and free, else the first free one of `q1`, `q2`, ... */
function keyOf(message: Uint8Array, spans: Spans, isUsed: (key: string) => boolean): string {
  const start = spans.metaStart;
  const chosen = start < 0 ? undefined : findMember(message, start, spans.metaEnd, INPUT_KEY);
  const key = chosen === undefined ? undefined : stringValue(message, chosen.start, chosen.end);
  if (key !== undefined && KEY_FORM.test(key) && !isUsed(key)) return key;
  let number = 1;
  while (isUsed(`q${number}`)) number += 1;
  return `q${number}`;
}

/** Params without `elicitationId`, the progress token and {@link INPUT_KEY}; a `_meta` that becomes empty is removed. */
function paramsOf(message: Uint8Array, spans: Spans, method: number): Uint8Array {
  const start = spans.paramsStart;
  if (start < 0) return EMPTY;
  const end = spans.paramsEnd;
  const drop: string[] = method === Method.elicit ? ['elicitationId'] : [];
  const meta = findMember(message, start, end, '_meta');
  let inMeta: ReturnType<typeof removeMembers> = [];
  if (meta !== undefined && message[meta.start] === EMPTY[0]) {
    inMeta = removeMembers(message, meta.start, ['progressToken', INPUT_KEY]);
    if (inMeta.length > 0 && isEmpty(applyEdits(message, meta.start, meta.end, inMeta))) {
      drop.push('_meta');
      inMeta = [];
    }
  }
  return applyEdits(message, start, end, [...removeMembers(message, start, drop), ...inMeta]);
}

function isEmpty(object: Uint8Array): boolean {
  return !new JsonCursor(object, 0).next();
}

/**
 * The elicitations in an error -32042 of MCP 2025-11-25 (`error.data.elicitations`), with generated keys.
 *
 * @returns empty when the error names no valid one
 */
export function urlInputRequests(bytes: Uint8Array, length: number, spans: Spans): InputRequest[] {
  const message = bytes.subarray(0, length);
  const list = findPath(message, spans.errorStart, spans.errorEnd, 'data', 'elicitations');
  const inputRequests: InputRequest[] = [];
  if (list === undefined || valueType(message, list.start) !== 'array') return inputRequests;
  const cursor = new JsonCursor(message, list.start);
  while (cursor.next()) {
    const url = findMember(message, cursor.start, cursor.end, 'url');
    if (url === undefined || stringValue(message, url.start, url.end) === undefined) continue;
    const edits = removeMembers(message, cursor.start, ['elicitationId', 'mode']);
    const rest = Buffer.from(applyEdits(message, cursor.start, cursor.end, edits));
    // There is a url, so the object is not empty.
    const params = Buffer.concat([Buffer.from('{"mode":"url",'), rest.subarray(1)]);
    const entry = Buffer.concat([Buffer.from('{"method":"elicitation/create","params":'), params, Buffer.from('}')]);
    inputRequests.push({
      key: `q${inputRequests.length + 1}`,
      id: '',
      method: Method.elicit,
      needed: Capability.elicitationUrl,
      entry,
    });
  }
  return inputRequests;
}

/** The elicitation of a login at a page of the gateway. */
export function loginRequest(url: string): InputRequest {
  const params = { mode: 'url', message: LOGIN_MESSAGE, url };
  const entry = Buffer.from(JSON.stringify({ method: 'elicitation/create', params }));
  return { key: 'login', id: '', method: Method.elicit, needed: Capability.elicitationUrl, entry };
}

/**
 * An `input_required` result.
 *
 * @param serverInfo `"_meta":{…}` of the gateway
 */
export function inputRequired(requests: Iterable<InputRequest>, requestState: string, serverInfo: Uint8Array): Buffer {
  const parts: Uint8Array[] = [Buffer.from('{"resultType":"input_required","inputRequests":{')];
  let separator = '';
  for (const { key, entry } of requests) {
    parts.push(Buffer.from(`${separator}"${key}":`), entry);
    separator = ',';
  }
  parts.push(Buffer.from(`},"requestState":"${requestState}",`), serverInfo, Buffer.from('}'));
  return Buffer.concat(parts);
}

/** The parsed params of a request; undefined when there are none. */
export function parsedParams(bytes: Uint8Array, spans: Spans): unknown {
  const start = spans.paramsStart;
  return start < 0 ? undefined : parseValue(bytes, start, spans.paramsEnd);
}

/**
 * The client's answer to one input request, `inputResponses[key]`, as a response.
 *
 * @param bytes the client's message, `spans` is its scan
 * @returns null when it contains no answer to this request
 */
export function answerTo({ key, id }: InputRequest, bytes: Uint8Array, spans: Spans): Buffer | null {
  const start = spans.inputResponsesStart;
  if (start < 0) return null;
  const answer = findMember(bytes, start, spans.inputResponsesEnd, key);
  if (answer === undefined || valueType(bytes, answer.start) !== 'object') return null;
  const open = Buffer.from(`{"jsonrpc":"2.0","id":${id},"result":`);
  const message = Buffer.concat([open, bytes.subarray(answer.start, answer.end), Buffer.from('}')]);
  return onOneLine(message);
}

/** The response to a request that the client does not answer: an elicitation is cancelled, anything else fails. */
export function noAnswerTo({ id, method }: InputRequest): Buffer {
  if (method === Method.elicit) return Buffer.from(`{"jsonrpc":"2.0","id":${id},"result":{"action":"cancel"}}`);
  if (method === Method.createMessage) return refusal(id, -1, 'The client did not answer the sampling request');
  return refusal(id, -32603, 'The client did not answer');
}

/** An error response of the gateway to a request of a server. */
export function refusal(id: string, code: number, message: string): Buffer {
  return Buffer.from(`{"jsonrpc":"2.0","id":${id},"error":${JSON.stringify({ code, message })}}`);
}

/** Line breaks occur only between JSON tokens, since strings escape them. Transports over stdio need one message a line. */
function onOneLine(message: Buffer): Buffer {
  for (let at = 0; at < message.length; at += 1) {
    if (message[at] === NEWLINE || message[at] === RETURN) message[at] = SPACE;
  }
  return message;
}

function text(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8', start, end);
}

/** The capabilities that the client declared with a call; -1 = unknown, the call cannot be parked. */
export function capabilitiesOf({ message: { bodyLength }, client: { capabilities } }: Exchange): number {
  // Without the body, a retry could not be compared with the call.
  return bodyLength === 0 && capabilities > 0 ? -1 : capabilities;
}

/** Whether the method is one whose result can be `input_required`. */
export function supportsInputRequired({ message: { spans } }: Exchange): boolean {
  const method = spans.method;
  return method === Method.toolsCall || method === Method.promptsGet || method === Method.resourcesRead;
}

/** `data.requiredCapabilities` of -32021. @param mask bits of Capability */
export function requirement(mask: number): string {
  return JSON.stringify(declaredCapabilities(mask, false));
}
