import type { Logger } from 'pino';
import type { Catalog, CatalogChanges, CatalogFinding, CatalogListener } from '../../catalog/index.js';
import type { PreparedCatalog } from '../../catalog/prepared.js';
import type { Current } from '../../config/snapshot/current.js';
import type { Snapshot } from '../../config/snapshot/index.js';
import type { LoginNotices } from '../../server-requests/login-notices.js';
import { packedCount } from '../../shared/packed.js';
import type { Subscriptions } from '../../subscriptions/index.js';
import type { ConnectionOwner, Discovery, ListChanges, UpstreamEvents } from '../../upstream/core/types.js';
import type { CachePurges } from './cache-purges.js';
import type { UpstreamSummary } from './summary.js';

/** Distributes catalogs and notifications: Front. */
export interface ChangeReceiver {
  /** Distributes a catalog to the workers; it is in force when this returns. */
  useCatalog(next: PreparedCatalog): void;
  readonly subscriptions: Subscriptions;
  readonly logins: Pick<LoginNotices, 'loggedIn'>;
}

/** Keeps lists for the next start: ManifestKeeper. */
export interface KeptLists {
  discovered(lists: Discovery): void;
}

/** Passes changes of upstreams on to the catalog, the workers and the clients. The upstream pool and the catalog call it. */
export class UpstreamChanges implements UpstreamEvents, CatalogListener {
  readonly #config: Current<Snapshot>;
  readonly #catalog: Catalog;
  readonly #manifest: KeptLists;
  readonly #purges: CachePurges;
  readonly #logger: Logger;
  #front!: ChangeReceiver;
  #summary!: Pick<UpstreamSummary, 'changed'>;

  constructor(config: Current<Snapshot>, catalog: Catalog, manifest: KeptLists, purges: CachePurges, logger: Logger) {
    this.#config = config;
    this.#catalog = catalog;
    this.#manifest = manifest;
    this.#purges = purges;
    this.#logger = logger;
    catalog.attach(this);
  }

  /** Sets the front and the summary. Once, before anything starts: the front is made with the upstream pool and the catalog, which call this. */
  attach(front: ChangeReceiver, summary: Pick<UpstreamSummary, 'changed'>): void {
    this.#front = front;
    this.#summary = summary;
  }

  discovered(discovery: Discovery): void {
    const { tools, prompts, resources, templates } = discovery;
    const counts = {
      tools: packedCount(tools),
      prompts: packedCount(prompts),
      resources: packedCount(resources),
      templates: packedCount(templates),
    };
    const name = this.#config.current.servers[discovery.server]?.name ?? '';
    this.#logger.info({ server: name, ...counts }, 'upstream listed');
    this.#manifest.discovered(discovery);
    this.#purges.listed(discovery);
    this.#catalog.update(discovery).catch((error: unknown) => {
      this.#logger.error({ error: String(error) }, 'the catalog cannot be built');
    });
  }

  resourceUpdated(server: number, uri: string, bytes: Uint8Array, length: number, owner: ConnectionOwner | null): void {
    // Before the clients know: what they read now is the new content.
    this.#purges.resourceUpdated(server, uri);
    this.#front.subscriptions.resourceUpdated(server, uri, bytes, length, owner);
  }

  ownListsChanged(owner: ConnectionOwner | null, changes: ListChanges): void {
    if (owner === null) this.#front.subscriptions.listsChanged(changes);
    else this.#front.subscriptions.clientListsChanged(owner, changes);
  }

  taskChanged(server: number, taskId: string, bytes: Uint8Array, length: number): void {
    this.#front.subscriptions.taskChanged(server, taskId, bytes, length);
  }

  replaced(server: number): void {
    this.#purges.replaced(server);
    this.#front.subscriptions.serverReplaced(server);
  }

  loggedIn(elicitationId: string): void {
    this.#front.logins.loggedIn(elicitationId);
  }

  /** Endpoints log their own changes; a server that is down keeps its tools, so that calls get the reason. */
  stateChanged(): void {
    this.#summary.changed();
  }

  distribute(next: PreparedCatalog): void {
    this.#front.useCatalog(next);
  }

  catalogChanged(_catalog: PreparedCatalog, changes: CatalogChanges, fresh: readonly CatalogFinding[]): void {
    this.#front.subscriptions.listsChanged(changes);
    this.#summary.changed();
    for (const finding of fresh) {
      if ('route' in finding) this.#logger.warn(finding, `route ${finding.route} ${finding.detail}`);
      else if ('path' in finding) this.#logger.warn(finding, `${finding.path}: ${finding.detail}`);
      else this.#logger.warn(finding, 'catalog');
    }
  }

  catalogFailed(error: unknown): void {
    this.#logger.error({ error: String(error) }, 'the catalog cannot be built; the old one stays');
  }
}
