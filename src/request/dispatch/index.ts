/**
 * dispatch: a classified exchange to a verdict. What was decided before is remembered here and goes on at once, with
 * the caller's bytes; everything else crosses the ring to a policy worker and comes back. No exchange that was given
 * to a worker is lost when that worker dies or hangs, and none goes on twice.
 */
import { Flag, Kind } from '../../../native/layout.js';
import type { Snapshot } from '../../config/snapshot.js';
import { type ErrorCode, errorNumber } from '../../errors.js';
import { BUCKET_MOVED } from '../../shared/buckets.js';
import type { CatalogTable } from '../../shared/catalog-table.js';
import { Counter, Series } from '../../shared/counters.js';
import type { PolicyPool, PoolSlot } from '../../shared/policy-pool.js';
import { Ask, Operation, RequestWord, VERDICT_HEAD, Verdict, VerdictWord } from '../../shared/records.js';
import { maxResultBytes, type Ring } from '../../shared/ring.js';
import type { Count } from '../../units.js';
import { type Exchange, MessageFlag, Phase } from '../exchange/index.js';
import type { ExchangeTable } from '../exchange/table.js';
import { HangWatch } from './hang-watch.js';
import type { DispatcherOptions } from './options.js';
import { type Answered, type Question, Questions } from './questions.js';
import { Remembered } from './remembered.js';
import { decodeName, denial, nameLength, writeDecide, writeReport } from './request-record.js';
import { WaitingLine } from './waiting-line.js';
import { chooseWorker } from './worker-choice.js';

export type { DispatcherOptions } from './options.js';

const NO_BYTES = Buffer.alloc(0);
const RATE_LIMITED = errorNumber('GW_RATE_LIMITED');
/** A longer name or URI is refused. */
const MAX_NAME_BYTES = 16 * 1024;
/** Verdicts read before sockets get their turn. */
const BATCH = 256;
/** Workers that may die while they decide about one exchange. */
const MAX_KILLED = 2;
/** How often an exchange is put on a ring at most, whoever is at fault. */
const MAX_ATTEMPTS = 10;
const SWEEP_MS = 50;

/** Which question about an exchange is open. */
const Leg = { none: 0, first: 1, withArguments: 2, withoutCache: 3 } as const;

