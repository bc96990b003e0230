/** Requests of a dedicated endpoint while the session that it belongs to has no stream. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { eventually } from '../support/process.js';
import { ALL, fixture, RecordingEndpoint } from './fixture.js';

const ROOTS = '{"jsonrpc":"2.0","id":"r","method":"roots/list"}';

function waitingFixture(limits: Parameters<typeof fixture>[0] = {}) {
  const all = fixture(limits);
  const client = all.client(ALL);
  const endpoint = new RecordingEndpoint({ sessionId: client.session.id, subject: new Int32Array(4) });
  all.serverRequest(endpoint, null, ROOTS);
  return { ...all, client, endpoint };
}

describe('a request to a session without a stream', () => {
  it('waits, and goes on the next stream that there is', (scope) => {
    const { client, endpoint, requests, call, clientResponse, close } = waitingFixture();
    scope.after(close);
    assert.equal(client.session.hasWaitingRequests, true);
    assert.deepEqual(endpoint.texts, []);
    const { exchange, wire } = call(client, new RecordingEndpoint());
    requests.deliverWaiting(client.session, exchange);
    assert.equal(client.session.hasWaitingRequests, false);
    const [asked] = wire.messages;
    assert.equal(asked.method, 'roots/list');
    clientResponse(client, `{"jsonrpc":"2.0","id":${asked.id},"result":{"roots":[]}}`);
    assert.deepEqual(endpoint.replies, [{ jsonrpc: '2.0', id: 'r', result: { roots: [] } }]);
    assert.equal(requests.counts.open, 0);
  });

  it('goes on the long-lived stream once that is open', (scope) => {
    const { client, requests, close } = waitingFixture();
    scope.after(close);
    requests.deliverWaiting(client.session, null);
    assert.equal(client.session.hasWaitingRequests, true, 'there is no stream yet');
    client.own = [];
    requests.deliverWaiting(client.session, null);
    assert.equal(client.own.length, 1);
    requests.deliverWaiting(client.session, null);
    assert.equal(client.own.length, 1, 'it is sent once');
  });

  it('is never sent when its server has cancelled it', (scope) => {
    const { client, endpoint, requests, serverNotification, close } = waitingFixture();
    scope.after(close);
    serverNotification(endpoint, '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"r"}}');
    client.own = [];
    requests.deliverWaiting(client.session, null);
    assert.deepEqual(client.own, []);
    assert.equal(requests.counts.open, 0);
  });

  it('is answered with an error when its session ends, and dropped when its server does', (scope) => {
    const { client, endpoint, requests, serverRequest, close } = waitingFixture();
    scope.after(close);
    requests.sessionEnded(client.session.id);
    assert.match(endpoint.replies[0]?.error.message, /session of the client has ended/);
    serverRequest(endpoint, null, ROOTS);
    requests.endpointDisconnected(endpoint);
    client.own = [];
    requests.deliverWaiting(client.session, null);
    assert.deepEqual(client.own, []);
    assert.equal(requests.counts.open, 0);
    assert.equal(endpoint.replies.length, 1);
  });

  it('expires with an error, and the client is not told of what it never got', async (scope) => {
    const { client, endpoint, requests, close } = waitingFixture({ answerMs: 20 });
    scope.after(close);
    await eventually('it has expired', () => endpoint.replies.length === 1);
    assert.match(endpoint.replies[0]?.error.message, /did not answer in time/);
    client.own = [];
    requests.deliverWaiting(client.session, null);
    assert.deepEqual(client.own, []);
  });

  it('counts among the requests that a session may have open, however many its server sends', (scope) => {
    const { endpoint, serverRequest, requests, close } = waitingFixture({ maxServerRequests: 10 });
    scope.after(close);
    for (let index = 0; index < 20; index += 1) serverRequest(endpoint, null, ROOTS.replace('"r"', String(index)));
    assert.equal(requests.counts.open, 10);
    assert.equal(endpoint.replies.filter(({ error }) => /Too many/.test(error.message)).length, 11);
  });

  it('is refused where the endpoint belongs to no session', (scope) => {
    const { serverRequest, close } = waitingFixture();
    scope.after(close);
    const shared = new RecordingEndpoint();
    serverRequest(shared, null, ROOTS);
    assert.match(shared.replies[0]?.error.message, /cannot determine the client/);
  });
});
