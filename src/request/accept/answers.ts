import { ERRORS, type ErrorCode } from '../../errors.js';

export const EMPTY = Buffer.alloc(0);
export const NO_HEAD: readonly string[] = Object.freeze([]);

/** Head of an answer to OPTIONS without an origin, and of 405. */
export const ALLOW_HEAD: readonly string[] = Object.freeze(['allow', 'GET, POST, DELETE, OPTIONS']);

/** Head and body of the answer when not even an exchange can be had: prebuilt, so that refusing stays cheap. */
export const OVERLOADED_HEAD: readonly string[] = Object.freeze([
  'content-type',
  'application/json',
  'retry-after',
  '1',
]);
export const OVERLOADED = prepared('GW_OVERLOADED');

/** The same for a message whose connection ended before it was taken. */
export const CONNECTION_ENDED = prepared('GW_SESSION_NOT_FOUND');
export const JSON_HEAD: readonly string[] = Object.freeze(['content-type', 'application/json']);

function prepared(code: ErrorCode): Buffer {
  const { rpc, sentence, retryable } = ERRORS[code];
  const error = { code: rpc, message: sentence, data: { code, retryable } };
  return Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: null, error }));
}