/** The stage; one per front. */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #table: ExchangeTable;
  readonly #pool: PolicyPool;
  readonly #lines: WaitingLine[] = [];
  readonly #legs: Uint8Array;
  readonly #killed: Uint8Array;
  readonly #askedAt: Float64Array;
  readonly #hash = new Int32Array(2);
  readonly #hangs: HangWatch;
  readonly #sweeper: NodeJS.Timeout;
  readonly #remembers: boolean;
  readonly #remembered: Remembered;
  readonly #questions: Questions;
  #previousCatalog = -1;
  #payload = Buffer.alloc(4096);
  #scheduled = false;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#table = options.table;
    this.#pool = options.pool;
    this.#questions = new Questions(options.table, options.decoder);
    this.#legs = new Uint8Array(options.table.capacity);
    this.#killed = new Uint8Array(options.table.capacity);
    this.#askedAt = new Float64Array(options.table.capacity);
    this.#hangs = new HangWatch(options.pool);
    this.#remembered = new Remembered(options.pool);
    for (let i = 0; i < options.pool.size; i += 1) this.#lines.push(new WaitingLine(options.maxQueue ?? 1024));
    this.#remembers = options.memo ?? process.env['SWITCHYARD_MEMO'] !== 'off';
    options.pool.attach({ verdicts: () => this.#drain(), replaced: (slot, old) => this.#replaced(slot, old) });
    for (let i = 0; i < options.pool.size; i += 1) options.pool.slot(i).verdicts.sleep();
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS);
    this.#sweeper.unref();
  }

  /** Verdicts in the memo, outdated ones included. */
  get remembered(): Count {
    return this.#remembered.size;
  }

  /** Gets a verdict for an exchange. `bytes[0, length)` are valid during the call only. */
  dispatch(exchange: Exchange, bytes: Uint8Array, length: number): void {
    const { spans } = exchange.message;
    exchange.phase = Phase.deciding;
    exchange.attempts = 0;
    exchange.verdict.kind = 0;
    this.#legs[exchange.slot] = Leg.none;
    this.#killed[exchange.slot] = 0;
    if (spans.kind === Kind.notification && spans.method === 0) spans.method = Operation.accept;
    if (spans.nameStart >= 0) {
      if ((spans.flags & Flag.nameEscaped) !== 0 && exchange.message.decodedName.length === 0) {
        exchange.message.decodedName = decodeName(bytes, spans);
      }
      if (nameLength(exchange) > MAX_NAME_BYTES) {
        this.#refuse(exchange, 'GW_INVALID_PARAMS', 0, bytes, length);
        return;
      }
    }
    if (this.#remembers && this.#recall(exchange, bytes, length)) return;
    this.#own(exchange, bytes, length);
    this.#put(exchange, Leg.first, -1);
  }

  /**
   * Asks the policy about a client. The question takes the way of every message, so that one set of rules decides.
   *
   * @param answered called once with the verdict, which is valid during the call; maybe before this returns
   * @returns false when no exchange is free; `answered` is not called then
   */
  ask(question: Question, answered: Answered): boolean {
    const exchange = this.#questions.open(question, answered);
    if (exchange === null) return false;
    this.dispatch(exchange, exchange.message.body, exchange.message.bodyLength);
    return true;
  }

  /** The exchange leads a cache key: `bytes[start, end)` is the result that others may have. */
  store(exchange: Exchange, bytes: Uint8Array, start: number, end: number): void {
    if (exchange.verdict.kind !== Verdict.lead) return;
    const { requests } = this.#pool.slot(exchange.worker);
    if (end - start > maxResultBytes(requests)) this.release(exchange);
    else this.#report(exchange, Ask.store, bytes, start, end);
  }

  /** The exchange leads a cache key and will have no result to share. */
  release(exchange: Exchange): void {
    if (exchange.verdict.kind === Verdict.lead) this.#report(exchange, Ask.release, NO_BYTES, 0, 0);
  }

  /** The exchange is gone: its verdict is not wanted any more. */
  forget(exchange: Exchange): void {
    if (this.#legs[exchange.slot] === Leg.withArguments) this.#report(exchange, Ask.forget, NO_BYTES, 0, 0);
    this.#legs[exchange.slot] = Leg.none;
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
  #recall(exchange: Exchange, bytes: Uint8Array, length: number): boolean {
    const { verdict } = exchange;
    if (!this.#remembered.recall(exchange, bytes)) {
      this.#pool.counters.add(Counter.memoMisses);
      return false;
    }
    if (verdict.kind === Verdict.rehash) {
      this.#own(exchange, bytes, length);
      this.#secondLeg(exchange);
      return true;
    }
    const wait = this.#remembered.take(verdict);
    if (wait === BUCKET_MOVED) return false;
    this.#pool.counters.add(Counter.memoHits);
    if (wait > 0) {
      this.#remembered.countRefusal(verdict);
      this.#refuse(exchange, 'GW_RATE_LIMITED', wait, bytes, length);
    } else {
      exchange.phase = Phase.sending;
      this.#next(exchange, bytes, length, NO_BYTES);
    }
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

  /** Asks with the arguments, at the worker that their hash names. */
  #secondLeg(exchange: Exchange): void {
    const start = exchange.message.spans.argumentsStart;
    const { requests } = this.#pool.slot(0);
    if (start >= 0 && exchange.message.spans.argumentsEnd - start > requests.maxRecord * 2) {
      this.#put(exchange, Leg.withoutCache, -1);
    } else {
      this.#put(exchange, Leg.withArguments, -1);
    }
  }

  /** Puts a question on a ring, or into the line for it. @param worker -1 = choose */
  #put(exchange: Exchange, leg: number, worker: number): void {
    const { cache, limits } = this.#pool.snapshot;
    exchange.attempts += 1;
    if (leg === Leg.withArguments) this.#hashArguments(exchange);
    const hash = leg === Leg.withArguments ? this.#hash : null;
    exchange.worker = worker >= 0 ? worker : chooseWorker(this.#pool, this.#remembered, exchange, hash);
    const now = performance.now();
    this.#askedAt[exchange.slot] = now;
    exchange.decideBy = now + limits.decideMs + (leg === Leg.withArguments ? cache.waitMs : 0);
    this.#legs[exchange.slot] = leg;
    const line = this.#lines[exchange.worker]!;
    if (line.length === 0 && this.#write(exchange, leg)) return;
    this.#pool.counters.add(Counter.ringFull);
    if (!line.push(exchange.slot, exchange.generation)) {
      this.#refuse(exchange, 'GW_OVERLOADED', 0, exchange.message.body, exchange.message.bodyLength);
    }
  }

  #write(exchange: Exchange, leg: number): boolean {
    const { requests } = this.#pool.slot(exchange.worker);
    const written = writeDecide(
      requests,
      exchange,
      exchange.message.body,
      this.#pool.catalog.version,
      leg !== Leg.withoutCache,
      leg === Leg.withArguments ? this.#hash : null,
    );
    if (written > 0) this.#pool.wake(exchange.worker);
    return written >= 0;
  }

  #hashArguments(exchange: Exchange): void {
    const start = exchange.message.spans.argumentsStart;
    this.#hash.fill(0);
    if (start >= 0)
      this.#options.decoder.hash(exchange.message.body, start, exchange.message.spans.argumentsEnd, this.#hash);
  }

  #report(exchange: Exchange, ask: number, bytes: Uint8Array, start: number, end: number): void {
    const { requests } = this.#pool.slot(exchange.worker);
    const key = exchange.verdict.cacheKey;
    // Without room the report is left out: the worker lets the next one lead after cache.waitMs.
    if (writeReport(requests, ask, exchange, key, bytes, start, end) > 0) this.#pool.wake(exchange.worker);
  }

  // Verdicts

  #drain(): void {
    let more = false;
    for (let i = 0; i < this.#pool.size; i += 1) {
      more = this.#drainRing(this.#pool.slot(i).verdicts, i, BATCH) || more;
      this.#advanceLine(i);
    }
    if (!more || this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#drain();
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
      this.#legs[exchange.slot] === Leg.none
    ) {
      this.#orphan(ring, at, worker);
      ring.advance();
      return;
    }
    const { verdict } = exchange;
    for (let word = 0; word < VERDICT_HEAD; word += 1) verdict[word] = words[at + word]!;
    const length = verdict.payloadLength;
    let payload = NO_BYTES;
    if (length > 0) {
      // Out of shared memory: what follows may hand the bytes to functions that refuse it.
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
      this.release(exchange);
      this.#put(exchange, Leg.first, -1);
      return;
    }
    if (this.#remembers && this.#legs[exchange.slot] === Leg.first) this.#remembered.remember(exchange);
    if (verdict.kind === Verdict.rehash) {
      this.#secondLeg(exchange);
      return;
    }
    this.#legs[exchange.slot] = Leg.none;
    exchange.phase = Phase.sending;
    this.#next(exchange, exchange.message.body, exchange.message.bodyLength, payload);
  }

  #next(exchange: Exchange, bytes: Uint8Array, length: number, payload: Uint8Array): void {
    if ((exchange.message.flags & MessageFlag.question) !== 0) this.#questions.answer(exchange);
    else this.#options.next(exchange, bytes, length, payload);
  }

  /** A verdict nobody waits for; if it made somebody leader who is gone, the next one must know. */
  #orphan(ring: Ring, at: number, worker: number): void {
    this.#pool.counters.add(Counter.staleVerdicts);
    if (ring.words[at + VerdictWord.verdict] !== Verdict.lead) return;
    const { requests } = this.#pool.slot(worker);
    const identity = { slot: ring.words[at + VerdictWord.slot]!, generation: ring.words[at + VerdictWord.generation]! };
    const key = ring.words[at + VerdictWord.cacheKey]!;
    if (writeReport(requests, Ask.release, identity, key, NO_BYTES, 0, 0) > 0) this.#pool.wake(worker);
  }

  #advanceLine(worker: number): void {
    const line = this.#lines[worker]!;
    while (line.length > 0) {
      const exchange = this.#table.find(line.slot, line.generation);
      if (exchange !== null && exchange.phase === Phase.deciding && exchange.worker === worker) {
        const leg = this.#legs[exchange.slot]!;
        if (leg === Leg.withArguments) this.#hashArguments(exchange);
        if (leg !== Leg.none && !this.#write(exchange, leg)) return;
      }
      line.shift();
    }
  }

  #refuse(exchange: Exchange, code: ErrorCode, retryAfterMs: number, bytes: Uint8Array, length: number): void {
    const { verdict } = exchange;
    this.#legs[exchange.slot] = Leg.none;
    exchange.phase = Phase.sending;
    denial(verdict, code === 'GW_RATE_LIMITED' ? RATE_LIMITED : errorNumber(code), retryAfterMs);
    this.#next(exchange, bytes, length, NO_BYTES);
  }

  // Dead and stuck workers

  #replaced(slot: PoolSlot, old: PoolSlot): void {
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
      if (this.#legs[exchange.slot] === Leg.none) return;
      if (exchange.slot === suspectSlot && exchange.generation === suspectGeneration) suspect = exchange;
      else orphans.push(exchange);
    });
    for (const exchange of orphans) {
      if (old.ready) this.#again(exchange, -1);
      else this.#keep(exchange);
    }
    if (suspect !== null) this.#suspected(suspect, worker);
  }

  /** A worker that never started has looked at nothing: the question moves on as it was, with the time it has left. */
  #keep(exchange: Exchange): void {
    const { decideBy } = exchange;
    this.#put(exchange, this.#legs[exchange.slot]!, -1);
    exchange.attempts -= 1;
    exchange.decideBy = decideBy;
  }

  /** The one the worker was looking at when it ended goes last, and to the replacement: others stay out of its way. */
  #suspected(exchange: Exchange, worker: number): void {
    this.#killed[exchange.slot]! += 1;
    if (this.#killed[exchange.slot]! < MAX_KILLED) this.#again(exchange, worker);
    else this.#refuse(exchange, 'GW_INTERNAL', 0, exchange.message.body, exchange.message.bodyLength);
  }

  #again(exchange: Exchange, worker: number): void {
    this.#pool.counters.add(Counter.redispatched);
    if (exchange.attempts < MAX_ATTEMPTS) this.#put(exchange, this.#legs[exchange.slot]!, worker);
    else this.#refuse(exchange, 'GW_INTERNAL', 0, exchange.message.body, exchange.message.bodyLength);
  }

  #sweep(): void {
    let waiting = 0;
    for (let i = 0; i < this.#pool.size; i += 1) {
      this.#advanceLine(i);
      this.#hangs.check(i);
      waiting += this.#pool.slot(i).verdicts.used();
    }
    // A stage behind that threw has cut a reading short, and nobody rings for what was left.
    if (waiting > 0) this.#drain();
    if (this.#table.inUse === 0) return;
    const now = performance.now();
    this.#table.forEach((exchange) => {
      if (exchange.phase !== Phase.deciding || exchange.decideBy > now) return;
      if (this.#legs[exchange.slot] !== Leg.none) this.#late(exchange);
    });
  }

  #late(exchange: Exchange): void {
    this.#pool.counters.add(Counter.decideTimeouts);
    if (this.#legs[exchange.slot] === Leg.withArguments && exchange.attempts < MAX_ATTEMPTS) {
      // It waited for others long enough: on its own from here.
      this.forget(exchange);
      this.#put(exchange, Leg.withoutCache, -1);
      return;
    }
    const { auth } = this.#pool.snapshot;
    const waitsForKeys = auth.type === 'jwt' && auth.jwksUrl !== null;
    const code = waitsForKeys ? 'GW_AUTH_UNAVAILABLE' : 'GW_INTERNAL';
    this.#refuse(exchange, code, 0, exchange.message.body, exchange.message.bodyLength);
  }
}
