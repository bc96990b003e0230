/**
 * What a client may be asked, by its revision and capabilities, and in which shape (MCP, client features; docs/protocol.md,
 * bridging).
 */
import { Method } from '../../native/layout.js';
import { neededCapability } from '../protocol/client-capabilities.js';
import { type Edit, findMember, JsonCursor, parseValue, type Range } from '../protocol/json-cursor.js';
import { Revision } from '../protocol/revisions.js';
import type { SessionLike } from '../request/exchange.js';

/** How a question looks to one client. */
export interface Question {
  /** Why the client cannot be asked, one sentence; '' = it can. */
  readonly refusal: string;
  /** The method is none that any client answers. */
  readonly unknown: boolean;
  /** Changes of the params that the client's revision needs. */
  readonly edits: readonly Edit[];
  /** What names an elicitation by URL, '' = none. */
  readonly elicitationId: string;
  /** An elicitation by URL. */
  readonly byUrl: boolean;
}

/** Longest `elicitationId` that is remembered. */
const LONGEST_ID = 256;
const COMMA = Buffer.from(',');
const NO_EDITS: readonly Edit[] = [];

/**
 * Judges a question before anything is sent.
 *
 * @param method method id (native/layout.ts)
 * @param params where the question's `params` are in `bytes`, undefined = it has none
 */
export function questionFor(
  session: Pick<SessionLike, 'revision' | 'capabilityMask'>,
  method: number,
  bytes: Uint8Array,
  params: Range | undefined,
): Question {
  const value = params === undefined ? undefined : parseValue(bytes, params.start, params.end);
  const needed = neededCapability(method, value);
  if (needed < 0) return refused('Method not found', true);
  if ((session.capabilityMask & needed) !== needed) {
    return refused('The client has not declared the capability that this needs.');
  }
  let edits = NO_EDITS;
  if (method === Method.createMessage && params !== undefined && session.revision < Revision.r2025_11_25) {
    const separated = singleBlocks(bytes, params, session.revision);
    if (separated === null) return refused('The revision of the client has no such content in messages.');
    edits = separated;
  }
  const given = (value ?? {}) as { mode?: unknown; elicitationId?: unknown };
  const byUrl = method === Method.elicit && given.mode === 'url';
  const id = byUrl && typeof given.elicitationId === 'string' ? given.elicitationId : '';
  return { refusal: '', unknown: false, edits, elicitationId: id.length > LONGEST_ID ? '' : id, byUrl };
}

function refused(refusal: string, unknown = false): Question {
  return { refusal, unknown, edits: NO_EDITS, elicitationId: '', byUrl: false };
}

/**
 * Before 2025-11-25 a message has one block of content: a message with several becomes as many messages of its role.
 *
 * @returns null when the revision has no word for a block
 */
function singleBlocks(bytes: Uint8Array, params: Range, revision: number): readonly Edit[] | null {
  const messages = findMember(bytes, params.start, params.end, 'messages');
  if (messages === undefined) return NO_EDITS;
  const edits: Edit[] = [];
  const message = new JsonCursor(bytes, messages.start);
  while (message.next()) {
    const content = findMember(bytes, message.start, message.end, 'content');
    if (content === undefined || bytes[content.start] !== 0x5b) continue;
    const parts: Uint8Array[] = [];
    const block = new JsonCursor(bytes, content.start);
    while (block.next()) {
      if (!knows(revision, bytes, block)) return null;
      if (parts.length > 0) parts.push(COMMA);
      parts.push(bytes.subarray(message.start, content.start), bytes.subarray(block.start, block.end));
      parts.push(bytes.subarray(content.end, message.end));
    }
    if (parts.length === 0) return null;
    edits.push({ start: message.start, end: message.end, text: Buffer.concat(parts) });
  }
  return edits;
}

/** Text and images are in all revisions, audio came with 2025-03-26. */
function knows(revision: number, bytes: Uint8Array, { start, end }: Range): boolean {
  const type = findMember(bytes, start, end, 'type');
  const name = type === undefined ? undefined : parseValue(bytes, type.start, type.end);
  return name === 'text' || name === 'image' || (name === 'audio' && revision >= Revision.r2025_03_26);
}
