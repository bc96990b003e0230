/** How requests of upstreams end, and the notifications about them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Elicitations } from '../../src/server-requests/elicitations.js';
import { eventually } from '../support/process.js';
import { ALL, fixture, RecordingEndpoint, SAMPLE } from './fixture.js';

describe('the end of a request of an upstream', () => {
  it('comes after answerMs, for both peers', async (scope) => {
    const all = fixture({ answerMs: 30 });
    scope.after(all.close);
    const endpoint = new RecordingEndpoint();
    const client = all.client(ALL);
    const { exchange, wire } = all.call(client, endpoint);
    exchange.call.deadline = performance.now() + 10;
    const { deadline } = exchange.call;
    all.serverRequest(endpoint, exchange, SAMPLE);
    all.serverRequest(endpoint, exchange, SAMPLE.replace('s\\u00e9-1', '2'));
    await eventually('both expired', () => endpoint.texts.length === 2);
    assert.deepEqual(
      endpoint.replies.map(({ id, error }) => [id, error.code]),
      [
        ['sé-1', -32603],
        ['2', -32603],
      ],
    );
    const [one, two, ...rest] = wire.messages;
    assert.deepEqual(
      rest.map(({ method, params }) => [method, params.requestId]),
      [
        ['notifications/cancelled', one.id],
        ['notifications/cancelled', two.id],
      ],
    );
    assert.equal(exchange.call.openRequests, 0);
    assert.ok(exchange.call.deadline > deadline, 'the call has the time it had left');
    all.clientResponse(client, `{"jsonrpc":"2.0","id":${one.id},"result":{}}`);
    assert.equal(endpoint.texts.length, 2);
    assert.equal(all.requests.counts.expired, 2);
    assert.equal(all.requests.counts.late, 1);
  });

  it('does not wait for requests with longer limits after a reload has shortened answerMs', async (scope) => {
    const all = fixture();
    scope.after(all.close);
    const endpoint = new RecordingEndpoint();
    const { exchange } = all.call(all.client(ALL), endpoint);
    all.serverRequest(endpoint, exchange, SAMPLE);
    all.limits.answerMs = 30;
    all.serverRequest(endpoint, exchange, SAMPLE.replace('s\\u00e9-1', '2'));
    await eventually('the second expired', () => endpoint.texts.length === 1);
    assert.equal(endpoint.replies[0].id, '2');
    assert.equal(all.requests.counts.open, 1);
    assert.equal(exchange.call.openRequests, 1);
  });

  it('is the end of its call; the client gets the cancellation before the response', (scope) => {
    const all = fixture();
    scope.after(all.close);
    const ends: readonly ((call: ReturnType<typeof all.call>) => void)[] = [
      ({ exchange }) => all.upstreamMessage(exchange, '{"jsonrpc":"2.0","id":1,"result":{}}'),
      ({ exchange }) => all.write.fail(exchange, 'GW_UPSTREAM_CLOSED'),
      ({ exchange }) => all.write.cancelled(exchange),
    ];
    for (const end of ends) {
      const endpoint = new RecordingEndpoint();
      const client = all.client(ALL);
      const call = all.call(client, endpoint);
      all.serverRequest(endpoint, call.exchange, SAMPLE);
      end(call);
      const [request, note] = call.wire.messages;
      assert.equal(note.method, 'notifications/cancelled');
      assert.equal(note.params.requestId, request.id);
      assert.ok(call.wire.ended);
      all.clientResponse(client, `{"jsonrpc":"2.0","id":${request.id},"result":{}}`);
      // The server may still wait for it; the late response is not passed on.
      assert.deepEqual(
        endpoint.replies.map(({ error }) => error?.message),
        ['The call of this request has ended.'],
      );
      assert.equal(all.requests.counts.open, 0);
    }
  });

  it('is the end of its endpoint', (scope) => {
    const all = fixture();
    scope.after(all.close);
    const [lost, other] = [new RecordingEndpoint(), new RecordingEndpoint()];
    const client = all.client(ALL, 3, true);
    const [one, two] = [all.call(client, lost), all.call(client, other)];
    all.serverRequest(lost, one.exchange, SAMPLE);
    all.serverRequest(other, two.exchange, SAMPLE);
    all.requests.endpointDisconnected(lost);
    assert.equal(one.wire.messages[1].params.requestId, one.wire.messages[0].id);
    assert.equal(one.exchange.call.openRequests, 0);
    assert.equal(two.exchange.call.openRequests, 1);
    for (const { wire } of [one, two]) {
      all.clientResponse(client, `{"jsonrpc":"2.0","id":${wire.messages[0].id},"result":{}}`);
    }
    assert.equal(lost.texts.length, 0);
    assert.equal(other.texts.length, 1);
  });

  it('is the end of the session', (scope) => {
    const all = fixture();
    scope.after(all.close);
    const endpoint = new RecordingEndpoint();
    const client = all.client(ALL);
    const { exchange } = all.call(client, endpoint);
    all.serverRequest(endpoint, exchange, SAMPLE);
    all.requests.sessionEnded('another');
    assert.equal(all.requests.counts.open, 1);
    all.requests.sessionEnded(client.session.id);
    assert.equal(endpoint.replies[0].error.code, -32603);
    assert.equal(all.requests.counts.open, 0);
  });

  it('is that the upstream cancels it', (scope) => {
    const all = fixture();
    scope.after(all.close);
    const [endpoint, other] = [new RecordingEndpoint(), new RecordingEndpoint()];
    const client = all.client(ALL);
    const { exchange, wire } = all.call(client, endpoint);
    all.serverRequest(endpoint, exchange, SAMPLE.replace('"s\\u00e9-1"', '1'));
    const cancel = (id: string) =>
      `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${id}, "reason":"no", "x":1}}`;
    all.serverNotification(other, cancel('1'));
    all.serverNotification(endpoint, cancel('"1"'));
    all.serverNotification(endpoint, '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{}}');
    assert.equal(wire.texts.length, 1);
    all.serverNotification(endpoint, cancel('1'));
    assert.equal(wire.texts[1], cancel(String(wire.messages[0].id)));
    assert.equal(exchange.call.openRequests, 0);
    all.clientResponse(client, `{"jsonrpc":"2.0","id":${wire.messages[0].id},"result":{}}`);
    assert.deepEqual(endpoint.texts, []);
  });

  it('is that the client cancels it: the upstream gets a response, not a cancellation in the wrong direction', (scope) => {
    const all = fixture();
    scope.after(all.close);
    const endpoint = new RecordingEndpoint();
    const [client, other] = [all.client(ALL), all.client({ roots: {} })];
    const { exchange, wire } = all.call(client, endpoint);
    all.serverRequest(endpoint, exchange, SAMPLE);
    const id = Buffer.from(String(wire.messages[0].id));
    const cancel = (session: typeof client.session) => {
      const message = all.table.acquire()!;
      message.client.session = session;
      all.requests.clientCancelled(message, id, 0, id.length);
      all.table.release(message);
    };
    cancel(other.session);
    assert.equal(all.requests.counts.open, 1);
    cancel(client.session);
    assert.equal(endpoint.replies[0].error.code, -32603);
    assert.equal(endpoint.replies[0].id, 'sé-1');
  });
});

describe('notifications about requests of upstreams', () => {
  it('pass progress of the client on to the upstream under its own token', (scope) => {
    const all = fixture();
    scope.after(all.close);
    const endpoint = new RecordingEndpoint();
    const [client, other] = [all.client(ALL), all.client({ roots: {} })];
    const { exchange, wire } = all.call(client, endpoint);
    const ask = (meta: string) => `{"jsonrpc":"2.0","id":7,"method":"roots/list","params":{${meta}}}`;
    all.serverRequest(endpoint, exchange, ask('"_meta":{"a":1,"progressToken":"tök\\u0065n"}'));
    all.serverRequest(endpoint, exchange, ask(''));
    const [first, second] = wire.messages;
    assert.deepEqual(first.params._meta, { a: 1, progressToken: first.id });
    const progress = (token: unknown) =>
      `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1.0,"progressToken":${token},"message":"m"}}`;
    all.clientNotification(other, progress(first.id));
    all.clientNotification(client, progress(second.id));
    all.clientNotification(client, progress(12));
    all.clientNotification(client, progress(`"${first.id}"`));
    assert.deepEqual(endpoint.texts, []);
    all.clientNotification(client, progress(first.id));
    assert.deepEqual(endpoint.texts, [progress('"tök\\u0065n"')]);
  });

  it('report changed roots', (scope) => {
    const all = fixture();
    scope.after(all.close);
    const client = all.client(ALL);
    all.clientNotification(client, '{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}');
    all.clientNotification(client, '{"jsonrpc":"2.0","method":"notifications/other"}');
    assert.deepEqual(all.rootsChanges, [client.session.id]);
  });

  it('reach the client of an elicitation by URL, whether a request or an error named it', (scope) => {
    const all = fixture();
    scope.after(all.close);
    const [endpoint, other] = [new RecordingEndpoint(), new RecordingEndpoint()];
    const [client, failing] = [all.client(ALL, 3, true), all.client({ roots: {} }, 3, true)];
    const { exchange, wire } = all.call(client, endpoint);
    all.serverRequest(
      endpoint,
      exchange,
      '{"jsonrpc":"2.0","id":7,"method":"elicitation/create","params":{"mode":"url","url":"https://a.example/","elicitationId":"one","message":"m"}}',
    );
    const second = all.call(failing, endpoint);
    const error =
      '{"jsonrpc":"2.0","id":1,"error":{"code":-32042,"message":"visit","data":{"elicitations":[{"mode":"url","url":"https://b.example/","elicitationId":"two","message":"m"}]}}}';
    all.upstreamMessage(second.exchange, error);
    assert.equal(second.wire.texts[0], error.replace('"id":1', '"id":"mine"'), 'the error passes untouched');

    const complete = (id: string) =>
      `{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"${id}"}}`;
    all.serverNotification(other, complete('one'));
    all.serverNotification(endpoint, complete('none'));
    assert.equal(wire.texts.length, 1);
    all.serverNotification(endpoint, complete('one'));
    all.serverNotification(endpoint, complete('one'));
    assert.deepEqual(wire.texts.slice(1), [complete('one')], 'once, on the stream of the call');
    all.serverNotification(endpoint, complete('two'));
    assert.deepEqual(failing.own, [complete('two')]);
    assert.deepEqual(client.own, []);
  });
});

describe('elicitations by URL', () => {
  it('are remembered up to a bound, the latest ones', () => {
    const elicitations = new Elicitations();
    const endpoint = new RecordingEndpoint();
    for (let id = 0; id <= 10_000; id += 1) {
      elicitations.add(endpoint, `${id}`, { sessionId: `s${id}`, call: null });
    }
    assert.equal(elicitations.complete(endpoint, '0'), null);
    assert.equal(elicitations.complete(endpoint, '1')!.sessionId, 's1');
    assert.equal(elicitations.complete(endpoint, '1'), null);
    assert.equal(elicitations.complete(new RecordingEndpoint(), '2'), null, 'ids are those of one endpoint');
    assert.equal(elicitations.complete(endpoint, '10000')!.sessionId, 's10000');
  });
});
