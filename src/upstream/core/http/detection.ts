/**
 * Auto-detection of the transport of a URL. Streamable HTTP is tried first; an upstream that refuses the POST in the way of an
 * older server is tried as HTTP with SSE (MCP 2025-03-26, transports, backwards compatibility).
 */
import type { UrlTransport } from '../../../config/schema/servers.js';
import type { UrlEndpointSnapshot } from '../../../config/snapshot/index.js';
import { BackOff } from '../../balance/back-off.js';
import { ControlError } from '../control.js';
import { reasonOf } from '../reasons.js';
import { foreignVersions } from '../versions.js';

interface Detection {
  transport: 'http' | 'sse';
  /** Why Streamable HTTP was rejected last. */
  httpReason: string;
  /** Pauses between attempts, over changes of the transport. */
  readonly backOff: BackOff;
}

/** By the configuration of the endpoint, so that later endpoints for it start with the detected transport. */
const detections = new WeakMap<UrlEndpointSnapshot, Detection>();

function detectionOf(config: UrlEndpointSnapshot): Detection {
  let detection = detections.get(config);
  if (detection === undefined) {
    detection = { transport: 'http', httpReason: '', backOff: new BackOff() };
    detections.set(config, detection);
  }
  return detection;
}

/** The transport of an endpoint: as configured, or as detected last. */
export function transportOf(config: UrlEndpointSnapshot): UrlTransport {
  return config.transport === 'http' && config.detect ? detectionOf(config).transport : config.transport;
}

/**
 * Makes the next endpoint for this configuration try the other transport.
 *
 * @param reason why the current one is wrong
 */
export function tryOtherTransport(config: UrlEndpointSnapshot, reason: string): void {
  const detection = detectionOf(config);
  if (detection.transport === 'http') detection.httpReason = reason;
  detection.transport = detection.transport === 'http' ? 'sse' : 'http';
}

/** The reason shown for an endpoint with neither transport, one clause for each. */
export function noTransportReason(config: UrlEndpointSnapshot, sseReason: string): string {
  return `neither Streamable HTTP (${detectionOf(config).httpReason}) nor HTTP with SSE (the upstream ${sseReason})`;
}

/**
 * What to write instead where the answer suggests another transport or another path; '' = nothing.
 *
 * @param reason why the transport was refused
 * @param otherTransport the configured transport is the wrong one, for all that the answer says
 */
export function withAddressAdvice(config: UrlEndpointSnapshot, reason: string, otherTransport: boolean): string {
  const { pathname } = new URL(config.url);
  if (pathname === '/') return `${reason}; the URL has no path: try /mcp, or /sse with type: sse`;
  if (config.detect) return reason;
  if (config.transport === 'http' && pathname.endsWith('/sse')) {
    return `${reason}; the URL is that of HTTP with SSE: set type: sse`;
  }
  if (!otherTransport) return reason;
  const [name, type] = config.transport === 'http' ? ['HTTP with SSE', 'sse'] : ['Streamable HTTP', 'http'];
  return `${reason}; if it is a server of ${name}, set type: ${type}`;
}

/** The reason that is shown for a failed handshake over Streamable HTTP. */
export function handshakeReason(config: UrlEndpointSnapshot, error: unknown): string {
  const reason = reasonOf(error);
  if (!(error instanceof ControlError)) return reason;
  // A refused credential, or an address that cannot be reached, says nothing about the transport.
  if (error.kind === 'refused' || error.kind === 'unreachable') return reason;
  return withAddressAdvice(config, reason, suggestsSse(error));
}

/** The pauses of an endpoint whose transport is auto-detected. */
export function detectionBackOff(config: UrlEndpointSnapshot): BackOff {
  return detectionOf(config).backOff;
}

/**
 * Whether a failed handshake over Streamable HTTP suggests HTTP with SSE: 400, 404 or 405, or a JSON-RPC error other than
 * those of 2026-07-28. Other failures (401, 403, timeout, no connection) suggest nothing, nor does a server that names its
 * protocol versions.
 */
export function suggestsSse(error: unknown): boolean {
  if (!(error instanceof ControlError) || foreignVersions(error).length > 0) return false;
  if (error.kind === 'http') return error.number === 400 || error.number === 404 || error.number === 405;
  return error.kind === 'rpc' && (error.number < -32_022 || error.number > -32_020);
}
