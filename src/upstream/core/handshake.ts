/** Messages of the handshake with an upstream (MCP, lifecycle; 2026-07-28, server/discover). */
import { declaredCapabilities } from '../../protocol/client-capabilities.js';
import { Era, LATEST_LEGACY, MODERN, nearestLegacy, REVISIONS, Revision } from '../../protocol/revisions.js';
import type { Milliseconds } from '../../units.js';
import { CLIENT_INFO, ControlError, type ControlReply, resultOf } from './control.js';
import type { ConnectionProfile } from './types.js';
import { foreignVersions, olderRevisions, shownVersions } from './versions.js';

/** The result of a handshake. */
export interface Handshake {
  readonly era: Era;
  readonly revision: number;
  /** A version that the server announced and the gateway does not know: it is served as `revision`. '' = it is known. */
  readonly unknownVersion: string;
  /** See `HeadSource`. */
  readonly versionHeader: string;
  readonly capabilities: Record<string, unknown>;
  readonly instructions: string | null;
  readonly serverInfo: Record<string, unknown> | null;
  /** Freshness of a discover result, ms; 0 = none. */
  readonly ttlMs: number;
  /** Legacy HTTP only; '' = the server keeps no session. */
  readonly sessionId: string;
}

/**
 * `params` of `initialize`: declares the capabilities of the clients that the connection is for. `clientInfo` is always the
 * gateway's.
 *
 * @param revision the one that is asked for
 */
function initializeParams(profile: ConnectionProfile, revision: number): object {
  return {
    protocolVersion: REVISIONS[revision],
    capabilities: declaredCapabilities(profile.capabilities, true),
    clientInfo: CLIENT_INFO,
  };
}

/**
 * Sends `initialize` with the newest legacy revision. A server that refuses it for its version is asked once more with the
 * newest one that both know, and then with the older ones in order (MCP, version negotiation).
 *
 * @param send sends `initialize` with these parameters
 * @throws ControlError
 */
export async function initialize(
  profile: ConnectionProfile,
  send: (params: object) => Promise<ControlReply>,
): Promise<Handshake> {
  let others: readonly number[] | null = null;
  let first: unknown;
  const refused: number[] = [];
  let revision: number | undefined = LATEST_LEGACY;
  while (revision !== undefined) {
    try {
      return readInitialize(await send(initializeParams(profile, revision)));
    } catch (error) {
      first ??= error;
      if (!(error instanceof ControlError)) break;
      others ??= olderRevisions(error, revision);
      // Any other failure than a refusal says nothing about the version.
      if (error.kind !== 'rpc' && error.kind !== 'http') break;
      refused.push(revision);
      [revision, ...others] = others;
    }
  }
  throw first instanceof ControlError ? withVersions(first, refused) : first;
}

/** Reads a `server/discover` response. @throws ControlError if it is invalid, or shares no revision with the gateway */
export function readDiscover(reply: ControlReply): Handshake {
  const result = resultOf(reply);
  const supported = result['supportedVersions'];
  if (!Array.isArray(supported) || !supported.includes(REVISIONS[MODERN])) {
    throw withVersions(
      new ControlError('invalid', 'the upstream supports no common modern revision', 0, { supported }),
    );
  }
  const meta = asObject(result['_meta']);
  const ttl = result['ttlMs'];
  return {
    era: Era.modern,
    revision: MODERN,
    unknownVersion: '',
    versionHeader: REVISIONS[MODERN],
    capabilities: withoutNulls(asObject(result['capabilities'])),
    instructions: asString(result['instructions']),
    serverInfo: asObject(meta?.['io.modelcontextprotocol/serverInfo']),
    ttlMs: typeof ttl === 'number' && ttl > 0 ? ttl : 0,
    sessionId: '',
  };
}

/**
 * Reads an `initialize` response. A server that answers it speaks a legacy revision, whatever the version that it announces.
 *
 * @throws ControlError if it is invalid, or names no version
 */
function readInitialize(reply: ControlReply): Handshake {
  const result = resultOf(reply);
  const version = result['protocolVersion'];
  if (typeof version !== 'string' || version === '') {
    const shown = version === undefined ? 'none' : shownVersions([version]);
    throw new ControlError('invalid', `the upstream answered initialize with no protocol version (${shown})`);
  }
  const revision = nearestLegacy(version);
  const isKnown = REVISIONS[revision] === version;
  // A server checks the header against the versions that it knows; one of the modern family would claim an envelope.
  const isSpelled = !isKnown && version < REVISIONS[MODERN] && /^[\x21-\x7e]{1,64}$/.test(version);
  const header = isSpelled ? version : (REVISIONS[revision] ?? '');
  return {
    era: Era.legacy,
    revision,
    unknownVersion: isKnown ? '' : shownVersions([version]),
    // Earlier revisions do not define the header.
    versionHeader: revision >= Revision.r2025_06_18 ? header : '',
    capabilities: withoutNulls(asObject(result['capabilities'])),
    instructions: asString(result['instructions']),
    serverInfo: asObject(result['serverInfo']),
    ttlMs: 0,
    sessionId: reply.sessionId,
  };
}

/** Whether an error to the probe lists the modern revision that the gateway supports. */
export function namesModernRevision(error: ControlError): boolean {
  if (error.kind !== 'rpc' || error.number !== -32_022) return false;
  const supported = asObject(error.data)?.['supported'];
  return Array.isArray(supported) && supported.includes(REVISIONS[MODERN]);
}

/** Longest wait for a response to the probe before `initialize` is sent too. */
const PROBE_MS: Milliseconds = 2_000;

/** The outcome of the probe, or null when it takes longer than servers need. @param leftMs time for the whole handshake */
export async function outcomeOfProbe(
  probe: Promise<Handshake>,
  leftMs: Milliseconds,
): Promise<Handshake | ControlError | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), Math.min(PROBE_MS, leftMs / 2));
  });
  const outcome = await Promise.race([probe.catch((error: ControlError) => error), late]);
  clearTimeout(timer);
  return outcome;
}

/**
 * The outcome of a probe whose server has refused `initialize`: a slow modern server, whose response has arrived by now or will
 * in a moment.
 *
 * @param refusal the error of `initialize`
 * @throws the refusal, or the error of the probe where that names the versions of the server
 */
export async function lateOutcome(probe: Promise<Handshake>, refusal: ControlError): Promise<Handshake> {
  return await probe.catch((error: unknown) => {
    throw error instanceof ControlError && foreignVersions(error).length > 0 ? withVersions(error) : refusal;
  });
}

/**
 * The error with a message for a person, where the server named versions of which the gateway knows none, or refused several.
 *
 * @param refused the revisions that the server was asked for
 */
function withVersions(error: ControlError, refused: readonly number[] = []): ControlError {
  const versions = foreignVersions(error);
  let message: string;
  if (versions.length > 0) {
    message = `the upstream supports none of the protocol versions of the gateway, only ${shownVersions(versions)}`;
  } else if (refused.length > 1) {
    const asked = refused.map((revision) => REVISIONS[revision]).join(', ');
    message = `${error.message} to initialize with each of the protocol versions ${asked}`;
  } else {
    return error;
  }
  return new ControlError(error.kind, message, error.number, error.data, error.text);
}

/** Members that are `null` count as absent. */
function withoutNulls(members: Record<string, unknown> | null): Record<string, unknown> {
  return Object.fromEntries(Object.entries(members ?? {}).filter(([, value]) => value !== null));
}

function asObject(value: unknown): Record<string, unknown> | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null;
}

function asString(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}
