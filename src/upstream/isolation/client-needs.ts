/** Decides which clients of a server need dedicated endpoints, and finds their lists (configuration: `isolation`). */
import type { ServerSnapshot } from '../../config/snapshot/index.js';
import { ASKABLE, Capability, declaredCapabilities } from '../../protocol/client-capabilities.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { Count, Milliseconds } from '../../units.js';
import type { BaseEndpoint, EndpointContext } from '../core/endpoint.js';
import type { Discovery } from '../core/types.js';
import { addedNames, sameDiscovery } from '../discovery/index.js';
import { ClientUse, capabilitiesFor, maskOf } from './client-use.js';
import type { ListedEndpoint } from './dedicated.js';

/** Longest wait for the lists of a dedicated endpoint; its client gets the shared lists then, and `list_changed` later. */
const LISTS_MS: Milliseconds = 15_000;
/** Longest error of a call that is searched. */
const LONGEST_ERROR: Count = 4_096;
/** Most names of tools that are reported. */
const MAX_NAMES: Count = 100;
/** How SDKs word it when a server wants to ask a client that has not declared the capability. */
const LACKING =
  /client (?:does not|doesn't) support\W+(?:\w+ )?(sampling|elicitation|roots)|configured with (sampling|elicitation|roots)/i;

/** The server that a {@link ClientNeeds} decides for. */
export interface ClientHost {
  readonly config: ServerSnapshot;
  readonly context: EndpointContext;
  readonly endpoints: readonly BaseEndpoint[];
  /** The lists that all clients share; null = not read yet. */
  readonly discovery: Discovery | null;
  /** The dedicated endpoint of a request's client, started if necessary; null = there is none, or none is needed. */
  forLists(exchange: Exchange): ListedEndpoint | null;
}

/** What a server makes of client capabilities, as far as it is known. */
export interface ClientUseReport {
  /** Names of the capabilities that it asks for, or on which its lists depend. */
  readonly capabilities: readonly string[];
  /** Tools of the server that only clients with such capabilities are offered. */
  readonly tools: readonly string[];
  /** What to change in the configuration; '' = nothing. */
  readonly advice: string;
}

/** See the file comment. Owned by the server. */
export class ClientNeeds {
  readonly #host: ClientHost;
  readonly #use = new ClientUse();
  /** Trials that have not ended, by capability mask. */
  readonly #trials = new Map<number, Promise<Discovery | null>>();
  /** Lists that differ from the shared ones, one object for each content. */
  #own: Discovery[] = [];
  #isReported = false;

  constructor(host: ClientHost) {
    this.#host = host;
  }

  /**
   * Whether a client with these capabilities needs a dedicated endpoint, if the server is one where any client can need one.
   *
   * @param capabilities bits of Capability; 0 or less = none
   */
  needsDedicated(capabilities: number): boolean {
    const { isolation } = this.#host.config;
    if (isolation === 'session' || isolation === 'principal') return true;
    if (!this.#isTried) return capabilities > 0;
    return capabilities > 0 && this.#use.of(capabilities) === true;
  }

  /** `isolation: auto`, but not over Streamable HTTP, where upstream sessions cost little. */
  get #isTried(): boolean {
    return this.#host.config.isolation === 'auto' && this.#host.endpoints[0]?.transport !== 'http';
  }

  /** Whether clients share a child or connection that declares no capabilities, whatever they declare. */
  get #isWithheld(): boolean {
    return this.#host.config.isolation === 'shared' && this.#host.endpoints[0]?.transport !== 'http';
  }

  /**
   * The lists of the dedicated endpoint of a client, where they differ from the shared lists. `exchange` has its verdict and
   * its capabilities.
   *
   * @returns null = the shared lists are the client's; it is known at once where no dedicated endpoint is needed
   */
  lists(exchange: Exchange): Promise<Discovery | null> | null {
    const { capabilities } = exchange.client;
    if (this.needsDedicated(capabilities)) return this.#listsOf(exchange);
    if (!this.#isTried || capabilities <= 0 || this.#host.discovery === null) return null;
    if (this.#use.of(capabilities) !== null) return null;
    const trial = this.#trials.get(maskOf(capabilities));
    if (trial === undefined) return this.#try(exchange);
    const { generation } = exchange;
    return trial.then(() => (exchange.generation === generation ? this.lists(exchange) : null));
  }

  /** A server has sent a request to a client, or a notice that it would. */
  asked(method: number): void {
    this.#used(capabilitiesFor(method));
  }

  /** A call at a shared endpoint failed: it may say that the server would have asked the client. */
  failed(bytes: Uint8Array, length: number): void {
    if (!this.#isTried && !this.#isWithheld) return;
    if (length > LONGEST_ERROR) return;
    const found = LACKING.exec(Buffer.from(bytes.subarray(0, length)).toString('latin1'));
    const name = (found?.[1] ?? found?.[2])?.toLowerCase();
    if (name === 'sampling') this.#used(Capability.sampling);
    else if (name === 'elicitation') this.#used(Capability.elicitationForm | Capability.elicitationUrl);
    else if (name === 'roots') this.#used(Capability.roots);
  }

  /** A shared endpoint was started again: what could not be found out may be now. */
  restarted(): void {
    this.#use.recheck();
  }

  report(): ClientUseReport {
    const { name } = this.#host.config;
    const capabilities = namesOf(this.#use.known);
    const { discovery } = this.#host;
    const added = discovery === null ? [] : this.#own.flatMap((own) => addedNames(discovery.tools, own.tools));
    const tools = [...new Set(added)].sort().slice(0, MAX_NAMES);
    return { capabilities, tools, advice: this.#isWithheld && capabilities.length > 0 ? adviceFor(name) : '' };
  }

  #used(capabilities: number): void {
    const { config, context } = this.#host;
    if (capabilities === 0 || !this.#use.asked(capabilities)) return;
    const fields = { server: config.name, capabilities: namesOf(capabilities) };
    if (this.#isTried) {
      context.log.info(
        fields,
        'the server makes use of client capabilities: clients that declare them get a dedicated child',
      );
    } else if (this.#isWithheld && !this.#isReported) {
      this.#isReported = true;
      context.log.warn(fields, adviceFor(config.name));
    }
  }

  async #listsOf(exchange: Exchange): Promise<Discovery | null> {
    const found = this.#host.forLists(exchange);
    return found === null ? null : this.#distinct(await found.lists.get(this.#waitMs));
  }

  /** Starts the dedicated endpoint of a client to see what the server makes of it. */
  #try(exchange: Exchange): Promise<Discovery | null> | null {
    const { capabilities } = exchange.client;
    const found = this.#host.forLists(exchange);
    if (found === null) return null;
    const trial = found.lists.get(this.#waitMs).then((discovery) => {
      this.#trials.delete(maskOf(capabilities));
      return this.#judge(capabilities, found, discovery);
    });
    this.#trials.set(maskOf(capabilities), trial);
    return trial;
  }

  #judge(capabilities: number, found: ListedEndpoint, discovery: Discovery | null): Discovery | null {
    // It is still starting, or its lists fail: its client is told when they were read, and lists again.
    if (discovery === null && !found.hasEnded()) return null;
    const own = this.#distinct(discovery);
    this.#use.listed(capabilities, own !== null);
    if (discovery === null) this.#reportFailure(capabilities);
    if (this.#use.of(capabilities) !== true) found.discard();
    else if (own !== null) this.#reportLists(capabilities, own);
    return own;
  }

  #reportLists(capabilities: number, own: Discovery): void {
    const { config, context, discovery } = this.#host;
    const tools = discovery === null ? [] : addedNames(discovery.tools, own.tools).slice(0, MAX_NAMES);
    context.log.info(
      { server: config.name, capabilities: namesOf(capabilities), tools },
      'the server offers other lists to clients with these capabilities: they get a dedicated child',
    );
  }

  #reportFailure(capabilities: number): void {
    const { config, context } = this.#host;
    context.log.warn(
      { server: config.name, capabilities: namesOf(capabilities) },
      `no dedicated child can be started beside the shared one, which serves clients with these capabilities too; if there can be only one, set mcpServers.${config.name}.isolation: shared`,
    );
  }

  get #waitMs(): Milliseconds {
    return Math.min(this.#host.config.connectTimeoutMs, LISTS_MS);
  }

  /** Null where the lists are the shared ones; equal lists are one object. */
  #distinct(found: Discovery | null): Discovery | null {
    const { context, discovery } = this.#host;
    if (found === null || (discovery !== null && sameDiscovery(discovery, found))) return null;
    const known = this.#own.find((own) => own === found || sameDiscovery(own, found));
    if (known !== undefined) return known;
    this.#own = [found, ...this.#own].slice(0, context.config.current.limits.maxClientLists);
    return found;
  }
}

function adviceFor(name: string): string {
  return `the server would offer more with mcpServers.${name}.isolation: session (it is shared, so it cannot ask clients)`;
}

function namesOf(capabilities: number): string[] {
  return Object.keys(declaredCapabilities(capabilities & ASKABLE, true));
}
