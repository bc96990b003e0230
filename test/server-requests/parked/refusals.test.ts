/** Requests of legacy upstreams that are refused, that exceed the limits, and that are errors instead. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Method } from '../../../native/layout.js';
import type { Exchange } from '../../../src/request/exchange/index.js';
import { ACCEPT, ELICIT, fixture, Upstream } from './fixture.js';

describe('a client that lacks a capability', () => {
  it('gets an error with the capability that the call needs', (t) => {
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
      const { send, ask, table } = fixture(t);
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

  it('gets the error with its retry, if the request arrived while the call was parked', async (t) => {
    const { park, ask, retry, table } = fixture(t);
    const upstream = new Upstream();
    const { exchange, state } = await park(upstream, { clientCapabilities: { elicitation: {} } });
    ask(upstream, exchange, 6, 'roots/list');
    assert.equal(upstream.cancelled.length, 1);
    const { wire } = retry(state, { q1: ACCEPT }, { clientCapabilities: { elicitation: {} } });
    assert.deepEqual(wire.message.error.data.requiredCapabilities, { roots: {} });
    assert.equal(table.inUse, 0);
  });

  it('gets no input request that its retry lacks the capability for', async (t) => {
    const { park, retry, table } = fixture(t);
    const upstream = new Upstream();
    const { state } = await park(upstream);
    const { wire } = retry(state, {}, { clientCapabilities: { sampling: {} } });
    assert.equal(wire.message.error.code, -32021);
    assert.deepEqual(upstream.replies[0].result, { action: 'cancel' });
    assert.equal(table.inUse, 0);
  });

  it('gets only the methods of 2026-07-28', (t) => {
    const { send, ask } = fixture(t);
    const upstream = new Upstream();
    const { exchange, wire } = send(upstream);
    ask(upstream, exchange, 1, 'tasks/get', { taskId: 'x' });
    ask(upstream, exchange, 2, 'something/else');
    assert.deepEqual(
      upstream.replies.map(({ error }) => error.code),
      [-32601, -32601],
    );
    assert.equal(wire.body, '');
    assert.equal(exchange.call.openRequests, 0);
  });

  it('gets no request for methods without input_required', (t) => {
    const { send, ask, answer } = fixture(t);
    const upstream = new Upstream();
    for (const change of [
      (exchange: Exchange) => Object.assign(exchange.client, { capabilities: -1 }),
      (exchange: Exchange) => Object.assign(exchange.message, { bodyLength: 0 }),
      (exchange: Exchange) => {
        exchange.message.spans.method = Method.complete;
      },
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

describe('the limits of parked calls', () => {
  it('hold in total, and per principal', async (t) => {
    for (const [limits, subject] of [
      [{ maxParked: 2 }, 9],
      [{ maxParkedPerPrincipal: 2 }, 7],
    ] as const) {
      const { park, send, ask, retry, parked } = fixture(t, { limits });
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
    const { park } = fixture(t, { limits: { maxParkedPerPrincipal: 1 } });
    await park(new Upstream(), { subject: 1 });
    await park(new Upstream(), { subject: 2 });
  });

  it('leave half of the connections of an upstream to other calls', async (t) => {
    for (const [connections, room] of [
      [5, 2],
      [1, 1],
    ] as const) {
      const { park, send, ask, retry, answer } = fixture(t, { connections });
      const [upstream, other] = [new Upstream(), new Upstream()];
      const calls = [];
      while (calls.length < room) calls.push(await park(upstream));
      const more = send(upstream);
      ask(upstream, more.exchange, 8, 'roots/list');
      assert.equal(more.wire.message.error.data.code, 'GW_TOO_MANY_PARKED');
      await park(other);
      // Once answered it is an ordinary call again.
      retry(calls[0]!.state, { q1: ACCEPT });
      await park(upstream);
      answer(calls[0]!.exchange, { result: { content: [] } });
    }
  });

  it('hold for the input requests of one call', async (t) => {
    const { send, ask, answered } = fixture(t, { limits: { maxHeldBytes: 5000 } });
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

  it('makes the client visit it and retry the call', async (t) => {
    const { send, answer, retry, table, parked } = fixture(t);
    const { exchange, wire } = send(new Upstream());
    answer(exchange, { error });
    const { result } = wire.message;
    assert.deepEqual(result.inputRequests, {
      q1: { method: 'elicitation/create', params: { mode: 'url', url: 'https://example.com/a', message: 'Sign in' } },
      q2: { method: 'elicitation/create', params: { mode: 'url', url: 'https://b', message: 'Sign in' } },
    });
    assert.equal(table.inUse, 0);
    assert.equal(parked.size, 0);
    assert.equal(retry(result.requestState, { q1: { action: 'accept' } }).isResumed, false);
    assert.equal(retry(result.requestState, {}, { name: 'other' }).wire.message.error.data.code, 'GW_INPUT_STATE');
    assert.equal(retry(result.requestState, {}, { subject: 1 }).wire.message.error.data.code, 'GW_INPUT_STATE');
  });

  it('is an error for a client without elicitation by URL', (t) => {
    const { send, answer } = fixture(t);
    const { exchange, wire } = send(new Upstream(), { clientCapabilities: { elicitation: {} } });
    answer(exchange, { error });
    assert.equal(wire.status, 400);
    assert.deepEqual(wire.message.error.data.requiredCapabilities, { elicitation: { url: {} } });
  });

  it('expires', async (t) => {
    const { send, answer, retry } = fixture(t, { limits: { parkMs: 1 } });
    const { exchange, wire } = send(new Upstream());
    answer(exchange, { error });
    const { requestState } = wire.message.result;
    await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(retry(requestState, {}).wire.message.error.data.code, 'GW_INPUT_STATE');
  });

  it('names no URL: the client gets an error', (t) => {
    const { send, answer } = fixture(t);
    for (const data of [undefined, {}, { elicitations: {} }, { elicitations: [1, {}] }]) {
      const { exchange, wire } = send(new Upstream());
      answer(exchange, { error: { ...error, data } });
      assert.equal(wire.message.error.data.code, 'GW_INPUT_REQUIRED_UNSUPPORTED');
    }
  });
});
