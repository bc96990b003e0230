/** Calls that wait for answers of their clients, with the real table, scan and write stage around them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Era } from '../../../src/protocol/revisions.js';
import { Phase } from '../../../src/request/exchange/index.js';
import { HandleSealer } from '../../../src/session/handles.js';
import { eventually } from '../../support/process.js';
import { modernMessage } from '../../support/rpc.js';
import { ACCEPT, type CallOptions, ELICIT, EVERYTHING, fixture, Upstream } from './fixture.js';

describe('a parked call', () => {
  it('ends the request with an input request and continues with the retry', async (t) => {
    const { table, parked, send, ask, answer, answered, retry, finished } = fixture(t);
    const upstream = new Upstream();
    const { exchange, wire } = send(upstream, { id: 'first' });
    ask(upstream, exchange, 'srv-1', 'elicitation/create', { ...ELICIT, _meta: { progressToken: 9 } });
    assert.equal(exchange.call.openRequests, 1);
    assert.equal(exchange.call.deadline, 0);
    const first = await answered(wire);
    assert.equal(first.id, 'first');
    assert.deepEqual(first.result.inputRequests, { q1: { method: 'elicitation/create', params: ELICIT } });
    assert.equal(first.result._meta['io.modelcontextprotocol/serverInfo'].name, 'gw');
    assert.equal(exchange.phase, Phase.parked);
    assert.equal(exchange.client.idLength, 0);
    assert.equal(parked.size, 1);

    const second = retry(first.result.requestState, { q1: ACCEPT, other: { ignored: true } });
    assert.ok(second.isResumed);
    assert.deepEqual(upstream.replies, [{ jsonrpc: '2.0', id: 'srv-1', result: ACCEPT }]);
    assert.equal(second.wire.exchange, exchange);
    assert.ok(exchange.call.deadline > performance.now());
    assert.equal(exchange.call.openRequests, 0);
    assert.equal(parked.size, 0);
    answer(exchange, { result: { content: [] } });
    assert.equal(second.wire.message.id, 'again');
    assert.equal(second.wire.message.result.resultType, 'complete');
    assert.equal(table.inUse, 0);
    assert.deepEqual(finished, [null, null]);
  });

  it('sends several input requests in one round, under the keys that the server chose', async (t) => {
    const { send, ask, answered, retry } = fixture(t);
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

  it('repeats unanswered input requests at once, with a new state', async (t) => {
    const { send, ask, answered, retry } = fixture(t);
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
    // A request that arrived while the call was parked is part of the next round.
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

  it('delivers the response that arrived while it was parked', async (t) => {
    const { table, park, answer, retry, parked } = fixture(t);
    const upstream = new Upstream();
    const one = await park(upstream);
    answer(one.exchange, { result: { content: [{ type: 'text', text: 'done without you' }] } });
    const { wire } = retry(one.state, { q1: ACCEPT });
    assert.equal(wire.message.result.content[0].text, 'done without you');
    assert.equal(wire.message.id, 'again');

    const two = await park(upstream);
    two.exchange.call.upstream = null;
    parked.failed(two.exchange, 'GW_UPSTREAM_CLOSED');
    assert.equal(retry(two.state, { q1: ACCEPT }).wire.message.error.data.code, 'GW_UPSTREAM_CLOSED');

    const three = await park(upstream);
    answer(three.exchange, { result: { content: [{ type: 'text', text: 'x'.repeat(200_000) }] } });
    assert.equal(retry(three.state, { q1: ACCEPT }).wire.message.error.data.code, 'GW_RESPONSE_TOO_LARGE');
    assert.equal(table.inUse, 0);
    assert.deepEqual(upstream.replies, []);
  });

  it('accepts only a retry of the same call by the same caller', async (t) => {
    const { park, retry, parked } = fixture(t);
    const upstream = new Upstream();
    const { state } = await park(upstream);
    const refused = (text: string | undefined, call: CallOptions = {}): void => {
      const { wire, isResumed } = retry(text, { q1: ACCEPT }, call);
      assert.ok(isResumed);
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

  it('is unknown to another process, and after a restart', async (t) => {
    const one = fixture(t);
    const { state } = await one.park(new Upstream());
    assert.equal(fixture(t).retry(state, { q1: ACCEPT }).wire.message.error.data.code, 'GW_INPUT_STATE');
    const handles = new HandleSealer(['another secret that is long enough too'], 'parked call', 'sy1p.');
    assert.equal(fixture(t, { handles }).retry(state, { q1: ACCEPT }).wire.message.error.data.code, 'GW_INPUT_STATE');
    // Behind a modern upstream may be another gateway.
    assert.equal(fixture(t, { handles, eraOf: Era.modern }).retry(state, { q1: ACCEPT }).isResumed, false);
    assert.equal(fixture(t, { handles, eraOf: null }).retry(state, { q1: ACCEPT }).isResumed, true);
    assert.equal(fixture(t, { handles, eraOf: null }).retry('theirs', { q1: ACCEPT }).isResumed, false);
    assert.equal(fixture(t).retry(undefined, { q1: ACCEPT }).isResumed, false);
  });

  it('matches answers by key for two calls of one caller', async (t) => {
    const { park, retry } = fixture(t);
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

  it('ends after parkMs, and responds to the upstream for the client', async (t) => {
    const { table, send, ask, answered, retry, parked } = fixture(t, { limits: { parkMs: 80 } });
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

  it('continues without an input request that the upstream cancels', async (t) => {
    const { park, parked, scan, retry, answer, send, ask } = fixture(t);
    const upstream = new Upstream();
    const withdraw = (id: number): void => {
      const { bytes, spans } = scan({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: id } });
      parked.serverNotification(upstream, bytes, spans);
    };
    const { exchange, state } = await park(upstream);
    withdraw(4);
    assert.equal(exchange.call.openRequests, 1);
    withdraw(5);
    assert.equal(exchange.call.openRequests, 0);
    assert.ok(exchange.call.deadline > 0);
    const { wire } = retry(state, { q1: ACCEPT });
    assert.deepEqual(upstream.replies, []);
    answer(exchange, { result: { content: [] } });
    assert.equal(wire.message.result.resultType, 'complete');

    // Cancelled before the call was parked: the client gets no input request.
    const other = send(upstream);
    ask(upstream, other.exchange, 6, 'roots/list');
    withdraw(6);
    await new Promise((resolve) => setTimeout(resolve, 30));
    assert.equal(other.wire.body, '');
    assert.equal(other.exchange.phase, Phase.sending);
  });

  it('keeps its response when the endpoint disconnects', async (t) => {
    const { park, parked, retry, answer } = fixture(t);
    const upstream = new Upstream();
    const { exchange, state } = await park(upstream);
    parked.endpointDisconnected(upstream);
    answer(exchange, { error: { code: -32603, message: 'gone' } });
    const { wire } = retry(state, { q1: ACCEPT });
    assert.equal(wire.message.error.message, 'gone');
    assert.deepEqual(upstream.replies, []);
  });

  it('declines the request of the upstream when the client disconnects before it was sent', async (t) => {
    const { send, ask, write, table } = fixture(t);
    const upstream = new Upstream();
    const { exchange } = send(upstream);
    ask(upstream, exchange, 1, 'elicitation/create', ELICIT);
    exchange.client.reply = null;
    write.abandon(exchange);
    assert.deepEqual(upstream.replies[0].result, { action: 'cancel' });
    assert.equal(table.inUse, 0);
  });

  it('does not affect the next use of its exchange', async (t) => {
    const { send, ask, write, answered } = fixture(t);
    const upstream = new Upstream();
    const first = send(upstream, { id: 'one' });
    ask(upstream, first.exchange, 1, 'elicitation/create', ELICIT);
    first.exchange.client.reply = null;
    first.exchange.call.openRequests = 0;
    write.abandon(first.exchange);
    const second = send(upstream, { id: 'two' });
    assert.equal(second.exchange, first.exchange);
    ask(upstream, second.exchange, 2, 'roots/list');
    assert.deepEqual(Object.keys((await answered(second.wire)).result.inputRequests), ['q1']);
    assert.deepEqual((await answered(second.wire)).result.inputRequests.q1.method, 'roots/list');
  });

  it('all end with close, and no call is parked afterwards', async (t) => {
    const { park, parked, table, send, ask, answer } = fixture(t);
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
