/**
 * Binds a login to the browser in which it was confirmed, by a cookie. Who sends the link of a login, or the address that it leads
 * to, to somebody else gets that one's account at the upstream otherwise (MCP 2025-11-25, URL elicitation, phishing): the
 * page cannot be skipped, and the answer of another browser is not taken.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { Seconds } from '../../units.js';

/** Time that a browser is known; the same as a user has for a login. */
const MAX_AGE: Seconds = 600;
const NAME = 'switchyard-login';

/** A random number that says nothing about the user. */
export function newBrowser(): string {
  return randomBytes(24).toString('base64url');
}

/** The number that a browser sends. @param cookies `Cookie`, '' = none @returns '' = it sends none */
export function browserOf(cookies: string, isSecure: boolean): string {
  const prefix = `${nameOf(isSecure)}=`;
  const found = cookies.split(/; */).find((cookie) => cookie.startsWith(prefix)) ?? '';
  const browser = found.slice(prefix.length);
  return /^[\w-]{32}$/.test(browser) ? browser : '';
}

/** `Set-Cookie`. The way back from the authorization server is a navigation from another site, which `Lax` permits. */
export function browserCookie(browser: string, isSecure: boolean): string {
  const secure = isSecure ? '; Secure' : '';
  return `${nameOf(isSecure)}=${browser}; Path=/; Max-Age=${MAX_AGE}; HttpOnly; SameSite=Lax${secure}`;
}

/** What a page has that was shown to a browser, and nobody can know who does not see that page. */
export function proofOf(browser: string, ticket: string): string {
  return createHash('sha256').update(`${browser} ${ticket}`).digest('base64url');
}

/** A page of another host cannot set a cookie with the prefix (RFC 6265bis, 4.1.3.2). */
function nameOf(isSecure: boolean): string {
  return isSecure ? `__Host-${NAME}` : NAME;
}
