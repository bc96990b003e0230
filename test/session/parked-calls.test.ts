/** Calls that wait for answers of their clients, with the real table, scan and write stage around them. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { decoder } from '../../native/index.js';
import { Method, SPAN_COUNT, Span } from '../../native/layout.js';
import type { ErrorCode } from '../../src/errors.js';
import { capabilityMask } from '../../src/protocol/client-capabilities.js';
import { Era } from '../../src/protocol/revisions.js';
import { Accepts, type Exchange, Phase, type Reply } from '../../src/request/exchange.js';
import { ExchangeTable } from '../../src/request/exchanges.js';
import { WriteStage } from '../../src/request/write/index.js';
import { NO_LOG } from '../../src/request/write/streams.js';
import { HandleSealer, ParkedCalls } from '../../src/session/index.js';
import { Verdict, VerdictWord } from '../../src/shared/records.js';
import { type Endpoint, SHARED } from '../../src/upstream/types.js';
import { eventually } from '../support/process.js';
import { type Message, type ModernOptions, modernMessage } from '../support/rpc.js';

const EVERYTHING = { sampling: {}, elicitation: { form: {}, url: {} }, roots: {} };
const SECRETS = ['a secret that is long enough to be one'];
const ELICIT = { mode: 'form', message: 'Who?', requestedSchema: { type: 'object', properties: {} } };

/** A client's side of one request. */
class Wire implements Reply {
  status = 0;
  body = '';
  exchange: Exchange | null = null;
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
  abort(): void {}
  adopt(exchange: Exchange): void {
    this.exchange = exchange;
  }
  taken(): void {}
  get message(): Message {
    assert.notEqual(this.body, '', 'not answered');
    return JSON.parse(this.body);
  }
}

/** A legacy upstream's connection: keeps what it is told. */
class Upstream implements Endpoint {
  readonly server = 0;
  readonly index = 0;
  readonly weight = 1;
  readonly transport = 'http';
  readonly profile = SHARED;
  readonly state = 'ready';
  readonly era = Era.legacy;
  readonly revision = 4;
  readonly inFlight = 0;
  readonly reason = '';
  readonly replies: Message[] = [];
  readonly cancelled: Exchange[] = [];
  call(): void {}
  reply(bytes: Buffer): void {
    assert.ok(!bytes.includes(10) && !bytes.includes(13), 'one line');
    this.replies.push(JSON.parse(bytes.toString()));
  }
  cancel(exchange: Exchange): void {
    this.cancelled.push(exchange);
    exchange.upstream = null;
  }
  pause(): void {}
  resume(): void {}
}

interface CallOptions extends ModernOptions {
  name?: string;
  args?: unknown;
  method?: string;
  subject?: number;
  params?: Record<string, unknown>;
  text?: string;
}

