import { ControlError } from './control.js';
import type { UpstreamLog } from './endpoint.js';
import { isRedirect } from './location.js';

/** Tells the operator of redirects that are not followed. One for each endpoint. */
export class RedirectReports {
  readonly #log: UpstreamLog;
  readonly #names: object;
  /** What was logged last. */
  #reason = '';

  /** @param names fields of log lines */
  constructor(log: UpstreamLog, names: object) {
    this.#log = log;
    this.#names = names;
  }

  /** A request has failed. If that was because of a redirect, the reason is logged, unless the last one was the same. */
  failed(error: unknown): void {
    if (!(error instanceof ControlError) || error.kind !== 'http' || !isRedirect(error.number)) return;
    if (error.message === this.#reason) return;
    this.#reason = error.message;
    this.#log.warn({ ...this.#names, reason: error.message }, 'the redirect of an upstream is not followed');
  }
}
