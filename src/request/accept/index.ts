/**
 * The accept stage: sockets to requests. Two adapters, one on uWebSockets.js and one on node:http, with the same
 * checks and the same {@link FrontHandler} behind them.
 */
import type { Snapshot } from '../../config/snapshot.js';
import type { FrontEnd, FrontEndKind, FrontEndOptions } from './handler.js';
import { NodeFrontEnd } from './node.js';
import { UwsFrontEnd } from './uws.js';
import { loadUws } from './uws-binding.js';

export type { ConnectionLimits } from './connection.js';
export { corsHead } from './cors.js';
export type { FrontEnd, FrontEndKind, FrontEndOptions, FrontHandler, PlainAnswer } from './handler.js';
export { type LocalConnection, openLocalConnection } from './in-process.js';
export { type StdioDoor, type StdioDoorOptions, serveStdio } from './stdio.js';

/**
 * Which front end `choice` means on this machine: `auto` is uWebSockets.js where its binary loads.
 *
 * @param maxHeaderBytes `limits.maxHeaderBytes`; uWebSockets.js takes it when it is loaded
 */
export function frontEndKind(
  choice: Snapshot['frontEnd'],
  maxHeaderBytes: number,
): { readonly kind: FrontEndKind; readonly reason: string | null } {
  if (choice === 'node') return { kind: 'node', reason: null };
  try {
    loadUws(maxHeaderBytes);
    return { kind: 'uws', reason: null };
  } catch (error) {
    return { kind: 'node', reason: (error as Error).message.split('\n', 1)[0]! };
  }
}

/**
 * Starts to listen on `snapshot.host` and `snapshot.port` (0 = any free port).
 *
 * @throws Error with `code` EADDRINUSE when the port is taken
 */
export async function openFrontEnd(options: FrontEndOptions): Promise<FrontEnd> {
  const { frontEnd, limits } = options.snapshot;
  const { kind, reason } = frontEndKind(frontEnd, limits.maxHeaderBytes);
  if (reason !== null) {
    options.warn?.(`uWebSockets.js does not load here, node:http serves instead, several times slower: ${reason}`);
  }
  return kind === 'uws' ? UwsFrontEnd.open(options) : NodeFrontEnd.open(options);
}
