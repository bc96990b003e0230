/** Requests of upstreams to legacy clients: their recipients and their bytes. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decoder } from '../../native/index.js';
import { ScanStatus } from '../../native/layout.js';
import { Spans } from '../../native/spans.js';
import { ALL, fixture, RecordingEndpoint, SAMPLE } from './fixture.js';

describe('a request of an upstream', () => {
  it('reaches the client of its call under an id of the gateway; its response has the original id, all other bytes unchanged', (scope) => {
    const all = fixture();
    scope.after(all.close);
    const endpoint = new RecordingEndpoint();
    const client = all.client(ALL);
    const { exchange, wire } = all.call(client, endpoint);
    all.serverRequest(endpoint, exchange, SAMPLE);
    assert.equal(exchange.call.openRequests, 1);
    const id = wire.messages[0].id as number;
    assert.equal(wire.texts[0], SAMPLE.replace('"s\\u00e9-1"', String(id)));
    all.clientResponse(
      client,
      `{"result" : {"role":"assistant","n":1e0},\n"id":${id},"jsonrpc":"2.0", "more":{"a":1}}`,
    );
    assert.deepEqual(endpoint.texts, [
      '{"result" : {"role":"assistant","n":1e0}, "id":"s\\u00e9-1","jsonrpc":"2.0", "more":{"a":1}}',
    ]);
    assert.equal(exchange.call.openRequests, 0);
    assert.deepEqual(all.requests.counts, {
      open: 0,
      answered: 1,
      refused: 0,
      unattributable: 0,
      expired: 0,
      late: 0,
    });
  });

  it('is answered only by the session that it was sent to, and once', (scope) => {
    const all = fixture();
    scope.after(all.close);
    const endpoint = new RecordingEndpoint();
    const [client, other] = [all.client(ALL), all.client({ ...ALL, experimental: {} })];
    const { exchange, wire } = all.call(client, endpoint);
    all.serverRequest(endpoint, exchange, SAMPLE);
    const { id } = wire.messages[0];
    const answer = `{"jsonrpc":"2.0","id":${id},"result":{}}`;
    all.clientResponse(other, answer);
    for (const wrong of [`"${id}"`, `${id}.0`, `${id}e0`, String(id + 1), '0', '-1']) {
      all.clientResponse(client, `{"jsonrpc":"2.0","id":${wrong},"result":{}}`);
    }
    assert.deepEqual(endpoint.texts, []);
    all.clientResponse(client, answer);
    all.clientResponse(client, answer);
    assert.equal(endpoint.texts.length, 1);
    assert.equal(all.requests.counts.late, 8);
  });

  it('keeps its id whatever JSON it is, and the response its bytes', (scope) => {
    const all = fixture();
    scope.after(all.close);
    const endpoint = new RecordingEndpoint();
    const client = all.client(ALL);
    const ids = fc.oneof(
      fc.string({ maxLength: 40, unit: 'binary' }).map((text) => JSON.stringify(text)),
      fc.maxSafeInteger().map(String),
      fc.constantFrom('9007199254740993', '-0', '"\\ud83d\\ude00"', '"1"'),
    );
    fc.assert(
      fc.property(ids, fc.json(), fc.json(), (id, params, result) => {
        const { exchange, wire } = all.call(client, endpoint);
        all.serverRequest(
          endpoint,
          exchange,
          `{"jsonrpc":"2.0","id":${id},"method":"roots/list","params":{"p":${params}}}`,
        );
        const ours = wire.messages[0].id as number;
        assert.equal(wire.texts[0], `{"jsonrpc":"2.0","id":${ours},"method":"roots/list","params":{"p":${params}}}`);
        all.clientResponse(client, `{"jsonrpc":"2.0","result":${result},"id":${ours}}`);
        assert.equal(endpoint.texts.pop(), `{"jsonrpc":"2.0","result":${result},"id":${id}}`);
        all.upstreamMessage(exchange, '{"jsonrpc":"2.0","id":1,"result":{}}');
      }),
      { numRuns: 200 },
    );
  });

  it('belongs to the session of a dedicated connection if no call is known; sent on its standalone stream, else on that of any of its calls', (scope) => {
    const all = fixture();
    scope.after(all.close);
    const client = all.client(ALL, 3, true);
    const lane = new RecordingEndpoint({ sessionId: client.session.id, subject: new Int32Array(4) });
    const calls = [all.call(client, lane), all.call(client, lane)];
    const stranger = all.call(all.client({ roots: {} }), lane);
    all.serverRequest(lane, null, SAMPLE);
    assert.equal(client.own!.length, 1);
    client.own = null;
    all.serverRequest(lane, null, SAMPLE);
    assert.equal(calls[0]!.wire.texts.length, 1);
    assert.equal(calls[1]!.wire.texts.length + stranger.wire.texts.length, 0);
    assert.deepEqual(
      [...calls, stranger].map(({ exchange }) => exchange.call.openRequests),
      [2, 2, 0],
      'no call of the session runs out of time meanwhile',
    );
    // The end of one of them is not the end of the request.
    all.upstreamMessage(calls[0]!.exchange, '{"jsonrpc":"2.0","id":1,"result":{}}');
    assert.equal(all.requests.counts.open, 2);
    all.clientResponse(client, `{"jsonrpc":"2.0","id":${calls[0]!.wire.messages[0].id},"result":{}}`);
    assert.equal(lane.texts.length, 1);
    assert.equal(calls[1]!.exchange.call.openRequests, 1);
  });

  it('is refused if its client cannot be determined', (scope) => {
    const all = fixture();
    scope.after(all.close);
    const owners = [
      null,
      { sessionId: '', subject: new Int32Array(4) },
      { sessionId: 'none', subject: new Int32Array(4) },
    ];
    for (const owner of owners) {
      const endpoint = new RecordingEndpoint(owner);
      all.serverRequest(endpoint, null, SAMPLE);
      assert.equal(endpoint.replies[0].error.code, -32603);
      assert.equal(endpoint.replies[0].id, 'sé-1');
    }
    assert.equal(all.requests.counts.unattributable, 3);
  });

  const url = '{"mode":"url","url":"https://a.example/","elicitationId":"e","message":"m"}';
  const form = '{"message":"m","requestedSchema":{"type":"object","properties":{}}}';
  const refusals: readonly [what: string, capabilities: object, revision: number, method: string, params: string][] = [
    ['sampling', { roots: {} }, 3, 'sampling/createMessage', '{"messages":[],"maxTokens":1}'],
    ['sampling with tools', { sampling: {} }, 3, 'sampling/createMessage', '{"messages":[],"maxTokens":1,"tools":[]}'],
    ['tools before 2025-11-25', ALL, 2, 'sampling/createMessage', '{"messages":[],"maxTokens":1,"toolChoice":{}}'],
    ['elicitation', { sampling: {} }, 3, 'elicitation/create', form],
    ['elicitation before 2025-06-18', ALL, 1, 'elicitation/create', form],
    ['elicitation by URL', { elicitation: {} }, 3, 'elicitation/create', url],
    ['elicitation by URL before 2025-11-25', ALL, 2, 'elicitation/create', url],
    ['forms of a client that takes only URLs', { elicitation: { url: {} } }, 3, 'elicitation/create', form],
    ['roots', { sampling: {} }, 3, 'roots/list', '{}'],
    ['an unknown method', ALL, 3, 'sampling/other', '{}'],
    ['a method of servers', ALL, 3, 'tools/list', '{}'],
    ['tasks', ALL, 3, 'tasks/get', '{"taskId":"t"}'],
  ];
  for (const [what, capabilities, revision, method, params] of refusals) {
    it(`is refused without the capability: ${what}`, (scope) => {
      const all = fixture();
      scope.after(all.close);
      const endpoint = new RecordingEndpoint();
      const { exchange, wire } = all.call(all.client(capabilities, revision, true), endpoint);
      all.serverRequest(endpoint, exchange, `{"jsonrpc":"2.0","id":5,"method":"${method}","params":${params}}`);
      assert.equal(endpoint.replies[0].error.code, -32601);
      assert.deepEqual(wire.texts, []);
      assert.equal(exchange.call.openRequests, 0);
      assert.equal(all.requests.counts.refused, 1);
    });
  }

  it('is split into one block of content per message for older clients', (scope) => {
    const all = fixture();
    scope.after(all.close);
    const endpoint = new RecordingEndpoint();
    const ask = (revision: number, content: string) => {
      const { exchange, wire } = all.call(all.client(ALL, revision), endpoint);
      const messages = `[{"role":"user","content":${content},"z":1}, {"role":"assistant","content":{"type":"text","text":"b"}}]`;
      const text = `{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{"messages":${messages},"maxTokens":1}}`;
      all.serverRequest(endpoint, exchange, text);
      return { sent: wire.messages[0]?.params.messages, untouched: wire.texts[0]?.includes(messages) };
    };
    const two = '[{"type":"text","text":"a"},{"type":"audio","data":"","mimeType":"audio/wav"}]';
    assert.deepEqual(ask(2, two).sent, [
      { role: 'user', content: { type: 'text', text: 'a' }, z: 1 },
      { role: 'user', content: { type: 'audio', data: '', mimeType: 'audio/wav' }, z: 1 },
      { role: 'assistant', content: { type: 'text', text: 'b' } },
    ]);
    assert.equal(ask(3, two).untouched, true);
    assert.equal(ask(2, '{"type":"text","text":"a"}').untouched, true);
    const wide = `{"type":"text","text":"a","_meta":"${'x'.repeat(1000)}"}`;
    assert.equal(ask(2, `[${Array(2000).fill(wide).join()}]`).sent.length, 2001);
    for (const [revision, content] of [
      // What surrounds the blocks would come a thousand times.
      [2, `[${Array(1000).fill('{"type":"text","text":"a"}').join()}],"_meta":{"x":"${'x'.repeat(10_000)}"}`],
      [0, two],
      [2, '[]'],
      [2, '[{"type":"tool_use","id":"1","name":"n","input":{}}]'],
    ] as const) {
      assert.equal(ask(revision, content).sent, undefined);
      assert.equal(endpoint.replies.at(-1).error.code, -32601);
    }
  });

  it('is refused at once if the client has no stream, and if too many are open', (scope) => {
    const all = fixture({ maxServerRequests: 2 });
    scope.after(all.close);
    const endpoint = new RecordingEndpoint();
    const client = all.client(ALL);
    const gone = all.call(client, endpoint);
    gone.exchange.client.reply = null;
    all.serverRequest(endpoint, gone.exchange, SAMPLE);
    assert.equal(endpoint.replies[0].error.code, -32603);
    assert.match(endpoint.replies[0].error.message, /no stream/);
    assert.equal(gone.exchange.call.openRequests, 0);
    const plain = all.call(client, endpoint);
    plain.exchange.client.accepts = 1;
    all.serverRequest(endpoint, plain.exchange, SAMPLE);
    assert.equal(endpoint.replies.length, 2);

    const { exchange, wire } = all.call(client, endpoint);
    for (let count = 0; count < 3; count += 1) all.serverRequest(endpoint, exchange, SAMPLE);
    assert.equal(wire.texts.length, 2);
    assert.match(endpoint.replies[2].error.message, /Too many/);
    assert.equal(all.requests.counts.refused, 3);
    assert.equal(all.requests.counts.open, 2);
    all.clientResponse(client, `{"jsonrpc":"2.0","id":${wire.messages[0].id},"result":{}}`);
    all.serverRequest(endpoint, exchange, SAMPLE);
    assert.equal(wire.texts.length, 3, 'an answer makes room');
  });
});

describe('any request of a server', () => {
  it('is either sent to the client as valid JSON or answered, whatever its params are', (scope) => {
    const all = fixture({ maxServerRequests: 1e6 });
    scope.after(all.close);
    const block = fc.oneof(
      fc.record({ type: fc.constantFrom('text', 'image', 'audio', 'tool_use', 1) }, { requiredKeys: [] }),
      fc.jsonValue(),
    );
    const message = fc.oneof(
      fc.record({ role: fc.constant('user'), content: fc.oneof(block, fc.array(block)), _meta: fc.jsonValue() }),
      fc.jsonValue(),
    );
    const params = fc.record(
      {
        messages: fc.oneof(fc.array(message), fc.jsonValue()),
        mode: fc.oneof(fc.constantFrom('url', 'form'), fc.jsonValue()),
        elicitationId: fc.jsonValue(),
        tools: fc.jsonValue(),
        _meta: fc.oneof(fc.record({ progressToken: fc.jsonValue() }), fc.jsonValue()),
      },
      { requiredKeys: [] },
    );
    const methods = fc.constantFrom('sampling/createMessage', 'elicitation/create', 'roots/list', 'x/y');
    const endpoint = new RecordingEndpoint();
    fc.assert(
      fc.property(methods, params, fc.integer({ min: 0, max: 3 }), fc.boolean(), (method, value, revision, spaced) => {
        const text = JSON.stringify({ jsonrpc: '2.0', id: 'q', method, params: value }, null, spaced ? 1 : 0);
        const { exchange, wire } = all.call(all.client(ALL, revision), endpoint);
        all.serverRequest(endpoint, exchange, text);
        const [reply] = endpoint.texts.splice(0);
        assert.equal(wire.texts.length + (reply === undefined ? 0 : 1), 1);
        if (reply !== undefined) assert.equal(JSON.parse(reply).id, 'q');
        else assert.equal(wire.messages[0].method, method);
        all.upstreamMessage(exchange, '{"jsonrpc":"2.0","id":1,"result":{}}');
        // The call ended before the client answered, which the server is told.
        assert.equal(endpoint.texts.splice(0).length, reply === undefined ? 1 : 0);
      }),
      { numRuns: 500 },
    );
    assert.equal(all.table.inUse, 0);
    assert.equal(all.requests.counts.open, 0);
  });
});

describe('one session', () => {
  it('uses at most a tenth of maxServerRequests', (scope) => {
    const all = fixture({ maxServerRequests: 200 });
    scope.after(all.close);
    const endpoint = new RecordingEndpoint();
    const [greedy, other] = [all.call(all.client(ALL), endpoint), all.call(all.client({ ...ALL, x: {} }), endpoint)];
    for (let count = 0; count < 30; count += 1) all.serverRequest(endpoint, greedy.exchange, SAMPLE);
    assert.equal(greedy.wire.texts.length, 20);
    assert.equal(endpoint.texts.length, 10);
    all.serverRequest(endpoint, other.exchange, SAMPLE);
    assert.equal(other.wire.texts.length, 1);
  });
});

describe('many requests of upstreams', () => {
  it('reach their clients in any order, also with equal ids of several upstreams', (scope) => {
    const all = fixture({ maxServerRequests: 1000 });
    scope.after(all.close);
    const endpoint = new RecordingEndpoint();
    const sent = Array.from({ length: 200 }, (_, number) => {
      const client = all.client({ ...ALL, experimental: { [`c${number}`]: {} } });
      const call = all.call(client, endpoint);
      all.serverRequest(endpoint, call.exchange, `{"jsonrpc":"2.0","id":${number % 5},"method":"roots/list"}`);
      return { number, client, id: call.wire.messages[0].id as number };
    });
    assert.equal(new Set(sent.map(({ id }) => id)).size, sent.length);
    for (const { number, client, id } of sent.toReversed()) {
      all.clientResponse(client, `{"jsonrpc":"2.0","id":${id},"result":{"number":${number}}}`);
    }
    assert.deepEqual(
      endpoint.replies.map(({ id, result }) => [id, result.number]),
      sent.toReversed().map(({ number }) => [number % 5, number]),
    );
    const spans = new Spans();
    for (const text of endpoint.texts) {
      assert.equal(decoder.scan(Buffer.from(text), Buffer.byteLength(text), spans.words, 64), ScanStatus.ok);
    }
  });
});
