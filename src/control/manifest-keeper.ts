import type { Logger } from 'pino';
import {
  Manifest,
  type ManifestEntry,
  ManifestError,
  manifestBytes,
  newSalt,
  writeManifest,
} from '../catalog/manifest.js';
import { isTombstone, sameUpstream } from '../config/numbering.js';
import type { Current } from '../config/snapshot/current.js';
import type { Snapshot } from '../config/snapshot/index.js';
import type { Milliseconds } from '../units.js';
import type { Discovery } from '../upstream/core/types.js';

/** Pause after a change before the manifest is written, so that servers that are listed at the same time cost one write. */
const WRITE_MS: Milliseconds = 500;

/** A server whose lists are kept. */
export interface ListedServer {
  readonly name: string;
  readonly clientUse: { readonly capabilities: readonly string[] };
  restore(discovery: Discovery): void;
}

/** The servers whose lists are kept, by number: the upstream pool. */
export interface ListedServers {
  readonly servers: readonly ListedServer[];
}

/** What the lists of an earlier run are offered by until the servers are listed: the catalog. */
export interface OfferedLists {
  update(discovery: Discovery): Promise<void>;
}

/** Keeps the lists of all servers in the manifest, and takes them from it at the start. One per gateway, which owns it. */
export class ManifestKeeper {
  readonly #config: Current<Snapshot>;
  readonly #logger: Logger;
  readonly #entries = new Map<string, ManifestEntry>();
  #upstreams: ListedServers = { servers: [] };
  #salt = newSalt();
  /** Of what the file holds; '' = unknown. */
  #digest = '';
  #timer: NodeJS.Timeout | null = null;
  #writing: Promise<void> = Promise.resolve();
  /** What was logged last, so that it is logged once. */
  #told = '';

  constructor(config: Current<Snapshot>, logger: Logger) {
    this.#config = config;
    this.#logger = logger;
  }

  /** Offers the lists of an earlier run. Resolves when they are in force. Never rejects because of the file. */
  async restore(upstreams: ListedServers, catalog: OfferedLists): Promise<void> {
    const { catalog: rules, limits, servers } = this.#config.current;
    const { manifestFile: path } = rules;
    this.#upstreams = upstreams;
    if (path === null && servers.length > 0) {
      this.#logger.info(
        'lists are not kept for the next start, since the configuration has no file; set catalog.manifestFile',
      );
    }
    if (typeof path !== 'string') return;
    const manifest = await this.#read(path, limits.maxManifestBytes);
    if (manifest === null) return;
    this.#salt = manifest.salt;
    this.#digest = manifest.digest;
    const restored: Promise<void>[] = [];
    const changed: string[] = [];
    for (const [number, server] of servers.entries()) {
      const lists = manifest.listsOf(server, number);
      if (lists !== null) {
        this.#entries.set(server.name, { server, lists, used: manifest.usedBy(server) });
        upstreams.servers[number]?.restore(lists);
        restored.push(catalog.update(lists));
      } else if (manifest.names.includes(server.name)) changed.push(server.name);
    }
    if (changed.length > 0) {
      const message = 'lists of an earlier run are not used: the configuration of these servers has changed';
      this.#logger.info({ path, servers: changed }, message);
    }
    await Promise.all(restored);
  }

  async #read(path: string, maxBytes: number): Promise<Manifest | null> {
    try {
      return await Manifest.read(path, maxBytes);
    } catch (error) {
      if (!(error instanceof ManifestError)) throw error;
      this.#logger.warn({ path, reason: error.message }, 'the manifest of lists is not used');
      return null;
    }
  }

  /** A server was listed, or its lists have changed. */
  discovered(lists: Discovery): void {
    const { catalog, servers } = this.#config.current;
    const server = servers[lists.server];
    if (typeof catalog.manifestFile !== 'string' || server === undefined || isTombstone(server)) return;
    const before = this.#entries.get(server.name);
    const used = before !== undefined && sameUpstream(before.server, server) ? before.used : [];
    this.#entries.set(server.name, { server, lists, used });
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#writing = this.#writing.then(() => this.#write());
    }, WRITE_MS);
    this.#timer.unref();
  }

  /** Writes what has not been written yet. */
  async close(): Promise<void> {
    const isPending =
      this.#timer !== null || [...this.#entries.values()].some((entry) => this.#withUse(entry) !== entry);
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    await this.#writing;
    if (isPending) await this.#write();
  }

  async #write(): Promise<void> {
    const { catalog, limits, servers } = this.#config.current;
    const path = catalog.manifestFile;
    if (typeof path !== 'string') return;
    const entries = servers.flatMap((server) => {
      const entry = this.#entries.get(server.name);
      return entry !== undefined && sameUpstream(entry.server, server) ? [this.#withUse(entry)] : [];
    });
    for (const name of this.#entries.keys())
      if (!servers.some((server) => server.name === name)) this.#entries.delete(name);
    const { bytes, digest, omitted } = manifestBytes(this.#salt, entries, limits.maxManifestBytes);
    if (omitted.length > 0) {
      const advice = 'lists of these servers are not kept for the next start: raise limits.maxManifestBytes';
      this.#tell(omitted.join(), { path, servers: omitted }, advice);
    }
    if (digest === this.#digest) return;
    try {
      await writeManifest(path, bytes);
      this.#digest = digest;
    } catch (error) {
      const reason = (error as NodeJS.ErrnoException).code ?? String(error);
      const advice =
        'lists are not kept for the next start, since the file cannot be written; set catalog.manifestFile';
      this.#tell(reason, { path, reason }, advice);
    }
  }

  /** What is known from this run, else from the one before. */
  #withUse(entry: ManifestEntry): ManifestEntry {
    const server = this.#upstreams.servers.find(({ name }) => name === entry.server.name);
    const used = server?.clientUse.capabilities ?? [];
    return used.length === 0 || used.join() === entry.used.join() ? entry : { ...entry, used };
  }

  #tell(key: string, fields: object, message: string): void {
    if (this.#told === key) return;
    this.#told = key;
    this.#logger.info(fields, message);
  }
}
