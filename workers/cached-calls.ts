/** The response cache as the decider uses it: which calls it concerns, what their keys are, and what reports and purges do to it. */
import type { CacheRule, Snapshot } from '../src/config/snapshot/index.js';
import type { CatalogTable } from '../src/shared/catalog-table.js';
import type { Counters } from '../src/shared/counters.js';
import { packedText } from '../src/shared/packed.js';
import { RequestFlag, Verdict } from '../src/shared/ring/records.js';
import type { CachePurge, FrontMessage } from '../src/shared/ring/worker-messages.js';
import { ANONYMOUS, type Principal } from './authenticate/principal.js';
import { CacheEvents, CacheRules, Lookup, PurgeScope, ResponseCache } from './cache/index.js';
import { Finder } from './find/index.js';
import { Action } from './find/methods.js';
import type { Guard } from './guard/index.js';
import type { RequestRecord } from './request-record.js';
import type { VerdictWriter } from './verdict-writer.js';

/** Behind each value of `cache.includeHeaders` in a key. */
const LINE_END = 0x0a;

/** What is fixed for the life of a worker. */
interface CachedCallsParts {
  readonly verdict: VerdictWriter;
  readonly counters: Counters;
  readonly front: { post(message: FrontMessage): void };
  /** Longest payload of a verdict. */
  readonly maxResult: number;
  readonly incarnation: number;
}

/** See the file comment. One per worker. */
export class CachedCalls {
  readonly #parts: CachedCallsParts;
  #snapshot: Snapshot;
  #catalog: CatalogTable;
  #rules: CacheRules;
  #events: CacheEvents;
  #cache: ResponseCache;

  constructor(parts: CachedCallsParts, snapshot: Snapshot, catalog: CatalogTable) {
    this.#parts = parts;
    this.#snapshot = snapshot;
    this.#catalog = catalog;
    this.#rules = new CacheRules(snapshot, catalog);
    this.#events = new CacheEvents(parts.counters, snapshot.routes);
    this.#cache = this.#newCache(0);
  }

  /** Follows a reload: the cache is empty afterwards, and calls that wait are forwarded. */
  reconfigure(snapshot: Snapshot, catalog: CatalogTable): void {
    this.#report();
    this.#snapshot = snapshot;
    this.#events = new CacheEvents(this.#parts.counters, snapshot.routes);
    this.setCatalog(catalog);
    for (const waiter of this.#cache.abandon()) this.#parts.verdict.forward(waiter);
    this.#cache = this.#newCache(this.#cache.lastId);
  }

  /** Follows the catalog. What changed lists invalidate comes as a purge. */
  setCatalog(catalog: CatalogTable): void {
    this.#catalog = catalog;
    this.#rules = new CacheRules(this.#snapshot, catalog);
  }

  /** The rule by which the answer to a request is stored; null = it is forwarded without the cache. */
  ruleOf(action: number, request: RequestRecord, found: Finder): CacheRule | null {
    const rules = this.#rules;
    if (request.has(RequestFlag.uncacheable)) return null;
    const { bytes, nameStart, nameEnd } = request;
    switch (action) {
      case Action.tool:
        return rules.ruleOf('tools', found, bytes, nameStart, nameEnd);
      case Action.prompt:
        return rules.ruleOf('prompts', found, bytes, nameStart, nameEnd);
      case Action.resource:
        return rules.ruleOf('resources', found, bytes, nameStart, nameEnd);
      default:
        return null;
    }
  }

  /** Sends the verdict on a cacheable request, or lets it wait. */
  lookUp(
    request: RequestRecord,
    rule: CacheRule,
    principal: Principal,
    found: Finder,
    guard: Guard,
    now: number,
  ): void {
    this.#completeKey(request, rule, principal, found);
    const { verdict } = this.#parts;
    const { head } = verdict;
    switch (this.#cache.lookup(request, rule, now, head)) {
      case Lookup.wait:
        break;
      case Lookup.lead:
        head.cacheKey = this.#cache.key;
        verdict.permit(Verdict.lead, 0, guard, this.#cache.answer);
        break;
      case Lookup.bypass:
        verdict.permit(Verdict.forward, 0, guard);
        break;
      default:
        verdict.answer(head, this.#cache.answer);
    }
  }

  /**
   * Sets the parts of the cache key that are not in the record: everything besides name and arguments that the answer to this call may
   * depend on. What another stage adds to that (a view, a group of variants, a header) belongs here.
   */
  #completeKey(request: RequestRecord, rule: CacheRule, principal: Principal, found: Finder): void {
    const owner = rule.public ? ANONYMOUS : principal;
    request.server = found.server;
    request.route = found.route;
    request.group = found.variant;
    request.kind = request.method * 2 + (request.flags & RequestFlag.modern);
    request.digest = owner.digest;
    request.subject = owner.subject;
    request.headersLength = 0;
    const { includeHeaders } = this.#snapshot.cache;
    for (let i = 0; i < includeHeaders.length; i += 1) {
      request.findAttribute(includeHeaders[i]!);
      const { bytes, headersLength, valueStart, valueEnd } = request;
      const length = headersLength + valueEnd - valueStart + 1;
      if (length > request.headers.length) request.headers = Buffer.concat([request.headers], 2 * length);
      bytes.copy(request.headers, headersLength, valueStart, valueEnd);
      request.headers[length - 1] = LINE_END;
      request.headersLength = length;
    }
  }

  /** The leader of a key has an answer. */
  store(request: RequestRecord, now: number): void {
    this.#cache.store(request.cacheKey, request.bytes, request.payloadStart, request.payloadEnd, now);
  }

  /** The leader of a key has none. */
  release(request: RequestRecord, now: number): void {
    this.#cache.release(request.cacheKey, request.has(RequestFlag.failed), now);
  }

  /** A call does not wait any more. */
  cancel(request: RequestRecord): void {
    this.#cache.cancel(request.slot, request.generation);
  }

  /** Drops the answers that a purge covers. */
  purge(purge: CachePurge): void {
    this.#cache.purge(new PurgeScope(purge, purge.name === null ? null : this.#namesOf(purge, purge.name)));
  }

  /** Drops all answers. */
  clear(): void {
    this.#cache.clear();
  }

  /** To be called now and then. */
  expire(now: number): void {
    this.#cache.expire(now);
    this.#report();
  }

  #report(): void {
    const events = this.#events.take();
    if (events !== null) this.#parts.front.post({ type: 'cacheEvents', events });
  }

  /** All names by which calls reach the tools and prompts that are called `name`; rare, so that a finder of its own does it. */
  #namesOf(purge: CachePurge, name: string): string[] {
    const bytes = Buffer.from(name);
    const finder = new Finder(this.#snapshot, this.#catalog);
    const names = [name];
    for (const kind of purge.kinds) {
      if (kind === 'resources') continue;
      finder.find(kind === 'tools' ? Action.tool : Action.prompt, false, bytes, 0, bytes.length);
      const { entry } = finder;
      if (entry < 0) continue;
      const { publicNames, server, upstreamNames } = this.#catalog;
      const owner = this.#snapshot.servers[server[entry]!];
      const own = packedText(upstreamNames, entry);
      const unprefixed = `${owner?.prefix ?? ''}${this.#snapshot.catalog.separator}${own}`;
      names.push(packedText(publicNames, entry), `${owner?.name ?? ''}:${own}`, own, unprefixed);
    }
    return names;
  }

  #newCache(lastId: number): ResponseCache {
    const { incarnation, maxResult, verdict } = this.#parts;
    return new ResponseCache(this.#snapshot.cache, maxResult, incarnation, this.#events, verdict, lastId);
  }
}
