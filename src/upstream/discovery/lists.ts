import type { ServerSnapshot } from '../../config/snapshot.js';
import { Era } from '../../protocol/revisions.js';
import type { Milliseconds } from '../../units.js';
import { BackOff } from '../balance/back-off.js';
import { ControlError } from '../core/control.js';
import type { BaseEndpoint, EndpointContext } from '../core/endpoint.js';
import type { Discovery } from '../core/types.js';
import { type DiscoveryReport, discover, sameDiscovery } from './index.js';

/** Changes within this time are read once. */
export const COALESCE_MS: Milliseconds = 50;
/** Least time limit for one list request, for servers with a small connect timeout. */
const LIST_MS: Milliseconds = 10_000;
/** Shortest time between two readings of lists that expire. */
const MIN_REFRESH_MS: Milliseconds = 1_000;
/** Longest time: the longest delay of a timer is 2^31 ms. */
const MAX_REFRESH_MS: Milliseconds = 86_400_000;

/** The server whose lists are read. */
export interface ListSource {
  readonly index: number;
  readonly config: ServerSnapshot;
  /** An endpoint to read from; null = none is ready, and `schedule` will be called when one is. */
  readyEndpoint(): BaseEndpoint | null;
  /** The lists were read for the first time, or have changed. */
  discovered(discovery: Discovery): void;
}

/**
 * Reads the lists of one server: when its server schedules it, again when the lists expire and their server announces no
 * changes, and again after a failure. One reading at a time; changes during it lead to another one.
 */
export class ListReader implements DiscoveryReport {
  /** The last result. */
  discovery: Discovery | null = null;
  readonly #source: ListSource;
  readonly #context: EndpointContext;
  readonly #backOff = new BackOff(500);
  #timer: NodeJS.Timeout | null = null;
  #refresh: NodeJS.Timeout | undefined;
  #isReading = false;
  #isStale = false;
  #stopped = false;

  constructor(source: ListSource, context: EndpointContext) {
    this.#source = source;
    this.#context = context;
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    clearTimeout(this.#refresh);
  }

  /** @param delayMs 0 = at once, also when a later reading is scheduled */
  schedule(delayMs: Milliseconds): void {
    if (this.#stopped) return;
    if (this.#isReading) {
      this.#isStale = true;
      return;
    }
    if (this.#timer !== null) {
      if (delayMs > 0) return;
      clearTimeout(this.#timer);
    }
    this.#readIn(delayMs);
  }

  truncated(method: string): void {
    this.#warn({ method }, 'upstream list is longer than the limits allow');
  }

  dropped(tool: string, why: string): void {
    this.#warn({ tool, why }, 'upstream tool is not offered');
  }

  #warn(fields: object, message: string): void {
    this.#context.log.warn({ server: this.#source.config.name, ...fields }, message);
  }

  #readIn(delayMs: Milliseconds): void {
    this.#timer = setTimeout(() => {
      this.#timer = null;
      void this.#read();
    }, delayMs);
  }

  async #read(): Promise<void> {
    const endpoint = this.#source.readyEndpoint();
    if (endpoint === null || endpoint.handshake === null) return;
    const { background, config: gateway } = this.#context;
    const { index: server, config } = this.#source;
    const { handshake, transport } = endpoint;
    clearTimeout(this.#refresh);
    this.#isReading = true;
    const began = performance.now();
    try {
      const source = { server, handshake, transport, channel: endpoint, background };
      const found = await discover(source, gateway.current.limits, Math.max(config.connectTimeoutMs, LIST_MS), this);
      this.#backOff.reset();
      this.#refreshAfter(found);
      if (!this.#stopped && (this.discovery === null || !sameDiscovery(this.discovery, found))) {
        this.discovery = found;
        this.#source.discovered(found);
      }
    } catch (error) {
      if (!this.#stopped) {
        const reason = error instanceof ControlError ? error.message : String(error);
        this.#warn({ reason }, 'lists of the upstream cannot be read');
        if (this.#timer === null) this.#readIn(this.#backOff.next());
      }
    } finally {
      this.#isReading = false;
      if (this.#isStale) {
        this.#isStale = false;
        // A server whose lists never stop changing is read half of the time at most.
        this.schedule(Math.max(COALESCE_MS, performance.now() - began));
      }
    }
  }

  /** Up to a tenth later than the lists expire, so that gateways do not read at the same moment (MCP 2026-07-28, caching). */
  #refreshAfter(found: Discovery): void {
    if (this.#stopped || found.era !== Era.modern || found.ttlMs <= 0 || announcesAll(found.capabilities)) return;
    const delayMs = Math.min(Math.max(found.ttlMs, MIN_REFRESH_MS), MAX_REFRESH_MS) * (1 + Math.random() / 10);
    this.#refresh = setTimeout(() => this.schedule(0), delayMs);
    this.#refresh.unref();
  }
}

/** Whether the server announces changes of all its lists. */
function announcesAll(capabilities: Record<string, unknown>): boolean {
  return ['tools', 'prompts', 'resources'].every((kind) => {
    const capability = capabilities[kind] as { listChanged?: unknown } | null | undefined;
    return typeof capability !== 'object' || capability === null || capability.listChanged === true;
  });
}
