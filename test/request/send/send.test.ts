import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decoder } from '../../../native/index.js';
import { ScanStatus } from '../../../native/layout.js';
import { Spans } from '../../../native/spans.js';
import type { ErrorCode } from '../../../src/errors.js';
import { Capability, capabilityMask } from '../../../src/protocol/client-capabilities.js';
import { Era } from '../../../src/protocol/revisions.js';
import { type Exchange, Phase, type Reply, type SessionLike } from '../../../src/request/exchange/index.js';
import { ExchangeTable } from '../../../src/request/exchange/table.js';
import { CapabilityMemo } from '../../../src/request/send/capability-memo.js';
import { SendStage } from '../../../src/request/send/index.js';
import type { SendServer } from '../../../src/request/send/parts.js';
import { Counter } from '../../../src/shared/counters.js';
import { Verdict, VerdictFlag } from '../../../src/shared/ring/records.js';
import { type Endpoint, SHARED_PROFILE } from '../../../src/upstream/core/types.js';

const NONE = new Uint8Array(0);
const CLIENT: Uint8Array = Buffer.from('{"name":"c","version":"1"}');

function sessionOf(mask: number): SessionLike {
  return {
    id: 's',
    revision: 3,
    capabilities: NONE,
    capabilityMask: mask,
    clientInfo: CLIENT,
    subject: new Int32Array(4),
    viewBase: '',
    logLevel: -1,
    lastUsed: 0,
    hasWaitingRequests: false,
  };
}

interface Sent {
  readonly endpoint: number;
  // biome-ignore lint/suspicious/noExplicitAny: messages under test have any shape
  readonly message: any;
}

/** The stage with servers whose endpoints only note what they are sent. */
function stageWith(eras: readonly Era[], options: { needsCapabilities?: boolean; restarting?: boolean } = {}) {
  const sent: Sent[] = [];
  const failures: ErrorCode[] = [];
  const seenCapabilities: number[] = [];
  let retries = 0;
  const endpoints = eras.map(
    (era, index): Endpoint => ({
      server: 0,
      index,
      weight: 1,
      transport: 'stdio',
      profile: SHARED_PROFILE,
      state: 'ready',
      era,
      revision: era === Era.modern ? 4 : 3,
      inFlight: 0,
      reason: '',
      call: (_exchange, bytes) => sent.push({ endpoint: index, message: JSON.parse(bytes.toString()) }),
      reply: () => {},
      cancel: () => {},
      pause: () => {},
      resume: () => {},
    }),
  );
  const restarting = options.restarting === true ? (endpoints.pop() ?? null) : null;
  const server: SendServer = {
    name: 'test',
    endpointCount: endpoints.length,
    requestTimeoutMs: 0,
    wantsLogin: false,
    needsCapabilities: options.needsCapabilities ?? false,
    choose(exchange) {
      seenCapabilities.push(exchange.client.capabilities);
      return endpoints.find(({ index }) => !exchange.call.tried.has(index)) ?? null;
    },
    chooseAwaitable: () => restarting,
    runsTasks: false,
    answersWithTasks: false,
    sharesAnswers: ({ index }) => index === 0,
    unavailable: () => 'GW_UPSTREAM_DOWN',
    retryInMs: () => 1_500,
    isStarting: false,
    config: { name: 'test', maxConcurrent: 0, maxQueue: 8, connectTimeoutMs: 1_000 },
  };
  const stage = new SendStage({
    upstreams: { servers: [server] },
    routes: { routeOf: () => null, serversOf: () => [] },
    catalogs: { find: () => null },
    counters: {
      add: (counter) => {
        assert.equal(counter, Counter.upstreamRetries);
        retries += 1;
      },
    },
    concurrency: table.concurrency,
    tokens: { giveBack: () => {} },
    awaitedTasks: { asTask: (_exchange, _target, message) => message },
    write: {
      fail: (_exchange, code) => failures.push(code),
      leadNoLonger: (exchange) => {
        exchange.verdict.kind = Verdict.forward;
      },
    },
  });
  return { stage, sent, failures, seenCapabilities, retries: () => retries };
}

const table = new ExchangeTable(64);

function exchangeFor(text: string, era: Era, session: SessionLike | null): { exchange: Exchange; bytes: Buffer } {
  const exchange = table.acquire()!;
  const bytes = Buffer.from(text);
  assert.equal(decoder.scan(bytes, bytes.length, exchange.message.spans.words, 64), ScanStatus.ok, text);
  exchange.client.era = era;
  exchange.client.session = session;
  exchange.client.reply = {} as Reply;
  exchange.verdict.clear();
  exchange.verdict.server = 0;
  return { exchange, bytes };
}

