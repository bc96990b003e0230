/**
 * dispatch: a classified exchange to a verdict. What was decided before is remembered here and goes on at once, with
 * the caller's bytes; everything else crosses the ring to a policy worker and comes back. No exchange that was given
 * to a worker is lost when that worker dies or hangs, and none goes on twice.
 */
import { Flag, Kind } from '../../../native/layout.js';
import type { Snapshot } from '../../config/snapshot/index.js';
import { type ErrorCode, errorNumber } from '../../errors.js';
import { ANSWER_HEAD_BYTES, type AnswerHead } from '../../shared/cache/answer-head.js';
import type { CatalogTable } from '../../shared/catalog-table.js';
import { Counter, Series } from '../../shared/counters.js';
import { callerWait } from '../../shared/credential-wait.js';
import { BUCKET_MOVED } from '../../shared/limits/buckets.js';
import { maxResultBytes, type Ring } from '../../shared/ring/index.js';
import type { PolicyPool, PoolListener, PoolSlot } from '../../shared/ring/policy-pool.js';
import {
  Ask,
  Operation,
  RequestFlag,
  RequestWord,
  VERDICT_HEAD,
  Verdict,
  VerdictWord,
} from '../../shared/ring/records.js';
import type { Count } from '../../units.js';
import { type Exchange, MessageFlag, Phase } from '../exchange/index.js';
import type { ExchangeTable } from '../exchange/table.js';
import { CallArguments, hasFurtherParams } from './call-arguments.js';
import { HangWatch } from './hang-watch.js';
import { HiddenSets } from './hidden-sets.js';
import type { DecidedExchanges, DispatcherOptions } from './options.js';
import { hasArguments, Pass, passWith } from './pass.js';
import { type Answered, type Policy, type Question, Questions } from './questions.js';
import { Remembered } from './remembered.js';
import { decodeName, denial, nameLength, writeDecide, writeReport, writeStore } from './request-record.js';
import { WaitingLine } from './waiting-line.js';
import { chooseWorker } from './worker-choice.js';

const NO_BYTES = Buffer.alloc(0);
const RATE_LIMITED = errorNumber('GW_RATE_LIMITED');
/** A longer name or URI is refused. */
const MAX_NAME_BYTES = 16 * 1024;
/** Verdicts read before sockets get their turn. */
const BATCH = 256;
/** Workers that may die while they decide about one exchange. */
const MAX_WORKER_CRASHES = 2;
/** How often an exchange is put on a ring at most. */
const MAX_ATTEMPTS = 10;
const SWEEP_MS = 50;

/** The stage; one per front. */
export class Dispatcher implements Policy, PoolListener {
  readonly #table: ExchangeTable;
  readonly #pool: PolicyPool;
  readonly #lines: WaitingLine[] = [];
  readonly #passes: Uint8Array;
  readonly #workerCrashes: Uint8Array;
  readonly #askedAt: Float64Array;
  readonly #arguments: CallArguments;
  readonly #hangs: HangWatch;
  readonly #sweeper: NodeJS.Timeout;
  readonly #remembers: boolean;
  readonly #remembered: Remembered;
  readonly #questions: Questions;
  /** What is hidden from the clients of lists. */
  readonly hiddenSets = new HiddenSets();
  #previousCatalog = -1;
  #payload = Buffer.alloc(4096);
  #scheduled = false;
  #next: DecidedExchanges | null = null;

