/**
 * Decides about the records of one ring: the order of the stages, and what of their outcome goes into a verdict.
 * A record is read in place; only what must wait (a token seen for the first time) is copied.
 */

import type { RouteSnapshot, Snapshot } from '../src/config/snapshot.js';
import { errorNumber } from '../src/errors.js';
import { Buckets } from '../src/shared/buckets.js';
import type { CatalogTable } from '../src/shared/catalog-table.js';
import { monotonic } from '../src/shared/clock.js';
import { Counter, Counters } from '../src/shared/counters.js';
import { Epochs } from '../src/shared/epochs.js';
import { Ask, RequestFlag, RequestWord, Verdict } from '../src/shared/records.js';
import { maxResultBytes, Ring } from '../src/shared/ring.js';
import type { FrontMessage, PolicyTask, WorkerMessage } from '../src/shared/worker-messages.js';
import { digestOf } from './authenticate/digest.js';
import { Authenticator, Outcome } from './authenticate/index.js';
import { KeySource } from './authenticate/keys.js';
import { ANONYMOUS, type Principal } from './authenticate/principal.js';
import { Revoked } from './authenticate/revoked.js';
import { type Fault, faultsOf } from './fault.js';
import { Finder } from './find/index.js';
import { Action, actionOf } from './find/methods.js';
import { Guard } from './guard/index.js';
import { Recall, type RecallEvents, Recalled, type Waiter } from './recall/index.js';
import { aligned, Fields } from './record-fields.js';
import { createRewriter, type Rewriter } from './rewrite/index.js';
import { VerdictWriter } from './verdict-writer.js';

const INTERNAL = errorNumber('GW_INTERNAL');
const METHOD_NOT_FOUND = errorNumber('GW_METHOD_NOT_FOUND');
const METHOD_NOT_FOUND_MODERN = errorNumber('GW_METHOD_NOT_FOUND_MODERN');
const EMPTY = Buffer.alloc(0);
/** Between two reports of the same reason why tokens are refused. */
const REFUSED_PAUSE_MS = 60_000;

/** See the file comment. One per worker. */
export class Decider {
  /** Reads the messages of the front that have arrived already. */
  catchUp: () => void = () => {};

  readonly #requests: Ring;
  readonly #verdict: VerdictWriter;
  readonly #maxResult: number;
  readonly #say: (message: FrontMessage) => void;
  readonly #epochs: Epochs;
  readonly #counters: Counters;
  readonly #keys: KeySource;
  readonly #revoked: Revoked;
  /** When each reason why a token is refused was reported last; there are as many as sentences in the program. */
  readonly #refusedAt = new Map<string, number>();
  readonly #task: PolicyTask;
  readonly #fault: Fault | null;
  readonly #fields = new Fields();
  readonly #client = new Int32Array(4);
  #snapshot: Snapshot;
  #catalog: CatalogTable;
  #buckets: Buckets;
  #authenticator: Authenticator;
  #finder: Finder;
  #guard: Guard;
  #recall: Recall;
  #rewriter: Rewriter;
  #revocation: number;
  #pending = 0;
  #now = 0;

  constructor(task: PolicyTask, ringFront: () => void, say: (message: FrontMessage) => void) {
    this.#task = task;
    this.#say = say;
    this.#requests = new Ring(task.requests);
    const verdicts = new Ring(task.verdicts);
    this.#maxResult = maxResultBytes(verdicts);
    this.#verdict = new VerdictWriter(verdicts, ringFront);
    this.#epochs = new Epochs(task.epochs);
    this.#counters = new Counters(task.counters, task.worker + 1);
    this.#keys = new KeySource((version) => say({ type: 'needKeys', version }), task.keys);
    this.#revoked = new Revoked(task.revoked);
    this.#fault = faultsOf(process.env['SWITCHYARD_TEST_FAULT']);
    this.#snapshot = task.snapshot;
    this.#catalog = task.catalog;
    this.#buckets = new Buckets(task.buckets, task.worker + 2);
    this.#authenticator = this.#newAuthenticator();
    this.#finder = new Finder(task.snapshot, task.catalog);
    this.#guard = new Guard(task.snapshot, this.#buckets, this.#counters);
    this.#recall = this.#newRecall();
    this.#rewriter = createRewriter(task.snapshot);
    this.#revocation = this.#epochs.revocation();
  }

  /** Verdicts wait for room on the ring. */
  get blocked(): boolean {
    return this.#verdict.blocked;
  }

  /** Nothing is under way. */
  get idle(): boolean {
    return this.#pending === 0 && !this.#verdict.blocked && this.#requests.used() === 0;
  }