const CALL = '{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"n","arguments":{"a":1.0}}}';
const READ = '{"jsonrpc":"2.0","id":"x","method":"resources/read","params":{"uri":"a://b"}}';
const ASKABLE = Capability.sampling | Capability.rootsListChanged | Capability.roots;

describe('SendStage', () => {
  it('has a call wait at an endpoint that is being restarted where none is ready, else says when to try again', () => {
    const waiting = stageWith([Era.legacy], { restarting: true });
    const call = exchangeFor(CALL, Era.legacy, null);
    waiting.stage.send(call.exchange, call.bytes, call.bytes.length);
    assert.deepEqual([waiting.sent.length, waiting.failures.length], [1, 0]);
    const ready = stageWith([Era.legacy, Era.legacy], { restarting: true });
    ready.stage.send(call.exchange, call.bytes, call.bytes.length);
    assert.deepEqual(
      ready.sent.map(({ endpoint }) => endpoint),
      [0],
    );
    const none = stageWith([]);
    none.stage.send(call.exchange, call.bytes, call.bytes.length);
    assert.deepEqual([none.failures, call.exchange.call.retryAfterMs], [['GW_UPSTREAM_DOWN'], 1_500]);
  });

  it('declares to a modern upstream what a legacy session can be asked for', () => {
    const { stage, sent } = stageWith([Era.modern]);
    const { exchange, bytes } = exchangeFor(CALL, Era.legacy, sessionOf(ASKABLE));
    stage.send(exchange, bytes, bytes.length);
    assert.deepEqual(sent[0]!.message.params._meta, {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': { sampling: {}, roots: {} },
      'io.modelcontextprotocol/clientInfo': { name: 'c', version: '1' },
    });
  });

  it('keeps the body of a call that may come back with questions or make a task by an unlisted name, and of no other', () => {
    const list = '{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{}}';
    const rows: [text: string, era: Era, upstream: Era, session: SessionLike | null, kept: boolean][] = [
      [CALL, Era.legacy, Era.modern, sessionOf(ASKABLE), true],
      [CALL.replace('tools/call', 'prompts/get'), Era.legacy, Era.modern, sessionOf(Capability.elicitationForm), true],
      [READ, Era.legacy, Era.modern, sessionOf(0), false],
      [READ, Era.legacy, Era.modern, null, false],
      [list, Era.legacy, Era.modern, sessionOf(ASKABLE), false],
      [READ, Era.legacy, Era.legacy, sessionOf(ASKABLE), false],
      [READ, Era.modern, Era.modern, null, false],
      // A tool that no list names: the body alone says whose rules a task of it has.
      [CALL, Era.modern, Era.modern, null, true],
    ];
    for (const [text, era, upstream, session, kept] of rows) {
      const { stage, sent } = stageWith([upstream]);
      const { exchange, bytes } = exchangeFor(text, era, session);
      stage.send(exchange, bytes, bytes.length);
      assert.equal(sent.length, 1);
      assert.equal(exchange.message.body.toString('utf8', 0, exchange.message.bodyLength), kept ? text : '', text);
      table.release(exchange);
    }
  });

  it('sends a call once more with what its client answered, at any endpoint', () => {
    const { stage, sent, failures, retries } = stageWith([Era.modern, Era.modern]);
    const { exchange, bytes } = exchangeFor(CALL, Era.legacy, sessionOf(ASKABLE));
    exchange.verdict.flags = VerdictFlag.safe;
    stage.send(exchange, bytes, bytes.length);
    exchange.enter(Phase.asking);
    const next = CALL.replace('"arguments"', '"inputResponses":{"k":{"x":1}},"requestState":"s","arguments"');
    const again = Buffer.from(next);
    assert.equal(decoder.scan(again, again.length, exchange.message.spans.words, 64), ScanStatus.ok);
    exchange.message.body = again;
    exchange.message.bodyLength = again.length;
    exchange.generation += 1;
    stage.again(exchange, again, again.length);
    assert.equal(exchange.phase, Phase.sending);
    stage.failed(exchange, 'GW_UPSTREAM_CLOSED', true);
    assert.deepEqual(
      sent.map(({ endpoint }) => endpoint),
      [0, 0, 1],
    );
    for (const { message } of sent.slice(1)) {
      assert.equal(message.id, exchange.call.upstreamId);
      assert.deepEqual(message.params.inputResponses, { k: { x: 1 } });
      assert.equal(message.params.requestState, 's');
    }
    assert.notEqual(sent[0]!.message.id, sent[1]!.message.id);
    assert.equal(retries(), 1);
    stage.failed(exchange, 'GW_UPSTREAM_CLOSED', true);
    assert.deepEqual(failures, ['GW_UPSTREAM_CLOSED']);
    // There was nowhere to go: that is no retry.
    assert.equal(retries(), 1);
  });

  it('reads what a client can be asked for only where the choice of the endpoint depends on it', () => {
    const capabilities = '"io.modelcontextprotocol/clientCapabilities":{"elicitation":{}}';
    const modern = CALL.replace('"params":{', `"params":{"_meta":{${capabilities}},`);
    for (const needsCapabilities of [false, true]) {
      const { stage, seenCapabilities } = stageWith([Era.legacy], { needsCapabilities });
      for (const [text, era, session] of [
        [modern, Era.modern, null],
        [CALL, Era.modern, null],
        [CALL, Era.legacy, sessionOf(ASKABLE)],
        [CALL, Era.legacy, null],
      ] as const) {
        const { exchange, bytes } = exchangeFor(text, era, session);
        stage.send(exchange, bytes, bytes.length);
      }
      const read = [Capability.elicitationForm, 0, ASKABLE, 0];
      assert.deepEqual(seenCapabilities, needsCapabilities ? read : [-1, -1, -1, -1]);
    }
  });

  it('passes trace context on to both families', () => {
    const trace = {
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      tracestate: 'a=1',
      baggage: 'k=v',
    };
    const text = CALL.replace('"params":{', `"params":{"_meta":${JSON.stringify(trace)},`);
    for (const from of [Era.legacy, Era.modern]) {
      for (const to of [Era.legacy, Era.modern]) {
        const { stage, sent } = stageWith([to]);
        const { exchange, bytes } = exchangeFor(text, from, from === Era.legacy ? sessionOf(0) : null);
        stage.send(exchange, bytes, bytes.length);
        const { traceparent, tracestate, baggage } = sent[0]!.message.params._meta;
        assert.deepEqual({ traceparent, tracestate, baggage }, trace);
      }
    }
  });
});

