import type { Logger } from 'pino';
import type { OverloadLog, OverloadStatus } from '../request/overload/guard.js';
import type { Resource } from '../request/overload/load.js';

/** What to do about it, by what is overloaded. */
const ADVICE: Readonly<Record<Resource, string>> = {
  eventLoop: 'the event loop is later than overload.eventLoopDelayMs: more comes in than one gateway can serve',
  memory: 'the memory is used up as far as overload.maxMemoryBytes, the heap or limits.maxBufferedBytes allows',
  rings: 'the ring of a policy worker is fuller than overload.ringFullness: workers decide too slowly, or one hangs',
};

/** Logs when an overload begins and when it has ended, once each. */
export class OverloadLogger implements OverloadLog {
  readonly #logger: Logger;
  #beganAt = 0;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  overloadBegan({ reason, eventLoopDelayMs, memory, rings }: OverloadStatus): void {
    this.#beganAt = performance.now();
    const measured = { eventLoopDelayMs: Math.round(eventLoopDelayMs), memory: share(memory), rings: share(rings) };
    const advice = reason === '' ? '' : `: ${ADVICE[reason]}`;
    this.#logger.warn(
      { reason, ...measured },
      `overloaded, new work is refused in the order of overload.order${advice}`,
    );
  }

  overloadEnded({ refused }: OverloadStatus): void {
    const durationMs = Math.round(performance.now() - this.#beganAt);
    this.#logger.info({ durationMs, refused }, 'no longer overloaded');
  }
}

function share(value: number): number {
  return Math.round(value * 100) / 100;
}