  /**
   * Reads up to `limit` records.
   *
   * @returns false when there is more to do; true when the ring is empty and the worker may sleep
   */
  run(limit: number): boolean {
    const requests = this.#requests;
    requests.wake();
    requests.beat();
    this.#now = monotonic();
    this.#verdict.flush();
    for (let count = 0; ; count += 1) {
      if (this.blocked || count === limit) return false;
      const at = requests.peek();
      if (at >= 0) {
        this.#record(at);
        requests.advance();
      } else if (requests.sleep()) {
        return true;
      }
    }
  }

  /** What is due without a request. */
  tick(): void {
    this.#now = monotonic();
    this.#recall.expire(this.#now);
    this.#verdict.flush();
  }

  /** Takes a message of the front. */
  receive(message: Exclude<WorkerMessage, { type: 'drain' }>): void {
    if (message.type === 'keys') {
      this.#keys.receive(message);
    } else if (message.type === 'revocation') {
      // What was remembered goes when the number in shared memory says so, which is raised after this was posted.
      this.#revoked.receive(message);
    } else if (message.type === 'catalog') {
      this.#catalog = message.catalog;
      this.#finder = new Finder(this.#snapshot, message.catalog);
      this.#recall.clear();
    } else {
      const before = this.#snapshot;
      this.#snapshot = message.snapshot;
      this.#buckets = new Buckets(message.buckets, this.#task.worker + 2);
      if (JSON.stringify(before.auth) !== JSON.stringify(message.snapshot.auth)) {
        this.#authenticator = this.#newAuthenticator();
      }
      this.#finder = new Finder(message.snapshot, this.#catalog);
      this.#guard = new Guard(message.snapshot, this.#buckets, this.#counters);
      this.#rewriter = createRewriter(message.snapshot);
      for (const { verdict } of this.#recall.abandon()) {
        verdict.kind = Verdict.forward;
        this.#verdict.send(verdict, EMPTY);
      }
      this.#recall = this.#newRecall(this.#recall.lastId);
    }
  }

  #newAuthenticator(): Authenticator {
    const refused = (why: string): void => this.#tokenRefused(why);
    return new Authenticator(this.#snapshot.auth, this.#counters, this.#keys, this.#revoked, refused);
  }

