import type { Logger } from 'pino';
import type { PipelineLog } from '../request/pipeline.js';
import { Counter, type Counters } from '../shared/counters.js';
import { LogLimit } from '../upstream/core/limits/log-limit.js';

/** Logs and counts faults of the stages and WebSocket clients that exceed limits. */
export class FrontLog implements PipelineLog {
  readonly #logger: Logger;
  readonly #counters: Counters;
  readonly #frames = new LogLimit(1);

  constructor(logger: Logger, counters: Counters) {
    this.#logger = logger;
    this.#counters = counters;
  }

  fault(error: unknown): void {
    this.#logger.error({ error: error instanceof Error ? error.stack : String(error) }, 'a stage failed');
  }

  ignoredProxy(address: string): void {
    this.#logger.warn(
      { address },
      'headers that name a subject were ignored: the peer is not one of auth.trustedProxies (said once for each configuration)',
    );
  }

  tooManyFrames(address: string): void {
    this.#counters.add(Counter.webSocketsTooFast);
    const suppressed = this.#frames.admit(performance.now());
    if (suppressed < 0) return;
    this.#logger.warn(
      { address, suppressed },
      'a WebSocket was closed: it sent more small frames than limits.smallFrameRate allows',
    );
  }
}