function bed(t: TestContext, options: { limits?: object; eraOf?: number; handles?: HandleSealer } = {}) {
  const table = new ExchangeTable(64);
  const limits = {
    maxParked: 100,
    maxParkedPerPrincipal: 100,
    parkMs: 60_000,
    maxHeldBytes: 100_000,
    ...options.limits,
  };
  const finished: (ErrorCode | null)[] = [];
  const parked: ParkedCalls = new ParkedCalls({
    limits,
    table,
    handles: options.handles ?? new HandleSealer(SECRETS, 'parked call', 'sy1p.'),
    serverInfo: () => Buffer.from('"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"gw","version":"1"}}'),
    suspend: (exchange, result) => write.suspend(exchange, result),
    message: (exchange, bytes, length, spans) => write.message(exchange, bytes, length, spans),
    fail: (exchange, code) => write.fail(exchange, code),
    refuse: (exchange, code) => write.refuse(exchange, code),
    eraOf: () => options.eraOf ?? Era.legacy,
  });
  t.after(() => parked.close());
  const write: WriteStage = new WriteStage({
    serverInfo: () => Buffer.from('"_meta":{}'),
    serverName: () => Buffer.from('"up"'),
    resourceMetadata: () => null,
    corsHead: () => [],
    store: () => {},
    log: NO_LOG,
    release: () => {},
    inputRequired: () => false,
    urlRequired: (exchange, bytes, length, spans) => parked.urlRequired(exchange, bytes, length, spans),
    unanswered: (exchange) => parked.over(exchange),
    finished: (exchange) => finished.push(exchange.error),
    recycle: (exchange) => table.release(exchange),
  });
  const scan = (message: unknown): { bytes: Buffer; spans: Int32Array } => {
    const bytes = Buffer.from(typeof message === 'string' ? message : JSON.stringify(message));
    const spans = new Int32Array(SPAN_COUNT);
    assert.equal(decoder.scan(bytes, bytes.length, spans, 64), 0);
    return { bytes, spans };
  };
  /** A request that the policy has permitted. */
  const request = (call: CallOptions = {}) => {
    const params = { name: call.name ?? 'tool', arguments: call.args ?? { a: 1, b: 2 }, ...call.params };
    const message = modernMessage(call.method ?? 'tools/call', params, { clientCapabilities: EVERYTHING, ...call });
    const exchange = table.acquire()!;
    const wire = new Wire();
    const { bytes, spans } = scan(call.text ?? message);
    exchange.reply = wire;
    wire.exchange = exchange;
    exchange.spans.set(spans);
    exchange.era = Era.modern;
    exchange.accepts = Accepts.json | Accepts.sse;
    exchange.idLength = bytes.copy(exchange.id, 0, spans[Span.idStart], spans[Span.idEnd]);
    exchange.verdict[VerdictWord.verdict] = Verdict.forward;
    exchange.verdict[VerdictWord.subject0] = call.subject ?? 7;
    return { exchange, wire, bytes };
  };
  /** A call that is under way at an upstream. */
  const send = (upstream: Upstream, call: CallOptions = {}) => {
    const { exchange, wire, bytes } = request(call);
    exchange.body = bytes;
    exchange.bodyLength = bytes.length;
    const { spans } = exchange;
    exchange.capabilities = capabilityMask(bytes.subarray(spans[Span.capabilitiesStart], spans[Span.capabilitiesEnd]));
    exchange.phase = Phase.sending;
    exchange.upstream = upstream;
    exchange.upstreamEra = Era.legacy;
    exchange.sentAt = performance.now();
    exchange.deadline = exchange.sentAt + 5000;
    return { exchange, wire };
  };
  const ask = (upstream: Upstream, exchange: Exchange, id: unknown, method: string, params?: object): void => {
    const { bytes, spans } = scan({ jsonrpc: '2.0', id, method, ...(params === undefined ? {} : { params }) });
    parked.asked(upstream, exchange, bytes, bytes.length, spans);
  };
  /** The upstream's last word about a call, the way the sink has it. */
  const answer = (exchange: Exchange, message: object): void => {
    const { bytes, spans } = scan({ jsonrpc: '2.0', id: 1, ...message });
    exchange.upstream = null;
    if (exchange.phase === Phase.parked) parked.response(exchange, bytes, bytes.length, spans);
    else write.message(exchange, bytes, bytes.length, spans);
  };
  const retry = (state: string | undefined, responses: object | undefined, call: CallOptions = {}) => {
    const params = {
      ...call.params,
      ...(responses === undefined ? {} : { inputResponses: responses }),
      ...(state === undefined ? {} : { requestState: state }),
    };
    const { exchange, wire, bytes } = request({ id: 'again', ...call, params });
    exchange.phase = Phase.sending;
    const taken = parked.resume(exchange, bytes, bytes.length);
    return { exchange, wire, taken };
  };
  const answered = (wire: Wire): Promise<Message> =>
    eventually('an answer', () => wire.body !== '').then(() => wire.message);
  /** A call that is parked with one elicitation, and what its client got. */
  const park = async (upstream: Upstream, call: CallOptions = {}) => {
    const { exchange, wire } = send(upstream, call);
    ask(upstream, exchange, 5, 'elicitation/create', ELICIT);
    const message = await answered(wire);
    assert.equal(message.result?.resultType, 'input_required', wire.body);
    return { exchange, message, state: message.result.requestState as string };
  };
  return { table, parked, write, finished, request, send, ask, answer, retry, answered, park, scan };
}

const ACCEPT = { action: 'accept', content: { name: 'Ada' } };

