/** The mark by which a client tells whose notifications it gets (MCP 2026-07-28, subscriptions/listen). */
import { applyEdits, type Edit, findMember, findPath, insertMember, removeMembers } from '../protocol/json-cursor.js';

/** Member of `params._meta` with the id of the listen request. */
export const SUBSCRIPTION_ID = 'io.modelcontextprotocol/subscriptionId';

const OPEN_OBJECT = 0x7b;
const SPACE = 0x20;

/** The message without the mark of another subscription, which only the gateway knows; all other bytes as they are. */
export function untagged(message: Uint8Array): Uint8Array {
  const end = message.length;
  const meta = findPath(message, rootOf(message), end, 'params', '_meta');
  if (meta === undefined || message[meta.start] !== OPEN_OBJECT) return message;
  const edits = removeMembers(message, meta.start, [SUBSCRIPTION_ID]);
  return edits.length === 0 ? message : applyEdits(message, 0, end, edits);
}

/**
 * The notification with the mark of a subscription; all other bytes as they are.
 *
 * @param message without a mark ({@link untagged})
 * @param id the JSON token of the listen request's id
 */
export function tagged(message: Uint8Array, id: Uint8Array): Uint8Array {
  const root = rootOf(message);
  const params = findMember(message, root, message.length, 'params');
  const edit = editOf(message, root, params, id);
  return edit === null ? message : applyEdits(message, 0, message.length, [edit]);
}

function editOf(
  message: Uint8Array,
  root: number,
  params: { readonly start: number; readonly end: number } | undefined,
  id: Uint8Array,
): Edit | null {
  const mark = `{${JSON.stringify(SUBSCRIPTION_ID)}:${Buffer.from(id).toString('utf8')}}`;
  if (params === undefined) return insertMember(message, root, 'params', `{"_meta":${mark}}`);
  // By-position parameters have no place for it, and no notification of the protocol has them.
  if (message[params.start] !== OPEN_OBJECT) return null;
  const meta = findMember(message, params.start, params.end, '_meta');
  if (meta === undefined) return insertMember(message, params.start, '_meta', mark);
  if (message[meta.start] !== OPEN_OBJECT) return { ...meta, text: Buffer.from(mark) };
  return insertMember(message, meta.start, SUBSCRIPTION_ID, id);
}

/** Where the message's object begins: only white space may stand before it. */
function rootOf(message: Uint8Array): number {
  let at = 0;
  while (at < message.length && message[at]! <= SPACE) at += 1;
  return at;
}
