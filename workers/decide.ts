/**
 * Decides about the records of one ring: runs the stages in order and writes their outcome into verdicts.
 * A record is read in place; only a decision that waits for the verification of a token copies it.
 */

import type { Snapshot } from '../src/config/snapshot.js';
import { errorNumber } from '../src/errors.js';
import { Buckets } from '../src/shared/buckets.js';
import type { CatalogTable } from '../src/shared/catalog-table.js';
import { monotonic } from '../src/shared/clock.js';
import { Counter, Counters } from '../src/shared/counters.js';
import { Epochs } from '../src/shared/epochs.js';
import { Ask, RequestFlag, Verdict } from '../src/shared/records.js';
import { maxResultBytes, Ring } from '../src/shared/ring.js';
import type { FrontMessage, PolicyTask, WorkerMessage } from '../src/shared/worker-messages.js';
import { digestOf } from './authenticate/digest.js';
import { Authenticator, Outcome } from './authenticate/index.js';
import { type KeyRequests, KeySource } from './authenticate/keys.js';
import { ANONYMOUS, type Principal } from './authenticate/principal.js';
import { RefusalReports } from './authenticate/refusal-reports.js';
import { Revoked } from './authenticate/revoked.js';
import { type CacheRule, Lookup, ResponseCache } from './cache/index.js';
import { Finder } from './find/index.js';
import { Action, actionOf } from './find/methods.js';
import { Guard } from './guard/index.js';
import { RequestRecord } from './request-record.js';
import { createRewriter, type Rewriter } from './rewrite/index.js';
import { type FrontBell, VerdictWriter } from './verdict-writer.js';

const INTERNAL = errorNumber('GW_INTERNAL');
const METHOD_NOT_FOUND = errorNumber('GW_METHOD_NOT_FOUND');
const METHOD_NOT_FOUND_MODERN = errorNumber('GW_METHOD_NOT_FOUND_MODERN');

/** What the decider uses of the front besides the rings (front-link.ts). */
export interface Front extends FrontBell, KeyRequests {
  post(message: FrontMessage): void;
  /** The next message that has arrived, without waiting for a turn of the event loop; null = none. */
  receive(): WorkerMessage | null;
}

/** See the file comment. One per worker; policy.ts runs it. */
export class Decider {
  readonly #requests: Ring;
  readonly #verdict: VerdictWriter;
  readonly #maxResult: number;
  readonly #front: Front;
  readonly #epochs: Epochs;
  readonly #counters: Counters;
  readonly #keys: KeySource;
  readonly #revoked: Revoked;
  readonly #refusals: RefusalReports;
  readonly #task: PolicyTask;
  /** The record that is read from the ring. */
  readonly #record = new RequestRecord();
  readonly #addressDigest = new Int32Array(4);
  #snapshot: Snapshot;
  #catalog: CatalogTable;
  #buckets: Buckets;
  #authenticator: Authenticator;
  #finder: Finder;
  #guard: Guard;
  #cache: ResponseCache;
  #rewriter: Rewriter;
  #revocation: number;
  /** Tokens that are being verified. */
  #pending = 0;
  #now = 0;
  #isDraining = false;

  constructor(task: PolicyTask, front: Front) {
    this.#task = task;
    this.#front = front;
    this.#requests = new Ring(task.requests);
    const verdicts = new Ring(task.verdicts);
    this.#maxResult = maxResultBytes(verdicts);
    this.#verdict = new VerdictWriter(verdicts, front);
    this.#epochs = new Epochs(task.epochs);
    this.#counters = new Counters(task.counters, task.worker + 1);
    this.#keys = new KeySource(front, task.keys);
    this.#revoked = new Revoked(task.revoked);
    this.#refusals = new RefusalReports(front);
    this.#snapshot = task.snapshot;
    this.#catalog = task.catalog;
    this.#buckets = new Buckets(task.buckets, task.worker + 2);
    this.#authenticator = this.#newAuthenticator();
    this.#finder = new Finder(task.snapshot, task.catalog);
    this.#guard = new Guard(task.snapshot, this.#buckets, this.#counters);
    this.#cache = this.#newCache();
    this.#rewriter = createRewriter(task.snapshot);
    this.#revocation = this.#epochs.revocation();
  }

