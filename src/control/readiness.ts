import { isTombstone } from '../config/numbering.js';
import type { Current } from '../config/snapshot/current.js';
import type { Snapshot } from '../config/snapshot/index.js';
import type { PlainAnswer } from '../request/accept/http/handler.js';
import type { ServerHealth } from '../upstream/endpoint-choice.js';

/** A server, as readiness sees it. */
export interface ReadinessServer {
  readonly name: string;
  readonly endpoints: readonly object[];
  readonly health: Pick<ServerHealth, 'isHealthy' | 'fault'>;
}

/** A server that gets no calls at the moment. */
export interface ServerDown {
  readonly server: string;
  /** One sentence without secrets. */
  readonly reason: string;
}

/** Whether the gateway accepts requests, for `/health`, `/ready` and the admin listener. */
export class Readiness {
  readonly #config: Current<Pick<Snapshot, 'ready'>>;
  #upstreams: { readonly servers: readonly ReadinessServer[] } = { servers: [] };
  #state: 'starting' | 'ready' | 'draining' = 'starting';

  constructor(config: Current<Pick<Snapshot, 'ready'>>) {
    this.#config = config;
  }

  /** Sets the servers. Once, before the start. */
  attach(upstreams: { readonly servers: readonly ReadinessServer[] }): void {
    this.#upstreams = upstreams;
  }

  /** Requests are accepted from now on. */
  started(): void {
    if (this.#state === 'starting') this.#state = 'ready';
  }

  /** The gateway drains: load balancers should send no new requests. */
  draining(): void {
    this.#state = 'draining';
  }

  /** The servers that are down. */
  down(): ServerDown[] {
    return this.#upstreams.servers
      .filter((server) => !isTombstone(server) && !server.health.isHealthy)
      .map(({ name, health: { fault } }) => ({ server: name, reason: fault === '' ? 'connecting' : fault }));
  }

  /** Why the gateway is not ready, in sentences; none = it is ready. */
  reasons(): string[] {
    if (this.#state !== 'ready') return [`the gateway is ${this.#state}`];
    const { require } = this.#config.current.ready;
    if (require.length === 0) return [];
    return this.down().flatMap(({ server }) => (require.includes(server) ? [`the server ${server} is down`] : []));
  }

  /** Answers `/health` and `/ready`; null for other paths. Reasons of servers are for the admin listener. */
  page(path: string): PlainAnswer | null {
    if (path === '/health') return { status: 200, contentType: 'application/json', body: '{"status":"ok"}' };
    if (path !== '/ready') return null;
    const reasons = this.reasons();
    const ready = reasons.length === 0;
    const names = this.down().map(({ server }) => server);
    const down = names.length === 0 ? {} : { down: names };
    const body = JSON.stringify(ready ? { status: 'ready', ...down } : { status: 'not ready', reasons, ...down });
    return { status: ready ? 200 : 503, contentType: 'application/json', body };
  }
}
