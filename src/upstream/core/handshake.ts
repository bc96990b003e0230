/** Messages of the handshake with an upstream (MCP, lifecycle; 2026-07-28, server/discover). */
import { declaredCapabilities } from '../../protocol/client-capabilities.js';
import { Era, LATEST_LEGACY, MODERN, REVISIONS, Revision, revisionNumber } from '../../protocol/revisions.js';
import { CLIENT_INFO, ControlError, type ControlReply, resultOf } from './control.js';
import type { ConnectionProfile } from './types.js';

/** The result of a handshake. */
export interface Handshake {
  readonly era: Era;
  readonly revision: number;
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
 */
export function initializeParams(profile: ConnectionProfile): object {
  return {
    protocolVersion: REVISIONS[LATEST_LEGACY],
    capabilities: declaredCapabilities(profile.capabilities, true),
    clientInfo: CLIENT_INFO,
  };
}

/** Reads a `server/discover` response. @throws ControlError if it is invalid, or shares no revision with the gateway */
export function readDiscover(reply: ControlReply): Handshake {
  const result = resultOf(reply);
  const versions = result['supportedVersions'];
  if (!Array.isArray(versions) || !versions.includes(REVISIONS[MODERN])) {
    throw new ControlError('invalid', 'the upstream supports no common modern revision');
  }
  const meta = asObject(result['_meta']);
  const ttl = result['ttlMs'];
  return {
    era: Era.modern,
    revision: MODERN,
    capabilities: asObject(result['capabilities']) ?? {},
    instructions: asString(result['instructions']),
    serverInfo: asObject(meta?.['io.modelcontextprotocol/serverInfo']),
    ttlMs: typeof ttl === 'number' && ttl > 0 ? ttl : 0,
    sessionId: '',
  };
}

/** Reads an `initialize` response. @throws ControlError if it is invalid, or of a revision that the gateway does not support */
export function readInitialize(reply: ControlReply): Handshake {
  const result = resultOf(reply);
  const version = result['protocolVersion'];
  const revision = typeof version === 'string' ? revisionNumber(version) : Revision.none;
  if (revision < 0 || revision > LATEST_LEGACY) {
    throw new ControlError('invalid', 'the upstream answered initialize with an unknown protocol version');
  }
  return {
    era: Era.legacy,
    revision,
    capabilities: asObject(result['capabilities']) ?? {},
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

function asObject(value: unknown): Record<string, unknown> | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null;
}

function asString(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}