describe('a parked call', () => {
  it('ends the request with the question and goes on with the retry', async (t) => {
    const { table, parked, send, ask, answer, answered, retry, finished } = bed(t);
    const upstream = new Upstream();
    const { exchange, wire } = send(upstream, { id: 'first' });
    ask(upstream, exchange, 'srv-1', 'elicitation/create', { ...ELICIT, _meta: { progressToken: 9 } });
    assert.equal(exchange.openRequests, 1);
    assert.equal(exchange.deadline, 0);
    const first = await answered(wire);
    assert.equal(first.id, 'first');
    assert.deepEqual(first.result.inputRequests, { q1: { method: 'elicitation/create', params: ELICIT } });
    assert.equal(first.result._meta['io.modelcontextprotocol/serverInfo'].name, 'gw');
    assert.equal(exchange.phase, Phase.parked);
    assert.equal(exchange.idLength, 0);
    assert.equal(parked.size, 1);

    const second = retry(first.result.requestState, { q1: ACCEPT, other: { ignored: true } });
    assert.ok(second.taken);
    assert.deepEqual(upstream.replies, [{ jsonrpc: '2.0', id: 'srv-1', result: ACCEPT }]);
    assert.equal(second.wire.exchange, exchange);
    assert.ok(exchange.deadline > performance.now());
    assert.equal(exchange.openRequests, 0);
    assert.equal(parked.size, 0);
    answer(exchange, { result: { content: [] } });
    assert.equal(second.wire.message.id, 'again');
    assert.equal(second.wire.message.result.resultType, 'complete');
    assert.equal(table.inUse, 0);
    assert.deepEqual(finished, [null, null]);
  });

  it('asks several questions in one round, under the keys that the server wants', async (t) => {
    const { send, ask, answered, retry } = bed(t);
    const upstream = new Upstream();
    const { exchange, wire } = send(upstream);
    const named = (key: unknown, more: object = {}) => ({ ...ELICIT, _meta: { 'switchyard/inputKey': key, ...more } });
    ask(upstream, exchange, 1, 'elicitation/create', named('user_name', { kept: 1.5 }));
    ask(upstream, exchange, 2, 'elicitation/create', named('user_name'));
    ask(upstream, exchange, 3, 'sampling/createMessage', { messages: [], maxTokens: 3, _meta: {} });
    ask(upstream, exchange, 4, 'roots/list');
    ask(upstream, exchange, 5, 'elicitation/create', named('no spaces'));
    ask(upstream, exchange, 6, 'elicitation/create', {
      mode: 'url',
      message: 'x',
      url: 'https://a',
      elicitationId: 'e',
    });
    const { inputRequests, requestState } = (await answered(wire)).result;
    assert.deepEqual(inputRequests, {
      user_name: { method: 'elicitation/create', params: { ...ELICIT, _meta: { kept: 1.5 } } },
      q1: { method: 'elicitation/create', params: ELICIT },
      q2: { method: 'sampling/createMessage', params: { messages: [], maxTokens: 3, _meta: {} } },
      q3: { method: 'roots/list', params: {} },
      q4: { method: 'elicitation/create', params: ELICIT },
      q5: { method: 'elicitation/create', params: { mode: 'url', message: 'x', url: 'https://a' } },
    });
    const answers = Object.fromEntries(Object.keys(inputRequests).map((key) => [key, { from: key }]));
    retry(requestState, answers);
    const told = Object.fromEntries(upstream.replies.map(({ id, result }) => [id, result.from]));
    assert.deepEqual(told, { 1: 'user_name', 2: 'q1', 3: 'q2', 4: 'q3', 5: 'q4', 6: 'q5' });
  });

  it('asks again at once for what was not answered, with a new state', async (t) => {
    const { send, ask, answered, retry } = bed(t);
    const upstream = new Upstream();
    const { exchange, wire } = send(upstream);
    ask(upstream, exchange, 1, 'roots/list');
    ask(upstream, exchange, 2, 'elicitation/create', ELICIT);
    const { requestState } = (await answered(wire)).result;
    const second = retry(requestState, { q1: { roots: [] }, q2: 'no object' });
    const { result } = second.wire.message;
    assert.deepEqual(Object.keys(result.inputRequests), ['q2']);
    assert.notEqual(result.requestState, requestState);
    assert.equal(retry(requestState, { q2: ACCEPT }).wire.message.error.data.code, 'GW_INPUT_STATE');
    // A question that came while the client was away is part of the next round.
    ask(upstream, exchange, 3, 'roots/list');
    const third = retry(result.requestState, { q2: ACCEPT });
    assert.deepEqual(third.wire.message.result.inputRequests, { q1: { method: 'roots/list', params: {} } });
    const fourth = retry(third.wire.message.result.requestState, { q1: { roots: [] } });
    assert.equal(fourth.wire.body, '');
    assert.deepEqual(
      upstream.replies.map(({ id }) => id),
      [1, 2, 3],
    );
  });

  it('delivers what the upstream said while the client was away', async (t) => {
    const { table, park, answer, retry, parked } = bed(t);
    const upstream = new Upstream();
    const one = await park(upstream);
    answer(one.exchange, { result: { content: [{ type: 'text', text: 'done without you' }] } });
    const { wire } = retry(one.state, { q1: ACCEPT });
    assert.equal(wire.message.result.content[0].text, 'done without you');
    assert.equal(wire.message.id, 'again');

    const two = await park(upstream);
    two.exchange.upstream = null;
    parked.failed(two.exchange, 'GW_UPSTREAM_CLOSED');
    assert.equal(retry(two.state, { q1: ACCEPT }).wire.message.error.data.code, 'GW_UPSTREAM_CLOSED');

    const three = await park(upstream);
    answer(three.exchange, { result: { content: [{ type: 'text', text: 'x'.repeat(200_000) }] } });
    assert.equal(retry(three.state, { q1: ACCEPT }).wire.message.error.data.code, 'GW_RESPONSE_TOO_LARGE');
    assert.equal(table.inUse, 0);
    assert.deepEqual(upstream.replies, []);
  });

  it('accepts the same call only, from the same caller', async (t) => {
    const { park, retry, parked } = bed(t);
    const upstream = new Upstream();
    const { state } = await park(upstream);
    const refused = (text: string | undefined, call: CallOptions = {}): void => {
      const { wire, taken } = retry(text, { q1: ACCEPT }, call);
      assert.ok(taken);
      assert.equal(wire.status, 200);
      assert.equal(wire.message.error.code, -32602);
      assert.equal(wire.message.error.data.code, 'GW_INPUT_STATE');
    };
    refused(state, { subject: 8 });
    refused(state, { name: 'other' });
    refused(state, { args: { a: 1, b: 3 } });
    refused(state, { args: {} });
    refused(state, { method: 'prompts/get' });
    for (let at = 0; at < state.length; at += 1) {
      refused(`${state.slice(0, at)}${state[at] === 'A' ? 'B' : 'A'}${state.slice(at + 1)}`);
    }
    refused('');
    refused('of another maker');
    refused(state.slice(0, -1));
    assert.equal(parked.size, 1);
    assert.deepEqual(upstream.replies, []);
    // Order and spelling of the arguments do not matter.
    const reordered = modernMessage('tools/call', { name: 'tool' }, { clientCapabilities: EVERYTHING, id: 3 });
    reordered.params = { ...reordered.params, arguments: { b: 2, a: 1 }, requestState: state, inputResponses: {} };
    const { wire } = retry(undefined, undefined, {
      text: JSON.stringify(reordered, null, 2).replace('"b": 2', '"b": 2.0'),
    });
    assert.equal(wire.message.result.resultType, 'input_required');
  });

  it('is unknown to another process, and to one that was started again', async (t) => {
    const one = bed(t);
    const { state } = await one.park(new Upstream());
    assert.equal(bed(t).retry(state, { q1: ACCEPT }).wire.message.error.data.code, 'GW_INPUT_STATE');
    const handles = new HandleSealer(['another secret that is long enough too'], 'parked call', 'sy1p.');
    assert.equal(bed(t, { handles }).retry(state, { q1: ACCEPT }).wire.message.error.data.code, 'GW_INPUT_STATE');
    // Behind a modern upstream may be another gateway.
    assert.equal(bed(t, { handles, eraOf: Era.modern }).retry(state, { q1: ACCEPT }).taken, false);
    assert.equal(bed(t, { handles, eraOf: -1 }).retry(state, { q1: ACCEPT }).taken, true);
    assert.equal(bed(t, { handles, eraOf: -1 }).retry('theirs', { q1: ACCEPT }).taken, false);
    assert.equal(bed(t).retry(undefined, { q1: ACCEPT }).taken, false);
  });

  it('takes answers by key where two calls of one caller cross', async (t) => {
    const { park, retry } = bed(t);
    const upstream = new Upstream();
    const [one, two] = [await park(upstream), await park(upstream)];
    const second = retry(two.state, { q1: { of: 'two' } }, { id: 'b' });
    const first = retry(one.state, { q1: { of: 'one' } }, { id: 'a' });
    assert.equal(second.wire.exchange, two.exchange);
    assert.equal(first.wire.exchange, one.exchange);
    assert.deepEqual(
      upstream.replies.map(({ result }) => result.of),
      ['two', 'one'],
    );
  });

  it('ends when its time is over, and answers the upstream for the client', async (t) => {
    const { table, send, ask, answered, retry, parked } = bed(t, { limits: { parkMs: 80 } });
    const upstream = new Upstream();
    const { exchange, wire } = send(upstream);
    ask(upstream, exchange, 1, 'elicitation/create', ELICIT);
    ask(upstream, exchange, 2, 'sampling/createMessage', { messages: [], maxTokens: 1 });
    ask(upstream, exchange, 3, 'roots/list');
    const { requestState } = (await answered(wire)).result;
    await eventually('the call is cancelled', () => upstream.cancelled.length === 1);
    assert.deepEqual(upstream.replies[0].result, { action: 'cancel' });
    assert.deepEqual(
      upstream.replies.slice(1).map(({ error }) => error.code),
      [-1, -32603],
    );
    assert.equal(table.inUse, 0);
    assert.equal(parked.size, 0);
    assert.equal(retry(requestState, {}).wire.message.error.data.code, 'GW_INPUT_STATE');
  });

  it('goes on without a question that the upstream takes back', async (t) => {
    const { park, parked, scan, retry, answer, send, ask } = bed(t);
    const upstream = new Upstream();
    const withdraw = (id: number): void => {
      const { bytes, spans } = scan({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: id } });
      parked.noted(upstream, bytes, bytes.length, spans);
    };
    const { exchange, state } = await park(upstream);
    withdraw(4);
    assert.equal(exchange.openRequests, 1);
    withdraw(5);
    assert.equal(exchange.openRequests, 0);
    assert.ok(exchange.deadline > 0);
    const { wire } = retry(state, { q1: ACCEPT });
    assert.deepEqual(upstream.replies, []);
    answer(exchange, { result: { content: [] } });
    assert.equal(wire.message.result.resultType, 'complete');

    // Taken back before the client was asked: it is not.
    const other = send(upstream);
    ask(upstream, other.exchange, 6, 'roots/list');
    withdraw(6);
    await new Promise((resolve) => setTimeout(resolve, 30));
    assert.equal(other.wire.body, '');
    assert.equal(other.exchange.phase, Phase.sending);
  });

  it('keeps its answer when the endpoint is lost', async (t) => {
    const { park, parked, retry, answer } = bed(t);
    const upstream = new Upstream();
    const { exchange, state } = await park(upstream);
    parked.lost(upstream);
    answer(exchange, { error: { code: -32603, message: 'gone' } });
    const { wire } = retry(state, { q1: ACCEPT });
    assert.equal(wire.message.error.message, 'gone');
    assert.deepEqual(upstream.replies, []);
  });

  it('tells the upstream when the client leaves before it was asked', async (t) => {
    const { send, ask, write, table } = bed(t);
    const upstream = new Upstream();
    const { exchange } = send(upstream);
    ask(upstream, exchange, 1, 'elicitation/create', ELICIT);
    exchange.reply = null;
    write.abandon(exchange);
    assert.deepEqual(upstream.replies[0].result, { action: 'cancel' });
    assert.equal(table.inUse, 0);
  });

  it('leaves no trace in the next use of its exchange', async (t) => {
    const { send, ask, write, answered } = bed(t);
    const upstream = new Upstream();
    const first = send(upstream, { id: 'one' });
    ask(upstream, first.exchange, 1, 'elicitation/create', ELICIT);
    first.exchange.reply = null;
    first.exchange.openRequests = 0;
    write.abandon(first.exchange);
    const second = send(upstream, { id: 'two' });
    assert.equal(second.exchange, first.exchange);
    ask(upstream, second.exchange, 2, 'roots/list');
    assert.deepEqual(Object.keys((await answered(second.wire)).result.inputRequests), ['q1']);
    assert.deepEqual((await answered(second.wire)).result.inputRequests.q1.method, 'roots/list');
  });

  it('all end together, and none is parked any more', async (t) => {
    const { park, parked, table, send, ask, answer } = bed(t);
    const upstream = new Upstream();
    for (let call = 0; call < 5; call += 1) await park(upstream);
    const { exchange, wire } = send(upstream);
    ask(upstream, exchange, 7, 'elicitation/create', ELICIT);
    parked.close();
    assert.equal(upstream.cancelled.length, 5);
    assert.equal(upstream.replies.length, 6);
    assert.equal(table.inUse, 1);
    assert.equal(parked.size, 0);
    ask(upstream, exchange, 8, 'elicitation/create', ELICIT);
    assert.equal(upstream.replies[6].error.code, -32603);
    answer(exchange, { result: { content: [] } });
    assert.equal(wire.message.result.resultType, 'complete');
  });
});

