import type { LimitsSnapshot, ServerSnapshot } from '../../config/snapshot.js';
import { Era } from '../../protocol/revisions.js';
import type { Milliseconds } from '../../units.js';
import { BackOff } from '../balance/back-off.js';
import type { Background } from '../core/background.js';
import { ControlError } from '../core/control.js';
import type { BaseEndpoint, UpstreamLog } from '../core/endpoint.js';
import type { Discovery } from '../core/types.js';
import { discover, sameDiscovery } from './index.js';

/** Changes that come in a burst are read once. */
export const COALESCE_MS: Milliseconds = 50;
/** Shortest time for one list request, for servers with a small connect timeout. */
const LIST_MS: Milliseconds = 10_000;
/** Lists are not read again sooner than this, however short-lived their server calls them. */
const MIN_REFRESH_MS: Milliseconds = 1_000;
/** And not later than this: a timer takes no more than 2^31 ms, and nobody means weeks. */
const MAX_REFRESH_MS: Milliseconds = 86_400_000;

/** What the reader of one server's lists needs. */
export interface ListReaderOptions {
  readonly server: number;
  readonly config: ServerSnapshot;
  readonly limits: LimitsSnapshot;
  readonly log: UpstreamLog;
  readonly background: Background;
  /** An endpoint to read from; null = none is ready, and `schedule` follows when one is. */
  endpoint(): BaseEndpoint | null;
  /** The lists were read for the first time, or differ from what was read before. */
  found(discovery: Discovery): void;
}

/**
 * Reads the lists of one server: when it is asked to, again when they expire and their server does not announce
 * changes, and again after a failure. One reading at a time; what changes meanwhile is read once more.
 */
export class ListReader {
  /** What was read last. */
  discovery: Discovery | null = null;
  readonly #options: ListReaderOptions;
  readonly #backOff = new BackOff(500);
  #timer: NodeJS.Timeout | null = null;
  #refresh: NodeJS.Timeout | undefined;
  #reading = false;
  #again = false;
  #stopped = false;

  constructor(options: ListReaderOptions) {
    this.#options = options;
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    clearTimeout(this.#refresh);
  }

  /** @param delayMs 0 = at once, also when a later reading is planned */
  schedule(delayMs: Milliseconds): void {
    if (this.#stopped) return;
    if (this.#reading) {
      this.#again = true;
      return;
    }
    if (this.#timer !== null) {
      if (delayMs > 0) return;
      clearTimeout(this.#timer);
    }
    this.#readIn(delayMs);
  }

  #readIn(delayMs: Milliseconds): void {
    this.#timer = setTimeout(() => {
      this.#timer = null;
      void this.#read();
    }, delayMs);
  }

  async #read(): Promise<void> {
    const { server, config, limits, log, background, endpoint: ready, found: report } = this.#options;
    const endpoint = ready();
    if (endpoint === null || endpoint.handshake === null) return;
    clearTimeout(this.#refresh);
    this.#reading = true;
    const began = performance.now();
    try {
      const found = await discover(
        { server, handshake: endpoint.handshake, transport: endpoint.transport, channel: endpoint, background },
        limits,
        Math.max(config.connectTimeoutMs, LIST_MS),
        {
          truncated: (method) =>
            log.warn({ server: config.name, method }, 'upstream list is longer than the limits allow'),
          dropped: (tool, why) => log.warn({ server: config.name, tool, why }, 'upstream tool is not offered'),
        },
      );
      this.#backOff.reset();
      this.#refreshAfter(found);
      if (!this.#stopped && (this.discovery === null || !sameDiscovery(this.discovery, found))) {
        this.discovery = found;
        report(found);
      }
    } catch (error) {
      if (!this.#stopped) {
        const reason = error instanceof ControlError ? error.message : String(error);
        log.warn({ server: config.name, reason }, 'lists of the upstream cannot be read');
        if (this.#timer === null) this.#readIn(this.#backOff.next());
      }
    } finally {
      this.#reading = false;
      if (this.#again) {
        this.#again = false;
        // A server whose changes never end is read half of the time at most.
        this.schedule(Math.max(COALESCE_MS, performance.now() - began));
      }
    }
  }

  /** Up to a tenth later than the lists say, so that many gateways do not ask in one moment (MCP 2026-07-28, caching). */
  #refreshAfter(found: Discovery): void {
    if (this.#stopped || found.era !== Era.modern || found.ttlMs <= 0 || announcesAll(found.capabilities)) return;
    const delayMs = Math.min(Math.max(found.ttlMs, MIN_REFRESH_MS), MAX_REFRESH_MS) * (1 + Math.random() / 10);
    this.#refresh = setTimeout(() => this.schedule(0), delayMs);
    this.#refresh.unref();
  }
}

/** Whether the server tells when any of its lists changes. */
function announcesAll(capabilities: Record<string, unknown>): boolean {
  return ['tools', 'prompts', 'resources'].every((kind) => {
    const capability = capabilities[kind] as { listChanged?: unknown } | null | undefined;
    return typeof capability !== 'object' || capability === null || capability.listChanged === true;
  });
}