  constructor(options: DispatcherOptions) {
    this.#arguments = new CallArguments(options.decoder);
    this.#table = options.table;
    this.#pool = options.pool;
    this.#questions = new Questions(options.table, options.decoder);
    this.#passes = new Uint8Array(options.table.capacity);
    this.#workerCrashes = new Uint8Array(options.table.capacity);
    this.#askedAt = new Float64Array(options.table.capacity);
    this.#hangs = new HangWatch(options.pool);
    this.#remembered = new Remembered(options.pool);
    for (let i = 0; i < options.pool.size; i += 1) this.#lines.push(new WaitingLine(options.maxQueue ?? 1024));
    this.#remembers = options.memo ?? process.env['SWITCHYARD_MEMO'] !== 'off';
    options.pool.attach(this);
    for (let i = 0; i < options.pool.size; i += 1) options.pool.slot(i).verdicts.sleep();
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS);
    this.#sweeper.unref();
  }

  /** Sets where verdicts go. Called once by the pipeline: it calls this stage and is called back. */
  attach(next: DecidedExchanges): void {
    this.#next = next;
  }

  /** Verdicts in the memo, outdated ones included. */
  get remembered(): Count {
    return this.#remembered.size;
  }

  /** Gets the verdict for an exchange. `bytes[0, length)` are valid during the call only. */
  dispatch(exchange: Exchange, bytes: Uint8Array, length: number): void {
    const { spans } = exchange.message;
    exchange.enter(Phase.deciding);
    exchange.attempts = 0;
    exchange.verdict.kind = 0;
    this.#passes[exchange.slot] = Pass.none;
    this.#workerCrashes[exchange.slot] = 0;
    if (spans.kind === Kind.notification && spans.method === 0) spans.method = Operation.accept;
    if (spans.nameStart >= 0) {
      if ((spans.flags & Flag.nameEscaped) !== 0 && exchange.message.decodedName.length === 0) {
        exchange.message.decodedName = decodeName(bytes, spans);
      }
      if (nameLength(exchange) > MAX_NAME_BYTES) {
        this.#refuse(exchange, 'GW_INVALID_PARAMS', bytes, length);
        return;
      }
    }
    if (this.#remembers && this.#useRemembered(exchange, bytes, length)) return;
    this.#own(exchange, bytes, length);
    this.#put(exchange, Pass.first, -1);
  }

  ask(question: Question, answered: Answered): boolean {
    const exchange = this.#questions.open(question, answered);
    if (exchange === null) return false;
    this.dispatch(exchange, exchange.message.body, exchange.message.bodyLength);
    return true;
  }

  /** The exchange leads a cache key: `bytes[start, end)` is the result that others may have as far as `head` allows. */
  store(exchange: Exchange, head: AnswerHead, bytes: Uint8Array, start: number, end: number): void {
    if (exchange.verdict.kind !== Verdict.lead) return;
    const { requests } = this.#pool.slot(exchange.worker);
    if (end - start + ANSWER_HEAD_BYTES > maxResultBytes(requests)) this.release(exchange, false);
    // Without room the report is left out: the worker lets the next one lead after cache.waitMs.
    else this.#wake(exchange.worker, writeStore(requests, exchange, head, bytes, start, end));
  }

  /** The exchange leads a cache key and will have no result to share. @param hasFailed its upstream has failed */
  release(exchange: Exchange, hasFailed: boolean): void {
    if (exchange.verdict.kind === Verdict.lead) this.#report(exchange, Ask.release, hasFailed ? RequestFlag.failed : 0);
  }

  /** The exchange has ended: its verdict is not needed any more. */
  forget(exchange: Exchange): void {
    if (this.#passes[exchange.slot] === Pass.withArguments) this.#report(exchange, Ask.cancel, 0);
    this.#passes[exchange.slot] = Pass.none;
  }

  /** Makes a snapshot count for everything that is decided from now on. */
  reconfigure(snapshot: Snapshot): void {
    this.#pool.reconfigure(snapshot);
    this.#remembered.follow();
  }

  /** Makes a catalog count. Verdicts on the one before it are still good, those on older ones are asked for again. */
  setCatalog(catalog: CatalogTable): void {
    this.#previousCatalog = this.#pool.catalog.version;
    this.#pool.setCatalog(catalog);
  }

  /** Stops watching. The pool is closed by its owner. */
  close(): void {
    clearInterval(this.#sweeper);
  }

  /** Goes on at once if the verdict is remembered. */
  #useRemembered(exchange: Exchange, bytes: Uint8Array, length: number): boolean {
    const { verdict } = exchange;
    if (!this.#remembered.lookup(exchange, bytes) || !this.hiddenSets.covers(verdict)) {
      this.#pool.counters.add(Counter.memoMisses);
      return false;
    }
    if (verdict.kind === Verdict.needsArguments) {
      this.#own(exchange, bytes, length);
      this.#secondPass(exchange);
      return true;
    }
    const wait = this.#remembered.take(verdict);
    if (wait === BUCKET_MOVED) return false;
    this.#pool.counters.add(Counter.memoHits);
    if (wait > 0) denial(verdict, RATE_LIMITED, wait, this.#remembered.countRefusal());
    exchange.enter(Phase.sending);
    this.#decide(exchange, bytes, length, NO_BYTES);
    return true;
  }

  // Questions

  #own(exchange: Exchange, bytes: Uint8Array, length: number): void {
    if (exchange.message.body === bytes) return;
    const body = length === 0 ? NO_BYTES : Buffer.allocUnsafe(length);
    if (length > 0) body.set(length === bytes.length ? bytes : bytes.subarray(0, length));
    exchange.message.body = body;
    exchange.message.bodyLength = length;
  }

  /** Sends the arguments along, to the worker that their hash selects. */
  #secondPass(exchange: Exchange): void {
    const { body, spans } = exchange.message;
    const { requests } = this.#pool.slot(0);
    const isTooLarge = spans.argumentsEnd - spans.argumentsStart > requests.maxRecord * 2;
    this.#put(exchange, passWith(isTooLarge, hasFurtherParams(body, spans)), -1);
  }

  /** Puts a question on a ring, or into the line for it. @param worker -1 = choose */
  #put(exchange: Exchange, wanted: number, worker: number): void {
    const { cache, limits } = this.#pool.snapshot;
    exchange.attempts += 1;
    const pass = hasArguments(wanted) && !this.#arguments.read(exchange) ? Pass.withoutCache : wanted;
    const spread = pass === Pass.withArguments ? this.#arguments.spread(exchange) : -1;
    exchange.worker = worker >= 0 ? worker : chooseWorker(this.#pool, this.#remembered, exchange, spread);
    const now = performance.now();
    this.#askedAt[exchange.slot] = now;
    exchange.decideBy = now + limits.decideMs + (pass === Pass.withArguments ? cache.waitMs : 0);
    this.#passes[exchange.slot] = pass;
    const line = this.#lines[exchange.worker]!;
    if (line.length === 0 && this.#write(exchange, pass)) return;
    this.#pool.counters.add(Counter.ringFull);
    if (!line.push(exchange.slot, exchange.generation)) {
      this.#refuse(exchange, 'GW_OVERLOADED', exchange.message.body, exchange.message.bodyLength);
    }
  }

  #write(exchange: Exchange, pass: number): boolean {
    const { requests } = this.#pool.slot(exchange.worker);
    const written = writeDecide(
      requests,
      exchange,
      exchange.message.body,
      this.#pool.catalog.version,
      this.#pool.snapshot.attributes,
      pass < Pass.withoutCache,
      hasArguments(pass) ? this.#arguments : null,
    );
    if (written > 0) this.#pool.wake(exchange.worker);
    return written >= 0;
  }

  #report(exchange: Exchange, ask: number, flags: number): void {
    const { requests } = this.#pool.slot(exchange.worker);
    this.#wake(exchange.worker, writeReport(requests, ask, exchange, exchange.verdict.cacheKey, flags));
  }

  /** @param written what writing a record has returned */
  #wake(worker: number, written: number): void {
    if (written > 0) this.#pool.wake(worker);
  }

  // Verdicts

  /** Reads what is on the verdict rings. */
  verdictsReady(): void {
    let more = false;
    for (let i = 0; i < this.#pool.size; i += 1) {
      more = this.#drainRing(this.#pool.slot(i).verdicts, i, BATCH) || more;
      this.#advanceLine(i);
    }
    if (!more || this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.verdictsReady();
    });
  }

  /** @returns whether verdicts were left on the ring */
  #drainRing(ring: Ring, worker: number, limit: number): boolean {
    ring.wake();
    for (let count = 0; count < limit; ) {
      const at = ring.peek();
      if (at >= 0) {
        this.#read(ring, at, worker);
        count += 1;
      } else if (ring.sleep()) {
        return false;
      }
    }
    return true;
  }

  #read(ring: Ring, at: number, worker: number): void {
    const { words } = ring;
    const exchange = this.#table.find(words[at + VerdictWord.slot]!, words[at + VerdictWord.generation]!);
    if (
      exchange === null ||
      exchange.phase !== Phase.deciding ||
      exchange.worker !== worker ||
      this.#passes[exchange.slot] === Pass.none
    ) {
      this.#discardVerdict(ring, at, worker);
      ring.advance();
      return;
    }
    const { verdict } = exchange;
    verdict.read(words, at);
    const length = verdict.payloadLength;
    let payload = NO_BYTES;
    if (length > 0) {
      // Copied out of shared memory, which some functions that later stages call do not accept.
      if (length > this.#payload.length) this.#payload = Buffer.allocUnsafeSlow(length * 2);
      payload = this.#payload.subarray(0, length);
      ring.buffer.copy(payload, 0, (at + VERDICT_HEAD) * 4, (at + VERDICT_HEAD) * 4 + length);
    }
    ring.advance();
    this.#decided(exchange, payload);
  }

  #decided(exchange: Exchange, payload: Buffer): void {
    const { verdict } = exchange;
    const { counters, epochs, snapshot } = this.#pool;
    counters.observe(Series.decide, performance.now() - this.#askedAt[exchange.slot]!);
    const catalog = verdict.catalogVersion;
    const outdated =
      verdict.snapshotVersion !== snapshot.version ||
      verdict.epoch !== epochs.revocation() ||
      (catalog !== this.#pool.catalog.version && catalog !== this.#previousCatalog);
    if (outdated && exchange.attempts < MAX_ATTEMPTS) {
      this.release(exchange, false);
      this.#put(exchange, Pass.first, -1);
      return;
    }
    if (this.#remembers && this.#passes[exchange.slot] === Pass.first) this.#remembered.remember(exchange);
    if (verdict.kind === Verdict.needsArguments) {
      this.#secondPass(exchange);
      return;
    }
    this.hiddenSets.learn(verdict, payload, snapshot.limits.maxClientLists);
    this.#passes[exchange.slot] = Pass.none;
    exchange.enter(Phase.sending);
    this.#decide(exchange, exchange.message.body, exchange.message.bodyLength, payload);
  }

  #decide(exchange: Exchange, bytes: Uint8Array, length: number, payload: Buffer): void {
    if ((exchange.message.flags & MessageFlag.question) !== 0) this.#questions.answer(exchange);
    else this.#next!.decided(exchange, bytes, length, payload);
  }

  /** A verdict whose exchange has ended. If it made the exchange leader of a cache key, the worker chooses the next one. */
  #discardVerdict(ring: Ring, at: number, worker: number): void {
    this.#pool.counters.add(Counter.staleVerdicts);
    if (ring.words[at + VerdictWord.kind] !== Verdict.lead) return;
    const identity = { slot: ring.words[at + VerdictWord.slot]!, generation: ring.words[at + VerdictWord.generation]! };
    const { requests } = this.#pool.slot(worker);
    this.#wake(worker, writeReport(requests, Ask.release, identity, ring.words[at + VerdictWord.cacheKey]!, 0));
  }

  #advanceLine(worker: number): void {
    const line = this.#lines[worker]!;
    while (line.length > 0) {
      const exchange = this.#table.find(line.slot, line.generation);
      if (exchange !== null && exchange.phase === Phase.deciding && exchange.worker === worker) {
        const pass = this.#passes[exchange.slot]!;
        if (hasArguments(pass)) this.#arguments.read(exchange);
        if (pass !== Pass.none && !this.#write(exchange, pass)) return;
      }
      line.shift();
    }
  }

  #refuse(exchange: Exchange, code: ErrorCode, bytes: Uint8Array, length: number, detail = NO_BYTES): void {
    this.#passes[exchange.slot] = Pass.none;
    exchange.enter(Phase.sending);
    denial(exchange.verdict, errorNumber(code), 0);
    this.#decide(exchange, bytes, length, detail);
  }

  // Dead and stuck workers

  workerReplaced(slot: PoolSlot, old: PoolSlot): void {
    const worker = slot.index;
    while (this.#drainRing(old.verdicts, worker, BATCH));
    this.#hangs.restart(worker);
    slot.verdicts.sleep();
    const at = old.ready ? old.requests.abandoned() : -1;
    const isDecide = at >= 0 && old.requests.words[at + RequestWord.ask] === Ask.decide;
    const suspectSlot = isDecide ? old.requests.words[at + RequestWord.slot]! : -1;
    const suspectGeneration = isDecide ? old.requests.words[at + RequestWord.generation]! : -1;
    const line = this.#lines[worker]!;
    while (line.length > 0) line.shift();
    const orphans: Exchange[] = [];
    let suspect: Exchange | null = null;
    this.#table.forEach((exchange) => {
      if (exchange.phase !== Phase.deciding || exchange.worker !== worker) return;
      if (this.#passes[exchange.slot] === Pass.none) return;
      if (exchange.slot === suspectSlot && exchange.generation === suspectGeneration) suspect = exchange;
      else orphans.push(exchange);
    });
    for (const exchange of orphans) {
      if (old.ready) this.#again(exchange, -1);
      else this.#askUncounted(exchange);
    }
    if (suspect !== null) this.#suspected(suspect, worker);
  }

  /** A worker that never started has read nothing: the question is asked again without counting as an attempt. */
  #askUncounted(exchange: Exchange): void {
    const { decideBy } = exchange;
    this.#put(exchange, this.#passes[exchange.slot]!, -1);
    exchange.attempts -= 1;
    exchange.decideBy = decideBy;
  }

  /** The exchange that the worker was deciding about when it ended is asked again last, at the replacement, so that it can harm no other. */
  #suspected(exchange: Exchange, worker: number): void {
    this.#workerCrashes[exchange.slot]! += 1;
    if (this.#workerCrashes[exchange.slot]! < MAX_WORKER_CRASHES) this.#again(exchange, worker);
    else this.#refuse(exchange, 'GW_INTERNAL', exchange.message.body, exchange.message.bodyLength);
  }

  #again(exchange: Exchange, worker: number): void {
    this.#pool.counters.add(Counter.redispatched);
    if (exchange.attempts < MAX_ATTEMPTS) this.#put(exchange, this.#passes[exchange.slot]!, worker);
    else this.#refuse(exchange, 'GW_INTERNAL', exchange.message.body, exchange.message.bodyLength);
  }

  #sweep(): void {
    let waiting = 0;
    for (let i = 0; i < this.#pool.size; i += 1) {
      this.#advanceLine(i);
      this.#hangs.check(i);
      waiting += this.#pool.slot(i).verdicts.used();
    }
    // A later stage that threw has ended a read early, and no bell rings for the verdicts that are left.
    if (waiting > 0) this.verdictsReady();
    if (this.#table.inUse === 0) return;
    const now = performance.now();
    this.#table.forEach((exchange) => {
      if (exchange.phase !== Phase.deciding || exchange.decideBy > now) return;
      if (this.#passes[exchange.slot] !== Pass.none) this.#timedOut(exchange);
    });
  }

  #timedOut(exchange: Exchange): void {
    this.#pool.counters.add(Counter.decideTimeouts);
    if (this.#passes[exchange.slot] === Pass.withArguments && exchange.attempts < MAX_ATTEMPTS) {
      // It has waited long enough for the leader of its cache key: it is decided without the cache.
      this.forget(exchange);
      this.#put(exchange, Pass.uncached, -1);
      return;
    }
    const wait = callerWait(this.#pool.snapshot, exchange.client.caller);
    const { body, bodyLength } = exchange.message;
    this.#refuse(exchange, wait === '' ? 'GW_INTERNAL' : 'GW_AUTH_UNAVAILABLE', body, bodyLength, Buffer.from(wait));
  }
}
