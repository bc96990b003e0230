/** HTTP upstreams that have lost a session, and say so in the words of different servers; through a running gateway. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startGateway } from '../support/gateway.js';
import { eventually, type TestScope } from '../support/process.js';
import { type Answer, type ReceivedRequest, rawUpstream } from '../support/raw-upstream.js';
import { type Message, modernRpc, openSession } from '../support/rpc.js';

/** Answers a call that cannot be served. */
type Refusal = (request: ReceivedRequest, answer: Answer) => void;

const failure = (code: number, message: string, id: unknown = null): string =>
  JSON.stringify({ jsonrpc: '2.0', id, error: { code, message } });
const json = (status: number, body: string): Refusal => {
  return (_request, { response }) => void response.writeHead(status, { 'content-type': 'application/json' }).end(body);
};
const text = (status: number, body: string): Refusal => {
  return (_request, { response }) => void response.writeHead(status, { 'content-type': 'text/plain' }).end(body);
};
const inStream = (code: number, message: string, isClosed: boolean): Refusal => {
  return (request, answer) => {
    const stream = answer.sse();
    stream.event({ jsonrpc: '2.0', id: isClosed ? null : request.message.id, error: { code, message } });
    if (isClosed) stream.end();
  };
};

/** The words in which the call was certainly not executed. */
const CERTAIN: [what: string, refusal: Refusal][] = [
  ['404', text(404, '')],
  ['404 with an error', json(404, failure(-32_001, 'Session not found'))],
  ['410', text(410, 'Gone')],
  ['401', json(401, failure(-32_001, 'Session not found'))],
  ['403', text(403, 'unknown session')],
  ['400', json(400, failure(-32_000, 'Bad Request: Server not initialized'))],
  ['422', json(422, '{"detail":"Unexpected message, expected initialize request: no session"}')],
  ['200', json(200, failure(-32_000, 'Session not found'))],
  ['200 with the id', (request, answer) => answer.json(failure(-32_001, 'Session expired', request.message.id))],
  ['a stream', inStream(-32_600, 'Session not found', true)],
  ['a stream that stays open', inStream(-32_001, 'Session not found', false)],
];
/** The words of servers that refuse other requests so, too. */
const VAGUE: [what: string, refusal: Refusal][] = [
  ['400 without a word', text(400, '')],
  ['422 with a page', text(422, '<h1>Unprocessable</h1>')],
  [
    '200 with the code of a tool',
    (request, answer) => answer.json(failure(-32_603, 'session 5 not found', request.message.id)),
  ],
];

/** An upstream that knows only its newest session. */
async function fixture(
  scope: TestScope,
  { first, capabilities }: { first?: (...exchange: Parameters<Refusal>) => boolean; capabilities?: object } = {},
) {
  let session = 0;
  let lost = 0;
  let refusal: Refusal = text(500, '');
  let everyCall: Refusal | null = null;
  const upstream = await rawUpstream(
    scope,
    (request, answer) => {
      const { method, params } = request.message;
      if (first?.(request, answer)) return;
      if (method === 'server/discover') text(404, '')(request, answer);
      else if (method === 'initialize') {
        session += 1;
        const result = { protocolVersion: params.protocolVersion, capabilities: { tools: {}, ...capabilities } };
        answer.result(result, { 'mcp-session-id': `s${session}` });
      } else if (everyCall !== null && method === 'tools/call') everyCall(request, answer);
      else if (request.headers['mcp-session-id'] !== `s${session}`) refusal(request, answer);
      else if (method === 'notifications/initialized') answer.response.writeHead(202).end();
      else if (method === 'tools/list') {
        const inputSchema = { type: 'object' };
        const read = { name: 'read', inputSchema, annotations: { readOnlyHint: true } };
        answer.result({ tools: [{ name: 'call', inputSchema }, read] });
      } else answer.result({ content: [{ type: 'text', text: `s${session}` }] });
    },
    { family: 'none' },
  );
  const gateway = await startGateway(scope, { mcpServers: { up: { url: upstream.url } } });
  await eventually('the upstream is listed', async () => {
    const { message } = await modernRpc(gateway.url, 'tools/list');
    return message.result.tools.length === 2 || capabilities !== undefined;
  });
  const legacy = await openSession(gateway.url);
  return {
    upstream,
    /** The upstream forgets its session, and refuses it in this way. */
    async lose(next: Refusal): Promise<void> {
      await eventually('the lists are read', () => upstream.received('tools/list').length === session - lost);
      session += 1;
      lost += 1;
      refusal = next;
    },
    /** The upstream refuses every call in this way. */
    refuse(next: Refusal): void {
      everyCall = next;
    },
    calls: () => upstream.received('tools/call').length,
    sessions: () => upstream.received('initialize').length,
    clients: {
      legacy: async (name: string): Promise<Message> =>
        (await legacy.request('tools/call', { name, arguments: {} })).message,
      modern: async (name: string): Promise<Message> =>
        (await modernRpc(gateway.url, 'tools/call', { name, arguments: {} })).message,
    },
  };
}

