import { MessageChannel } from 'node:worker_threads';
import { decoder } from '../../native/index.js';
import { ScanStatus } from '../../native/layout.js';
import type { PreparedCatalog } from '../../src/catalog/prepared.js';
import type { Snapshot } from '../../src/config/snapshot/index.js';
import { CallArguments } from '../../src/request/dispatch/call-arguments.js';
import { Dispatcher } from '../../src/request/dispatch/index.js';
import type { DecidedExchanges } from '../../src/request/dispatch/options.js';
import { writeDecide, writeReport } from '../../src/request/dispatch/request-record.js';
import { ATTRIBUTE_SEPARATOR, Caller } from '../../src/request/exchange/caller.js';
import type { Exchange } from '../../src/request/exchange/index.js';
import { ExchangeTable } from '../../src/request/exchange/table.js';
import { AnswerHead } from '../../src/shared/cache/answer-head.js';
import type { CatalogTable } from '../../src/shared/catalog-table.js';
import { Counter, Counters, counterMemory } from '../../src/shared/counters.js';
import { Epochs, epochMemory } from '../../src/shared/epochs.js';
import { createBuckets, planBuckets } from '../../src/shared/limits/bucket-plan.js';
import type { Buckets } from '../../src/shared/limits/buckets.js';
import { Ring, ringMemory } from '../../src/shared/ring/index.js';
import type { PolicyPool, PoolSlot } from '../../src/shared/ring/policy-pool.js';
import { Ask, RECORD_VERSION, Verdict, VerdictWord } from '../../src/shared/ring/records.js';
import { Scheme } from '../../src/shared/scheme.js';
import { Decider } from '../../workers/decide.js';
import { catalogOf, snapshotOf, toolName } from './fixture.js';
import { keep, type Operation } from './runner.js';

/** Different calls in turn: each of another tool, and by another client where there are several. */
const CALLS = 64;
/** Records that the front puts on the ring before the worker reads: a busy gateway's batch. */
const BATCH = 32;
const RING_BYTES = 1 << 20;
const RESULT = Buffer.from(`{"content":[{"type":"text","text":"${'a'.repeat(400)}"}]}`);

/** What is decided, and by which policy. */
export interface Setting {
  /** Keys of the configuration besides the upstream. */
  readonly config: object;
  /** Credentials for the first provider, of clients in turn; default: none. */
  readonly credentials?: readonly string[];
  /** Tools of the catalog; default 64. */
  readonly tools?: number;
  /** Position of the view that calls come through. */
  readonly view?: number;
  /** Request headers by lower-case name; of those that the policy does not read, it sees nothing. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly method?: 'tools/call' | 'tools/list';
  /** JSON text of the arguments of calls, which the worker gets. */
  readonly arguments?: string;
  /** The verdict that is expected; default: forward. */
  readonly verdict?: Verdict;
}

/** The policy of one setting with both of its sides in this thread: a dispatcher, a decider, and the rings between them. */
class Policy implements PolicyPool, DecidedExchanges {
  readonly size = 1;
  readonly snapshot: Snapshot;
  readonly catalog: CatalogTable;
  readonly epochs: Epochs;
  readonly counters: Counters;
  readonly buckets: Buckets;
  readonly decider: Decider;
  readonly dispatcher: Dispatcher;
  readonly exchanges: Exchange[] = [];
  readonly #slot: PoolSlot;
  readonly #expected: Verdict;
  #undecided = 0;
  #settled: () => void = () => {};
  #failed: (error: Error) => void = () => {};

  constructor(setting: Setting, snapshot: Snapshot, catalog: PreparedCatalog) {
    this.snapshot = snapshot;
    this.catalog = catalog.table;
    this.#expected = setting.verdict ?? Verdict.forward;
    const epochs = epochMemory();
    this.epochs = new Epochs(epochs);
    this.epochs.setSnapshot(snapshot.version);
    this.epochs.setCatalog(catalog.version);
    const counters = counterMemory(2, 1);
    this.counters = new Counters(counters, 0);
    this.buckets = createBuckets(planBuckets(snapshot), 1024, 1);
    const requests = ringMemory(RING_BYTES);
    const verdicts = ringMemory(RING_BYTES);
    this.#slot = { index: 0, incarnation: 1, requests: new Ring(requests), verdicts: new Ring(verdicts), ready: true };
    const { port1 } = new MessageChannel();
    this.decider = new Decider(
      {
        recordVersion: RECORD_VERSION,
        worker: 0,
        incarnation: 1,
        snapshot,
        catalog: this.catalog,
        epochs,
        buckets: this.buckets.layout,
        counters,
        requests,
        verdicts,
        bell: { handle: 0, cell: null },
        port: port1,
        keys: [],
        revoked: [],
      },
      {
        ring: () => this.dispatcher.verdictsReady(),
        post() {},
        receive: () => null,
        requestKeys() {},
        inquire() {},
      },
    );
    port1.close();
    this.decider.run(1);
    const table = new ExchangeTable(CALLS);
    this.dispatcher = new Dispatcher({ table, pool: this, decoder });
    this.dispatcher.attach(this);
    for (let i = 0; i < CALLS; i++) this.exchanges.push(this.#exchange(setting, table, i));
  }

  #exchange(setting: Setting, table: ExchangeTable, index: number): Exchange {
    const { credentials = [], headers = {}, method = 'tools/call', tools = CALLS, view = 0 } = setting;
    const exchange = table.acquire()!;
    const token = credentials[index % Math.max(1, credentials.length)] ?? '';
    const scheme = token === '' ? Scheme.none : this.snapshot.auth.providers[0]!.scheme;
    const attributes = this.snapshot.attributes.map((header) => headers[header] ?? '').join(ATTRIBUTE_SEPARATOR);
    exchange.client.caller = new Caller(token, scheme, view, attributes, this.snapshot.attributes);
    exchange.client.remoteAddress = '192.0.2.1';
    const tool = toolName((index * 13) % tools);
    const name = this.snapshot.views[view]!.hasPrefixes ? `bench__${tool}` : tool;
    const params =
      method === 'tools/list'
        ? ''
        : `,"params":{"name":"${name}"${setting.arguments === undefined ? '' : `,"arguments":${setting.arguments}`}}`;
    const { message } = exchange;
    message.body = Buffer.from(`{"jsonrpc":"2.0","id":${index},"method":"${method}"${params}}`);
    message.bodyLength = message.body.length;
    if (decoder.scan(message.body, message.bodyLength, message.spans.words, 64) !== ScanStatus.ok) {
      throw new Error('not a message');
    }
    return exchange;
  }

