/** A mistake in a stage costs one request; a batch is taken whole or not at all. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decoder } from '../../native/index.js';
import { Cancellation } from '../../src/request/cancellation.js';
import type { Exchange, Reply } from '../../src/request/exchange/index.js';
import { Verb } from '../../src/request/exchange/index.js';
import { ExchangeTable } from '../../src/request/exchange/table.js';
import { Pipeline, type PipelineParts } from '../../src/request/pipeline.js';
import { WriteStage } from '../../src/request/write/index.js';
import { NO_LIMITS } from '../../src/request/write/limit-fields.js';
import { NO_LOG } from '../../src/request/write/streams.js';
import { Verdict } from '../../src/shared/ring/records.js';
import { authOf } from '../support/auth.js';

const NO_BYTES = Buffer.alloc(0);
const fault = new Error('a mistake');
const throws = (): never => {
  throw fault;
};

/** What the client gets: one answer, however it comes. */
class Wire implements Reply {
  status = 0;
  body = '';
  aborted = false;
  send(status: number, _head: readonly string[], bytes: Uint8Array, start: number, end: number): void {
    assert.equal(this.status, 0, 'answered twice');
    this.status = status;
    this.body = Buffer.from(bytes.subarray(start, end)).toString();
  }
  openStream(): void {}
  write(): boolean {
    return true;
  }
  endStream(): void {}
  buffered(): number {
    return 0;
  }
  abort(): void {
    this.aborted = true;
  }
  rebind(): void {}
  acknowledged(): void {}
}

function fixture(
  options: { decode?: object; send?: object; capacity?: number; finished?: (exchange: Exchange) => void } = {},
) {
  const table = new ExchangeTable(options.capacity ?? 4);
  const broken: unknown[] = [];
  const decoded: Exchange[] = [];
  const write = new WriteStage({
    config: { current: { auth: authOf(), views: [], publicUrl: null, cache: { headers: false, meta: false } } },
    identity: { serverInfo: NO_BYTES, serverName: () => null, serverReason: () => null },
    catalogs: { unknownName: () => '' },
    cache: { store: () => {}, release: () => {} },
    limits: NO_LIMITS,
    log: NO_LOG,
    accounting: { finished: options.finished ?? (() => {}) },
    routes: { variantHead: () => [] },
    exchanges: table,
  });
  const stages = {
    decode: {
      attach: () => {},
      decode: throws,
      operation: throws,
      element: (exchange: Exchange) => decoded.push(exchange),
    },
    dispatch: { attach: () => {}, dispatch: () => {}, forget: () => {}, release: () => {} },
    send: { send: throws, failed: throws },
  };
  const pipeline = new Pipeline({
    table,
    decode: { ...stages.decode, ...options.decode },
    dispatch: stages.dispatch,
    send: { ...stages.send, ...options.send },
    write,
    local: { answer: throws },
    firstLists: { attach: () => {}, hold: () => false },
    questions: { deliverWaiting: () => {} },
    shedding: { beforeDecision: () => false, beforeSending: () => false },
    callLimits: { admit: () => true },
    decoder,
    maxBatch: 10,
    accounting: { keepsBodies: false },
    cancellation: new Cancellation({ table, dispatch: stages.dispatch, write, streams: { streamClosed: () => {} } }),
    log: { fault: (error: unknown) => broken.push(error), tooManyFrames: () => {} },
  } as unknown as PipelineParts);
  const accept = (): { exchange: Exchange; wire: Wire } => {
    const exchange = table.acquire()!;
    const wire = new Wire();
    exchange.client.reply = wire;
    exchange.message.verb = Verb.post;
    return { exchange, wire };
  };
  return { table, pipeline, broken, decoded, accept };
}

describe('a stage that throws', () => {
  it('ends the exchange it was working on with GW_INTERNAL', () => {
    const { table, pipeline, broken, accept } = fixture();
    const runs: ((exchange: Exchange) => void)[] = [
      (exchange) => pipeline.request(exchange, NO_BYTES, 0),
      (exchange) => pipeline.stream(exchange),
      (exchange) => pipeline.terminate(exchange),
      ...[Verdict.forward, Verdict.lead, Verdict.local].map((verdict) => (exchange: Exchange) => {
        exchange.verdict.kind = verdict;
        pipeline.decided(exchange, NO_BYTES, 0, NO_BYTES);
      }),
    ];
    for (const [index, run] of runs.entries()) {
      const { exchange, wire } = accept();
      run(exchange);
      assert.equal(JSON.parse(wire.body).error.data.code, 'GW_INTERNAL');
      assert.equal(table.inUse, 0);
      assert.equal(broken.length, index + 1);
    }
  });

  it('withdraws the call from its upstream', () => {
    const { table, pipeline, accept } = fixture();
    const { exchange, wire } = accept();
    let cancelled = 0;
    const cancel = (): void => {
      cancelled += 1;
    };
    exchange.call.upstream = { cancel, pause: () => {}, resume: () => {} };
    pipeline.contain(exchange, exchange.generation, fault);
    assert.equal(cancelled, 1);
    assert.equal(table.inUse, 0);
    assert.equal(wire.status, 200);
  });

  it('leaves alone an exchange that was given back meanwhile', () => {
    const { table, pipeline, broken, accept } = fixture();
    const { exchange } = accept();
    const { generation } = exchange;
    table.release(exchange);
    const next = accept();
    assert.equal(next.exchange, exchange);
    pipeline.contain(exchange, generation, fault);
    assert.equal(next.wire.status, 0);
    assert.equal(table.inUse, 1);
    assert.deepEqual(broken, [fault]);
  });

  it('gives the exchange back even when the answer cannot be written', () => {
    const { table, pipeline, broken, accept } = fixture({ finished: throws });
    const { exchange, wire } = accept();
    pipeline.request(exchange, NO_BYTES, 0);
    assert.equal(table.inUse, 0);
    assert.equal(broken.length, 2);
    assert.ok(wire.aborted || wire.status !== 0);
  });
});

describe('a batch', () => {
  const bytes = Buffer.from('[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"ping"}]');

  it('is refused when not all of its elements find room', () => {
    const { table, pipeline, decoded, accept } = fixture({ capacity: 2 });
    const { exchange, wire } = accept();
    pipeline.batch(exchange, bytes, bytes.length);
    assert.equal(wire.status, 503);
    assert.equal(JSON.parse(wire.body).error.data.code, 'GW_OVERLOADED');
    assert.equal(decoded.length, 0);
    assert.equal(table.inUse, 0);
  });

  it('takes one exchange for each element', () => {
    const { table, pipeline, decoded, accept } = fixture({ capacity: 3 });
    const { exchange } = accept();
    pipeline.batch(exchange, bytes, bytes.length);
    assert.equal(decoded.length, 2);
    assert.equal(table.inUse, 3);
  });
});