describe('a client that cannot be asked', () => {
  it('is told which capability the call needs', (t) => {
    const cases: [object, string, object | undefined, object][] = [
      [{}, 'sampling/createMessage', { messages: [], maxTokens: 1 }, { sampling: {} }],
      [
        { sampling: {} },
        'sampling/createMessage',
        { messages: [], maxTokens: 1, tools: [] },
        { sampling: { tools: {} } },
      ],
      [{ elicitation: {} }, 'elicitation/create', { mode: 'url', url: 'x', message: '' }, { elicitation: { url: {} } }],
      [{ elicitation: { url: {} } }, 'elicitation/create', ELICIT, { elicitation: { form: {} } }],
      [{ sampling: {} }, 'roots/list', undefined, { roots: {} }],
    ];
    for (const [clientCapabilities, method, params, required] of cases) {
      const { send, ask, table } = bed(t);
      const upstream = new Upstream();
      const { exchange, wire } = send(upstream, { clientCapabilities });
      ask(upstream, exchange, 1, method, params);
      assert.equal(wire.status, 400);
      assert.equal(wire.message.error.code, -32021);
      assert.deepEqual(wire.message.error.data.requiredCapabilities, required);
      assert.equal(upstream.replies[0].error.code, -32601);
      assert.equal(upstream.cancelled.length, 1);
      assert.equal(table.inUse, 0);
    }
  });

  it('is told when it comes back, where the question came later', async (t) => {
    const { park, ask, retry, table } = bed(t);
    const upstream = new Upstream();
    const { exchange, state } = await park(upstream, { clientCapabilities: { elicitation: {} } });
    ask(upstream, exchange, 6, 'roots/list');
    assert.equal(upstream.cancelled.length, 1);
    const { wire } = retry(state, { q1: ACCEPT }, { clientCapabilities: { elicitation: {} } });
    assert.deepEqual(wire.message.error.data.requiredCapabilities, { roots: {} });
    assert.equal(table.inUse, 0);
  });

  it('is not asked for what its retry declares no longer', async (t) => {
    const { park, retry, table } = bed(t);
    const upstream = new Upstream();
    const { state } = await park(upstream);
    const { wire } = retry(state, {}, { clientCapabilities: { sampling: {} } });
    assert.equal(wire.message.error.code, -32021);
    assert.deepEqual(upstream.replies[0].result, { action: 'cancel' });
    assert.equal(table.inUse, 0);
  });

  it('answers nothing but what clients of 2026-07-28 answer', (t) => {
    const { send, ask } = bed(t);
    const upstream = new Upstream();
    const { exchange, wire } = send(upstream);
    ask(upstream, exchange, 1, 'tasks/get', { taskId: 'x' });
    ask(upstream, exchange, 2, 'something/else');
    assert.deepEqual(
      upstream.replies.map(({ error }) => error.code),
      [-32601, -32601],
    );
    assert.equal(wire.body, '');
    assert.equal(exchange.openRequests, 0);
  });

  it('is left alone where the upstream was told that nobody can be asked', (t) => {
    const { send, ask, answer } = bed(t);
    const upstream = new Upstream();
    for (const change of [
      (exchange: Exchange) => Object.assign(exchange, { capabilities: -1 }),
      (exchange: Exchange) => Object.assign(exchange, { bodyLength: 0 }),
      (exchange: Exchange) => exchange.spans.fill(Method.complete, Span.method, Span.method + 1),
    ]) {
      const { exchange, wire } = send(upstream);
      change(exchange);
      ask(upstream, exchange, 1, 'roots/list');
      assert.equal(upstream.replies.at(-1).error.code, -32601);
      assert.equal(wire.body, '');
      answer(exchange, { result: { content: [] } });
      assert.equal(wire.message.result.resultType, 'complete');
    }
    assert.equal(upstream.cancelled.length, 0);
  });
});