  /** Has every call decided once, which verifies credentials and lets the front remember what it may. */
  async settle(): Promise<void> {
    this.#undecided = this.exchanges.length;
    const settled = new Promise<void>((resolve, reject) => {
      this.#settled = resolve;
      this.#failed = reject;
    });
    for (const exchange of this.exchanges) this.dispatch(exchange);
    await settled;
  }

  dispatch(exchange: Exchange): void {
    this.dispatcher.dispatch(exchange, exchange.message.body, exchange.message.bodyLength);
  }

  decided(exchange: Exchange): void {
    const { kind } = exchange.verdict;
    if (kind === Verdict.lead && this.#expected === Verdict.cached) {
      const head = new AnswerHead();
      this.dispatcher.store(exchange, head, RESULT, 0, RESULT.length);
    } else if (kind === Verdict.lead) {
      this.dispatcher.release(exchange, false);
    } else if (kind !== this.#expected) {
      this.#failed(new Error(`verdict ${kind} instead of ${this.#expected}, error ${exchange.verdict.error}`));
    }
    this.#undecided--;
    if (this.#undecided === 0) this.#settled();
  }

  slot(): PoolSlot {
    return this.#slot;
  }

  wake(): void {
    while (!this.decider.run(256));
  }

  attach(): void {}
  terminate(): void {}
  reconfigure(): void {}
  setCatalog(): void {}

  /** The record of each call as the front writes it. */
  records(withArguments: boolean): Int32Array[] {
    const args = new CallArguments(decoder);
    return this.exchanges.map((exchange) => {
      const ring = new Ring(ringMemory(0));
      if (withArguments) args.read(exchange);
      const { body } = exchange.message;
      writeDecide(
        ring,
        exchange,
        body,
        this.catalog.version,
        this.snapshot.attributes,
        true,
        withArguments ? args : null,
      );
      const at = ring.peek();
      return ring.words.slice(at, at + ring.length);
    });
  }
}

async function policyOf(setting: Setting): Promise<Policy> {
  const snapshot = snapshotOf(setting.config);
  const policy = new Policy(setting, snapshot, await catalogOf(snapshot, setting.tools ?? CALLS));
  await policy.settle();
  return policy;
}

/** Decisions of a worker, from ring to ring. Credentials are known. */
export async function decisions(setting: Setting): Promise<Operation> {
  const policy = await policyOf(setting);
  const { decider } = policy;
  const { requests, verdicts } = policy.slot();
  const records = policy.records(setting.arguments !== undefined);
  const expected = setting.verdict ?? Verdict.forward;
  // From now on the verdicts are read here.
  verdicts.wake();
  let turn = 0;
  let others = 0;
  const reported = { slot: 0, generation: 0 };
  return {
    operationsPerTime: BATCH,
    run(times) {
      for (let time = 0; time < times; time++) {
        for (let i = 0; i < BATCH; i++) {
          const record = records[turn++ % CALLS]!;
          const at = requests.reserve(record.length);
          requests.words.set(record, at);
          requests.commit();
        }
        decider.run(256);
        for (let at = verdicts.peek(); at >= 0; at = verdicts.peek()) {
          const { words } = verdicts;
          if (words[at + VerdictWord.kind] !== expected) others++;
          if (words[at + VerdictWord.kind] === Verdict.lead) {
            reported.slot = words[at + VerdictWord.slot]!;
            reported.generation = words[at + VerdictWord.generation]!;
            writeReport(requests, Ask.release, reported, words[at + VerdictWord.cacheKey]!, 0);
          }
          verdicts.advance();
        }
        keep(others);
      }
      if (others > 0) throw new Error(`${others} verdicts were others`);
    },
    close: () => policy.dispatcher.close(),
  };
}

/**
 * Decisions of the front by verdicts that it remembers.
 *
 * @param isFresh whether the credential's text is new with each call, as it is when it comes from a socket
 */
export async function remembered(setting: Setting, isFresh = false): Promise<Operation> {
  const policy = await policyOf(setting);
  const { counters, exchanges } = policy;
  const names = policy.snapshot.attributes;
  const texts = exchanges.map(({ client }) => Buffer.from(client.caller.token));
  let turn = 0;
  return {
    run(times) {
      const before = counters.total(Counter.memoHits);
      for (let i = 0; i < times; i++) {
        const call = turn++ % CALLS;
        const exchange = exchanges[call]!;
        if (isFresh) {
          const { scheme, view } = exchange.client.caller;
          const attributes = exchange.client.caller.attributes(names);
          exchange.client.caller = new Caller(texts[call]!.toString('latin1'), scheme, view, attributes, names);
        }
        policy.dispatch(exchange);
        keep(exchange.verdict.entry);
      }
      if (counters.total(Counter.memoHits) - before !== times) throw new Error('not remembered');
    },
    close: () => policy.dispatcher.close(),
  };
}
