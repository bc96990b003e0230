import { decodeHeaderValue, encodeHeaderValue } from '../../protocol/header-value.js';
import { decodeString, findMember } from '../../protocol/json-cursor.js';
import { Era } from '../../protocol/revisions.js';
import type { Exchange } from '../exchange/index.js';

/** One annotated argument. */
export interface ParamHeader {
  /** Property names from `arguments` down. */
  readonly path: readonly string[];
  /** What follows `Mcp-Param-`. */
  readonly header: string;
  readonly type: 'string' | 'integer' | 'boolean';
}

const PREFIX = 'mcp-param-';

/**
 * The `Mcp-Param-*` headers of a call as a flat list, ours for annotated arguments and the client's for all others;
 * null when a modern client's headers disagree with its arguments (GW_HEADER_MISMATCH).
 */
export function paramHeaders(
  exchange: Exchange,
  bytes: Uint8Array,
  params: readonly ParamHeader[],
): readonly string[] | null {
  const sent = exchange.message.paramHeaders ?? [];
  const headers: string[] = [];
  const known = new Set<string>();
  for (const param of params) {
    const name = PREFIX + param.header.toLowerCase();
    known.add(name);
    const value = argumentText(exchange, bytes, param);
    if (exchange.client.era === Era.modern && !exchange.client.headerless && !agrees(sent, name, value, param.type))
      return null;
    if (value !== null) headers.push(name, encodeHeaderValue(value));
  }
  for (let index = 0; index < sent.length; index += 2) {
    if (!known.has(sent[index]!)) headers.push(sent[index]!, sent[index + 1]!);
  }
  return headers;
}

/** The argument as header text; null when it is absent, null, or of a type that does not travel. */
function argumentText(exchange: Exchange, bytes: Uint8Array, param: ParamHeader): string | null {
  const { spans } = exchange.message;
  let start = spans.argumentsStart;
  let end = spans.argumentsEnd;
  for (const key of param.path) {
    if (start < 0 || bytes[start] !== 0x7b) return null;
    const member = findMember(bytes, start, end, key);
    if (member === undefined) return null;
    start = member.start;
    end = member.end;
  }
  if (start < 0) return null;
  const first = bytes[start]!;
  if (first === 0x22) return decodeString(bytes, start + 1, end - 1);
  if (first === 0x6e || first === 0x7b || first === 0x5b) return null;
  const text = Buffer.from(bytes.subarray(start, end)).toString('latin1');
  // Integers travel in decimal, whatever their spelling in the body.
  return param.type === 'integer' && Number.isSafeInteger(Number(text)) ? String(Number(text)) : text;
}

function agrees(sent: readonly string[], name: string, value: string | null, type: ParamHeader['type']): boolean {
  let header: string | null = null;
  for (let index = 0; index < sent.length; index += 2) {
    if (sent[index] !== name) continue;
    if (header !== null) return false;
    header = sent[index + 1]!;
  }
  if (header === null) return value === null;
  if (value === null) return false;
  const decoded = decodeHeaderValue(header);
  if (decoded === null) return false;
  return decoded === value || (type === 'integer' && decoded !== '' && Number(decoded) === Number(value));
}
