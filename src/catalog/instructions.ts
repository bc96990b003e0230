/** `instructions` of `initialize` and `server/discover`: those of all servers, of which a client gets only the ones it may call. */
import { isTombstone } from '../config/numbering.js';
import type { Bytes } from '../units.js';
import { toLatin1 } from './items/json-text.js';
import type { CatalogInput } from './types.js';

/** What one server says. */
export interface ServerInstructions {
  readonly server: number;
  /** '' = none is needed. */
  readonly heading: string;
  readonly text: string;
}

/** What the servers of one view say, in order. */
export function instructionsOf(input: CatalogInput): ServerInstructions[] {
  const present = input.servers.filter((server) => !isTombstone(server));
  // A single server without a prefix needs no heading.
  const isPlain = present.length === 1 && present[0]?.prefix === null;
  return input.discoveries.flatMap(({ server: index, instructions }) => {
    const text = instructions?.trim() ?? '';
    const server = input.servers[index];
    if (text === '' || server === undefined) return [];
    if (isPlain) return [{ server: index, heading: '', text: instructions ?? '' }];
    const { name, prefix } = server;
    const isPrefixed = input.rules.conflict === 'prefix' && prefix !== null;
    const heading = isPrefixed ? `# ${name} (names start with ${prefix}${input.rules.separator})` : `# ${name}`;
    return [{ server: index, heading, text }];
  });
}

/**
 * The end of a result, latin-1: the member `instructions`, which is the last one, and the brace.
 *
 * @param maxBytes the longest are cut to this in total
 */
export function instructionsTail(parts: readonly ServerInstructions[], maxBytes: Bytes): string {
  const text = merged(parts, maxBytes);
  return text === '' ? '}' : `,"instructions":${toLatin1(JSON.stringify(text))}}`;
}

function merged(parts: readonly ServerInstructions[], maxBytes: Bytes): string {
  const [only] = parts;
  if (only?.heading === '') return shorten(only.text, maxBytes);
  let budget = maxBytes;
  const ordered = [...parts].sort((a, b) => Buffer.byteLength(a.text) - Buffer.byteLength(b.text));
  const cut = new Map<unknown, string>();
  ordered.forEach((part, index) => {
    const share = Math.floor(budget / (ordered.length - index)) - Buffer.byteLength(part.heading) - 3;
    const text = shorten(part.text, share);
    cut.set(part, text);
    budget -= Buffer.byteLength(text) + Buffer.byteLength(part.heading) + 3;
  });
  return parts
    .filter((part) => cut.get(part) !== '')
    .map((part) => `${part.heading}\n${cut.get(part)}`)
    .join('\n\n');
}

function shorten(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length <= maxBytes) return text;
  const mark = '…';
  let end = maxBytes - Buffer.byteLength(mark);
  if (end <= 0) return '';
  // Not within a character: continuation bytes are 10xxxxxx.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.toString('utf8', 0, end) + mark;
}