  /** Verdicts wait for room on the ring. */
  get isBlocked(): boolean {
    return this.#verdict.isBlocked;
  }

  /** The front drains the worker, and nothing is under way any more. */
  get isFinished(): boolean {
    return this.#isDraining && this.#pending === 0 && !this.isBlocked && this.#requests.used() === 0;
  }

  /**
   * Reads up to `limit` records.
   *
   * @returns false when there is more to do; true when the ring is empty and the worker may sleep
   */
  run(limit: number): boolean {
    const requests = this.#requests;
    requests.wake();
    requests.heartbeat();
    this.#now = monotonic();
    this.#verdict.flush();
    for (let count = 0; ; count += 1) {
      if (this.isBlocked || count === limit) return false;
      const at = requests.peek();
      if (at >= 0) {
        this.#record.locate(requests.words, at, requests.buffer);
        this.#handle(this.#record);
        requests.advance();
      } else if (requests.sleep()) {
        return true;
      }
    }
  }

  /** What is due without a request. */
  tick(): void {
    this.#now = monotonic();
    this.#cache.expire(this.#now);
    this.#verdict.flush();
  }

  /** Handles a message of the front. */
  receive(message: WorkerMessage): void {
    switch (message.type) {
      case 'keys':
        this.#keys.receive(message);
        break;
      case 'revocation':
        // Remembered tokens are forgotten when the epoch in shared memory changes, which happens after this was posted.
        this.#revoked.receive(message);
        break;
      case 'catalog':
        this.#catalog = message.catalog;
        this.#finder = new Finder(this.#snapshot, message.catalog);
        this.#cache.clear();
        break;
      case 'snapshot':
        this.#reconfigure(message.snapshot, new Buckets(message.buckets, this.#task.worker + 2));
        break;
      case 'drain':
        this.#isDraining = true;
        break;
    }
  }

  #reconfigure(snapshot: Snapshot, buckets: Buckets): void {
    const before = this.#snapshot;
    this.#snapshot = snapshot;
    this.#buckets = buckets;
    if (JSON.stringify(before.auth) !== JSON.stringify(snapshot.auth)) this.#authenticator = this.#newAuthenticator();
    this.#finder = new Finder(snapshot, this.#catalog);
    this.#guard = new Guard(snapshot, buckets, this.#counters);
    this.#rewriter = createRewriter(snapshot);
    for (const waiter of this.#cache.abandon()) this.#verdict.forward(waiter);
    this.#cache = this.#newCache(this.#cache.lastId);
  }

  #newAuthenticator(): Authenticator {
    return new Authenticator(this.#snapshot.auth, this.#counters, this.#keys, this.#revoked, this.#refusals);
  }

  #newCache(lastId = 0): ResponseCache {
    const { cache } = this.#snapshot;
    return new ResponseCache(cache, this.#maxResult, this.#task.incarnation, this.#counters, this.#verdict, lastId);
  }

