/**
 * Decides about the records of one ring: runs the stages in order and writes their outcome into verdicts.
 * A record is read in place; only a decision that waits for the verification of a token copies it.
 */

import type { Snapshot } from '../src/config/snapshot/index.js';
import { isRemovedView, restrictsLists } from '../src/config/snapshot/restrictions.js';
import { errorNumber } from '../src/errors.js';
import type { CatalogTable } from '../src/shared/catalog-table.js';
import { monotonic } from '../src/shared/clock.js';
import { Counter, Counters } from '../src/shared/counters.js';
import { Epochs } from '../src/shared/epochs.js';
import { planBuckets, viewBuckets } from '../src/shared/limits/bucket-plan.js';
import type { BucketLayout } from '../src/shared/limits/buckets.js';
import { maxResultBytes, Ring } from '../src/shared/ring/index.js';
import { Ask, RequestFlag, Verdict } from '../src/shared/ring/records.js';
import type { FrontMessage, PolicyTask, WorkerMessage } from '../src/shared/ring/worker-messages.js';
import { Authenticators } from './authenticate/authenticators.js';
import { Outcome } from './authenticate/index.js';
import { Inquiries, type InquiryRequests } from './authenticate/inquiries.js';
import { type KeyRequests, KeySources } from './authenticate/keys.js';
import type { Principal } from './authenticate/principal.js';
import { RefusalReports } from './authenticate/refusal-reports.js';
import { Revoked } from './authenticate/revoked.js';
import { CachedCalls } from './cached-calls.js';
import { Finder } from './find/index.js';
import { Action, actionOf, isCall, showsCatalog, unknownError } from './find/methods.js';
import { Guard } from './guard/index.js';
import { CurrentClient } from './limited-client.js';
import { RequestRecord } from './request-record.js';
import { createRewriter, type Rewriter } from './rewrite/index.js';
import { type FrontBell, VerdictWriter } from './verdict-writer.js';
import { Visibility } from './visibility.js';

const INTERNAL = errorNumber('GW_INTERNAL');
const NOT_APPROVED = errorNumber('GW_TOOL_NOT_APPROVED');
const NOT_FOUND = errorNumber('GW_NOT_FOUND');
const ARGUMENTS_TOO_LARGE = errorNumber('GW_ARGUMENTS_TOO_LARGE');
const METHOD_NOT_FOUND = errorNumber('GW_METHOD_NOT_FOUND');
const METHOD_NOT_FOUND_MODERN = errorNumber('GW_METHOD_NOT_FOUND_MODERN');

/** What the decider uses of the front besides the rings (front-link.ts). */
export interface Front extends FrontBell, KeyRequests, InquiryRequests {
  post(message: FrontMessage): void;
  /** The next message that has arrived, without waiting for a turn of the event loop; null = none. */
  receive(): WorkerMessage | null;
}

/** See the file comment. One per worker; policy.ts runs it. */
export class Decider {
  readonly #requests: Ring;
  readonly #verdict: VerdictWriter;
  readonly #front: Front;
  readonly #epochs: Epochs;
  readonly #counters: Counters;
  readonly #keys: KeySources;
  readonly #inquiries: Inquiries;
  readonly #revoked: Revoked;
  readonly #authenticators: Authenticators;
  readonly #task: PolicyTask;
  /** The record that is read from the ring. */
  readonly #record = new RequestRecord();
  readonly #cached: CachedCalls;
  #snapshot: Snapshot;
  #catalog: CatalogTable;
  /** By position in `Snapshot.views`, from first use on. */
  #finders: (Finder | undefined)[] = [];
  /** That of the view of the request which is decided. */
  #finder: Finder;
  #visibility: Visibility;
  /** What is listed depends on who asks. */
  #restrictsLists: boolean;
  #guard: Guard;
  #client: CurrentClient;
  #rewriter: Rewriter;
  #revocation: number;
  #purges: number;
  #pending = 0;
  /** Milliseconds of the monotonic clock and seconds of the wall clock, read once for a batch of records. */
  #now = 0;
  #seconds = 0;
  #isDraining = false;

