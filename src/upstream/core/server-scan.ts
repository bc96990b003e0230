import { type Decoder, ScanStatus } from '../../../native/layout.js';
import type { Spans } from '../../../native/spans.js';
import { blankOfServer } from '../../protocol/absent-members.js';
import { UPSTREAM_DEPTH } from '../../protocol/depth.js';
import { repairServerMessage } from '../../protocol/server-repairs.js';

/**
 * Scans one message of a server. What has one meaning only although a strict reader refuses it is overwritten with white space
 * in `bytes`, which the caller owns while it handles the message: members that count as absent (`params: null`, `params: []`,
 * `_meta: null`, `error: null` beside a result), a byte order mark.
 *
 * @returns one of `ScanStatus`
 */
export function scanServerMessage(decoder: Decoder, bytes: Uint8Array, length: number, spans: Spans): number {
  let status = decoder.scan(bytes, length, spans.words, UPSTREAM_DEPTH);
  while (status !== ScanStatus.ok && repairServerMessage(bytes, length, status)) {
    status = decoder.scan(bytes, length, spans.words, UPSTREAM_DEPTH);
  }
  return blankOfServer(bytes, spans, status) ? decoder.scan(bytes, length, spans.words, UPSTREAM_DEPTH) : status;
}
