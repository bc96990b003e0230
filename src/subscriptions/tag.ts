/** The subscription id in notifications on listen streams (MCP 2026-07-28, subscriptions/listen). */
import { applyEdits, type Edit, findMember, findPath, insertMember, removeMembers } from '../protocol/json-cursor.js';

/** Member of `params._meta` with the id of the listen request. */
export const SUBSCRIPTION_ID = 'io.modelcontextprotocol/subscriptionId';

const OPEN_OBJECT = 0x7b;
const SPACE = 0x20;

/** The message without the id of the gateway's own subscription at the upstream; all other bytes unchanged. */
export function untagged(message: Uint8Array): Uint8Array {
  const end = message.length;
  const meta = findPath(message, rootOf(message), end, 'params', '_meta');
  if (meta === undefined || message[meta.start] !== OPEN_OBJECT) return message;
  const edits = removeMembers(message, meta.start, [SUBSCRIPTION_ID]);
  return edits.length === 0 ? message : applyEdits(message, 0, end, edits);
}

/**
 * The notification with the id of a subscription; all other bytes unchanged.
 *
 * @param message without a subscription id ({@link untagged})
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
  const tag = `{${JSON.stringify(SUBSCRIPTION_ID)}:${Buffer.from(id).toString('utf8')}}`;
  if (params === undefined) return insertMember(message, root, 'params', `{"_meta":${tag}}`);
  // By-position parameters have no `_meta`; no notification of MCP has them.
  if (message[params.start] !== OPEN_OBJECT) return null;
  const meta = findMember(message, params.start, params.end, '_meta');
  if (meta === undefined) return insertMember(message, params.start, '_meta', tag);
  if (message[meta.start] !== OPEN_OBJECT) return { ...meta, text: Buffer.from(tag) };
  return insertMember(message, meta.start, SUBSCRIPTION_ID, id);
}

/** Where the message's object begins, after white space. */
function rootOf(message: Uint8Array): number {
  const start = message.findIndex((byte) => byte > SPACE);
  return start < 0 ? message.length : start;
}