  #handle(request: RequestRecord): void {
    try {
      this.#synchronize(request.catalogVersion);
      switch (request.ask) {
        case Ask.decide:
          this.#decide(request);
          break;
        case Ask.store:
          this.#cache.store(request.cacheKey, request.bytes, request.payloadStart, request.payloadEnd, this.#now);
          break;
        case Ask.release:
          this.#cache.release(request.cacheKey, this.#now);
          break;
        case Ask.cancel:
          this.#cache.cancel(request.slot, request.generation);
          break;
      }
    } catch (error) {
      this.#fail(request, error);
    }
  }

  /**
   * Brings snapshot, catalog and revocations to the versions that count now. The front posts the message about a version before
   * it puts a record under it on the ring, so the message has arrived even if the event loop has not delivered it yet.
   */
  #synchronize(catalogVersion: number): void {
    if (this.#catalog.version < catalogVersion || this.#snapshot.version !== this.#epochs.snapshot()) {
      this.#receiveAll();
    }
    const revocation = this.#epochs.revocation();
    if (revocation !== this.#revocation) {
      this.#receiveAll();
      this.#revocation = revocation;
      this.#authenticator.forget();
      this.#cache.clear();
    }
  }

  #receiveAll(): void {
    for (let message = this.#front.receive(); message !== null; message = this.#front.receive()) this.receive(message);
  }

  #fail(request: RequestRecord, error: unknown): void {
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#front.post({ type: 'fault', message });
    if (request.ask !== Ask.decide) return;
    this.#begin(request);
    this.#verdict.deny(INTERNAL);
  }

  #decide(request: RequestRecord): void {
    this.#counters.add(Counter.decisions);
    this.#begin(request);
    const { bytes, words, tokenStart, tokenEnd } = request;
    const hasToken = request.has(RequestFlag.hasToken);
    const outcome = this.#authenticator.check(bytes, tokenStart, tokenEnd, hasToken, Date.now() / 1000, words);
    if (outcome === Outcome.known) this.#judge(request, this.#authenticator.principal);
    else if (outcome === Outcome.refused) this.#verdict.deny(this.#authenticator.error);
    else void this.#decideWhenVerified(request.copy());
  }

  /** @param request a copy, since further records are read meanwhile */
  async #decideWhenVerified(request: RequestRecord): Promise<void> {
    const authenticator = this.#authenticator;
    const revocation = this.#revocation;
    this.#pending += 1;
    const outcome = await authenticator.verify(request.bytes.toString('latin1', request.tokenStart, request.tokenEnd));
    this.#pending -= 1;
    this.#now = monotonic();
    try {
      this.#synchronize(0);
      this.#begin(request);
      // The outcome does not count if keys, configuration or revocations have changed while the token was verified.
      if (authenticator !== this.#authenticator || revocation !== this.#revocation) this.#decide(request);
      else if (typeof outcome === 'number') this.#verdict.deny(outcome);
      else this.#judge(request, outcome);
    } catch (error) {
      this.#fail(request, error);
    }
  }

  /** Everything after authentication. */
  #judge(request: RequestRecord, principal: Principal): void {
    const { head } = this.#verdict;
    const guard = this.#guard;
    const isModern = request.has(RequestFlag.modern);
    guard.isMetered = !request.has(RequestFlag.unmetered);
    head.subject.set(principal.digest);
    const client = principal === ANONYMOUS ? this.#digestAddress(request) : principal.digest;
    const action = actionOf(request.method, isModern);
    if (action === Action.unknown) {
      this.#judgeUnknownMethod(request, principal, client);
      return;
    }
    if (action <= Action.local) {
      if (!guard.take(client, null, this.#now)) this.#verdict.deny(guard.error, guard.retryAfterMs);
      else if (action === Action.local) this.#verdict.permit(Verdict.local, principal.expiresAt, guard);
      else this.#denyMethod(isModern);
      return;
    }
    const finder = this.#finder;
    const { bytes, nameStart, nameEnd } = request;
    // The front has replaced the task's sealed id by the address of the tool that made the task.
    if (action === Action.task) finder.findTask(bytes, nameStart, nameEnd);
    else finder.find(action, request.has(RequestFlag.nameIsUri), bytes, nameStart, nameEnd);
    if (finder.error >= 0) {
      if (guard.take(client, null, this.#now)) this.#verdict.deny(finder.error);
      else this.#verdict.deny(guard.error, guard.retryAfterMs);
      return;
    }
    head.server = finder.server;
    head.route = finder.route;
    head.entry = finder.entry;
    head.stripBytes = finder.stripBytes;
    head.flags = finder.flags;
    if (!guard.permits(principal, finder)) {
      this.#verdict.deny(guard.error, 0, guard.scopes);
      return;
    }
    if (action === Action.subscribe || action === Action.task) {
      // A request about a task is no call of its tool and takes none of the tool's tokens.
      if (guard.take(client, action === Action.task ? null : finder, this.#now))
        this.#verdict.permit(Verdict.local, principal.expiresAt, guard);
      else this.#verdict.deny(guard.error, guard.retryAfterMs);
      return;
    }
    const rule = this.#cacheRule(action, request);
    if (rule !== null && !request.has(RequestFlag.hasArguments)) {
      this.#verdict.permit(Verdict.needsArguments, principal.expiresAt, guard);
      return;
    }
    if (!guard.take(client, finder, this.#now)) this.#verdict.deny(guard.error, guard.retryAfterMs);
    else if (rule !== null) this.#lookUp(request, rule, principal);
    else this.#verdict.permit(Verdict.forward, this.#rewriter.concerns(finder) ? 0 : principal.expiresAt, guard);
  }

  /** A method that the gateway does not know. Never remembered: the key of the memo has no room for its name. */
  #judgeUnknownMethod(request: RequestRecord, principal: Principal, client: Int32Array): void {
    const guard = this.#guard;
    const finder = this.#finder;
    finder.findMethod(request.bytes, request.nameStart, request.nameEnd);
    if (!guard.permits(principal, finder)) {
      this.#verdict.deny(guard.error, 0, guard.scopes);
    } else if (!guard.take(client, finder, this.#now)) {
      this.#verdict.deny(guard.error, guard.retryAfterMs);
    } else if (finder.server < 0) {
      this.#denyMethod(request.has(RequestFlag.modern));
    } else {
      this.#verdict.head.server = finder.server;
      this.#verdict.permit(Verdict.forward, 0, guard);
    }
  }

  #denyMethod(isModern: boolean): void {
    this.#verdict.deny(isModern ? METHOD_NOT_FOUND_MODERN : METHOD_NOT_FOUND);
  }

  /** The cache rule for the call that was found, or null. */
  #cacheRule(action: number, request: RequestRecord): CacheRule | null {
    if (!this.#snapshot.cache.enabled) return null;
    if (request.has(RequestFlag.uncacheable) || action === Action.complete) return null;
    const route = this.#finder.route < 0 ? undefined : this.#snapshot.routes[this.#finder.route];
    if (route === undefined || route.cache === null) return null;
    const isPublic = route.cache.public;
    if (this.#isIsolated(this.#finder.server, isPublic)) return null;
    for (const server of route.servers) if (this.#isIsolated(server, isPublic)) return null;
    return route.cache;
  }

  /** Whether the child or session of a server serves one session or principal only, so that its answers must not be shared. */
  #isIsolated(server: number, isPublic: boolean): boolean {
    const config = server < 0 ? undefined : this.#snapshot.servers[server];
    if (config === undefined) return false;
    const { isolation, clientCredentials } = config;
    // Two tokens of one subject may have different rights at the upstream.
    return clientCredentials || isolation === 'session' || (isolation === 'principal' && isPublic);
  }

  #lookUp(request: RequestRecord, rule: CacheRule, principal: Principal): void {
    request.route = this.#finder.route;
    request.kind = request.method * 2 + (request.flags & RequestFlag.modern);
    request.digest = rule.public ? ANONYMOUS.digest : principal.digest;
    const { head } = this.#verdict;
    switch (this.#cache.lookup(request, rule, this.#now, head)) {
      case Lookup.wait:
        break;
      case Lookup.lead:
        head.cacheKey = this.#cache.key;
        this.#verdict.permit(Verdict.lead, 0, this.#guard);
        break;
      case Lookup.bypass:
        this.#verdict.permit(Verdict.forward, 0, this.#guard);
        break;
      default:
        this.#verdict.answer(head, this.#cache.result);
    }
  }

  /** The digest by which anonymous clients are counted: that of their address. */
  #digestAddress(request: RequestRecord): Int32Array {
    const words = this.#addressDigest;
    if (!this.#guard.countsClients) return words;
    const digest = digestOf(request.bytes, request.addressStart, request.addressEnd);
    for (let i = 0; i < 4; i += 1) {
      words[i] =
        digest.charCodeAt(i * 4) |
        (digest.charCodeAt(i * 4 + 1) << 8) |
        (digest.charCodeAt(i * 4 + 2) << 16) |
        (digest.charCodeAt(i * 4 + 3) << 24);
    }
    return words;
  }

  #begin(request: RequestRecord): void {
    this.#verdict.begin(request, this.#catalog.version, this.#snapshot.version, this.#revocation);
  }
}
