/**
 * Adapts a server request to a client's revision and capabilities, or refuses it (MCP, client features; docs/protocol.md,
 * bridging).
 */
import { Method } from '../../native/layout.js';
import { neededCapability } from '../protocol/client-capabilities.js';
import { type Edit, findMember, JsonCursor, type Range, stringValue } from '../protocol/json-cursor.js';
import { Revision } from '../protocol/revisions.js';
import type { SessionLike } from '../request/exchange/index.js';
import type { Bytes } from '../units.js';

/** A server request as one client gets it. */
export interface ClientRequest {
  /** Why the request cannot be sent, one sentence; '' = it can. */
  readonly refusal: string;
  /** No client handles the method. */
  readonly isUnknown: boolean;
  /** Changes of the params for the client's revision. */
  readonly edits: readonly Edit[];
  /** The id of an elicitation by URL, '' = none. */
  readonly elicitationId: string;
  /** An elicitation by URL. */
  readonly isUrlMode: boolean;
}

/** Longest `elicitationId` that is remembered. */
const MAX_ID = 256;
/** A message that is split repeats what surrounds its blocks; limit of the repeated bytes. */
const MAX_REPEATED: Bytes = 1024 * 1024;
const COMMA = Buffer.from(',');
const NO_EDITS: readonly Edit[] = [];

/**
 * Checks and adapts a server request before it is sent.
 *
 * @param method method id (native/layout.ts)
 * @param params the range of the request's `params` in `bytes`, undefined = it has none
 */
export function clientRequestFor(
  session: Pick<SessionLike, 'revision' | 'capabilityMask'>,
  method: number,
  bytes: Uint8Array,
  params: Range | undefined,
): ClientRequest {
  const given = params === undefined ? {} : decisiveMembers(bytes, params);
  const needed = neededCapability(method, given);
  if (needed < 0) return refused('Method not found', true);
  if ((session.capabilityMask & needed) !== needed) {
    return refused('The client has not declared the capability that this request needs.');
  }
  let edits = NO_EDITS;
  if (method === Method.createMessage && params !== undefined && session.revision < Revision.r2025_11_25) {
    const separated = singleBlocks(bytes, params, session.revision);
    if (separated === null) return refused('The revision of the client does not have this content in messages.');
    edits = separated;
  }
  const byUrl = method === Method.elicit && given['mode'] === 'url';
  const id = byUrl ? given['elicitationId'] : undefined;
  const elicitationId = typeof id === 'string' && id.length <= MAX_ID ? id : '';
  return { refusal: '', isUnknown: false, edits, elicitationId, isUrlMode: byUrl };
}

/** The members of params that the needed capability depends on; the others may be large and are not parsed. */
function decisiveMembers(bytes: Uint8Array, params: Range): Record<string, unknown> {
  const members: Record<string, unknown> = {};
  const cursor = new JsonCursor(bytes, params.start);
  while (cursor.next()) {
    // `null` counts as absent.
    if (cursor.type === 'null') continue;
    if (cursor.keyIs('tools')) members['tools'] = true;
    else if (cursor.keyIs('toolChoice')) members['toolChoice'] = true;
    else if (cursor.keyIs('mode')) members['mode'] = stringValue(bytes, cursor.start, cursor.end);
    else if (cursor.keyIs('elicitationId')) {
      members['elicitationId'] = stringValue(bytes, cursor.start, cursor.end);
    }
  }
  return members;
}

function refused(refusal: string, unknown = false): ClientRequest {
  return { refusal, isUnknown: unknown, edits: NO_EDITS, elicitationId: '', isUrlMode: false };
}

/**
 * Before 2025-11-25 a message has one block of content, so a message with several is split into messages of its role.
 *
 * @returns null when the revision does not have a type of block, or the split would be too large
 */
function singleBlocks(bytes: Uint8Array, params: Range, revision: number): readonly Edit[] | null {
  const messages = findMember(bytes, params.start, params.end, 'messages');
  if (messages === undefined) return NO_EDITS;
  const edits: Edit[] = [];
  let repeated = 0;
  const message = new JsonCursor(bytes, messages.start);
  while (message.next()) {
    const content = findMember(bytes, message.start, message.end, 'content');
    if (content === undefined || bytes[content.start] !== 0x5b) continue;
    const parts: Uint8Array[] = [];
    const block = new JsonCursor(bytes, content.start);
    while (block.next()) {
      if (!supportsBlock(revision, bytes, block)) return null;
      if (parts.length > 0) {
        parts.push(COMMA);
        repeated += message.end - message.start - (content.end - content.start);
        if (repeated > MAX_REPEATED) return null;
      }
      parts.push(bytes.subarray(message.start, content.start), bytes.subarray(block.start, block.end));
      parts.push(bytes.subarray(content.end, message.end));
    }
    if (parts.length === 0) return null;
    edits.push({ start: message.start, end: message.end, text: Buffer.concat(parts) });
  }
  return edits;
}

/** Text and images are in all revisions, audio since 2025-03-26. */
function supportsBlock(revision: number, bytes: Uint8Array, { start, end }: Range): boolean {
  const type = findMember(bytes, start, end, 'type');
  const name = type === undefined ? undefined : stringValue(bytes, type.start, type.end);
  return name === 'text' || name === 'image' || (name === 'audio' && revision >= Revision.r2025_03_26);
}
