/** The link by which a user logs in at an upstream, as clients are told of it. */
import { Capability } from '../../protocol/client-capabilities.js';
import { Era } from '../../protocol/revisions.js';
import type { Exchange } from '../exchange/index.js';

/** What a client shows its user beside the link. */
export const LOGIN_MESSAGE = 'Log in at the server behind this tool, then call it again.';

/** The link in the detail of a call that failed with GW_UPSTREAM_LOGIN; '' = there is none. */
export function loginLink({ call: { detail } }: Exchange): string {
  return /https?:\/\/\S+\/oauth\/login\?ticket=[\w-]+/.exec(detail)?.[0] ?? '';
}

/** The id of the elicitation that shows a link: the same for all clients that are sent it, and another one for each login. */
export function loginElicitationId(url: string): string {
  return url.slice(url.indexOf('=') + 1);
}

/** `error.data.elicitations` of 2025-11-25 as JSON, for a client that declares URL elicitation in its session; '' = not. */
export function loginElicitations(exchange: Exchange): string {
  const { era, session } = exchange.client;
  const url = era === Era.legacy ? loginLink(exchange) : '';
  if (url === '' || session === null || (session.capabilityMask & Capability.elicitationUrl) === 0) return '';
  return JSON.stringify([{ mode: 'url', elicitationId: loginElicitationId(url), url, message: LOGIN_MESSAGE }]);
}
