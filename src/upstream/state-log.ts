import type { Milliseconds } from '../units.js';
import type { BaseEndpoint, UpstreamLog } from './core/endpoint.js';
import { LogLimit } from './core/limits/log-limit.js';

/** Lines about the endpoints of one server in one window, however often they change. */
const LINES = 20;
const WINDOW_MS: Milliseconds = 60_000;

/**
 * Logs each change of an endpoint between usable and not, and of the reason: not each try, which would be a line for every
 * pause. One for the endpoints of a server that clients share, one for its dedicated endpoints.
 */
export class StateLog {
  readonly #log: UpstreamLog;
  readonly #server: string;
  readonly #limit = new LogLimit(LINES, WINDOW_MS);
  /** The fault that was reported last, by the endpoint's index. */
  readonly #reported = new Map<number, string>();

  constructor(log: UpstreamLog, server: string) {
    this.#log = log;
    this.#server = server;
  }

  /** The endpoint's state, reason or breaker has changed. */
  changed(endpoint: BaseEndpoint): void {
    const { index, fault, failedTries, retryAt, state } = endpoint;
    // A try goes on, the endpoint was stopped, or the next try will show whether it fails.
    if (state === 'connecting' || state === 'stopped' || (state !== 'ready' && failedTries === 0)) return;
    const before = this.#reported.get(index) ?? '';
    if (withoutNumbers(fault) === withoutNumbers(before)) return;
    const now = performance.now();
    const suppressed = this.#limit.admit(now);
    if (suppressed < 0) return;
    this.#reported.set(index, fault);
    const fields = { server: this.#server, endpoint: index, ...(suppressed === 0 ? {} : { suppressed }) };
    if (fault === '') {
      this.#log.info(fields, 'upstream is available again');
      return;
    }
    const retryInMs = retryAt === 0 ? {} : { retryInMs: Math.max(0, Math.round(retryAt - now)) };
    this.#log.warn({ ...fields, reason: fault, ...retryInMs }, 'upstream is not available');
  }
}

/** What an upstream says, behind the colon, often has a time or a process id in it, which makes no other reason of it. */
function withoutNumbers(reason: string): string {
  const said = reason.indexOf(': ');
  return said < 0 ? reason : reason.slice(0, said) + reason.slice(said).replace(/\d+/g, '0');
}
