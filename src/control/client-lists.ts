import type { Exchange } from '../request/exchange/index.js';
import type { Discovery } from '../upstream/core/types.js';

/** A server that may have other lists for some clients: UpstreamServer. */
export interface ListingServer {
  readonly needsCapabilities: boolean;
  /** The lists of a client's dedicated endpoint; null = those that all clients share. */
  ownLists(exchange: Exchange): Promise<Discovery | null> | null;
}

/** What {@link ClientListSets} works with. */
export interface ClientListSetsParts {
  readonly upstreams: { readonly servers: readonly ListingServer[] };
  readonly catalog: { listSet(own: readonly Discovery[], view: number): Promise<string> };
  readonly send: {
    /** Sets `exchange.client.capabilities`; `bytes` is the message. */
    readCapabilities(exchange: Exchange, bytes: Uint8Array): void;
  };
}

/** Finds the lists of a client whose servers have dedicated endpoints. One per front. */
export class ClientListSets {
  readonly #parts: ClientListSetsParts;

  constructor(parts: ClientListSetsParts) {
    this.#parts = parts;
  }

  /** The list set of the catalog for a list request; null = the lists that all clients share. `bytes` is valid during the call. */
  setFor(exchange: Exchange, bytes: Uint8Array): Promise<string> | null {
    const { send, upstreams } = this.#parts;
    let pending: Promise<Discovery | null>[] | null = null;
    for (const server of upstreams.servers) {
      if (!server.needsCapabilities) continue;
      send.readCapabilities(exchange, bytes);
      const lists = server.ownLists(exchange);
      if (lists === null) continue;
      pending ??= [];
      pending.push(lists);
    }
    return pending === null ? null : this.#set(pending, exchange.client.caller.view);
  }

  async #set(pending: readonly Promise<Discovery | null>[], view: number): Promise<string> {
    const own = (await Promise.all(pending)).filter((lists) => lists !== null);
    return own.length === 0 ? '' : this.#parts.catalog.listSet(own, view);
  }
}
