/**
 * Requests of a legacy upstream as `inputRequests` of MCP 2026-07-28 (multi round-trip requests), and the answers back:
 * what the server wrote stays as it was spelled, but for what one request has and an entry of a map has not.
 */

import { Method } from '../../../native/layout.js';
import type { Spans } from '../../../native/spans.js';
import { Capability } from '../../protocol/client-capabilities.js';
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

/** The key in `_meta` of a request by which a legacy server says under which key its question shall appear. */
export const INPUT_KEY = 'switchyard/inputKey';
const KEY_FORM = /^[A-Za-z0-9_.-]{1,64}$/;
const EMPTY = Buffer.from('{}');
const NEWLINE = 10;
const RETURN = 13;
const SPACE = 32;

/** One request of a legacy server that waits for its answer. */
export interface InputRequest {
  /** The key of its entry, unique among the open ones of its call. */
  readonly key: string;
  /** The raw id token. */
  readonly id: string;
  /** Method id (native/layout.ts). */
  readonly method: number;
  /** What the client has to declare for it: bits of Capability (src/protocol/client-capabilities.ts). */
  readonly needed: number;
  /** Raw `{"method":…,"params":…}`. */
  readonly entry: Buffer;
}

/**
 * Reads the question out of a request.
 *
 * @param spans the scan of `bytes[0, length)`, a request
 * @param needed the capabilities that it needs
 * @param isTaken whether a key is in use
 */
export function readInputRequest(
  bytes: Uint8Array,
  length: number,
  spans: Spans,
  needed: number,
  isTaken: (key: string) => boolean,
): InputRequest {
  const message = bytes.subarray(0, length);
  const method = spans.method;
  const params = paramsOf(message, spans, method);
  const name = text(message, spans.methodStart, spans.methodEnd);
  return {
    key: keyOf(message, spans, isTaken),
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

/** The key the server asks for when it can be had, else the first free one of `q1`, `q2`, ... */
function keyOf(message: Uint8Array, spans: Spans, isTaken: (key: string) => boolean): string {
  const start = spans.metaStart;
  const wish = start < 0 ? undefined : findMember(message, start, spans.metaEnd, INPUT_KEY);
  const key = wish === undefined ? undefined : stringValue(message, wish.start, wish.end);
  if (key !== undefined && KEY_FORM.test(key) && !isTaken(key)) return key;
  return freeKey(isTaken);
}

function freeKey(isTaken: (key: string) => boolean): string {
  let number = 1;
  while (isTaken(`q${number}`)) number += 1;
  return `q${number}`;
}

/** Without `elicitationId`, the progress token and the wish for a key; a `_meta` that held nothing else goes too. */
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
 * The questions in an error -32042 of MCP 2025-11-25 (`error.data.elicitations`), under keys of their own.
 *
 * @returns empty when the error names none that a client could be asked
 */
export function urlInputRequests(bytes: Uint8Array, length: number, spans: Spans): InputRequest[] {
  const message = bytes.subarray(0, length);
  const list = findPath(message, spans.errorStart, spans.errorEnd, 'data', 'elicitations');
  const questions: InputRequest[] = [];
  if (list === undefined || valueType(message, list.start) !== 'array') return questions;
  const cursor = new JsonCursor(message, list.start);
  while (cursor.next()) {
    const url = findMember(message, cursor.start, cursor.end, 'url');
    if (url === undefined || stringValue(message, url.start, url.end) === undefined) continue;
    const edits = removeMembers(message, cursor.start, ['elicitationId', 'mode']);
    const rest = Buffer.from(applyEdits(message, cursor.start, cursor.end, edits));
    // There is a url, so the object is not empty.
    const params = Buffer.concat([Buffer.from('{"mode":"url",'), rest.subarray(1)]);
    const entry = Buffer.concat([Buffer.from('{"method":"elicitation/create","params":'), params, Buffer.from('}')]);
    questions.push({
      key: `q${questions.length + 1}`,
      id: '',
      method: Method.elicit,
      needed: Capability.elicitationUrl,
      entry,
    });
  }
  return questions;
}

/**
 * A result that asks the client.
 *
 * @param serverInfo `"_meta":{…}` of the gateway
 */
export function inputRequired(questions: Iterable<InputRequest>, requestState: string, serverInfo: Uint8Array): Buffer {
  const parts: Uint8Array[] = [Buffer.from('{"resultType":"input_required","inputRequests":{')];
  let separator = '';
  for (const { key, entry } of questions) {
    parts.push(Buffer.from(`${separator}"${key}":`), entry);
    separator = ',';
  }
  parts.push(Buffer.from(`},"requestState":"${requestState}",`), serverInfo, Buffer.from('}'));
  return Buffer.concat(parts);
}

/** The parameters of a request as JavaScript has them; undefined when there are none. */
export function parsedParams(bytes: Uint8Array, spans: Spans): unknown {
  const start = spans.paramsStart;
  return start < 0 ? undefined : parseValue(bytes, start, spans.paramsEnd);
}

/**
 * The client's answer to one question, `inputResponses[key]`, as a response.
 *
 * @param bytes the client's message, `spans` is its scan
 * @returns null when it holds no answer to this question
 */
export function answerTo(question: InputRequest, bytes: Uint8Array, spans: Spans): Buffer | null {
  const start = spans.inputResponsesStart;
  if (start < 0) return null;
  const answer = findMember(bytes, start, spans.inputResponsesEnd, question.key);
  if (answer === undefined || valueType(bytes, answer.start) !== 'object') return null;
  const open = Buffer.from(`{"jsonrpc":"2.0","id":${question.id},"result":`);
  const message = Buffer.concat([open, bytes.subarray(answer.start, answer.end), Buffer.from('}')]);
  return onOneLine(message);
}

/** What a server is told whose question gets no answer: an elicitation is cancelled, anything else fails. */
export function noAnswerTo(question: InputRequest): Buffer {
  if (question.method === Method.elicit)
    return Buffer.from(`{"jsonrpc":"2.0","id":${question.id},"result":{"action":"cancel"}}`);
  const [code, sentence] =
    question.method === Method.createMessage
      ? [-1, 'The client did not answer the sampling request']
      : [-32603, 'The client did not answer'];
  return refusal(question.id, code, sentence);
}

/** An error response of the gateway to a request of a server. */
export function refusal(id: string, code: number, message: string): Buffer {
  return Buffer.from(`{"jsonrpc":"2.0","id":${id},"error":${JSON.stringify({ code, message })}}`);
}

/** Between JSON tokens only: within strings line breaks are escaped. stdio has one message a line. */
function onOneLine(message: Buffer): Buffer {
  for (let at = 0; at < message.length; at += 1) {
    if (message[at] === NEWLINE || message[at] === RETURN) message[at] = SPACE;
  }
  return message;
}

function text(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8', start, end);
}
