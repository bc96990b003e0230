import type { ServerSnapshot } from '../../config/snapshot/index.js';
import { Era } from '../../protocol/revisions.js';
import { packedCount } from '../../shared/packed.js';
import type { Milliseconds } from '../../units.js';
import { BackOff } from '../balance/back-off.js';
import { ControlError } from '../core/control.js';
import type { BaseEndpoint, EndpointContext } from '../core/endpoint.js';
import type { Discovery } from '../core/types.js';
import { ChangePauses } from './change-pauses.js';
import { type DiscoveryReport, discover, type Reading, restoredReading, sameDiscovery } from './index.js';

/** Least time limit for one list request, for servers with a small connect timeout. */
const LIST_MS: Milliseconds = 10_000;
/** Shortest time between two readings of lists that expire. */
const MIN_REFRESH_MS: Milliseconds = 1_000;
/** Longest time: the longest delay of a timer is 2^31 ms. */
const MAX_REFRESH_MS: Milliseconds = 86_400_000;
/** Pauses before lists that could not be read are read again: the first one, and the longest. */
const RETRY_MS: Milliseconds = 500;
const MAX_RETRY_MS: Milliseconds = 60_000;
/** Warnings that are remembered, so that they are not repeated by the next reading. */
const MAX_TOLD = 1_000;

/** The server whose lists are read. */
export interface ListSource {
  readonly index: number;
  readonly config: ServerSnapshot;
  /** An endpoint to read from; null = none is ready, and `schedule` will be called when one is. */
  readyEndpoint(): BaseEndpoint | null;
  /** The lists were read for the first time, or have changed. */
  discovered(discovery: Discovery): void;
  /** No list can be read, and none was before. */
  listsFailed(): void;
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
  readonly #backOff = new BackOff(RETRY_MS, MAX_RETRY_MS);
  readonly #pauses = new ChangePauses();
  /** What `discovery` was read as; of an earlier run until then. */
  #reading: Reading | null = null;
  #timer: NodeJS.Timeout | null = null;
  /** `performance.now()` when `#timer` ends. */
  #due: Milliseconds = 0;
  #refresh: NodeJS.Timeout | undefined;
  #isReading = false;
  #isStale = false;
  #stopped = false;
  /** Warnings of the reading before this one, and of this one. */
  #told = new Set<string>();
  #telling = new Set<string>();

  constructor(source: ListSource, context: EndpointContext) {
    this.#source = source;
    this.#context = context;
  }

  /** Sets what an earlier run has read: a list that cannot be read now keeps these items. */
  restore(discovery: Discovery): void {
    const reading = restoredReading(discovery);
    if (reading.lists.some(({ items }) => packedCount(items) > 0)) this.#reading ??= reading;
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    clearTimeout(this.#refresh);
  }

  /** Reads the lists at once, also when a later reading is scheduled. */
  schedule(): void {
    this.#schedule(0);
  }

  /** The server says that lists have changed. */
  changed(): void {
    this.#schedule(this.#pauses.pause(performance.now()));
  }

  #schedule(delayMs: Milliseconds): void {
    if (this.#stopped) return;
    if (this.#isReading) {
      this.#isStale = true;
      return;
    }
    const due = performance.now() + delayMs;
    if (this.#timer !== null) {
      if (this.#due <= due) return;
      clearTimeout(this.#timer);
    }
    this.#due = due;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      void this.#read();
    }, delayMs);
  }

  truncated(method: string): void {
    this.#warn({ method }, 'upstream list is longer than the limits allow');
  }

  repeated(method: string): void {
    this.#warn({ method }, 'upstream list repeats a cursor and ends there');
  }

  dropped(tool: string, why: string): void {
    this.#warn({ tool, why }, 'upstream tool is not offered');
  }

  partial(reading: Reading): void {
    this.#publish(reading);
  }

  /** Logs what the reading before this one did not say. */
  #warn(fields: object, message: string): void {
    const key = JSON.stringify([fields, message]);
    if (this.#telling.size < MAX_TOLD) this.#telling.add(key);
    if (this.#told.has(key)) return;
    this.#context.log.warn({ server: this.#source.config.name, ...fields }, message);
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
    let isChanged = false;
    let failures: readonly string[];
    try {
      const source = { server, handshake, transport, channel: endpoint, background };
      const timeoutMs = Math.max(config.connectTimeoutMs, LIST_MS);
      const found = await discover(source, gateway.current.limits, timeoutMs, this, this.#reading);
      failures = found.failures;
      isChanged = this.#publish(found);
      if (failures.length === 0) this.#refreshAfter(found.discovery);
    } catch (error) {
      failures = [error instanceof ControlError ? error.message : String(error)];
      if (!this.#stopped) this.#source.listsFailed();
    }
    this.#isReading = false;
    this.#report(endpoint, failures);
    this.#pauses.ended(performance.now(), isChanged);
    if (this.#isStale) {
      this.#isStale = false;
      // A server whose lists never stop changing is read half of the time at most.
      this.#schedule(Math.max(this.#pauses.pause(performance.now()), performance.now() - began));
    }
  }

  /** @returns whether the lists are other ones than before */
  #publish(reading: Reading): boolean {
    this.#reading = reading;
    if (this.#stopped || (this.discovery !== null && sameDiscovery(this.discovery, reading.discovery))) return false;
    this.discovery = reading.discovery;
    this.#source.discovered(reading.discovery);
    return true;
  }

  /** Says once which lists cannot be read, and reads them again after a pause. */
  #report(endpoint: BaseEndpoint, failures: readonly string[]): void {
    if (this.#stopped) return;
    for (const reason of failures) this.#warn({ reason }, 'lists of the upstream cannot be read');
    this.#told = this.#telling;
    this.#telling = new Set();
    endpoint.unreadableLists = failures.length === 0 ? '' : `lists cannot be read: ${failures.join('; ')}`;
    if (failures.length === 0) this.#backOff.reset();
    else this.#schedule(this.#backOff.next());
  }

  /** Up to a tenth later than the lists expire, so that gateways do not read at the same moment (MCP 2026-07-28, caching). */
  #refreshAfter(found: Discovery): void {
    if (this.#stopped || found.era !== Era.modern || found.ttlMs <= 0 || announcesAll(found.capabilities)) return;
    const delayMs = Math.min(Math.max(found.ttlMs, MIN_REFRESH_MS), MAX_REFRESH_MS) * (1 + Math.random() / 10);
    this.#refresh = setTimeout(() => this.schedule(), delayMs);
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
