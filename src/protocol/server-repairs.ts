/**
 * Repairs of messages that servers send and that a strict reader refuses although their meaning is certain. Bytes are overwritten
 * with white space, so that all others stay where they are.
 */
import { ScanStatus } from '../../native/layout.js';
import { blankMember } from './absent-members.js';
import { JsonCursor, type Range, skipSpace } from './json-cursor.js';

const SPACE = 0x20;
const OPEN_OBJECT = 0x7b;
const LETTER_N = 0x6e;
/** U+FEFF in UTF-8: JSON may not begin with it (RFC 8259 section 8.1), and readers may ignore it. */
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf] as const;

/**
 * Repairs a message that a scan has refused: a byte order mark; `error: null` beside a result, `result: null` beside an error, and
 * both beside a method, as serialisers write members without a value; `id: null` of a notification.
 *
 * @param status the result of the scan
 * @returns whether anything was overwritten: the message has to be scanned again
 */
export function repairServerMessage(bytes: Uint8Array, length: number, status: number): boolean {
  if (status === ScanStatus.notJson) return blankByteOrderMark(bytes, length);
  if (status !== ScanStatus.notJsonRpc && status !== ScanStatus.badId) return false;
  const whole = bytes.subarray(0, length);
  const start = skipSpace(whole, 0);
  return whole[start] === OPEN_OBJECT && repairMembers(whole, new JsonCursor(whole, start));
}

function blankByteOrderMark(bytes: Uint8Array, length: number): boolean {
  if (length < BYTE_ORDER_MARK.length || BYTE_ORDER_MARK.some((byte, index) => bytes[index] !== byte)) return false;
  bytes.fill(SPACE, 0, BYTE_ORDER_MARK.length);
  return true;
}

function repairMembers(bytes: Uint8Array, members: JsonCursor): boolean {
  let id: Range | null = null;
  let method: Range | null = null;
  let result: Range | null = null;
  let error: Range | null = null;
  while (members.next()) {
    const { start, end } = members;
    if (members.keyIs('id')) id = { start, end };
    else if (members.keyIs('method')) method = { start, end };
    else if (members.keyIs('result')) result = { start, end };
    else if (members.keyIs('error')) error = { start, end };
  }
  const isNull = (member: Range | null): member is Range => member !== null && bytes[member.start] === LETTER_N;
  const blank = ({ start, end }: Range): true => {
    blankMember(bytes, start, end);
    return true;
  };
  // One at a time: positions of the others may be those of commas that are gone.
  const hasOutcome = result !== null || error !== null;
  if (isNull(method) && hasOutcome) return blank(method);
  if (isNull(error) && (method !== null || result !== null)) return blank(error);
  if (isNull(result) && (method !== null || error !== null)) return blank(result);
  return isNull(id) && method !== null && blank(id);
}
