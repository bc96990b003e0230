/**
 * Which transport a URL without a named one speaks. Streamable HTTP is tried first; an upstream that refuses a POST in the
 * way of an older one is tried as HTTP with SSE (MCP 2025-03-26, transports, backwards compatibility).
 */
import type { EndpointSnapshot, UrlEndpointSnapshot } from '../../config/snapshot.js';
import { BackOff } from '../balance/back-off.js';
import { ControlError } from './control.js';
import type { Transport } from './types.js';

interface Detection {
  transport: 'http' | 'sse';
  /** Why Streamable HTTP was given up last. */
  httpReason: string;
  /** Pauses between two rounds in which neither transport was found. */
  readonly backOff: BackOff;
}

/** By the configuration of the endpoint, so that whatever is made for it later starts with what is known. */
const detections = new WeakMap<UrlEndpointSnapshot, Detection>();

function detectionOf(config: UrlEndpointSnapshot): Detection {
  let detection = detections.get(config);
  if (detection === undefined) {
    detection = { transport: 'http', httpReason: '', backOff: new BackOff() };
    detections.set(config, detection);
  }
  return detection;
}

/** How the endpoint is to be reached: as configured, or as was found out last. */
export function transportOf(config: EndpointSnapshot): Transport {
  return config.transport === 'http' && config.detect ? detectionOf(config).transport : config.transport;
}

/**
 * The next endpoint made for this configuration tries the other transport.
 *
 * @param reason why this one does not fit
 */
export function tryOtherTransport(config: UrlEndpointSnapshot, reason: string): void {
  const detection = detectionOf(config);
  if (detection.transport === 'http') detection.httpReason = reason;
  detection.transport = detection.transport === 'http' ? 'sse' : 'http';
}

/** The reason of an endpoint that answered neither transport, one clause for each. */
export function neitherReason(config: UrlEndpointSnapshot, sseReason: string): string {
  return `neither Streamable HTTP (${detectionOf(config).httpReason}) nor HTTP with SSE (the upstream ${sseReason})`;
}

/** The pauses of a detected endpoint; they go on over changes of the transport. */
export function detectionBackOff(config: UrlEndpointSnapshot): BackOff {
  return detectionOf(config).backOff;
}

/**
 * Whether a failed handshake over Streamable HTTP means that HTTP with SSE is worth a try: 400, 404 or 405, or a JSON-RPC
 * error that is none of 2026-07-28's. Anything else (refused credentials, silence, no connection) says nothing.
 */
export function suggestsSse(error: unknown): boolean {
  if (!(error instanceof ControlError)) return false;
  if (error.kind === 'http') return error.number === 400 || error.number === 404 || error.number === 405;
  return error.kind === 'rpc' && (error.number < -32_022 || error.number > -32_020);
}
