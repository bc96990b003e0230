/** The handshake over Streamable HTTP (MCP 2026-07-28, version negotiation; 2025-11-25, lifecycle). */
import { Era, MODERN, Revision } from '../../protocol/revisions.js';
import type { Milliseconds } from '../../units.js';
import { ControlError, type ControlReply, controlMessage } from '../core/control.js';
import { type Handshake, namesModernRevision, readDiscover, readInitialize } from '../core/handshake.js';
import { HttpHeads } from '../core/http-heads.js';
import type { HttpControl } from './control.js';

/**
 * Detects the era by `server/discover`, and opens a session with a legacy server. 401 and 403, server errors and timeouts
 * decide nothing; every other error to the probe means legacy.
 *
 * @param options.era the era that was detected before: only that is tried; null = unknown
 * @param options.timeoutMs for each step
 * @param options.initialize parameters of `initialize`
 * @throws ControlError
 */
export async function httpHandshake(
  control: HttpControl,
  configured: Readonly<Record<string, string>>,
  options: { era: Era | null; timeoutMs: Milliseconds; initialize: object },
): Promise<Handshake> {
  if (options.era !== Era.legacy) {
    const heads = new HttpHeads(configured, { era: Era.modern, revision: MODERN, sessionId: '' });
    const probe = (): Promise<ControlReply> => {
      const id = control.nextId();
      const body = controlMessage(id, 'server/discover', {}, true);
      return control.post(body, id, heads.forControl('server/discover'), options.timeoutMs);
    };
    try {
      return readDiscover(await probe());
    } catch (error) {
      if (!(error instanceof ControlError) || !meansLegacy(error)) throw error;
      if (namesModernRevision(error)) return readDiscover(await probe());
    }
  }
  const first = new HttpHeads(configured, { era: Era.legacy, revision: Revision.none, sessionId: '' });
  const id = control.nextId();
  const reply = await control.post(
    controlMessage(id, 'initialize', options.initialize, false),
    id,
    first.forControl('initialize'),
    options.timeoutMs,
  );
  const handshake = readInitialize(reply);
  if (!/^[\x21-\x7e]*$/.test(handshake.sessionId)) {
    throw new ControlError('invalid', 'the upstream gave a session id with other than visible characters');
  }
  const heads = new HttpHeads(configured, handshake);
  const initialized = controlMessage(null, 'notifications/initialized', null, false);
  await control.notifyOnce(initialized, heads.forControl('notifications/initialized'), options.timeoutMs);
  return handshake;
}

function meansLegacy(error: ControlError): boolean {
  if (error.kind === 'rpc' || error.kind === 'invalid') return true;
  return error.kind === 'http' && error.number >= 400 && error.number < 500;
}
