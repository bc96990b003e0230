import { Method } from '../../../native/layout.js';
import type { Current } from '../../config/snapshot/current.js';
import type { Milliseconds } from '../../units.js';
import { type Exchange, MessageFlag, Phase } from '../exchange/index.js';
import type { ExchangeTable } from '../exchange/table.js';

/** Time between two looks at the servers while requests wait. */
const POLL_MS: Milliseconds = 20;

/** What {@link FirstLists} works with. */
export interface FirstListsParts {
  readonly config: Current<{ readonly catalog: { readonly firstListWaitMs: Milliseconds } }>;
  readonly table: ExchangeTable;
  readonly catalog: {
    /** The catalog in force, with the numbers of the servers whose lists it does not have. */
    readonly current: { readonly table: { readonly undiscovered: readonly number[] } };
  };
  readonly upstreams: {
    /** Whether the first discovery of a server has not failed. */
    mayBeListed(server: number): boolean;
  };
  readonly write: {
    /** Gives back an exchange whose client is disconnected. */
    abandon(exchange: Exchange): void;
  };
}

/** Takes requests that have waited: the pipeline. */
export interface HeldRequests {
  /** Answers it from the catalog as it is now. */
  released(exchange: Exchange, bytes: Uint8Array, length: number): void;
}

interface Held {
  readonly slot: number;
  readonly generation: number;
  /** `performance.now()` when it is answered whatever the servers do. */
  readonly until: Milliseconds;
}

/**
 * Holds requests whose answer comes from the catalog while servers are listed for the first time: many clients read
 * capabilities and lists only once. At most as many requests wait as there are exchanges. One per front.
 */
export class FirstLists {
  readonly #parts: FirstListsParts;
  #held: Held[] = [];
  #timer: NodeJS.Timeout | undefined;
  #next: HeldRequests | null = null;
  #closed = false;

  constructor(parts: FirstListsParts) {
    this.#parts = parts;
  }

  /** Sets where requests go when they have waited. Called once by the pipeline: it calls this and is called back. */
  attach(next: HeldRequests): void {
    this.#next = next;
  }

  /**
   * Keeps a request that needs lists which are not there yet; `bytes[0, length)` are valid during the call only.
   *
   * @returns false = it can be answered now
   */
  hold(exchange: Exchange, bytes: Uint8Array, length: number): boolean {
    if (this.#closed || (exchange.message.flags & MessageFlag.waited) !== 0) return false;
    if (!readsCatalog(exchange.message.spans.method) || !this.#isPending()) return false;
    const waitMs = this.#parts.config.current.catalog.firstListWaitMs;
    if (waitMs === 0) return false;
    const { message, slot, generation } = exchange;
    if (message.body !== bytes) {
      message.body = Buffer.from(bytes.subarray(0, length));
      message.bodyLength = length;
    }
    this.#held.push({ slot, generation, until: performance.now() + waitMs });
    this.#timer ??= setInterval(() => this.#look(), POLL_MS);
    return true;
  }

  /** Answers all requests that wait, and holds no more. */
  close(): void {
    this.#closed = true;
    this.#release(Number.POSITIVE_INFINITY);
  }

  #isPending(): boolean {
    const { catalog, upstreams } = this.#parts;
    const { undiscovered } = catalog.current.table;
    return undiscovered.length > 0 && undiscovered.some((server) => upstreams.mayBeListed(server));
  }

  #look(): void {
    this.#release(this.#isPending() ? performance.now() : Number.POSITIVE_INFINITY);
  }

  /** Answers the requests that wait until `now` or earlier, and drops those whose client is gone. */
  #release(now: Milliseconds): void {
    const held = this.#held;
    this.#held = [];
    for (const entry of held) {
      const exchange = this.#parts.table.find(entry.slot, entry.generation);
      if (exchange === null || exchange.phase !== Phase.sending) continue;
      if (exchange.client.reply === null) this.#parts.write.abandon(exchange);
      else if (entry.until > now) this.#held.push(entry);
      else this.#next?.released(exchange, exchange.message.body, exchange.message.bodyLength);
    }
    if (this.#held.length > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

function readsCatalog(method: number): boolean {
  return (
    method === Method.initialize ||
    method === Method.discover ||
    method === Method.toolsList ||
    method === Method.promptsList ||
    method === Method.resourcesList ||
    method === Method.templatesList
  );
}
