import type { TokenEndpointSnapshot } from '../../config/snapshot/index.js';
import type { Count } from '../../units.js';
import type { UpstreamLog } from '../core/endpoint.js';
import { LogLimit } from '../core/limits/log-limit.js';
import type { TokenObserver } from './renewed-token.js';
import type { TokenError } from './token-endpoint.js';

/** Counts and logs what becomes of the requests to one token endpoint as one client. One for each, owned by its tokens. */
export class TokenLog implements TokenObserver {
  issuedCount: Count = 0;
  failedCount: Count = 0;
  refusedCount: Count = 0;
  /** The last failure, '' = a token was issued since. */
  reason = '';
  readonly #log: UpstreamLog;
  readonly #fields: { readonly tokenUrl: string; readonly clientId: string };
  readonly #limit = new LogLimit(5, 60_000);

  constructor(log: UpstreamLog, { tokenUrl, clientId }: TokenEndpointSnapshot) {
    this.#log = log;
    this.#fields = { tokenUrl: tokenUrl.replace(/\?.*$/s, ''), clientId };
  }

  issued(): void {
    this.issuedCount += 1;
    if (this.reason === '') return;
    this.reason = '';
    this.#log.info(this.#fields, 'the token endpoint issues tokens again');
  }

  failed({ message, description }: TokenError, keepsToken: boolean): void {
    this.failedCount += 1;
    const isNews = this.reason !== message;
    this.reason = message;
    if (!isNews || this.#limit.admit(performance.now()) < 0) return;
    this.#log.warn(
      { ...this.#fields, reason: message, ...(description === '' ? {} : { description }) },
      keepsToken
        ? 'the token for an upstream cannot be renewed: the one before is used until its end'
        : 'no token for an upstream: calls to it fail until there is one',
    );
  }

  tokenRefused(): void {
    this.refusedCount += 1;
    if (this.#limit.admit(performance.now()) >= 0) {
      this.#log.warn(this.#fields, 'an upstream refused a token before its end: another one is requested');
    }
  }
}