describe('the bounds of parked calls', () => {
  it('hold for all, and for one principal', async (t) => {
    for (const [limits, subject] of [
      [{ maxParked: 2 }, 9],
      [{ maxParkedPerPrincipal: 2 }, 7],
    ] as const) {
      const { park, send, ask, retry, parked } = bed(t, { limits });
      const upstream = new Upstream();
      const { state } = await park(upstream);
      await park(upstream);
      const more = send(upstream, { subject });
      ask(upstream, more.exchange, 8, 'roots/list');
      assert.equal(more.wire.message.error.data.code, 'GW_TOO_MANY_PARKED');
      assert.equal(upstream.replies[0].error.code, -32603);
      assert.equal(upstream.cancelled.length, 1);
      assert.equal(parked.size, 2);
      retry(state, { q1: ACCEPT });
      await park(upstream, { subject });
      assert.equal(parked.size, 2);
    }
    const { park } = bed(t, { limits: { maxParkedPerPrincipal: 1 } });
    await park(new Upstream(), { subject: 1 });
    await park(new Upstream(), { subject: 2 });
  });

  it('hold for the questions of one call', async (t) => {
    const { send, ask, answered } = bed(t, { limits: { maxHeldBytes: 5000 } });
    const upstream = new Upstream();
    const { exchange, wire } = send(upstream);
    for (let id = 0; id < 40; id += 1) ask(upstream, exchange, id, 'roots/list');
    assert.equal(Object.keys((await answered(wire)).result.inputRequests).length, 32);
    assert.equal(upstream.replies.length, 8);
    const other = send(upstream);
    ask(upstream, other.exchange, 1, 'elicitation/create', { ...ELICIT, message: 'x'.repeat(3000) });
    ask(upstream, other.exchange, 2, 'elicitation/create', { ...ELICIT, message: 'x'.repeat(3000) });
    assert.equal(upstream.replies.at(-1).error.code, -32603);
    assert.equal(Object.keys((await answered(other.wire)).result.inputRequests).length, 1);
  });
});

