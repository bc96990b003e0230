/** The lockfile: what `switchyard lock` writes, and a gateway with `catalog.pinning` reads. */
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { canonical } from '../../config/numbering.js';
import type { Lock, PinnedTool, PinnedTools, ToolDefinition } from '../../config/snapshot/pinning.js';
import type { Bytes } from '../../units.js';
import type { ListedTool } from './compare.js';
import { hashOf } from './definition.js';

const FORMAT = 1;
/** A longer definition is kept by its hash alone. */
const MAX_KEPT: Bytes = 64 * 1024;

/** The lockfile cannot be used. The message says why, as a sentence with its path. */
export class LockError extends Error {}

/**
 * Reads a lockfile.
 *
 * @throws LockError when there is none, when it cannot be read, is larger than `maxBytes`, is no lockfile of this version, or a
 * definition in it does not have its hash
 */
export function readLock(path: string, maxBytes: Bytes): Lock {
  let text: string;
  try {
    if (statSync(path).size > maxBytes) throw new LockError(`${path} is larger than limits.maxManifestBytes`);
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof LockError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new LockError(`${path} does not exist; \`switchyard lock\` writes it`);
    throw new LockError(`${path} cannot be read (${code ?? 'unknown error'})`);
  }
  let file: unknown;
  try {
    file = JSON.parse(text);
  } catch {
    throw new LockError(`${path} is not valid JSON; \`switchyard lock\` writes it anew`);
  }
  if (!isObject(file) || !isObject(file['servers'])) throw new LockError(`${path} is not a lockfile`);
  if (file['format'] !== FORMAT) {
    throw new LockError(`${path} is of another version; \`switchyard lock\` writes it anew`);
  }
  const servers = new Map<string, PinnedTools>();
  for (const [server, tools] of Object.entries(file['servers'])) {
    const pins = new Map<string, PinnedTool>();
    for (const [name, tool] of Object.entries(isObject(tools) ? tools : {})) {
      const pin = pinOf(tool);
      if (pin === null) {
        const entry = `${JSON.stringify(server)}, ${JSON.stringify(name)}`;
        throw new LockError(
          `${path}: the entry ${entry} does not have the hash of its definition; it was edited by hand`,
        );
      }
      pins.set(name, pin);
    }
    servers.set(server, pins);
  }
  return { path, digest: createHash('sha256').update(text).digest('base64url'), servers };
}

/** null = it is none. */
function pinOf(tool: unknown): PinnedTool | null {
  if (!isObject(tool) || typeof tool['hash'] !== 'string') return null;
  const { hash, definition } = tool;
  if (definition === undefined) return { hash, definition: null };
  return isObject(definition) && hashOf(definition) === hash ? { hash, definition } : null;
}

/** The pin of a tool. @param isSecret whether a text holds a secret; a definition that does is kept by its hash alone */
export function pinFor({ definition }: ListedTool, isSecret: (text: string) => boolean): PinnedTool {
  const text = canonical(definition);
  const isKept = Buffer.byteLength(text) <= MAX_KEPT && !isSecret(text);
  return { hash: hashOf(definition), definition: isKept ? (JSON.parse(text) as ToolDefinition) : null };
}

/** The text of a lockfile, the same for the same tools in whatever order, for version control. */
export function lockText(servers: ReadonlyMap<string, PinnedTools>): string {
  const sorted = <T>(map: ReadonlyMap<string, T>): [string, T][] => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
  const entry = ({ hash, definition }: PinnedTool): object => (definition === null ? { hash } : { hash, definition });
  const content = sorted(servers).map(([server, pins]) => [
    server,
    Object.fromEntries(sorted(pins).map(([name, pin]) => [name, entry(pin)])),
  ]);
  return `${JSON.stringify({ format: FORMAT, servers: Object.fromEntries(content) }, null, 2)}\n`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