  constructor(task: PolicyTask, front: Front) {
    this.#task = task;
    this.#front = front;
    this.#requests = new Ring(task.requests);
    const verdicts = new Ring(task.verdicts);
    this.#verdict = new VerdictWriter(verdicts, front);
    this.#epochs = new Epochs(task.epochs);
    this.#counters = new Counters(task.counters, task.worker + 1);
    this.#keys = new KeySources(front, task.keys);
    this.#inquiries = new Inquiries(front);
    this.#revoked = new Revoked(task.revoked);
    this.#snapshot = task.snapshot;
    this.#catalog = task.catalog;
    this.#authenticators = new Authenticators(task.snapshot, {
      counters: this.#counters,
      keys: this.#keys,
      inquiries: this.#inquiries,
      revoked: this.#revoked,
      refusals: new RefusalReports(front),
    });
    this.#client = new CurrentClient(task.snapshot.rateLimits);
    this.#guard = this.#newGuard(task.buckets, this.#client);
    this.#finder = this.#finderOf(0);
    this.#visibility = new Visibility(this.#guard);
    this.#restrictsLists = restrictsLists(task.snapshot);
    this.#rewriter = createRewriter(task.snapshot);
    this.#revocation = this.#epochs.revocation();
    this.#purges = this.#epochs.purge();
    const parts = {
      verdict: this.#verdict,
      counters: this.#counters,
      front,
      maxResult: maxResultBytes(verdicts),
      incarnation: task.incarnation,
    };
    this.#cached = new CachedCalls(parts, task.snapshot, task.catalog);
  }

  /** Its fields are the outcome of the last decision; for explanations. */
  get finder(): Finder {
    return this.#finder;
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
    this.#seconds = Date.now() / 1000;
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
    this.#cached.expire(this.#now);
    this.#verdict.flush();
  }

  /** Handles a message of the front. */
  receive(message: WorkerMessage): void {
    switch (message.type) {
      case 'keys':
        this.#keys.receive(message);
        break;
      case 'inquiryAnswer':
        this.#inquiries.receive(message.id, message.answer);
        break;
      case 'revocation':
        // Remembered tokens are forgotten when the epoch in shared memory changes, which happens after this was posted.
        this.#revoked.receive(message);
        break;
      case 'catalog':
        this.#catalog = message.catalog;
        this.#renewFinders();
        this.#cached.setCatalog(message.catalog);
        break;
      case 'purge':
        this.#cached.purge(message);
        break;
      case 'snapshot':
        this.#reconfigure(message.snapshot, message.buckets);
        break;
      case 'drain':
        this.#isDraining = true;
        break;
    }
  }

  #reconfigure(snapshot: Snapshot, buckets: BucketLayout): void {
    this.#snapshot = snapshot;
    this.#authenticators.reconfigure(snapshot);
    this.#client = new CurrentClient(snapshot.rateLimits);
    this.#guard = this.#newGuard(buckets, this.#client);
    this.#restrictsLists = restrictsLists(snapshot);
    this.#renewFinders();
    this.#rewriter = createRewriter(snapshot);
    this.#cached.reconfigure(snapshot, this.#catalog);
  }

  #renewFinders(): void {
    this.#finders = [];
    this.#finder = this.#finderOf(0);
    this.#visibility = new Visibility(this.#guard);
  }

  #finderOf(view: number): Finder {
    let finder = this.#finders[view];
    if (finder === undefined) {
      finder = new Finder(this.#snapshot, this.#catalog, view);
      this.#finders[view] = finder;
    }
    return finder;
  }

  #newGuard(layout: BucketLayout, client: CurrentClient): Guard {
    const snapshot = this.#snapshot;
    const plan = planBuckets(snapshot);
    return new Guard(snapshot, plan, viewBuckets(layout, this.#task.worker + 2, plan), this.#counters, client);
  }

  #handle(request: RequestRecord): void {
    try {
      this.#synchronize(request.catalogVersion);
      switch (request.ask) {
        case Ask.decide:
          this.#decide(request);
          break;
        case Ask.store:
          this.#cached.store(request, this.#now);
          break;
        case Ask.release:
          this.#cached.release(request, this.#now);
          break;
        case Ask.cancel:
          this.#cached.cancel(request);
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
      this.#authenticators.forget();
      this.#cached.clear();
    }
    const purges = this.#epochs.purge();
    if (purges !== this.#purges) {
      this.#receiveAll();
      this.#purges = purges;
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
    const { bytes, scheme, words, tokenStart, tokenEnd } = request;
    const hasToken = request.has(RequestFlag.hasToken);
    const authenticator = this.#authenticators.at(request.view);
    const outcome = authenticator.check(scheme, bytes, tokenStart, tokenEnd, hasToken, this.#seconds, words);
    if (outcome === Outcome.known) this.#judge(request, authenticator.principal);
    else if (outcome === Outcome.refused) this.#verdict.deny(authenticator.error);
    else void this.#decideWhenVerified(request.copy());
  }

  /** @param request a copy, since further records are read meanwhile */
  async #decideWhenVerified(request: RequestRecord): Promise<void> {
    const authenticator = this.#authenticators.at(request.view);
    const revocation = this.#revocation;
    this.#pending += 1;
    const credential = request.bytes.toString('latin1', request.tokenStart, request.tokenEnd);
    const outcome = await authenticator.verify(request.scheme, credential);
    this.#pending -= 1;
    this.#now = monotonic();
    this.#seconds = Date.now() / 1000;
    try {
      this.#synchronize(0);
      this.#begin(request);
      // The outcome does not count if keys, configuration or revocations have changed while the token was verified.
      const isOutdated = authenticator !== this.#authenticators.at(request.view) || revocation !== this.#revocation;
      if (isOutdated) this.#decide(request);
      else if ('error' in outcome) this.#verdict.deny(outcome.error, outcome.detail);
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
    this.#client.begin(request, principal);
    head.setSubject(principal.digest);
    this.#finder = this.#finderOf(request.view);
    if (request.view > 0 && isRemovedView(this.#snapshot.views, request.view)) {
      this.#verdict.deny(NOT_FOUND);
      return;
    }
    if (!guard.permitsView(principal, request.view)) {
      this.#verdict.denyGuarded(guard);
      return;
    }
    const action = actionOf(request.method, isModern);
    const finder = this.#finder;
    finder.begin(request, principal);
    if (action === Action.unknown) {
      this.#judgeUnknownMethod(request, principal);
      return;
    }
    if (action <= Action.local) {
      finder.findLocal(request.method);
      head.route = finder.route;
      if (!guard.permits(principal, finder)) this.#verdict.denyGuarded(guard);
      else if (!guard.take(false, finder, this.#now)) this.#verdict.denyGuarded(guard);
      else if (action === Action.local) this.#permitLocal(request, principal);
      else this.#denyMethod(isModern);
      return;
    }
    const { bytes, nameStart, nameEnd } = request;
    // The front has replaced the task's sealed id by the address of the tool that made the task.
    if (action === Action.task) finder.findTask(bytes, nameStart, nameEnd);
    else finder.find(action, request.has(RequestFlag.nameIsUri), bytes, nameStart, nameEnd);
    if (finder.needsArguments && finder.error < 0) {
      this.#askForArguments(request, principal);
      return;
    }
    if (finder.error >= 0) {
      this.#denyTarget(action, finder.error);
      return;
    }
    const isPermitted = guard.permits(principal, finder);
    if (!isPermitted || finder.isUnapproved) {
      if (isPermitted) this.#denyTarget(action, NOT_APPROVED);
      else if (guard.hides) this.#denyTarget(action, unknownError(action, request.has(RequestFlag.nameIsUri)));
      else this.#verdict.denyGuarded(guard);
      return;
    }
    head.server = finder.server;
    head.route = finder.route;
    head.entry = finder.entry;
    head.stripBytes = finder.stripBytes;
    head.variant = finder.variant;
    head.flags = finder.flags;
    if (action === Action.subscribe || action === Action.task) {
      // A request about a task is no call of its tool and takes none of the tool's tokens.
      if (guard.take(false, action === Action.task ? null : finder, this.#now))
        this.#verdict.permit(Verdict.local, principal.expiresAt, guard);
      else this.#verdict.denyGuarded(guard);
      return;
    }
    const rule = this.#cached.ruleOf(action, request, finder);
    if (rule !== null && !request.has(RequestFlag.hasArguments)) {
      this.#verdict.permit(Verdict.needsArguments, principal.expiresAt, guard);
      return;
    }
    if (!guard.take(true, finder, this.#now)) this.#verdict.denyGuarded(guard);
    else if (rule !== null) this.#cached.lookUp(request, rule, principal, finder, guard, this.#now);
    else {
      const isForOnce = finder.isRandom || this.#rewriter.concerns(finder);
      this.#verdict.permit(Verdict.forward, isForOnce ? 0 : principal.expiresAt, guard);
    }
  }

  /** What does not exist, what is hidden and what is not approved of take the same way. */
  #denyTarget(action: number, error: number): void {
    if (this.#guard.take(isCall(action), null, this.#now)) this.#verdict.deny(error);
    else this.#verdict.denyGuarded(this.#guard);
  }

  /** The rules for a call depend on its arguments. A call must not pass them by because its arguments are too large to be read. */
  #askForArguments(request: RequestRecord, principal: Principal): void {
    if (request.has(RequestFlag.argumentsTooLarge)) this.#verdict.deny(ARGUMENTS_TOO_LARGE);
    else this.#verdict.permit(Verdict.needsArguments, principal.expiresAt, this.#guard);
  }

  /** A request that the gateway answers itself; with one that shows the catalog goes what it hides from the client. */
  #permitLocal(request: RequestRecord, principal: Principal): void {
    if (!this.#restrictsLists || !showsCatalog(request.method)) {
      this.#verdict.permit(Verdict.local, principal.expiresAt, this.#guard);
      return;
    }
    const { low, high, entries } = this.#visibility.hiddenFrom(principal, request, this.#finder);
    this.#verdict.head.hiddenLow = low;
    this.#verdict.head.hiddenHigh = high;
    this.#verdict.permit(Verdict.local, principal.expiresAt, this.#guard, entries);
  }

  /** A method that the gateway does not know. Never remembered: the key of the memo has no room for its name. */
  #judgeUnknownMethod(request: RequestRecord, principal: Principal): void {
    const guard = this.#guard;
    const finder = this.#finder;
    finder.findMethod(request.bytes, request.nameStart, request.nameEnd);
    if (!guard.permits(principal, finder)) {
      if (!guard.hides) this.#verdict.denyGuarded(guard);
      else if (guard.take(true, null, this.#now)) this.#denyMethod(request.has(RequestFlag.modern));
      else this.#verdict.denyGuarded(guard);
    } else if (!guard.take(true, finder, this.#now)) {
      this.#verdict.denyGuarded(guard);
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

  #begin(request: RequestRecord): void {
    this.#verdict.begin(request, this.#catalog.version, this.#snapshot.version, this.#revocation);
  }
}
