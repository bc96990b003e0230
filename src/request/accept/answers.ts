import { ERRORS } from '../../errors.js';

export const EMPTY = Buffer.alloc(0);

/** Head of an answer to OPTIONS without an origin, and of 405. */
export const ALLOW_HEAD: readonly string[] = Object.freeze(['allow', 'GET, POST, DELETE, OPTIONS']);

/** Head and body of the answer when not even an exchange can be had: prebuilt, so that refusing stays cheap. */
export const OVERLOADED_HEAD: readonly string[] = Object.freeze([
  'content-type',
  'application/json',
  'retry-after',
  '1',
]);
export const OVERLOADED = Buffer.from(
  JSON.stringify({
    jsonrpc: '2.0',
    id: null,
    error: {
      code: ERRORS.GW_OVERLOADED.rpc,
      message: ERRORS.GW_OVERLOADED.sentence,
      data: { code: 'GW_OVERLOADED', retryable: true },
    },
  }),
);
