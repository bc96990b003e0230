/** The handshake on a channel that calls share (MCP 2026-07-28, stdio, dual-era probe). */
import type { Milliseconds } from '../../units.js';
import { ControlError, type ControlReply } from '../core/control.js';
import { type Handshake, namesModernRevision, readDiscover, readInitialize } from '../core/handshake.js';

/** The channel ended while it was probed: some servers exit on any request before `initialize`. */
export class ProbeEnded extends Error {
  constructor() {
    super('the upstream ended when it was probed');
    this.name = 'ProbeEnded';
  }
}

/** Longest wait for a response to the probe before `initialize` is sent too. */
const PROBE_MS: Milliseconds = 2_000;

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
 * @param options.initialize parameters of `initialize`
 * @throws ProbeEnded when the next attempt should go without the probe; ControlError otherwise
 */
export async function channelHandshake(
  peer: HandshakePeer,
  options: { legacyOnly: boolean; timeoutMs: Milliseconds; initialize: object },
): Promise<Handshake> {
  const deadline = performance.now() + options.timeoutMs;
  const left = (): Milliseconds => Math.max(1, deadline - performance.now());
  let probe: Promise<Handshake> | null = null;
  if (!options.legacyOnly) {
    probe = peer.request('server/discover', {}, left(), true).then(readDiscover);
    probe.catch(() => {});
    const outcome = await settledWithin(probe, Math.min(PROBE_MS, left() / 2));
    if (outcome instanceof ControlError) {
      if (outcome.kind === 'closed') throw new ProbeEnded();
      // It supports the revision but rejected this request: a second attempt is the last.
      if (namesModernRevision(outcome)) return readDiscover(await peer.request('server/discover', {}, left(), true));
    } else if (outcome !== null) {
      return outcome;
    }
  }
  try {
    const handshake = readInitialize(await peer.request('initialize', options.initialize, left(), false));
    peer.notify('notifications/initialized', null);
    return handshake;
  } catch (error) {
    if (probe === null || !(error instanceof ControlError)) throw error;
    if (error.kind === 'closed') throw new ProbeEnded();
    // A slow modern server rejects `initialize`; its response to the probe has arrived by now or will in a moment.
    return await probe.catch(() => {
      throw error;
    });
  }
}

/** The outcome of the probe, or null when it takes longer. */
async function settledWithin(probe: Promise<Handshake>, ms: Milliseconds): Promise<Handshake | ControlError | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), ms);
  });
  const outcome = await Promise.race([probe.catch((error: ControlError) => error), late]);
  clearTimeout(timer);
  return outcome;
}
