/** The accept stage: two HTTP front ends, on uWebSockets.js and on node:http, with the same checks and the same {@link FrontHandler}. */
import { EarlyRefusals, uwsReads } from '../../../native/index.js';
import type { Snapshot } from '../../config/snapshot/index.js';
import type { ExchangeTable } from '../exchange/table.js';
import { MALFORMED } from './http/answers.js';
import type { FrontEnd, FrontEndKind, FrontEndLog, FrontHandler } from './http/handler.js';
import { loadUws } from './uws/binding.js';

const UNSEEN =
  'Without the native addon, or where it cannot see what uWebSockets.js reads, the framing of chunked bodies cannot be checked.';

/**
 * Which front end runs for `choice` on this machine: `auto` is uWebSockets.js where its binary loads and the addon sees
 * what it reads. Without the addon it has to refuse chunked bodies, which public clients send.
 *
 * @param maxHeaderBytes `limits.maxHeaderBytes`; uWebSockets.js reads it when it is loaded
 */
export function frontEndKind(
  choice: Snapshot['frontEnd'],
  maxHeaderBytes: number,
): { readonly kind: FrontEndKind; readonly reason: string | null } {
  if (choice === 'node') return { kind: 'node', reason: null };
  try {
    loadUws(maxHeaderBytes);
  } catch (error) {
    return { kind: 'node', reason: (error as Error).message.split('\n', 1)[0] ?? '' };
  }
  const reason = uwsReads(MALFORMED) === null ? UNSEEN : null;
  return { kind: choice === 'auto' && reason !== null ? 'node' : 'uws', reason };
}

/**
 * Starts to listen on `snapshot.host` and `snapshot.port` (0 = any free port).
 *
 * @param log default: warnings are dropped
 * @param early what is refused when it is read, while the gateway is overloaded; default: nothing
 * @throws Error with `code` EADDRINUSE when the port is in use
 */
export async function openFrontEnd(
  snapshot: Snapshot,
  handler: FrontHandler,
  table: ExchangeTable,
  log: FrontEndLog | null = null,
  early: EarlyRefusals = new EarlyRefusals(0),
): Promise<FrontEnd> {
  const { kind, reason } = frontEndKind(snapshot.frontEnd, snapshot.limits.maxHeaderBytes);
  if (kind === 'node') {
    if (reason !== null) {
      log?.warn(`uWebSockets.js cannot serve here, node:http does instead, several times slower: ${reason}`);
    }
    return openNode(snapshot, handler, table);
  }
  const { UwsFrontEnd } = await import('./uws/index.js');
  const front = await UwsFrontEnd.open(snapshot, handler, table, early);
  if (front.takesChunks) return front;
  if (snapshot.frontEnd === 'auto') {
    await front.close();
    log?.warn(`node:http serves instead of uWebSockets.js, several times slower. ${UNSEEN}`);
    return openNode(snapshot, handler, table);
  }
  log?.warn(`Requests with chunked bodies are refused with 411; frontEnd: node takes them. ${UNSEEN}`);
  return front;
}

/** Only the front end that serves is loaded. */
async function openNode(snapshot: Snapshot, handler: FrontHandler, table: ExchangeTable): Promise<FrontEnd> {
  const { NodeFrontEnd } = await import('./node/index.js');
  return NodeFrontEnd.open(snapshot, handler, table);
}