describe('the answer of an endpoint that belongs to one client', () => {
  it('is not kept for others, while that of a shared one is', () => {
    const { stage } = stageWith([Era.legacy, Era.legacy]);
    for (const [tried, kind] of [
      [[], Verdict.lead],
      [[0], Verdict.forward],
    ] as const) {
      const { exchange, bytes } = exchangeFor(READ, Era.legacy, sessionOf(0));
      exchange.verdict.kind = Verdict.lead;
      stage.send(exchange, bytes, bytes.length);
      if (tried.length > 0) {
        exchange.verdict.flags = VerdictFlag.safe;
        exchange.call.tried.add(0);
        exchange.message.body = bytes;
        exchange.message.bodyLength = bytes.length;
        stage.failed(exchange, 'GW_UPSTREAM_CLOSED', true);
      }
      assert.equal(exchange.verdict.kind, kind);
      table.release(exchange);
    }
  });
});

describe('CapabilityMemo', () => {
  it('reads the same as without a memo, whatever came before', () => {
    const member = fc.constantFrom(
      '{}',
      '{"tools":{}}',
      '{"url":{}}',
      '{"form":{}, "url":{}}',
      '{"listChanged":true}',
      '1',
    );
    const capabilities = fc
      .dictionary(fc.constantFrom('sampling', 'elicitation', 'roots', 'other'), member)
      .map((given) => `{${Object.entries(given).map(([key, value]) => `"${key}":${value}`)}}`);
    const spans = new Spans();
    fc.assert(
      fc.property(fc.array(capabilities, { maxLength: 40 }), (given) => {
        const memo = new CapabilityMemo();
        for (const text of given) {
          const message = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"n","_meta":{"io.modelcontextprotocol/clientCapabilities":${text}}}}`;
          const bytes = Buffer.from(message);
          assert.equal(decoder.scan(bytes, bytes.length, spans.words, 64), ScanStatus.ok);
          assert.equal(memo.read(bytes, spans), capabilityMask(Buffer.from(text)));
        }
      }),
    );
  });
});