describe('an upstream that needs a URL visited', () => {
  const elicitation = { mode: 'url', elicitationId: 'e1', url: 'https://example.com/a', message: 'Sign in' };
  const error = {
    code: -32042,
    message: 'URL',
    data: { elicitations: [elicitation, { ...elicitation, url: 'https://b' }] },
  };

  it('has the client asked, and the call made again', async (t) => {
    const { send, answer, retry, table, parked } = bed(t);
    const { exchange, wire } = send(new Upstream());
    answer(exchange, { error });
    const { result } = wire.message;
    assert.deepEqual(result.inputRequests, {
      q1: { method: 'elicitation/create', params: { mode: 'url', url: 'https://example.com/a', message: 'Sign in' } },
      q2: { method: 'elicitation/create', params: { mode: 'url', url: 'https://b', message: 'Sign in' } },
    });
    assert.equal(table.inUse, 0);
    assert.equal(parked.size, 0);
    assert.equal(retry(result.requestState, { q1: { action: 'accept' } }).taken, false);
    assert.equal(retry(result.requestState, {}, { name: 'other' }).wire.message.error.data.code, 'GW_INPUT_STATE');
    assert.equal(retry(result.requestState, {}, { subject: 1 }).wire.message.error.data.code, 'GW_INPUT_STATE');
  });

  it('has the client told when it declares no such thing', (t) => {
    const { send, answer } = bed(t);
    const { exchange, wire } = send(new Upstream(), { clientCapabilities: { elicitation: {} } });
    answer(exchange, { error });
    assert.equal(wire.status, 400);
    assert.deepEqual(wire.message.error.data.requiredCapabilities, { elicitation: { url: {} } });
  });

  it('expires', async (t) => {
    const { send, answer, retry } = bed(t, { limits: { parkMs: 1 } });
    const { exchange, wire } = send(new Upstream());
    answer(exchange, { error });
    const { requestState } = wire.message.result;
    await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(retry(requestState, {}).wire.message.error.data.code, 'GW_INPUT_STATE');
  });

  it('names no URL: the client gets an error', (t) => {
    const { send, answer } = bed(t);
    for (const data of [undefined, {}, { elicitations: {} }, { elicitations: [1, {}] }]) {
      const { exchange, wire } = send(new Upstream());
      answer(exchange, { error: { ...error, data } });
      assert.equal(wire.message.error.data.code, 'GW_INPUT_REQUIRED_UNSUPPORTED');
    }
  });
});
