import { Method } from '../../native/layout.js';
import type { Spans } from '../../native/spans.js';
import { Era } from '../protocol/revisions.js';
import type { Exchange } from '../request/exchange/index.js';
import type { ClientQuestions } from '../request/write/index.js';
import type { Endpoint } from '../upstream/core/types.js';
import type { ServerRequests } from './index.js';
import type { InputRounds } from './input-rounds.js';
import type { LoginNotices } from './login-notices.js';
import type { ParkedCalls } from './parked/index.js';

/** What {@link ServerRequestRouter} works with. */
export interface ServerRequestRouterParts {
  readonly requests: ServerRequests;
  readonly rounds: InputRounds;
  readonly logins: LoginNotices;
  readonly parked: ParkedCalls;
  readonly tasks: {
    /** `notifications/tasks/status` of a legacy upstream. */
    statusChanged(server: number, bytes: Uint8Array, length: number, spans: Spans): void;
  };
}

/**
 * Routes requests and notifications of upstreams by the family of the client: a legacy client is sent a request, the call
 * of a modern client is parked. The sink of upstream messages and the write stage call it; one per front.
 */
export class ServerRequestRouter implements ClientQuestions {
  readonly #parts: ServerRequestRouterParts;

  constructor(parts: ServerRequestRouterParts) {
    this.#parts = parts;
  }

  /** A request of an upstream. @param exchange the call that it belongs to; null = unknown */
  serverRequest(endpoint: Endpoint, exchange: Exchange | null, bytes: Uint8Array, length: number, spans: Spans): void {
    const { parked, requests } = this.#parts;
    if (exchange !== null && exchange.client.era === Era.modern) {
      parked.serverRequest(endpoint, exchange, bytes, length, spans);
    } else {
      requests.serverRequest(endpoint, exchange, bytes, length, spans);
    }
  }

  /** A notification of an upstream about its own requests or tasks. */
  serverNotification(endpoint: Endpoint, bytes: Uint8Array, length: number, spans: Spans): void {
    const { parked, requests, tasks } = this.#parts;
    if (spans.method === Method.tasksStatus) {
      tasks.statusChanged(endpoint.server, bytes, length, spans);
      return;
    }
    parked.serverNotification(endpoint, bytes, spans);
    requests.serverNotification(endpoint, bytes, length, spans);
  }

  inputRequired(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): boolean {
    return this.#parts.rounds.inputRequired(exchange, bytes, length, spans);
  }

  urlRequired(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): boolean {
    const { parked, requests } = this.#parts;
    if (exchange.client.era === Era.modern) return parked.urlRequired(exchange, bytes, length, spans);
    requests.urlRequired(exchange, bytes, length, spans);
    return false;
  }

  loginRequired(exchange: Exchange, url: string): boolean {
    const { logins, parked } = this.#parts;
    if (exchange.client.era === Era.modern) return parked.loginRequired(exchange, url);
    logins.linkSent(exchange, url);
    return false;
  }

  callEnded(exchange: Exchange): void {
    const { parked, requests } = this.#parts;
    if (exchange.client.era === Era.modern) parked.callEnded(exchange);
    else requests.callEnded(exchange);
  }

  callAnswered(exchange: Exchange): void {
    const { parked, requests } = this.#parts;
    if (exchange.client.era === Era.modern) parked.callEnded(exchange);
    else requests.callAnswered(exchange);
  }

  /** The endpoint disconnected and no longer waits for responses. */
  endpointDisconnected(endpoint: Endpoint): void {
    const { parked, requests } = this.#parts;
    requests.endpointDisconnected(endpoint);
    parked.endpointDisconnected(endpoint);
  }

  /** Ends everything that waits for clients, for a drain. */
  close(): void {
    const { parked, requests } = this.#parts;
    requests.close();
    parked.close();
  }
}
