/**
 * Capabilities of a client as bits: read from `capabilities` of `initialize` or from the envelope of 2026-07-28,
 * written for upstreams of either family (MCP, lifecycle; 2026-07-28, per-request metadata).
 */
import { Method } from '../../native/layout.js';
import { Revision } from './revisions.js';

/** Bits of a capability mask. */
export const Capability = {
  sampling: 1 << 0,
  samplingTools: 1 << 1,
  samplingContext: 1 << 2,
  elicitationForm: 1 << 3,
  elicitationUrl: 1 << 4,
  roots: 1 << 5,
  /** Legacy only: the client announces changes of its roots. */
  rootsListChanged: 1 << 6,
} as const;

/** The capabilities that let a server send requests: a client has at least one of them or gets none. */
export const ASKABLE: number =
  Capability.sampling | Capability.elicitationForm | Capability.elicitationUrl | Capability.roots;

/**
 * The mask of capabilities as raw JSON; 0 for anything that is not an object. An `elicitation` without members means
 * forms only.
 */
export function capabilityMask(json: Uint8Array): number {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(json.buffer, json.byteOffset, json.byteLength).toString('utf8'));
  } catch {
    return 0;
  }
  const all = members(value);
  let mask = 0;
  const sampling = members(all?.['sampling']);
  if (sampling !== null) {
    mask |= Capability.sampling;
    if (members(sampling['tools']) !== null) mask |= Capability.samplingTools;
    if (members(sampling['context']) !== null) mask |= Capability.samplingContext;
  }
  const elicitation = members(all?.['elicitation']);
  if (elicitation !== null) {
    const url = members(elicitation['url']) !== null;
    if (url) mask |= Capability.elicitationUrl;
    if (!url || members(elicitation['form']) !== null) mask |= Capability.elicitationForm;
  }
  const roots = members(all?.['roots']);
  if (roots !== null) {
    mask |= Capability.roots;
    if (roots['listChanged'] === true) mask |= Capability.rootsListChanged;
  }
  return mask;
}

/** Capabilities to declare for a mask: in `initialize` (`legacy`) or in the envelope of 2026-07-28. */
export function declaredCapabilities(mask: number, legacy: boolean): Record<string, object> {
  const has = (bit: number): boolean => (mask & bit) !== 0;
  const declared: Record<string, object> = {};
  if (has(Capability.sampling)) {
    declared['sampling'] = {
      ...(has(Capability.samplingTools) ? { tools: {} } : {}),
      ...(has(Capability.samplingContext) ? { context: {} } : {}),
    };
  }
  if (has(Capability.elicitationForm | Capability.elicitationUrl)) {
    declared['elicitation'] = {
      ...(has(Capability.elicitationForm) ? { form: {} } : {}),
      ...(has(Capability.elicitationUrl) ? { url: {} } : {}),
    };
  }
  if (has(Capability.roots)) {
    declared['roots'] = legacy && has(Capability.rootsListChanged) ? { listChanged: true } : {};
  }
  return declared;
}

/** The part of a mask that a revision has: elicitation came with 2025-06-18, its URL mode and tools with 2025-11-25. */
export function withinRevision(mask: number, revision: number): number {
  let within = mask;
  if (revision < Revision.r2025_06_18) within &= ~(Capability.elicitationForm | Capability.elicitationUrl);
  if (revision < Revision.r2025_11_25) within &= ~(Capability.elicitationUrl | Capability.samplingTools);
  return within;
}

/**
 * The bits that a client needs for a request of `method` with these parameters; -1 for a method that no client answers.
 *
 * @param method method id (native/layout.ts)
 * @param params the parsed `params`
 */
export function neededCapability(method: number, params: unknown): number {
  const given = members(params);
  switch (method) {
    case Method.createMessage: {
      // `null` counts as absent.
      const tools = given !== null && ((given['tools'] ?? null) !== null || (given['toolChoice'] ?? null) !== null);
      return Capability.sampling | (tools ? Capability.samplingTools : 0);
    }
    case Method.elicit:
      return given?.['mode'] === 'url' ? Capability.elicitationUrl : Capability.elicitationForm;
    case Method.rootsList:
      return Capability.roots;
    default:
      return -1;
  }
}

function members(value: unknown): Record<string, unknown> | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null;
}
