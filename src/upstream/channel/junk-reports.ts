import type { LimitsSnapshot } from '../../config/snapshot/index.js';
import type { EndpointContext } from '../core/endpoint.js';
import type { EndpointStats } from '../core/endpoint-stats.js';
import { escaped, LogLimit } from '../core/limits/log-limit.js';
import { MessageCost, type NotificationLimit } from '../core/limits/notification-limit.js';
import type { SkippedMessage } from './skipped-message.js';

/** Counts and logs what a server sends that is no message, or too large to be one. Owned by the endpoint. */
export class JunkReports {
  readonly #context: EndpointContext;
  readonly #names: object;
  readonly #stats: EndpointStats;
  readonly #notificationLimit: NotificationLimit;
  readonly #logLimit = new LogLimit();

  /** @param names fields of each log line */
  constructor(context: EndpointContext, names: object, stats: EndpointStats, notificationLimit: NotificationLimit) {
    this.#context = context;
    this.#names = names;
    this.#stats = stats;
    this.#notificationLimit = notificationLimit;
  }

  malformed(peerName: string, bytes: Uint8Array): void {
    this.#stats.junkLines += 1;
    this.#notificationLimit.take(MessageCost.notification);
    this.#warn({ line: escaped(bytes) }, `${peerName} sent something that is no message`);
  }

  /** @param callFailed a call has failed because of it */
  skipped(peerName: string, { size, error }: SkippedMessage, callFailed: boolean): void {
    this.#stats.skippedMessages += 1;
    const key: keyof LimitsSnapshot = error === 'GW_BUFFERS_FULL' ? 'maxBufferedBytes' : 'maxLineBytes';
    const fields = { bytes: size, [key]: this.#context.config.current.limits[key], callFailed };
    this.#warn(fields, `${peerName} sent a message over limits.${key}: it is skipped`);
  }

  #warn(fields: object, sentence: string): void {
    const suppressed = this.#logLimit.admit(performance.now());
    if (suppressed >= 0) this.#context.log.warn({ ...this.#names, ...fields, suppressed }, sentence);
  }
}
