/** `input_required` of a modern upstream behind a legacy client, which gets requests. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Phase } from '../../src/request/exchange/index.js';
import { Verdict } from '../../src/shared/ring/records.js';
import { eventually } from '../support/process.js';
import { fixture, RecordingEndpoint, toolCall } from './fixture.js';

const ALL = { sampling: {}, elicitation: { form: {}, url: {} }, roots: {} };
const ROOTS = '{"method":"roots/list"}';
const FORM =
  '{"method":"elicitation/create","params":{"mode":"form","message":"n\\u00e4me?","requestedSchema":{"type":"object","properties":{"n":{"type":"string"}}},"x":1.0}}';

const required = (members: string): string =>
  `{"jsonrpc":"2.0","id":9,"result":{"resultType":"input_required",${members}}}`;
const NO_SESSION = 'GW_INPUT_REQUIRED_UNSUPPORTED';

function started(options: Parameters<typeof fixture>[0], capabilities: object = ALL, revision = 3, text = toolCall()) {
  const all = fixture(options);
  const client = all.client(capabilities, revision);
  const { exchange, wire } = all.call(client, new RecordingEndpoint(), text);
  return { all, client, exchange, wire };
}

describe('the input requests of a modern upstream', () => {
  it('become requests to the client, and their answers the next attempt', (scope) => {
    const { all, client, exchange, wire } = started({});
    scope.after(all.close);
    const before = exchange.generation;
    all.upstreamMessage(
      exchange,
      required(`"requestState":"st\\u0061te", "inputRequests":{"k\\u00311":${FORM},"r":${ROOTS}}`),
    );
    assert.equal(exchange.phase, Phase.asking);
    assert.ok(wire.streaming);
    const [form, roots] = wire.messages;
    assert.equal(
      wire.texts[0],
      FORM.replace('{"method"', `{"jsonrpc":"2.0","id":${form.id},"method"`),
      'the params are the bytes of the upstream',
    );
    assert.equal(wire.texts[1], `{"jsonrpc":"2.0","id":${roots.id},"method":"roots/list"}`);
    all.clientResponse(client, `{"jsonrpc":"2.0","id":${roots.id},"result":{"roots":[ {"uri":"file:///a"} ]}}`);
    assert.deepEqual(all.again, [], 'not before the last answer');
    all.clientResponse(client, `{"jsonrpc":"2.0","id":${form.id},"result":{"action":"accept","content":{"n":1.50}}}`);
    assert.deepEqual(all.again, [
      toolCall().replace(
        '"params":{',
        '"params":{"inputResponses":{"k\\u00311":{"action":"accept","content":{"n":1.50}},"r":{"roots":[ {"uri":"file:///a"} ]}},"requestState":"st\\u0061te",',
      ),
    ]);
    assert.notEqual(exchange.generation, before, 'which makes the id of the next attempt');
    all.upstreamMessage(exchange, '{"jsonrpc":"2.0","id":9,"result":{"resultType":"complete","content":[]}}');
    assert.equal(wire.texts.at(-1), '{"jsonrpc":"2.0","id":"mine","result":{"content":[]}}');
    assert.equal(all.table.inUse, 0);
  });

  it('may come round after round, each with nothing but its own answers and state', async (scope) => {
    const { all, client, exchange, wire } = started({});
    scope.after(all.close);
    const answerLast = (): void => {
      all.clientResponse(client, `{"jsonrpc":"2.0","id":${wire.messages.at(-1).id},"result":{"roots":[]}}`);
    };
    all.upstreamMessage(exchange, required(`"requestState":"one","inputRequests":{"a":${ROOTS}}`));
    answerLast();
    all.upstreamMessage(exchange, required(`"inputRequests":{"b":${ROOTS}}`));
    answerLast();
    all.upstreamMessage(exchange, required(`"requestState":"three","inputRequests":{}`));
    assert.equal(all.again.length, 2);
    const params = all.again.map((text) => JSON.parse(text).params);
    const given = { name: 't', arguments: { n: 1 } };
    assert.deepEqual(params[0], { inputResponses: { a: { roots: [] } }, requestState: 'one', ...given });
    assert.deepEqual(params[1], { inputResponses: { b: { roots: [] } }, ...given });
    await eventually('the third is sent without an input request', () => {
      if (all.again.length < 3) return false;
      assert.deepEqual(JSON.parse(all.again[2]!).params, { requestState: 'three', ...given });
      return true;
    });
  });

  it('are bounded by maxInputRounds', (scope) => {
    const { all, client, exchange, wire } = started({ maxInputRounds: 2 });
    scope.after(all.close);
    for (let round = 0; round < 2; round += 1) {
      all.upstreamMessage(exchange, required(`"inputRequests":{"a":${ROOTS}}`));
      all.clientResponse(client, `{"jsonrpc":"2.0","id":${wire.messages.at(-1).id},"result":{}}`);
    }
    all.upstreamMessage(exchange, required(`"inputRequests":{"a":${ROOTS}}`));
    assert.equal(wire.messages.at(-1).error.data.code, 'GW_INPUT_ROUNDS');
    assert.equal(all.table.inUse, 0);
  });

  it('keep the bytes of answers, states and arguments whatever they are', (scope) => {
    const { all, client } = started({});
    scope.after(all.close);
    const text = fc.string({ maxLength: 20, unit: 'binary' }).map((value) => JSON.stringify(value));
    fc.assert(
      fc.property(text, text, fc.json(), fc.json(), (key, state, answer, argument) => {
        const message = `{"jsonrpc":"2.0","id":"mine","method":"tools/call","params":{"name":"t","arguments":{"a":${argument}}}}`;
        const { exchange, wire } = all.call(client, new RecordingEndpoint(), message);
        all.upstreamMessage(exchange, required(`"inputRequests":{${key}:${ROOTS}},"requestState":${state}`));
        all.clientResponse(client, `{"jsonrpc":"2.0","id":${wire.messages[0].id},"result":{"v":${answer}}}`);
        assert.equal(
          all.again.pop(),
          message.replace('{"name"', () => `{"inputResponses":{${key}:{"v":${answer}}},"requestState":${state},"name"`),
        );
        all.upstreamMessage(exchange, '{"jsonrpc":"2.0","id":9,"result":{}}');
      }),
      { numRuns: 200 },
    );
  });

  it('name an elicitation by URL, unless the upstream has, and take no progress token along', (scope) => {
    const { all, exchange, wire } = started({});
    scope.after(all.close);
    const visit = (more: string) =>
      `{"method":"elicitation/create","params":{${more}"mode":"url","url":"https://a.example/","message":"m","_meta":{"progressToken":"p","k":1}}}`;
    all.upstreamMessage(
      exchange,
      required(`"inputRequests":{"a":${visit('')},"b":${visit('')},"c":${visit('"elicitationId":"c",')}}`),
    );
    const [a, b, c] = wire.messages.map(({ params }) => params);
    assert.match(a.elicitationId, /^[0-9a-f-]{36}$/);
    assert.notEqual(a.elicitationId, b.elicitationId);
    assert.equal(c.elicitationId, 'c');
    assert.deepEqual(a._meta, { k: 1 });
  });

  it('make the result uncacheable', (scope) => {
    const { all, exchange } = started({});
    scope.after(all.close);
    exchange.verdict.kind = Verdict.lead;
    all.upstreamMessage(exchange, required(`"inputRequests":{"a":${ROOTS}}`));
    assert.deepEqual(all.released, [exchange]);
    assert.equal(exchange.verdict.kind, Verdict.forward);
  });
});

describe('a client that gives no answer', () => {
  const tool = (wire: { messages: { result?: { isError: boolean; content: { text: string }[] } }[] }) =>
    wire.messages.at(-1)!.result!;

  it('ends a tool call with an error result', (scope) => {
    const { all, client, exchange, wire } = started({});
    scope.after(all.close);
    all.upstreamMessage(exchange, required(`"inputRequests":{"a":${FORM},"b":${ROOTS}}`));
    const [a, b] = wire.messages;
    all.clientResponse(client, `{"jsonrpc":"2.0","id":${a.id},"error":{"code":-1,"message":"User said no"}}`);
    assert.equal(tool(wire).isError, true);
    assert.match(tool(wire).content[0]!.text, /elicitation\/create: User said no/);
    const note = wire.messages[2];
    assert.deepEqual([note.method, note.params.requestId], ['notifications/cancelled', b.id], 'the other is cancelled');
    all.clientResponse(client, `{"jsonrpc":"2.0","id":${b.id},"result":{}}`);
    assert.deepEqual(all.again, []);
    assert.equal(all.table.inUse, 0);
  });

  it('ends any other call with an error', (scope) => {
    const text = '{"jsonrpc":"2.0","id":"mine","method":"prompts/get","params":{"name":"t"}}';
    const { all, client, exchange, wire } = started({}, ALL, 3, text);
    scope.after(all.close);
    all.upstreamMessage(exchange, required(`"inputRequests":{"a":${FORM}}`));
    all.clientResponse(client, `{"jsonrpc":"2.0","id":${wire.messages[0].id},"error":{"code":-1,"message":"no"}}`);
    assert.equal(wire.messages[1].error.code, -32603);
    assert.equal(wire.messages[1].error.data.code, 'GW_CLIENT_REFUSED');
  });

  it('is waited for as long as answerMs', async (scope) => {
    const { all, exchange, wire } = started({ answerMs: 20 });
    scope.after(all.close);
    all.upstreamMessage(exchange, required(`"inputRequests":{"a":${ROOTS}}`));
    await eventually('the call ended', () => wire.ended);
    assert.match(tool(wire).content[0]!.text, /did not answer roots\/list/);
    assert.equal(all.requests.counts.expired, 1);
  });

  it('is one whose result is no object', (scope) => {
    const { all, client, exchange, wire } = started({});
    scope.after(all.close);
    all.upstreamMessage(exchange, required(`"inputRequests":{"a":${ROOTS}}`));
    all.clientResponse(client, `{"jsonrpc":"2.0","id":${wire.messages[0].id},"result":[1]}`);
    assert.match(tool(wire).content[0]!.text, /is not an object/);
  });

  it('is one that cancels its call', (scope) => {
    const { all, client, exchange, wire } = started({});
    scope.after(all.close);
    all.upstreamMessage(exchange, required(`"inputRequests":{"a":${ROOTS}}`));
    all.write.cancelled(exchange);
    assert.equal(wire.messages[1].params.requestId, wire.messages[0].id);
    all.clientResponse(client, `{"jsonrpc":"2.0","id":${wire.messages[0].id},"result":{}}`);
    assert.deepEqual(all.again, []);
  });

  it('does not end a later use of the same exchange', async (scope) => {
    const { all, client, exchange, wire } = started({});
    scope.after(all.close);
    all.upstreamMessage(exchange, required('"requestState":"s"'));
    all.write.cancelled(exchange);
    const next = all.call(client, new RecordingEndpoint());
    assert.equal(next.exchange, exchange);
    all.upstreamMessage(next.exchange, required(`"inputRequests":{"a":${ROOTS}}`));
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.deepEqual(all.again, []);
    assert.equal(wire.texts.length, 0);
  });
});

describe('a client that cannot answer', () => {
  const rows: readonly [what: string, capabilities: object, revision: number, request: string][] = [
    ['has not declared it', { roots: {} }, 3, FORM],
    ['is of a revision without it', ALL, 1, FORM],
    ['takes no URLs', { elicitation: {}, roots: {} }, 3, FORM.replace('"form"', '"url"')],
  ];
  for (const [what, capabilities, revision, request] of rows) {
    it(`${what}: no request of the round is sent`, (scope) => {
      const { all, exchange, wire } = started({}, capabilities, revision);
      scope.after(all.close);
      all.upstreamMessage(exchange, required(`"inputRequests":{"r":${ROOTS},"a":${request}}`));
      assert.equal(wire.messages.length, 1);
      assert.equal(wire.messages[0].result.isError, true);
      assert.match(wire.messages[0].result.content[0].text, /elicitation\/create/);
    });
  }

  it('has disconnected and leaves nothing behind', (scope) => {
    const { all, exchange } = started({});
    scope.after(all.close);
    exchange.client.reply = null;
    all.upstreamMessage(exchange, required(`"inputRequests":{"r":${ROOTS}}`));
    assert.equal(all.table.inUse, 0);
    assert.equal(all.requests.counts.open, 0);
  });

  it('gets -32021 (a missing capability) as an error of its own revision', (scope) => {
    const missing = '{"jsonrpc":"2.0","id":9,"error":{"code":-32021,"message":"m","data":{"requiredCapabilities":{}}}}';
    const { all, exchange, wire } = started({});
    scope.after(all.close);
    all.upstreamMessage(exchange, missing);
    assert.equal(wire.messages[0].result.isError, true);
    const read = started({}, ALL, 3, '{"jsonrpc":"2.0","id":"mine","method":"resources/read","params":{"uri":"a:b"}}');
    scope.after(read.all.close);
    read.all.upstreamMessage(read.exchange, missing);
    assert.equal(read.wire.messages[0].error.code, -32603);
    assert.equal(read.wire.messages[0].error.data.code, NO_SESSION);
  });
});

describe('an upstream that asks nonsense', () => {
  for (const members of [
    '"x":1',
    '"inputRequests":{}',
    '"inputRequests":[]',
    '"inputRequests":{"a":1}',
    '"inputRequests":{"a":{}}',
    '"inputRequests":{"a":{"method":1}}',
    '"inputRequests":{"a":{"method":"roots/list","params":[]}}',
    '"inputRequests":{"a":{"method":"tools/list"}}',
    '"inputRequests":{"a":{"method":"other/method"}}',
    `"inputRequests":{${Array.from({ length: 101 }, (_, key) => `"${key}":${ROOTS}`).join()}}`,
  ]) {
    it(`fails its call: ${members.slice(0, 60)}`, (scope) => {
      const { all, exchange, wire } = started({ maxServerRequests: 1000 });
      scope.after(all.close);
      all.upstreamMessage(exchange, required(members));
      assert.equal(wire.messages.length, 1);
      assert.equal(wire.messages[0].error.data.code, 'GW_UPSTREAM_PROTOCOL');
      assert.equal(all.table.inUse, 0);
    });
  }
});
