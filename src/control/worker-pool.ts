/**
 * The pool of policy workers: piscina threads that each run one long task (workers/policy.ts). A worker that throws,
 * exits, runs out of heap or hangs is replaced, with new rings; the dispatcher is notified.
 */
import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { createDoorbell, ring } from '../../native/index.js';
import { allProviders, everyAuth } from '../config/snapshot/endpoint-auth.js';
import type { Snapshot } from '../config/snapshot/index.js';
import { CacheEventTotals } from '../shared/cache/events.js';
import type { CatalogTable } from '../shared/catalog-table.js';
import { Counter, type CounterMemory, Counters, counterMemory } from '../shared/counters.js';
import { Epochs, epochMemory } from '../shared/epochs.js';
import { carryBuckets, createBuckets, planBuckets, sameBuckets } from '../shared/limits/bucket-plan.js';
import type { BucketLayout, Buckets } from '../shared/limits/buckets.js';
import { Ring, ringMemory } from '../shared/ring/index.js';
import type { PolicyPool, PoolListener, PoolSlot } from '../shared/ring/policy-pool.js';
import { RECORD_VERSION } from '../shared/ring/records.js';
import type {
  BellAddress,
  CachePurge,
  FrontMessage,
  Inquiry,
  KeyMessage,
  PolicyTask,
  RevocationMessage,
  WorkerMessage,
} from '../shared/ring/worker-messages.js';
import type { Milliseconds } from '../units.js';
import { CredentialChecks } from './credentials/checks.js';
import type { KeyReceiver } from './credentials/jwks-cache.js';
import { KeySets } from './credentials/key-sets.js';
import { checkPassword, type PasswordChecker } from './threads/check-password.js';
import type { KeyLoader } from './threads/fetch-keys.js';
import type { WorkerCaches } from './upstreams/cache-purges.js';

/** Owner number of the front in the buckets; worker n is n + 2. */
const FRONT_OWNER = 1;
/** Pause before a worker that ended before it was ready is restarted, doubled each time up to {@link MAX_BACK_OFF_MS}. */
const BACK_OFF_MS = 100;
const MAX_BACK_OFF_MS = 5_000;

/** Options of {@link WorkerPool}. */
export interface WorkerPoolOptions {
  readonly snapshot: Snapshot;
  readonly catalog: CatalogTable;
  /** Workers; default `snapshot.workers`. At most 250. */
  readonly threads?: number;
  /** Heap limits of each worker thread; default 256 MiB of old space. */
  readonly resourceLimits?: { readonly maxOldGenerationSizeMb?: number; readonly maxYoungGenerationSizeMb?: number };
  /** Compiled worker file; default beside this package's code. */
  readonly filename?: string;
  /** Loads key sets; default this thread. */
  readonly keys?: KeyLoader;
  /** Checks hashed passwords; default this thread. */
  readonly passwords?: PasswordChecker;
  /** The revocations for workers that start; default none. */
  readonly revocations?: { messages(): readonly RevocationMessage[] };
  /** Receives errors in decisions and crashes of workers, one sentence without request data. */
  readonly log?: { warn(sentence: string): void };
}

/** One incarnation of one worker. */
class Slot implements PoolSlot {
  readonly index: number;
  readonly incarnation: number;
  readonly requestMemory: SharedArrayBuffer;
  readonly verdictMemory: SharedArrayBuffer;
  readonly requests: Ring;
  readonly verdicts: Ring;
  readonly abort = new AbortController();
  bell: BellAddress | null = null;
  port: MessagePort | null = null;
  dead = false;

  constructor(index: number, incarnation: number, ringBytes: number) {
    this.index = index;
    this.incarnation = incarnation;
    this.requestMemory = ringMemory(ringBytes);
    this.verdictMemory = ringMemory(ringBytes);
    this.requests = new Ring(this.requestMemory);
    this.verdicts = new Ring(this.verdictMemory);
  }

  get ready(): boolean {
    return this.bell !== null;
  }
}

