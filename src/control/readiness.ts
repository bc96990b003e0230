import type { PlainAnswer } from '../request/accept/http/handler.js';

/** Whether the gateway accepts requests, for `/health`, `/ready` and the admin listener. */
export class Readiness {
  #state: 'starting' | 'ready' | 'draining' = 'starting';

  /** Requests are accepted from now on. */
  started(): void {
    if (this.#state === 'starting') this.#state = 'ready';
  }

  /** The gateway drains: load balancers should send no new requests. */
  draining(): void {
    this.#state = 'draining';
  }

  /** Why the gateway is not ready, in sentences; none = it is ready. */
  reasons(): string[] {
    return this.#state === 'ready' ? [] : [`the gateway is ${this.#state}`];
  }

  /** Answers `/health` and `/ready`; null for other paths. */
  page(path: string): PlainAnswer | null {
    if (path === '/health') return { status: 200, contentType: 'application/json', body: '{"status":"ok"}' };
    if (path !== '/ready') return null;
    const reasons = this.reasons();
    const ready = reasons.length === 0;
    const body = JSON.stringify(ready ? { status: 'ready' } : { status: 'not ready', reasons });
    return { status: ready ? 200 : 503, contentType: 'application/json', body };
  }
}
