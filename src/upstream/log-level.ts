import { Era } from '../protocol/revisions.js';
import type { Milliseconds } from '../units.js';
import { ControlError } from './core/control.js';
import type { BaseEndpoint, EndpointContext } from './core/endpoint.js';

/** Longest wait for the response to `logging/setLevel`. */
const LEVEL_MS: Milliseconds = 10_000;

/** Sends the log level of the pool to the endpoints of a server. */
export class LogLevel {
  readonly #context: EndpointContext;
  readonly #server: string;

  constructor(context: EndpointContext, server: string) {
    this.#context = context;
    this.#server = server;
  }

  /** Legacy servers only: modern requests contain the level. */
  readonly send = (endpoint: BaseEndpoint): void => {
    const level = this.#context.logLevel;
    if (level === null || endpoint.state !== 'ready') return;
    if (endpoint.era !== Era.legacy || endpoint.handshake?.capabilities['logging'] === undefined) return;
    endpoint.request('logging/setLevel', { level }, { timeoutMs: LEVEL_MS }).catch((error: unknown) => {
      const reason = error instanceof ControlError ? error.message : String(error);
      this.#context.log.warn({ server: this.#server, reason }, 'the log level of the upstream cannot be set');
    });
  };
}
