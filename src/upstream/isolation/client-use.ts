import { Method } from '../../../native/layout.js';
import { ASKABLE, Capability } from '../../protocol/client-capabilities.js';

/**
 * What one server makes of the capabilities of its clients, as far as it is known: which it has asked for, and with which
 * ones it lists other items. Decides under `isolation: auto` which clients get dedicated endpoints. Owned by the server.
 */
export class ClientUse {
  /** Capabilities that the server has made use of, bits of Capability. */
  #used = 0;
  /** Whether the lists differ from the shared ones, by capability mask. */
  readonly #differs = new Map<number, boolean>();

  /** The server has sent a request that needs one of these capabilities. @returns whether that is news */
  asked(capabilities: number): boolean {
    const before = this.#used;
    this.#used |= capabilities & ASKABLE;
    return this.#used !== before;
  }

  /** The lists for clients with these capabilities were read. */
  listed(capabilities: number, differs: boolean): void {
    this.#differs.set(maskOf(capabilities), differs);
  }

  /** Forgets which lists did not differ: they may not have been readable. */
  recheck(): void {
    for (const [capabilities, differs] of this.#differs) if (!differs) this.#differs.delete(capabilities);
  }

  /** All capabilities that the server is known to make use of. */
  get known(): number {
    let known = this.#used;
    for (const [capabilities, differs] of this.#differs) if (differs) known |= capabilities;
    return known;
  }

  /** Whether the server makes use of a client with these capabilities; null = that is not known. */
  of(capabilities: number): boolean | null {
    if ((capabilities & ASKABLE) === 0) return false;
    if ((capabilities & this.#used) !== 0) return true;
    return this.#differs.get(maskOf(capabilities)) ?? null;
  }
}

/** At most 2^6 masks: `roots.listChanged` makes no difference. */
export function maskOf(capabilities: number): number {
  return capabilities & ~Capability.rootsListChanged;
}

/** The capabilities of which a client needs one for a request of this method. */
export function capabilitiesFor(method: number): number {
  switch (method) {
    case Method.createMessage:
      return Capability.sampling;
    case Method.elicit:
      return Capability.elicitationForm | Capability.elicitationUrl;
    case Method.rootsList:
      return Capability.roots;
    default:
      return 0;
  }
}