  /** Each sentence once in a while: an issuer that makes such tokens makes many. */
  #tokenRefused(why: string): void {
    const now = monotonic();
    if (now - (this.#refusedAt.get(why) ?? Number.NEGATIVE_INFINITY) < REFUSED_PAUSE_MS) return;
    this.#refusedAt.set(why, now);
    this.#say({ type: 'refusedToken', why });
  }

  #newRecall(lastId = 0): Recall {
    const { cache } = this.#snapshot;
    const events: RecallEvents = {
      answer: (waiter, result) => {
        waiter.verdict.kind = Verdict.cached;
        this.#verdict.send(waiter.verdict, result);
      },
      lead: (waiter, key) => {
        waiter.verdict.kind = Verdict.lead;
        waiter.verdict.cacheKey = key;
        this.#verdict.send(waiter.verdict, EMPTY);
      },
    };
    return new Recall(cache, this.#maxResult, this.#task.incarnation, this.#counters, events, lastId);
  }

  #record(at: number): void {
    const { words, buffer } = this.#requests;
    const fields = this.#fields;
    fields.locate(words, at, buffer);
    try {
      this.#follow(words[at + RequestWord.catalogVersion]!);
      switch (words[at + RequestWord.ask]) {
        case Ask.decide:
          this.#decide(words, at);
          break;
        case Ask.store:
          this.#recall.store(
            words[at + RequestWord.cacheKey]!,
            buffer,
            fields.payloadStart,
            fields.payloadEnd,
            this.#now,
          );
          break;
        case Ask.release:
          this.#recall.release(words[at + RequestWord.cacheKey]!, this.#now);
          break;
        case Ask.forget:
          this.#recall.forget(words[at + RequestWord.slot]!, words[at + RequestWord.generation]!);
          break;
      }
    } catch (error) {
      this.#failed(words, at, error);
    }
  }

  /** A message about a newer version than ours has been posted before anyone could ask under it: read it now. */
  #follow(catalogVersion: number): void {
    if (this.#catalog.version < catalogVersion || this.#snapshot.version !== this.#epochs.snapshot()) this.catchUp();
    const revocation = this.#epochs.revocation();
    if (revocation !== this.#revocation) {
      this.catchUp();
      this.#revocation = revocation;
      this.#authenticator.forget();
      this.#recall.clear();
    }
  }

  #failed(words: Int32Array, at: number, error: unknown): void {
    this.#say({ type: 'fault', message: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    if (words[at + RequestWord.ask] !== Ask.decide) return;
    this.#begin(words, at);
    this.#verdict.deny(INTERNAL, 0, EMPTY);
  }

  #decide(words: Int32Array, at: number): void {
    this.#counters.add(Counter.decisions);
    const fields = this.#fields;
    this.#begin(words, at);
    if (this.#fault !== null) this.#fault(fields.bytes, fields.nameStart, fields.nameEnd);
    const hasToken = (words[at + RequestWord.flags]! & RequestFlag.hasToken) !== 0;
    const outcome = this.#authenticator.check(
      fields.bytes,
      fields.tokenStart,
      fields.tokenEnd,
      hasToken,
      Date.now() / 1000,
      words,
    );
    if (outcome === Outcome.known) this.#judge(words, at, this.#authenticator.principal);
    else if (outcome === Outcome.refused) this.#verdict.deny(this.#authenticator.error, 0, EMPTY);
    else this.#park(at);
  }

  /** Copies the record and decides when its token is verified. */
  #park(at: number): void {
    const fields = this.#fields;
    const length = fields.payloadEnd - at * 4;
    const memory = new ArrayBuffer(aligned(length));
    const own = Buffer.from(memory);
    fields.bytes.copy(own, 0, at * 4, at * 4 + length);
    const ownWords = new Int32Array(memory);
    const token = own.toString('latin1', fields.tokenStart - at * 4, fields.tokenEnd - at * 4);
    const authenticator = this.#authenticator;
    const revocation = this.#revocation;
    this.#pending += 1;
    void authenticator.verify(token).then((outcome) => {
      this.#pending -= 1;
      this.#now = monotonic();
      fields.locate(ownWords, 0, own);
      try {
        this.#follow(0);
        this.#begin(ownWords, 0);
        // Whatever changed while the token was verified, the outcome may not be true any more.
        if (authenticator !== this.#authenticator || revocation !== this.#revocation) this.#decide(ownWords, 0);
        else if (typeof outcome === 'number') this.#verdict.deny(outcome, 0, EMPTY);
        else this.#judge(ownWords, 0, outcome);
      } catch (error) {
        this.#failed(ownWords, 0, error);
      }
    });
  }

  /** Everything behind authentication. */
  #judge(words: Int32Array, at: number, principal: Principal): void {
    const fields = this.#fields;
    const out = this.#verdict.head;
    const guard = this.#guard;
    const flags = words[at + RequestWord.flags]!;
    const modern = (flags & RequestFlag.modern) !== 0;
    guard.isMetered = (flags & RequestFlag.unmetered) === 0;
    const { digest } = principal;
    out.subject.set(digest);
    const client = principal === ANONYMOUS ? this.#addressDigest() : digest;
    const action = actionOf(words[at + RequestWord.method]!, modern);
    if (action === Action.foreign) {
      this.#judgeForeign(principal, client, modern);
      return;
    }
    if (action <= Action.local) {
      if (!guard.take(client, null, this.#now)) this.#verdict.deny(guard.error, guard.retryAfterMs, EMPTY);
      else if (action === Action.local) this.#verdict.permit(Verdict.local, principal.expiresAt, guard);
      else this.#verdict.deny(modern ? METHOD_NOT_FOUND_MODERN : METHOD_NOT_FOUND, 0, EMPTY);
      return;
    }
    const finder = this.#finder;
    const isUri = (flags & RequestFlag.nameIsUri) !== 0;
    // The front has put the address of the tool that made the task in the place of the task's sealed id.
    if (action === Action.task) finder.findTask(fields.bytes, fields.nameStart, fields.nameEnd);
    else finder.find(action, isUri, fields.bytes, fields.nameStart, fields.nameEnd);
    if (finder.error >= 0) {
      if (guard.take(client, null, this.#now)) this.#verdict.deny(finder.error, 0, EMPTY);
      else this.#verdict.deny(guard.error, guard.retryAfterMs, EMPTY);
      return;
    }
    out.server = finder.server;
    out.route = finder.route;
    out.entry = finder.entry;
    out.stripBytes = finder.stripBytes;
    out.flags = finder.flags;
    if (!guard.permits(principal, finder)) {
      this.#verdict.deny(guard.error, 0, guard.scopes);
      return;
    }
    if (action === Action.subscribe || action === Action.task) {
      // To ask for a result is no call of the tool.
      if (guard.take(client, action === Action.task ? null : finder, this.#now))
        this.#verdict.permit(Verdict.local, principal.expiresAt, guard);
      else this.#verdict.deny(guard.error, guard.retryAfterMs, EMPTY);
      return;
    }
    const cache = this.#cacheOf(action, flags);
    if (cache !== null && (flags & RequestFlag.hasArguments) === 0) {
      this.#verdict.permit(Verdict.rehash, principal.expiresAt, guard);
      return;
    }
    if (!guard.take(client, finder, this.#now)) this.#verdict.deny(guard.error, guard.retryAfterMs, EMPTY);
    else if (cache !== null) this.#recallOr(words, at, cache, principal);
    else this.#verdict.permit(Verdict.forward, this.#rewriter.concerns(finder) ? 0 : principal.expiresAt, guard);
  }

  /** A method that the gateway does not know. Never remembered: the memo is keyed by known methods. */
  #judgeForeign(principal: Principal, client: Int32Array, modern: boolean): void {
    const fields = this.#fields;
    const guard = this.#guard;
    const finder = this.#finder;
    finder.findMethod(fields.bytes, fields.nameStart, fields.nameEnd);
    if (!guard.permits(principal, finder)) {
      this.#verdict.deny(guard.error, 0, guard.scopes);
    } else if (!guard.take(client, finder, this.#now)) {
      this.#verdict.deny(guard.error, guard.retryAfterMs, EMPTY);
    } else if (finder.server < 0) {
      this.#verdict.deny(modern ? METHOD_NOT_FOUND_MODERN : METHOD_NOT_FOUND, 0, EMPTY);
    } else {
      this.#verdict.head.server = finder.server;
      this.#verdict.permit(Verdict.forward, 0, guard);
    }
  }

  /** The cache rule for the call that was found, or null. */
  #cacheOf(action: number, flags: number): RouteSnapshot['cache'] {
    if (!this.#snapshot.cache.enabled || this.#finder.route < 0) return null;
    if ((flags & RequestFlag.uncacheable) !== 0 || action === Action.complete) return null;
    const { cache, servers } = this.#snapshot.routes[this.#finder.route]!;
    if (cache === null || this.#keepsApart(this.#finder.server, cache.public)) return null;
    for (const server of servers) if (this.#keepsApart(server, cache.public)) return null;
    return cache;
  }

  /** Whether an answer of the server is for nobody but the session, or the principal, whose own child or session gave it. */
  #keepsApart(server: number, forEverybody: boolean): boolean {
    const isolation = server < 0 ? 'shared' : this.#snapshot.servers[server]!.isolation;
    return isolation === 'session' || (isolation === 'principal' && forEverybody);
  }

  #recallOr(words: Int32Array, at: number, cache: NonNullable<RouteSnapshot['cache']>, principal: Principal): void {
    const fields = this.#fields;
    const modern = words[at + RequestWord.flags]! & RequestFlag.modern;
    fields.route = this.#finder.route;
    fields.kind = words[at + RequestWord.method]! * 2 + modern;
    fields.d0 = cache.public ? 0 : principal.digest[0]!;
    fields.d1 = cache.public ? 0 : principal.digest[1]!;
    fields.d2 = cache.public ? 0 : principal.digest[2]!;
    fields.d3 = cache.public ? 0 : principal.digest[3]!;
    const recalled = this.#recall.ask(fields, cache, this.#now, () => this.#waiter());
    if (recalled === Recalled.waits) return;
    if (recalled === Recalled.lead) {
      this.#verdict.head.cacheKey = this.#recall.key;
      this.#verdict.permit(Verdict.lead, 0, this.#guard);
    } else if (recalled === Recalled.pass) {
      this.#verdict.permit(Verdict.forward, 0, this.#guard);
    } else {
      this.#verdict.head.kind = Verdict.cached;
      this.#verdict.send(this.#verdict.head, this.#recall.result);
    }
  }

  #waiter(): Waiter {
    const out = this.#verdict.head;
    return { slot: out.slot, generation: out.generation, verdict: out.copy() };
  }

  /** The digest by which anonymous clients are counted: their address. */
  #addressDigest(): Int32Array {
    const client = this.#client;
    if (!this.#guard.countsClients) return client;
    const digest = digestOf(this.#fields.bytes, this.#fields.addressStart, this.#fields.addressEnd);
    for (let i = 0; i < 4; i += 1) {
      client[i] =
        digest.charCodeAt(i * 4) |
        (digest.charCodeAt(i * 4 + 1) << 8) |
        (digest.charCodeAt(i * 4 + 2) << 16) |
        (digest.charCodeAt(i * 4 + 3) << 24);
    }
    return client;
  }

  #begin(words: Int32Array, at: number): void {
    this.#verdict.begin(words, at, this.#catalog.version, this.#snapshot.version, this.#revocation);
  }
}
