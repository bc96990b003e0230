/** The handshake on a channel that calls share (MCP 2026-07-28, stdio, dual-era probe). */
import type { Milliseconds } from '../../units.js';
import { ControlError, type ControlReply } from '../core/control.js';
import { type Handshake, namesModernRevision, readDiscover, readInitialize } from '../core/handshake.js';

/** The channel ended while it was probed: some servers end on any request before `initialize`. */
export class ProbeEnded extends Error {
  constructor() {
    super('the upstream ended when it was probed');
    this.name = 'ProbeEnded';
  }
}

/** Longest wait for an answer to the probe before `initialize` is sent too. */
const PROBE_MS: Milliseconds = 2_000;

type Ask = (method: string, params: object | null, timeoutMs: Milliseconds, modern: boolean) => Promise<ControlReply>;

/**
 * Finds out the era and opens a legacy session where that is needed.
 *
 * @param options.legacyOnly it is not probed
 * @param options.timeoutMs for the whole handshake
 * @param options.initialize parameters of `initialize`
 * @throws ProbeEnded when another attempt should go without the probe; ControlError otherwise
 */
export async function channelHandshake(
  ask: Ask,
  notify: (method: string) => void,
  options: { legacyOnly: boolean; timeoutMs: Milliseconds; initialize: object },
): Promise<Handshake> {
  const deadline = performance.now() + options.timeoutMs;
  const left = (): Milliseconds => Math.max(1, deadline - performance.now());
  let probe: Promise<Handshake> | null = null;
  if (!options.legacyOnly) {
    probe = ask('server/discover', {}, left(), true).then(readDiscover);
    probe.catch(() => {});
    const verdict = await settledWithin(probe, Math.min(PROBE_MS, left() / 2));
    if (verdict instanceof ControlError) {
      if (verdict.kind === 'closed') throw new ProbeEnded();
      // It knows the revision but not this way of asking: one more attempt is all that makes sense.
      if (namesModernRevision(verdict)) return readDiscover(await ask('server/discover', {}, left(), true));
    } else if (verdict !== null) {
      return verdict;
    }
  }
  try {
    const handshake = readInitialize(await ask('initialize', options.initialize, left(), false));
    notify('notifications/initialized');
    return handshake;
  } catch (error) {
    if (probe === null || !(error instanceof ControlError)) throw error;
    if (error.kind === 'closed') throw new ProbeEnded();
    // A slow modern server refuses `initialize`, and has answered the probe by now or will in a moment.
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
