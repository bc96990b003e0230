/** What drops answers from the response cache: operators, changed resources, and changed lists of servers. */
import type { Logger } from 'pino';
import type { Current } from '../../config/snapshot/current.js';
import type { Snapshot } from '../../config/snapshot/index.js';
import { judgedUri } from '../../protocol/uri.js';
import type { Packed } from '../../shared/packed.js';
import type { CachePurge } from '../../shared/ring/worker-messages.js';
import type { Discovery } from '../../upstream/core/types.js';

/** The caches: WorkerPool. */
export interface WorkerCaches {
  /** Drops answers in every worker: none of them is served any more when this returns. */
  purge(message: CachePurge): void;
}

type Kind = CachePurge['kinds'][number];

const ALL: readonly Kind[] = ['tools', 'prompts', 'resources'];
/** Members of a request to purge, and the kinds that each is about. */
const NAMED = { tool: 'tools', prompt: 'prompts', uri: 'resources' } as const;
const MEMBERS: readonly string[] = ['server', ...Object.keys(NAMED), 'principal'];
const MAX_TEXT = 16_384;

/** See the file comment. One per gateway. */
export class CachePurges {
  readonly #config: Current<Snapshot>;
  readonly #caches: WorkerCaches;
  readonly #logger: Pick<Logger, 'info'>;
  /** The lists of each server, by its number, as they were last read. */
  readonly #lists = new Map<number, Discovery>();

  constructor(config: Current<Snapshot>, caches: WorkerCaches, logger: Pick<Logger, 'info'>) {
    this.#config = config;
    this.#caches = caches;
    this.#logger = logger;
  }

  /**
   * Drops what the request of an operator covers: an object with `server`, one of `tool`, `prompt` and `uri`, and `principal`, each
   * optional; `{}` = everything.
   *
   * @throws TypeError with a sentence for the operator
   */
  requested(request: unknown): void {
    const purge = this.#purgeOf(membersOf(request));
    this.#caches.purge(purge);
    const { name, principal } = purge;
    const server = this.#config.current.servers[purge.server]?.name ?? null;
    this.#logger.info({ server, kinds: purge.kinds, name, principal }, 'cache purged');
  }

  #purgeOf(members: ReadonlyMap<string, string>): CachePurge {
    const named = Object.entries(NAMED).filter(([member]) => members.has(member));
    if (named.length > 1) throw new TypeError('only one of "tool", "prompt" and "uri" may be given');
    const [member, kind] = named[0] ?? [];
    const serverName = members.get('server');
    const server =
      serverName === undefined ? -1 : this.#config.current.servers.findIndex(({ name }) => name === serverName);
    if (serverName !== undefined && server < 0) throw new TypeError('there is no server with the name in "server"');
    const text = member === undefined ? null : (members.get(member) ?? null);
    return {
      type: 'purge',
      server,
      kinds: kind === undefined ? ALL : [kind],
      name: kind === 'resources' && text !== null ? judgedUri(text) : text,
      principal: members.get('principal') ?? null,
    };
  }

  /** A server says that a resource has changed. */
  resourceUpdated(server: number, uri: string): void {
    if (!this.#stores('resources')) return;
    this.#caches.purge({ type: 'purge', server, kinds: ['resources'], name: judgedUri(uri), principal: null });
  }

  /** Lists of a server were read. The answers of the kinds whose lists have changed are dropped. */
  listed(discovery: Discovery): void {
    const { server } = discovery;
    const before = this.#lists.get(server);
    this.#lists.set(server, discovery);
    const kinds = ALL.filter(
      (kind) => this.#stores(kind) && (before === undefined || hasChanged(before, discovery, kind)),
    );
    if (kinds.length > 0) this.#caches.purge({ type: 'purge', server, kinds, name: null, principal: null });
  }

  /** Another server has taken the number. */
  replaced(server: number): void {
    this.#lists.delete(server);
  }

  #stores(kind: Kind): boolean {
    const { cache, routes } = this.#config.current;
    return cache.enabled && (cache[kind] || routes.some((route) => route.cache !== null && route.cache !== false));
  }
}

/** @throws TypeError */
function membersOf(request: unknown): ReadonlyMap<string, string> {
  if (typeof request !== 'object' || request === null || Array.isArray(request)) {
    throw new TypeError('a purge is an object; {} drops everything');
  }
  const members = new Map<string, string>();
  for (const [name, value] of Object.entries(request)) {
    if (!MEMBERS.includes(name)) {
      throw new TypeError(`a purge has only the members ${MEMBERS.map((member) => `"${member}"`).join(', ')}`);
    }
    if (typeof value !== 'string' || value === '' || value.length > MAX_TEXT) {
      throw new TypeError(`"${name}" must be a text of 1 to ${MAX_TEXT} characters`);
    }
    members.set(name, value);
  }
  return members;
}

function hasChanged(before: Discovery, now: Discovery, kind: Kind): boolean {
  if (kind !== 'resources') return !isSame(before[kind], now[kind]);
  return !isSame(before.resources, now.resources) || !isSame(before.templates, now.templates);
}

function isSame(a: Packed, b: Packed): boolean {
  return a.bytes === b.bytes || (Buffer.compare(a.bytes, b.bytes) === 0 && a.offsets.length === b.offsets.length);
}
