import type { Current } from '../config/current.js';
import { isTombstone } from '../config/numbering.js';
import type { ServerSnapshot, Snapshot } from '../config/snapshot.js';
import { packageVersion } from '../package-root.js';
import type { AnswerNames } from '../request/write/index.js';

/** Names of the gateway and of its servers, as JSON that answers are put together from. One per front. */
export class Identity implements AnswerNames {
  readonly #config: Current<Pick<Snapshot, 'name' | 'servers'>>;
  #serverInfo: Buffer;
  #names: Buffer[];

  constructor(config: Current<Pick<Snapshot, 'name' | 'servers'>>) {
    this.#config = config;
    this.#serverInfo = serverInfo(config.current.name);
    this.#names = serverNames(config.current.servers);
  }

  get serverInfo(): Uint8Array {
    return this.#serverInfo;
  }

  serverName(index: number): Uint8Array | null {
    return this.#names[index] ?? null;
  }

  /** Prepares the names again after a reload. The name of a removed server stays: its last answers bear it. */
  follow(): void {
    const { name, servers } = this.#config.current;
    this.#serverInfo = serverInfo(name);
    const before = this.#names;
    this.#names = serverNames(servers).map((own, index) =>
      isTombstone(servers[index]!) ? (before[index] ?? own) : own,
    );
  }
}

function serverNames(servers: readonly ServerSnapshot[]): Buffer[] {
  return servers.map(({ name }) => Buffer.from(JSON.stringify(name)));
}

function serverInfo(name: string): Buffer {
  const info = JSON.stringify({ name, version: packageVersion });
  return Buffer.from(`"_meta":{"io.modelcontextprotocol/serverInfo":${info}}`);
}
