/** The handshake on a channel that calls share (MCP 2026-07-28, stdio, dual-era probe). */
import type { Milliseconds } from '../../units.js';
import { ControlError, type ControlReply } from '../core/control.js';
import {
  type Handshake,
  initialize,
  lateOutcome,
  namesModernRevision,
  outcomeOfProbe,
  readDiscover,
} from '../core/handshake.js';
import type { ConnectionProfile } from '../core/types.js';

/** The channel ended while it was probed: some servers exit on any request before `initialize`. */
export class ProbeEnded extends Error {
  constructor() {
    super('the upstream ended when it was probed');
    this.name = 'ProbeEnded';
  }
}

/** What carries the handshake. */
export interface HandshakePeer {
  /**
   * @param isModern the request gets the envelope of modern requests
   * @throws ControlError
   */
  request(method: string, params: object | null, timeoutMs: Milliseconds, isModern: boolean): Promise<ControlReply>;
  notify(method: string, params: object | null): void;
}

/**
 * Detects the era, and opens a session with a legacy server.
 *
 * @param options.legacyOnly no probe
 * @param options.timeoutMs for the whole handshake
 * @throws ProbeEnded when the next attempt should go without the probe; ControlError otherwise
 */
export async function channelHandshake(
  peer: HandshakePeer,
  options: { legacyOnly: boolean; timeoutMs: Milliseconds; profile: ConnectionProfile },
): Promise<Handshake> {
  const deadline = performance.now() + options.timeoutMs;
  const left = (): Milliseconds => Math.max(1, deadline - performance.now());
  let probe: Promise<Handshake> | null = null;
  if (!options.legacyOnly) {
    probe = peer.request('server/discover', {}, left(), true).then(readDiscover);
    probe.catch(() => {});
    const outcome = await outcomeOfProbe(probe, left());
    if (outcome instanceof ControlError) {
      if (outcome.kind === 'closed') throw new ProbeEnded();
      // It supports the revision but rejected this request: a second attempt is the last.
      if (namesModernRevision(outcome)) return readDiscover(await peer.request('server/discover', {}, left(), true));
    } else if (outcome !== null) {
      return outcome;
    }
  }
  try {
    const handshake = await initialize(options.profile, (params) => peer.request('initialize', params, left(), false));
    peer.notify('notifications/initialized', null);
    return handshake;
  } catch (error) {
    if (probe === null || !(error instanceof ControlError)) throw error;
    if (error.kind === 'closed') throw new ProbeEnded();
    return await lateOutcome(probe, error);
  }
}
