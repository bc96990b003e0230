/** What errors about a tool, prompt or resource that cannot be called say of it. */
import { ERRORS, type ErrorCode } from '../../errors.js';
import { decodeString } from '../../protocol/json-cursor.js';
import { EntryKind } from '../../shared/catalog-table.js';
import type { Exchange } from '../exchange/index.js';

/** Of a URI that an error repeats, in bytes. */
const LONGEST_URI = 2048;
/** Of a tool's name that an error repeats, in characters. */
const LONGEST_NAME = 128;

/** What is offered, for errors about what is not: the catalogs. */
export interface OfferedNames {
  /** The sentence about a tool or prompt that is not offered. @param kind a number of `EntryKind` @param view position in `Snapshot.views` */
  unknownName(kind: number, name: string, view: number): string;
}

/**
 * Keeps what the error repeats in `exchange.message.detail`: a URI as the client spelled it, up to a length that is useful there, or
 * the sentence about a name.
 */
export function keepUnknown(
  { client, message }: Exchange,
  code: ErrorCode,
  bytes: Uint8Array,
  offered: OfferedNames,
): void {
  const { nameStart, nameEnd } = message.spans;
  if (nameStart < 0) return;
  if (code === 'GW_UNKNOWN_RESOURCE') {
    if (nameEnd - nameStart > LONGEST_URI) return;
    message.detail = Buffer.from(bytes.subarray(nameStart, nameEnd)).toString('utf8');
  } else if (code === 'GW_UNKNOWN_TOOL') {
    message.detail = offered.unknownName(EntryKind.tool, decodeString(bytes, nameStart, nameEnd), client.caller.view);
  } else if (code === 'GW_TOOL_NOT_APPROVED') {
    const name = JSON.stringify(decodeString(bytes, nameStart, nameEnd).slice(0, LONGEST_NAME));
    message.detail = ERRORS[code].sentence.replace('The tool', () => `The tool ${name}`);
  } else if (code === 'GW_UNKNOWN_PROMPT') {
    message.detail = offered.unknownName(EntryKind.prompt, decodeString(bytes, nameStart, nameEnd), client.caller.view);
  }
}
