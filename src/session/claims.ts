import { MAX_CAPABILITIES, MAX_CLIENT_INFO } from './seal.js';

/** Longest raw JSON that is parsed, in bytes; longer claims are ignored. */
const MAX_RAW = 65_536;
/** Capabilities that servers use (MCP client capabilities, all revisions). */
const KNOWN = ['roots', 'sampling', 'elicitation', 'tasks', 'extensions'];

/**
 * Client capabilities reduced to {@link MAX_CAPABILITIES} bytes of JSON: as sent when they are short enough; otherwise the
 * known ones; if these are still too long, each known one as an empty object.
 */
export function fittingCapabilities(raw: Uint8Array): Uint8Array {
  if (raw.byteLength <= MAX_CAPABILITIES) return raw;
  const sent = parseObject(raw);
  const known: Record<string, unknown> = {};
  const bare: Record<string, unknown> = {};
  for (const name of KNOWN) {
    const value = sent[name];
    if (value === undefined) continue;
    known[name] = value;
    if (name !== 'extensions' && name !== 'tasks') bare[name] = {};
  }
  const bytes = Buffer.from(JSON.stringify(known));
  return bytes.byteLength <= MAX_CAPABILITIES ? bytes : Buffer.from(JSON.stringify(bare));
}

/** `clientInfo` reduced to {@link MAX_CLIENT_INFO} bytes of JSON: as sent when it is short enough, otherwise name and version. */
export function fittingClientInfo(raw: Uint8Array): Uint8Array {
  if (raw.byteLength <= MAX_CLIENT_INFO) return raw;
  const { name, version } = parseObject(raw);
  const text = (value: unknown): string => (typeof value === 'string' ? value.slice(0, 64) : '');
  const bytes = Buffer.from(JSON.stringify({ name: text(name), version: text(version) }));
  return bytes.byteLength <= MAX_CLIENT_INFO ? bytes : Buffer.alloc(0);
}

function parseObject(raw: Uint8Array): Record<string, unknown> {
  if (raw.byteLength > MAX_RAW) return {};
  try {
    const value: unknown = JSON.parse(Buffer.from(raw).toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : {};
  } catch {
    return {};
  }
}
