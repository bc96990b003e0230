import type { Decoder } from '../../../native/layout.js';
import type { Spans } from '../../../native/spans.js';
import { blankOfServer } from '../../protocol/absent-members.js';
import { UPSTREAM_DEPTH } from '../../protocol/depth.js';

/**
 * Scans one message of a server. Members that count as absent (`params: null`, `params: []`, `_meta: null`) are overwritten
 * with white space in `bytes`, which the caller owns while it handles the message.
 *
 * @returns one of `ScanStatus`
 */
export function scanServerMessage(decoder: Decoder, bytes: Uint8Array, length: number, spans: Spans): number {
  const status = decoder.scan(bytes, length, spans.words, UPSTREAM_DEPTH);
  return blankOfServer(bytes, spans, status) ? decoder.scan(bytes, length, spans.words, UPSTREAM_DEPTH) : status;
}