const textOf = ({ result }: Message): unknown => result?.content?.[0].text;

describe('A session that an upstream has lost', () => {
  it('is opened again, and any call is repeated once', async (scope) => {
    const { lose, calls, sessions, clients } = await fixture(scope);
    for (const [index, [what, refusal]] of CERTAIN.entries()) {
      await lose(refusal);
      const message = await (index % 2 === 0 ? clients.legacy : clients.modern)('up__call');
      assert.match(String(textOf(message)), /^s\d+$/, `${what}: ${JSON.stringify(message)}`);
      assert.deepEqual([calls(), sessions()], [2 * (index + 1), index + 2], what);
    }
  });

  it('is opened again, and a call is repeated where that is safe, by words that may mean something else', async (scope) => {
    for (const [what, refusal] of VAGUE) {
      const { lose, calls, sessions, clients } = await fixture(scope);
      await lose(refusal);
      const unsafe = await clients.legacy('up__call');
      assert.ok(unsafe.error, `${what}: it may have been executed`);
      await eventually('another session', () => sessions() === 2);
      assert.equal(textOf(await clients.legacy('up__call')), 's3', what);
      assert.equal(calls(), 2);
    }
  });

  it('is opened again for a safe call each time, as its answer shows that the session was lost', async (scope) => {
    const { lose, calls, sessions, clients } = await fixture(scope);
    for (const [index, [what, refusal]] of VAGUE.entries()) {
      await lose(refusal);
      const message = await (index % 2 === 0 ? clients.modern : clients.legacy)('up__read');
      assert.match(String(textOf(message)), /^s\d+$/, `${what}: ${JSON.stringify(message)}`);
      assert.deepEqual([calls(), sessions()], [2 * (index + 1), index + 2], what);
    }
  });
});

describe('A server that refuses calls in every session', () => {
  it('is taken at its word the second time', async (scope) => {
    const { refuse, calls, sessions, clients } = await fixture(scope);
    for (const [index, [refusal, code]] of (
      [
        // The server's own error reaches the client.
        [json(401, failure(-32_001, 'Session not found')), -32_001],
        [text(404, 'no'), 'GW_UPSTREAM_PROTOCOL'],
        [inStream(-32_001, 'Session not found', false), -32_001],
        [text(400, 'no'), 'GW_UPSTREAM_PROTOCOL'],
      ] as const
    ).entries()) {
      refuse(refusal);
      const { error } = await clients.modern('up__read');
      assert.deepEqual([error.data?.code ?? error.code, calls(), sessions()], [code, 2 * (index + 1), index + 2]);
    }
  });

  it('gets no session for each refusal that does not name one', async (scope) => {
    const { refuse, calls, sessions, clients } = await fixture(scope);
    refuse(text(400, 'no'));
    for (let count = 0; count < 10; count += 1) {
      assert.ok((await clients.legacy('up__read')).error);
      assert.ok((await clients.modern('up__call')).error);
    }
    assert.deepEqual([calls(), sessions()], [21, 2]);
  });

  it('gets no session for each list that it refuses', async (scope) => {
    let isStrict = false;
    const { upstream, sessions } = await fixture(scope, {
      capabilities: { prompts: {} },
      first: (request, answer) => {
        if (request.message.method !== 'prompts/list') return false;
        (isStrict ? json(401, failure(-32_001, 'Session not found')) : text(404, ''))(request, answer);
        return true;
      },
    });
    const refused = () => upstream.received('prompts/list').length;
    await eventually('the list is refused again and again', () => refused() >= 3);
    assert.equal(sessions(), 2);
    isStrict = true;
    const before = refused();
    await eventually('the list is refused in other words', () => refused() > before);
    assert.equal(sessions(), 2);
  });
});

describe('A list that is refused in a lost session', () => {
  for (const [what, refusal] of CERTAIN) {
    it(`has another session opened: ${what}`, async (scope) => {
      let changed = (): void => {};
      const { upstream, lose, sessions, clients } = await fixture(scope, {
        first: (request, answer) => {
          if (request.message.method !== 'tools/call') return false;
          const stream = answer.sse();
          changed = () => stream.event({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
          return true;
        },
      });
      void clients.legacy('up__call').catch(() => {});
      await eventually('the call arrived', () => upstream.received('tools/call').length === 1);
      await lose(refusal);
      changed();
      await eventually('another session', () => sessions() === 2);
      await eventually('the list is read in it', () =>
        upstream.received('tools/list').some(({ headers }) => headers['mcp-session-id'] === 's3'),
      );
    });
  }
});
