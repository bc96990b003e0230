import { ERRORS, type ErrorCode } from '../../../errors.js';

export const EMPTY = Buffer.alloc(0);
export const NO_HEAD: readonly string[] = Object.freeze([]);

/** Head of an answer to OPTIONS without an origin, and of 405. */
export const ALLOW_HEAD: readonly string[] = Object.freeze(['allow', 'GET, POST, DELETE, OPTIONS']);

/** Head and body of the answer when no exchange is free: prepared, so that refusing is cheap. */
export const OVERLOADED_HEAD: readonly string[] = Object.freeze([
  'content-type',
  'application/json',
  'retry-after',
  '1',
]);
export const OVERLOADED = prepared('GW_OVERLOADED');

/** Body of the answer to a posted message whose connection ended before it was acknowledged. */
export const CONNECTION_ENDED = prepared('GW_SESSION_NOT_FOUND');
/** A whole answer that closes the connection, for heads that uWebSockets.js can neither read nor refuse. */
export const MALFORMED = wholeAnswer('400 Bad Request', prepared('GW_FRAMING'));
export const JSON_HEAD: readonly string[] = Object.freeze(['content-type', 'application/json']);

function wholeAnswer(status: string, body: Buffer): Buffer {
  const head = `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${body.byteLength}\r\n`;
  return Buffer.concat([Buffer.from(`${head}connection: close\r\n\r\n`), body]);
}

function prepared(code: ErrorCode): Buffer {
  const { rpc, sentence, retryable } = ERRORS[code];
  const error = { code: rpc, message: sentence, data: { code, retryable } };
  return Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: null, error }));
}
