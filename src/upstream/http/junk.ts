import type { Count, Milliseconds } from '../../units.js';
import type { UpstreamLog } from '../core/endpoint.js';
import type { EndpointStats } from '../core/endpoint-stats.js';
import { escaped, LogLimit } from '../core/limits/log-limit.js';
import { MessageCost, type NotificationLimit } from '../core/limits/notification-limit.js';

/** Heartbeats come all the time: some lines in an hour tell of them. */
const LOG_LINES: Count = 20;
const LOG_WINDOW_MS: Milliseconds = 3_600_000;

/** The endpoint whose streams have events and bodies that are no messages. */
export interface JunkSource {
  readonly stats: EndpointStats;
  readonly notificationLimit: NotificationLimit;
}

/**
 * Counts what is no JSON-RPC message on the streams of an endpoint: heartbeats such as `{"type":"heartbeat"}`, `{}` and text.
 * Owned by the endpoint.
 */
export class HttpJunk {
  readonly #source: JunkSource;
  readonly #log: UpstreamLog;
  readonly #names: object;
  readonly #limit = new LogLimit(LOG_LINES, LOG_WINDOW_MS);

  /** @param names fields of the log line */
  constructor(source: JunkSource, log: UpstreamLog, names: object) {
    this.#source = source;
    this.#log = log;
    this.#names = names;
  }

  skip(bytes: Uint8Array, length: number): void {
    this.#source.stats.junkLines += 1;
    this.#source.notificationLimit.take(MessageCost.notification);
    const suppressed = this.#limit.admit(performance.now());
    if (suppressed < 0) return;
    const fields = { ...this.#names, line: escaped(bytes.subarray(0, length)), suppressed };
    this.#log.info(fields, 'upstream sent something that is no message');
  }
}
