/**
 * The keys that policy reads, by the object they are read in. Each must be written without escapes and occur once,
 * so that the gateway and the upstream's parser read the same member (parsers differ in which of two equal keys they use,
 * RFC 8259 section 4).
 */

import { hex4 } from './json-reader.js';

/** Objects whose members a scan looks at. */
export const Level = { top: 0, params: 1, ref: 2, meta: 3, result: 4, error: 5 } as const;

/** Keys by level. The order gives each key its number; {@link Key} names them and `layout.h` repeats them. */
export const KEYS_BY_LEVEL: readonly (readonly string[])[] = [
  ['jsonrpc', 'id', 'method', 'params', 'result', 'error'],
  [
    'name',
    'uri',
    '_meta',
    'arguments',
    'inputResponses',
    'requestState',
    'ref',
    'taskId',
    'cursor',
    'progressToken',
    'requestId',
    'level',
  ],
  ['name', 'uri', 'type'],
  [
    'io.modelcontextprotocol/protocolVersion',
    'io.modelcontextprotocol/clientCapabilities',
    'io.modelcontextprotocol/clientInfo',
    'io.modelcontextprotocol/logLevel',
    'progressToken',
    'traceparent',
  ],
  ['resultType', 'isError', '_meta', 'structuredContent', 'ttlMs', 'cacheScope'],
  ['code'],
];

/** Numbers of the keys. */
export const Key = {
  jsonrpc: 0,
  id: 1,
  method: 2,
  params: 3,
  result: 4,
  error: 5,
  name: 6,
  uri: 7,
  meta: 8,
  arguments: 9,
  inputResponses: 10,
  requestState: 11,
  ref: 12,
  taskId: 13,
  cursor: 14,
  progressToken: 15,
  requestId: 16,
  level: 17,
  refName: 18,
  refUri: 19,
  refType: 20,
  claim: 21,
  capabilities: 22,
  clientInfo: 23,
  logLevel: 24,
  metaProgressToken: 25,
  traceparent: 26,
  resultType: 27,
  isError: 28,
  resultMeta: 29,
  structuredContent: 30,
  ttlMs: 31,
  cacheScope: 32,
  errorCode: 33,
} as const;

/** Number of keys. */
export const KEY_COUNT = 34;

const encoder = new TextEncoder();
/** A key as it is looked for: its number and its bytes. */
interface KnownKey {
  readonly number: number;
  readonly bytes: Uint8Array;
}

let keysBefore = 0;
const KNOWN_KEYS: readonly (readonly KnownKey[])[] = KEYS_BY_LEVEL.map((keys) => {
  const first = keysBefore;
  keysBefore += keys.length;
  return keys.map((key, index) => ({ number: first + index, bytes: encoder.encode(key) }));
});
/** Longest key plus one. */
const LENGTHS = 64;
const NONE: readonly KnownKey[] = [];
/** Candidates by level and length of the key. */
const BY_LENGTH: readonly (readonly (readonly KnownKey[])[])[] = KNOWN_KEYS.map((keys) =>
  Array.from({ length: LENGTHS }, (_, length) => keys.filter(({ bytes }) => bytes.length === length)),
);

/** Whether `bytes[start, end)` are exactly `expected`. */
export function equalBytes(bytes: Uint8Array, start: number, end: number, expected: Uint8Array): boolean {
  if (end - start !== expected.length) return false;
  for (let index = 0; index < expected.length; index++) {
    if (bytes[start + index] !== expected[index]) return false;
  }
  return true;
}

/** Whether the escaped string content `bytes[start, end)` decodes to the ASCII text `expected`. */
export function equalDecoded(bytes: Uint8Array, start: number, end: number, expected: Uint8Array): boolean {
  let matched = 0;
  for (let at = start; at < end; matched++) {
    let byte = bytes[at];
    if (byte !== 0x5c) at++;
    else {
      byte = bytes[at + 1];
      if (byte === 0x75) {
        byte = hex4(bytes, at + 2);
        at += 6;
      } else {
        // `\b`, `\f`, `\n`, `\r` and `\t` are control characters, which no expected text has.
        if (byte !== 0x22 && byte !== 0x5c && byte !== 0x2f) return false;
        at += 2;
      }
    }
    if (matched >= expected.length || byte !== expected[matched]) return false;
  }
  return matched === expected.length;
}

/**
 * The number of the key whose content is `bytes[start, end)`, or -1 if policy does not read it at that level.
 *
 * @param escaped - the key has a backslash: it is compared decoded
 */
export function findKey(level: number, bytes: Uint8Array, start: number, end: number, escaped: boolean): number {
  if (escaped) {
    for (const key of KNOWN_KEYS[level] ?? NONE) if (equalDecoded(bytes, start, end, key.bytes)) return key.number;
    return -1;
  }
  const length = end - start;
  if (length >= LENGTHS) return -1;
  const candidates = BY_LENGTH[level]?.[length] ?? NONE;
  for (let index = 0; index < candidates.length; index++) {
    const key = candidates[index]!;
    if (equalBytes(bytes, start, end, key.bytes)) return key.number;
  }
  return -1;
}
