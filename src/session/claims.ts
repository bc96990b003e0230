import { MAX_CAPABILITIES, MAX_CLIENT_INFO } from './seal.js';

/** Longest raw JSON that is looked at; what is longer counts as not sent. */
const MAX_RAW = 65_536;
/** Capabilities that servers act on (MCP client capabilities, all revisions). */
const KNOWN = ['roots', 'sampling', 'elicitation', 'tasks', 'extensions'];

/**
 * Client capabilities in a form that fits a session id: as sent when they are short; otherwise the known ones, and if
 * these are too long still, only that they are there.
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

/** `clientInfo` in a form that fits a session id: as sent when it is short, otherwise name and version. */
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