/** See the file comment. One per gateway. */
export class WorkerPool implements PolicyPool, KeyReceiver, WorkerCaches {
  readonly epochs: Epochs;
  /** The front's own counters; reading them adds up all threads. */
  readonly counters: Counters;
  readonly counterMemory: CounterMemory;
  readonly cacheEvents = new CacheEventTotals();
  readonly size: number;
  readonly #epochMemory: SharedArrayBuffer;
  readonly #options: WorkerPoolOptions;
  readonly #piscina: Piscina;
  readonly #slots: Slot[] = [];
  readonly #bell;
  readonly #keys: KeySets;
  readonly #checks: CredentialChecks;
  readonly #tasks = new Set<Promise<void>>();
  /** Workers whose doorbell is rung at the end of this turn. */
  readonly #wakes: number[] = [];
  #listener: PoolListener | null = null;
  #snapshot: Snapshot;
  #catalog: CatalogTable;
  #buckets: Buckets;
  #closing = false;
  #failures = 0;
  /** By URL; as many as were ever configured. */
  readonly #keyVersions = new Map<string, number>();

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    this.#snapshot = forWorkers(options.snapshot);
    this.#catalog = options.catalog;
    this.size = options.threads ?? options.snapshot.workers;
    if (!Number.isInteger(this.size) || this.size < 1 || this.size > 250) throw new RangeError('1 to 250 workers');
    this.#epochMemory = epochMemory();
    this.epochs = new Epochs(this.#epochMemory);
    this.epochs.setSnapshot(options.snapshot.version);
    this.epochs.setCatalog(options.catalog.version);
    const { limits, routes, servers } = options.snapshot;
    const variants = routes.reduce((sum, route) => sum + (route.variants?.groups.length ?? 0), 0);
    this.counterMemory = counterMemory(this.size + 1, limits.maxToolMetrics + servers.length + variants + 1);
    this.counters = new Counters(this.counterMemory, 0);
    this.#buckets = bucketsOf(options.snapshot);
    const passwords = options.passwords ?? { checkPassword: async (check) => checkPassword(check) };
    const log = { warn: (sentence: string) => this.#report(sentence) };
    this.#keys = new KeySets(this.counters, this, log, options.keys);
    this.#checks = new CredentialChecks(passwords, this.counters, log);
    this.#bell = createDoorbell(() => this.#listener?.verdictsReady());
    this.#piscina = new Piscina({
      filename: options.filename ?? fileURLToPath(new URL('../../workers/entry.cjs', import.meta.url)),
      minThreads: this.size,
      maxThreads: this.size,
      concurrentTasksPerWorker: 1,
      atomics: 'disabled',
      idleTimeout: Number.POSITIVE_INFINITY,
      recordTiming: false,
      workerHistogram: false,
      resourceLimits: { maxOldGenerationSizeMb: 256, ...options.resourceLimits },
    });
    // A thread that dies between two tasks fails no task; failures of tasks are reported by their promises.
    this.#piscina.on('error', (error: unknown) => this.#report(`policy pool: ${reason(error)}`));
    this.#configureAuth(options.snapshot);
    for (let index = 0; index < this.size; index += 1) {
      const slot = new Slot(index, 1, limits.ringBytes);
      this.#slots.push(slot);
      this.#start(slot);
    }
  }

  /** The front's view of the token buckets of the current snapshot. */
  get buckets(): Buckets {
    return this.#buckets;
  }

  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  get catalog(): CatalogTable {
    return this.#catalog;
  }

  /** Sets what reads verdicts and re-dispatches. Once: the dispatcher is made with this pool. */
  attach(listener: PoolListener): void {
    this.#listener = listener;
  }

  slot(index: number): PoolSlot {
    return this.#slotAt(index);
  }

  #slotAt(index: number): Slot {
    const slot = this.#slots[index];
    if (slot === undefined) throw new RangeError('there is no such worker');
    return slot;
  }

  /**
   * Rings the doorbell of a worker at the end of this turn of the event loop, once for everything that the turn puts on its
   * ring. A worker reads its ring when it starts, so one that is not ready needs no doorbell.
   */
  wake(index: number): void {
    if (this.#wakes.push(index) === 1) setImmediate(this.#wakeAll);
  }

  readonly #wakeAll = (): void => {
    for (const index of this.#wakes) {
      const bell = this.#slots[index]?.bell;
      if (bell !== null && bell !== undefined) ring(bell.handle, bell.cell);
    }
    this.#wakes.length = 0;
  };

  /** Resolves when all workers have started. */
  async ready(): Promise<void> {
    while (!this.#closing && this.#slots.some((slot) => !slot.ready)) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /**
   * Puts a snapshot into force. It is sent to the workers before the shared version changes, so no verdict under the old
   * snapshot is accepted afterwards. The number of workers stays the same.
   */
  reconfigure(snapshot: Snapshot): void {
    const before = this.#snapshot;
    this.#snapshot = forWorkers(snapshot);
    if (!sameBuckets(before, snapshot)) {
      const buckets = bucketsOf(snapshot);
      // What a worker still takes from the old ones is for verdicts that do not count any more.
      carryBuckets(this.#buckets, planBuckets(before), buckets, planBuckets(snapshot));
      this.#buckets = buckets;
    }
    this.#configureAuth(snapshot);
    this.#post({ type: 'snapshot', snapshot: this.#snapshot, buckets: this.#buckets.layout });
    this.epochs.setSnapshot(snapshot.version);
  }

  #configureAuth(snapshot: Snapshot): void {
    this.#keys.configure(allProviders(snapshot));
    this.#checks.configure(everyAuth(snapshot));
  }

  /** Puts a catalog into force, in the same order as {@link reconfigure}. */
  setCatalog(catalog: CatalogTable): void {
    this.#catalog = catalog;
    this.#post({ type: 'catalog', catalog });
    this.epochs.setCatalog(catalog.version);
  }

  /** Adds or removes a revocation of a token or a subject: earlier verdicts are invalid when this returns. */
  revoke(message: RevocationMessage): void {
    this.#post(message);
    this.epochs.revoke();
  }

  /** See WorkerRevocations. */
  removeRevocation(message: RevocationMessage): void {
    this.#post(message);
  }

  purge(message: CachePurge): void {
    this.#post(message);
    this.epochs.purged();
  }

  /** Terminates a worker that hangs; it is replaced like one that crashed. */
  terminate(index: number, why: string): void {
    this.#slotAt(index).abort.abort(why);
  }

  /**
   * Lets the workers process their rings, then ends them.
   *
   * @param drainMs time until they are terminated; default 2,000
   */
  async close(drainMs: Milliseconds = 2_000): Promise<void> {
    this.#closing = true;
    this.#keys.close();
    this.#post({ type: 'drain' });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, drainMs);
    });
    await Promise.race([Promise.allSettled(this.#tasks), late]);
    clearTimeout(timer);
    this.#bell.close();
    for (const slot of this.#slots) slot.port?.close();
    await this.#piscina.destroy();
  }

  #start(slot: Slot): void {
    const { port1, port2 } = new MessageChannel();
    slot.port = port1;
    port1.on('message', (message: FrontMessage) => this.#receive(slot, message));
    port1.unref();
    const task: PolicyTask = {
      recordVersion: RECORD_VERSION,
      worker: slot.index,
      incarnation: slot.incarnation,
      snapshot: this.#snapshot,
      catalog: this.#catalog,
      epochs: this.#epochMemory,
      buckets: this.#buckets.layout as BucketLayout,
      counters: this.counterMemory,
      requests: slot.requestMemory,
      verdicts: slot.verdictMemory,
      bell: { handle: this.#bell.handle, cell: this.#bell.cell },
      port: port2,
      keys: this.#keys.current(),
      revoked: this.#options.revocations?.messages() ?? [],
    };
    const run = this.#piscina.run(task, { transferList: [port2], signal: slot.abort.signal }).then(
      () => this.#ended(slot, 'ended by itself'),
      (error: unknown) => this.#ended(slot, reason(error)),
    );
    this.#tasks.add(run);
    void run.finally(() => this.#tasks.delete(run));
  }

  #receive(slot: Slot, message: FrontMessage): void {
    if (message.type === 'ready') {
      slot.bell = message.bell;
      this.#failures = 0;
      // Records were put on the ring while the thread started.
      this.wake(slot.index);
    } else if (message.type === 'needKeys') {
      void this.#keys.request(message.url, message.version);
    } else if (message.type === 'inquiry') {
      void this.#answer(slot, message.id, message.inquiry);
    } else if (message.type === 'cacheEvents') {
      this.cacheEvents.add(message.events);
    } else if (message.type === 'refusedToken') {
      this.#report(message.sentence);
    } else {
      this.#report(`policy worker ${slot.index}: ${message.message}`);
    }
  }

  async #answer(slot: Slot, id: number, inquiry: Inquiry): Promise<void> {
    const answer = await this.#checks.answer(inquiry);
    slot.port?.postMessage({ type: 'inquiryAnswer', id, answer } satisfies WorkerMessage);
  }

  #ended(slot: Slot, why: string): void {
    if (slot.dead) return;
    slot.dead = true;
    slot.port?.close();
    if (this.#closing) return;
    // A thread that ends before it is ready is not counted: piscina may give a task to a thread that is about to end.
    if (slot.ready) this.counters.add(Counter.workerDeaths);
    this.#report(`policy worker ${slot.index} ended and is replaced: ${why}`);
    this.#buckets.releaseOwner(slot.index + FRONT_OWNER + 1);
    const next = new Slot(slot.index, slot.incarnation + 1, this.#snapshot.limits.ringBytes);
    this.#slots[slot.index] = next;
    this.#listener?.workerReplaced(next, slot);
    if (slot.ready || slot.abort.signal.aborted) {
      this.#start(next);
      return;
    }
    // It ended before it was ready, so it would probably end again: restarted after a pause.
    const pause = Math.min(MAX_BACK_OFF_MS, BACK_OFF_MS * 2 ** this.#failures);
    this.#failures += 1;
    setTimeout(() => {
      if (!this.#closing) this.#start(next);
    }, pause).unref();
  }

  /** Sends keys to the workers. When they have changed, tokens must be verified again. */
  useKeys(keys: KeyMessage): void {
    this.#post(keys);
    const before = this.#keyVersions.get(keys.url);
    if (before !== undefined && keys.version !== before) this.epochs.revoke();
    this.#keyVersions.set(keys.url, keys.version);
  }

  #post(message: WorkerMessage): void {
    for (const slot of this.#slots) slot.port?.postMessage(message);
  }

  #report(message: string): void {
    this.#options.log?.warn(message);
  }
}

/** A lockfile holds the definitions of all tools, and only the catalog reads them. */
function forWorkers(snapshot: Snapshot): Snapshot {
  return snapshot.lock === null ? snapshot : { ...snapshot, lock: null };
}

function bucketsOf(snapshot: Snapshot): Buckets {
  return createBuckets(planBuckets(snapshot), snapshot.rateLimits.maxClients, FRONT_OWNER);
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
