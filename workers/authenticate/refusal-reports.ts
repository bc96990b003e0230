import { monotonic } from '../../src/shared/clock.js';
import type { FrontMessage } from '../../src/shared/ring/worker-messages.js';
import type { Milliseconds } from '../../src/units.js';
import type { RefusalLog } from './verifier.js';

/** Between two reports of the same reason. */
const PAUSE_MS: Milliseconds = 60_000;

/** Where reports go: the message port of the front. */
export interface ReportSink {
  post(message: FrontMessage): void;
}

/**
 * Reports refused tokens to the front, each reason at most once a minute: an issuer that makes such tokens makes many. There are
 * as many reasons as sentences in claims.ts, jwt.ts and introspection.ts, so the table is bounded. One per worker.
 */
export class RefusalReports implements RefusalLog {
  readonly #sink: ReportSink;
  /** When each reason was reported last. */
  readonly #reportedAt = new Map<string, Milliseconds>();

  constructor(sink: ReportSink) {
    this.#sink = sink;
  }

  tokenRefused(sentence: string): void {
    const now = monotonic();
    if (now - (this.#reportedAt.get(sentence) ?? Number.NEGATIVE_INFINITY) < PAUSE_MS) return;
    this.#reportedAt.set(sentence, now);
    this.#sink.post({ type: 'refusedToken', sentence });
  }
}
