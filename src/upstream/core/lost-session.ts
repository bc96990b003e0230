/** The words in which servers say that they do not know a session. */
import type { Bytes } from '../../units.js';

/** Texts of servers that refuse an unknown session (SDKs in several languages, and servers modelled on them). */
const SAYS_LOST = new RegExp(
  [
    /\bsession\b[^.]{0,60}\b(not found|unknown|invalid|expired|terminated|closed|not exist|not initiali[sz]ed)/,
    /\b(no|no valid|no such|no active|unknown|invalid|expired|missing|not found:?|not find)( or \w+)? (mcp[- ])?session\b/,
    /\bno (active )?transport\b[^.]{0,40}\bsession/,
    /\bnot initiali[sz]ed\b/,
  ]
    .map(({ source }) => source)
    .join('|'),
  'i',
);
/** Bytes of a response that are searched for them. */
export const SEARCHED_BYTES: Bytes = 2_048;

/** Whether a text says that a session is unknown. */
export function saysSessionLost(text: string): boolean {
  return SAYS_LOST.test(text);
}

/** Whether a status means that the session, or what it names, does not exist. */
export function isGone(status: number): boolean {
  return status === 404 || status === 410;
}
