import type { Count } from '../../units.js';
import { redirectTarget, type UpstreamLocation } from '../core/http/location.js';
import type { HttpConnection } from './connection.js';

/** Follows the redirects of calls. Owned by the endpoint. */
export class CallRedirects {
  readonly #location: UpstreamLocation;
  /** Redirects that calls in flight have followed, by upstream id. */
  readonly #hops = new Map<number, Count>();

  constructor(location: UpstreamLocation) {
    this.#location = location;
  }

  /**
   * The call of a connection was redirected.
   *
   * @returns whether it may be sent again, to where the location leads now; the handshake that follows else has the reason
   */
  follow({ upstreamId, url, redirect }: HttpConnection, status: number): boolean {
    const hops = this.#hops.get(upstreamId) ?? 0;
    try {
      this.#location.moved(url, redirectTarget(url, 'POST', status, redirect, hops), status);
    } catch {
      return false;
    }
    this.#hops.set(upstreamId, hops + 1);
    return true;
  }

  /** A call has ended. */
  ended(upstreamId: number): void {
    if (this.#hops.size > 0) this.#hops.delete(upstreamId);
  }
}
