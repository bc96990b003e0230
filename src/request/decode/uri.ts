/**
 * Brings the URI that a message is about into normal form before policy sees it. Only messages whose URI the scan does not
 * know to be in normal form come here.
 */

import { Flag, Method } from '../../../native/layout.js';
import type { Spans } from '../../../native/spans.js';
import { decodeString } from '../../protocol/json-cursor.js';
import {
  type IsListed,
  type NormalUri,
  normalPattern,
  readUri,
  URI_FAULTS,
  type UriFault,
} from '../../protocol/uri.js';
import type { Exchange } from '../exchange/index.js';

/**
 * Reads the URI of the exchange's message. What policy compares, where it is not what the message says, is left in
 * `exchange.decodedName`, the reason of a refusal in `exchange.detail`.
 *
 * @returns the message in the normal form where it was spelled otherwise, `same` where not; null = there is no normal form
 */
export function withNormalUri(
  exchange: Exchange,
  bytes: Uint8Array,
  length: number,
  isListed: IsListed,
): Buffer | 'same' | null {
  const { spans } = exchange.message;
  const start = spans.nameStart;
  const end = spans.nameEnd;
  const text = decodeString(bytes, start, end);
  const read = isTemplate(spans, text) ? normalTemplate(text, isListed) : readUri(text, isListed);
  if (typeof read === 'string') {
    exchange.message.detail = URI_FAULTS[read];
    return null;
  }
  const isEscaped = (spans.flags & Flag.nameEscaped) !== 0;
  if (read.judged !== read.text || (read.text === text && isEscaped))
    exchange.message.decodedName = Buffer.from(read.judged);
  if (read.text === text) return 'same';
  return Buffer.concat([bytes.subarray(0, start), Buffer.from(read.text), bytes.subarray(end, length)]);
}

/** A completion refers to a template by its text (MCP, completion: `ref/resource`). */
function isTemplate(spans: Spans, text: string): boolean {
  return spans.method === Method.complete && text.includes('{');
}

function normalTemplate(text: string, isListed: IsListed): NormalUri | UriFault {
  const read = normalPattern(text, 'template');
  if (typeof read === 'string') return read;
  return { text: isListed(text) ? text : read.text, judged: read.text };
}
