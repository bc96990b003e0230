import { isTombstone } from '../config/numbering.js';
import type { Current } from '../config/snapshot/current.js';
import type { ServerSnapshot, Snapshot } from '../config/snapshot/index.js';
import { packageVersion } from '../package-root.js';
import type { AnswerNames } from '../request/write/index.js';
import { clientReason } from '../upstream/core/reasons.js';
import type { ServerHealth } from '../upstream/endpoint-choice.js';

/** Names of the gateway and of its servers as JSON, for responses. One per front. */
export class Identity implements AnswerNames {
  readonly #config: Current<Pick<Snapshot, 'name' | 'servers'>>;
  #serverInfo: Buffer;
  #names: Buffer[];
  readonly #upstreams: { readonly servers: readonly { readonly health: Pick<ServerHealth, 'fault'> }[] };
  /** The reasons that were asked for last, by server. */
  readonly #reasons: { readonly fault: string; readonly token: Buffer }[] = [];

  constructor(
    config: Current<Pick<Snapshot, 'name' | 'servers'>>,
    upstreams: { readonly servers: readonly { readonly health: Pick<ServerHealth, 'fault'> }[] },
  ) {
    this.#config = config;
    this.#upstreams = upstreams;
    this.#serverInfo = serverInfo(config.current.name);
    this.#names = serverNames(config.current.servers);
  }

  get serverInfo(): Uint8Array {
    return this.#serverInfo;
  }

  serverName(index: number): Uint8Array | null {
    return this.#names[index] ?? null;
  }

  serverReason(index: number): Uint8Array | null {
    const fault = this.#upstreams.servers[index]?.health.fault ?? '';
    if (fault === '') return null;
    let known = this.#reasons[index];
    if (known?.fault !== fault) {
      known = { fault, token: Buffer.from(JSON.stringify(clientReason(fault))) };
      this.#reasons[index] = known;
    }
    return known.token;
  }

  /** Prepares the names again after a reload. A removed server keeps its name for its last responses. */
  follow(): void {
    const { name, servers } = this.#config.current;
    this.#serverInfo = serverInfo(name);
    this.#names = serverNames(servers, this.#names);
  }
}

/** @param before names by number, used for tombstones */
function serverNames(servers: readonly ServerSnapshot[], before: readonly Buffer[] = []): Buffer[] {
  return servers.map((server, index) => {
    const removed = isTombstone(server) ? before[index] : undefined;
    return removed ?? Buffer.from(JSON.stringify(server.name));
  });
}

function serverInfo(name: string): Buffer {
  const info = JSON.stringify({ name, version: packageVersion });
  return Buffer.from(`"_meta":{"io.modelcontextprotocol/serverInfo":${info}}`);
}
