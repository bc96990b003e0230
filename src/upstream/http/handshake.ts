/** The handshake over Streamable HTTP (MCP 2026-07-28, version negotiation; 2025-11-25, lifecycle). */
import { Era, MODERN, REVISIONS } from '../../protocol/revisions.js';
import type { Milliseconds } from '../../units.js';
import { ControlError, controlMessage } from '../core/control.js';
import {
  type Handshake,
  initialize,
  lateOutcome,
  namesModernRevision,
  outcomeOfProbe,
  readDiscover,
} from '../core/handshake.js';
import { HttpHeads } from '../core/http/heads.js';
import type { ConnectionProfile } from '../core/types.js';
import type { HttpControl } from './control.js';

/** What a handshake needs. */
export interface HttpHandshakeOptions {
  /** The era that was detected before: a legacy server is not probed. Null = unknown. */
  readonly era: Era | null;
  /** For each step. */
  readonly timeoutMs: Milliseconds;
  readonly profile: ConnectionProfile;
}

/**
 * Detects the era by `server/discover`, and opens a session with a legacy server. A probe that is refused, broken off or not
 * answered for a while means a legacy server, unless the server also refuses `initialize`; 401 and 403 decide nothing.
 *
 * @throws ControlError
 */
export async function httpHandshake(
  control: HttpControl,
  configured: Readonly<Record<string, string>>,
  options: HttpHandshakeOptions,
): Promise<Handshake> {
  if (options.era === Era.legacy) return await openSession(control, configured, options);
  const probe = discover(control, configured, options.timeoutMs);
  probe.catch(() => {});
  const outcome = await outcomeOfProbe(probe, options.timeoutMs);
  if (outcome !== null && !(outcome instanceof ControlError)) return outcome;
  if (outcome !== null && !mayBeLegacy(outcome)) throw outcome;
  try {
    return await openSession(control, configured, options);
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    return await lateOutcome(probe, error);
  }
}

/** The probe; a server that lists the supported revision is probed once more. */
async function discover(
  control: HttpControl,
  configured: Readonly<Record<string, string>>,
  timeoutMs: Milliseconds,
): Promise<Handshake> {
  const source = { era: Era.modern, versionHeader: REVISIONS[MODERN], sessionId: '' };
  const headers = new HttpHeads(configured, source).forControl('server/discover');
  const probe = async (): Promise<Handshake> => {
    const id = control.nextId();
    return readDiscover(await control.post(controlMessage(id, 'server/discover', {}, true), id, headers, timeoutMs));
  };
  try {
    return await probe();
  } catch (error) {
    if (error instanceof ControlError && namesModernRevision(error)) return await probe();
    throw error;
  }
}

async function openSession(
  control: HttpControl,
  configured: Readonly<Record<string, string>>,
  { timeoutMs, profile }: HttpHandshakeOptions,
): Promise<Handshake> {
  const first = new HttpHeads(configured, { era: Era.legacy, versionHeader: '', sessionId: '' });
  const handshake = await initialize(profile, (params) => {
    const id = control.nextId();
    const body = controlMessage(id, 'initialize', params, false);
    return control.post(body, id, first.forControl('initialize'), timeoutMs);
  });
  if (!/^[\x21-\x7e]*$/.test(handshake.sessionId)) {
    throw new ControlError('invalid', 'the upstream gave a session id with other than visible characters');
  }
  const heads = new HttpHeads(configured, handshake);
  const initialized = controlMessage(null, 'notifications/initialized', null, false);
  await control.notifyOnce(initialized, heads.forControl('notifications/initialized'), timeoutMs);
  return handshake;
}

/** Whether a failed probe says that `initialize` is worth a try at the same address. */
function mayBeLegacy({ kind, number }: ControlError): boolean {
  if (kind === 'http') return number >= 400;
  return kind !== 'refused' && kind !== 'unreachable';
}
