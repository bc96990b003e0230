import type { Logger } from 'pino';
import type { Current } from '../config/snapshot/current.js';
import type { Snapshot } from '../config/snapshot/index.js';
import type { BufferBudgetRules, BufferCounts } from '../shared/buffer-budget.js';
import type { Bytes } from '../units.js';

/** The bound on buffered bytes from the configuration, for the buffer budget; logs each time that it is reached. */
export class BufferRules implements BufferBudgetRules {
  readonly #config: Current<Snapshot>;
  readonly #logger: Logger;

  constructor(config: Current<Snapshot>, logger: Logger) {
    this.#config = config;
    this.#logger = logger;
  }

  max(): Bytes {
    return this.#config.current.limits.maxBufferedBytes;
  }

  reached(counts: BufferCounts): void {
    this.#logger.warn(
      { ...counts },
      'limits.maxBufferedBytes is reached: the largest responses, bodies and slow clients are ended to free memory',
    );
  }
}
