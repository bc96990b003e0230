/** Where the requests of an endpoint go: to its URL, or to where redirects lead (RFC 9110 section 15.4). */
import type { Count } from '../../../units.js';
import { ControlError } from '../control.js';

/** Most redirects that one request follows. */
export const MAX_REDIRECTS: Count = 5;
/** Most characters of an address in a reason. */
const SHOWN_CHARACTERS: Count = 300;

/**
 * The current address of an endpoint. A permanent redirect of a POST (308) holds until a handshake fails, a temporary one
 * (307) until the next handshake. One for each endpoint.
 */
export class UpstreamLocation {
  /** The address of the next request. The same object until it changes. */
  current: URL;
  readonly #configured: URL;
  /** The address after permanent redirects only. */
  #permanent: URL;

  /** @param configured without credentials and fragment */
  constructor(configured: URL) {
    this.current = configured;
    this.#configured = configured;
    this.#permanent = configured;
  }

  /** Remembers a redirect that a POST follows. Requests that were sent to an earlier address change nothing. */
  moved(from: URL, to: URL, status: number): void {
    if (from.href !== this.current.href) return;
    if (status === 308 && from.href === this.#permanent.href) this.#permanent = to;
    this.current = to;
  }

  /** A handshake begins: temporary redirects are forgotten. */
  handshakeStarted(): void {
    this.current = this.#permanent;
  }

  /** A handshake failed: the next one starts from the configured URL. */
  handshakeFailed(): void {
    this.#permanent = this.#configured;
    this.current = this.#configured;
  }
}

/** Whether a status redirects to the address in `Location`. */
export function isRedirect(status: number): boolean {
  return (status >= 301 && status <= 303) || status === 307 || status === 308;
}

/**
 * The address that a redirect leads to: of the same origin, or the same host over TLS where both ports are the default ones.
 * Other methods than GET follow only 307 and 308, which keep method and body.
 *
 * @param location the value of `Location`, '' = none
 * @param hops redirects that the request has followed before
 * @throws ControlError of kind `http` with the sentence for the operator when it is not followed
 */
export function redirectTarget(from: URL, method: string, status: number, location: string, hops: Count): URL {
  if (location === '' || !URL.canParse(location, from.href)) {
    throw new ControlError('http', `the upstream answered ${status}, a redirect without a valid Location`, status);
  }
  const to = new URL(location, from);
  to.username = '';
  to.password = '';
  to.hash = '';
  const refused = (why: string): ControlError => {
    const shown = shownAddress(to);
    return new ControlError(
      'http',
      `the upstream redirects (${status}) to ${shown}, ${why}; if that is the right address, write url: "${shown}"`,
      status,
    );
  };
  if (!isSameServer(from, to)) throw refused('which has another origin and is not followed');
  if (method !== 'GET' && status < 307) throw refused(`which a ${method} does not follow with this status`);
  if (hops >= MAX_REDIRECTS) throw refused(`after ${MAX_REDIRECTS} other redirects, and is not followed`);
  return to;
}

const SECURE = { 'http:': 'https:', 'ws:': 'wss:' } as const;

function isSameServer(from: URL, to: URL): boolean {
  if (from.origin === to.origin) return true;
  const isUpgrade = (from.protocol === 'http:' || from.protocol === 'ws:') && to.protocol === SECURE[from.protocol];
  return isUpgrade && from.hostname === to.hostname && from.port === '' && to.port === '';
}

/** An address for log and statistics; its query may hold secrets. */
function shownAddress({ origin, protocol, host, pathname, search }: URL): string {
  const start = origin === 'null' ? `${protocol}//${host}` : origin;
  const text = `${start}${pathname}${search === '' ? '' : '?…'}`;
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
}
