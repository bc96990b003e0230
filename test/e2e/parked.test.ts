/** Clients of 2026-07-28 before servers of older revisions that ask them something, through a running gateway. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { SignJWT } from 'jose';
import { JOURNAL_VARIABLE, type JournalEntry, readJournal } from '../support/call-journal.js';
import { type RunningGateway, startGateway } from '../support/gateway.js';
import { eventually, startProcess, type TestScope, tempFolder } from '../support/process.js';
import { rawUpstream } from '../support/raw-upstream.js';
import { type Message, modernMessage, modernRpc, type RpcReply } from '../support/rpc.js';
import { connectV2 } from '../support/sdk-clients.js';
import { shared } from '../support/shared.js';
import { openWebSocket, type RawConnection } from '../support/transports.js';
import type { StdioEntry, UrlEntry } from '../support/upstreams.js';

const SERVER = fileURLToPath(new URL('../support/asking-server.js', import.meta.url));
const SECRET = 'a secret of at least thirty-two characters';
const EVERYTHING = { sampling: {}, elicitation: { form: {}, url: {} }, roots: {} };
const ada = { action: 'accept', content: { name: 'Ada' } };
const TRANSPORTS = ['http', 'stdio'] as const;

interface Asking {
  readonly entry: (UrlEntry | StdioEntry) & { isolation: string };
  calls(name: string, event?: JournalEntry['event']): JournalEntry[];
  /** The same server; its calls are those that come from now on. */
  fromNow(): Asking;
}

async function asking(scope: TestScope, transport: 'http' | 'stdio' | 'websocket'): Promise<Asking> {
  const journal = join(await tempFolder(scope), 'calls.jsonl');
  const observed = (entry: Asking['entry'], from = 0): Asking => ({
    entry,
    calls: (name, event = 'called') =>
      readJournal(journal)
        .slice(from)
        .filter((call) => call.name === name && call.event === event),
    fromNow: () => observed(entry, readJournal(journal).length),
  });
  if (transport === 'stdio') {
    const env = { [JOURNAL_VARIABLE]: journal };
    return observed({ command: process.execPath, args: [SERVER, 'stdio'], env, isolation: 'principal' });
  }
  const running = startProcess(scope, process.execPath, [SERVER, transport], { env: { [JOURNAL_VARIABLE]: journal } });
  const [, url] = await running.waitForLine(/^listening on (\S+)/);
  return observed({ url: url as string, isolation: transport === 'http' ? 'shared' : 'principal' });
}

/** The kinds of server take turns at the front ends, so that both hand calls over. */
async function start(scope: TestScope, { entry }: Asking, config: object = {}): Promise<RunningGateway> {
  const frontEnd = 'command' in entry ? 'node' : 'uws';
  return startGateway(scope, { ...config, mcpServers: { ask: { ...entry, prefix: false } } }, { frontEnd });
}

/** The same for all tests that end what they begin. */
const common = shared(async (scope, transport: 'http' | 'stdio') => {
  const server = await asking(scope, transport);
  return { server, gateway: await start(scope, server) };
});

interface CallOptions {
  readonly id?: string | number;
  readonly token?: string;
  readonly args?: object;
  readonly capabilities?: object;
  readonly signal?: AbortSignal;
  readonly method?: string;
}

/** A call, or its retry when there are answers. */
function call(
  { url }: { url: string },
  name: string,
  options: CallOptions = {},
  retry: { state?: string | undefined; answers?: object } = {},
): Promise<RpcReply> {
  const params = {
    name,
    arguments: options.args ?? {},
    ...(retry.state === undefined ? {} : { requestState: retry.state }),
    ...(retry.answers === undefined ? {} : { inputResponses: retry.answers }),
  };
  return modernRpc(url, options.method ?? 'tools/call', params, {
    id: options.id ?? 1,
    clientCapabilities: options.capabilities ?? EVERYTHING,
    ...(options.token === undefined ? {} : { headers: { authorization: `Bearer ${options.token}` } }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
}

/** Calls and expects to be asked. */
async function parked(gateway: { url: string }, name: string, options: CallOptions = {}): Promise<Message> {
  const { status, message, text } = await call(gateway, name, options);
  assert.equal(status, 200, text);
  assert.equal(message.result?.resultType, 'input_required', text);
  return message.result;
}

const textOf = (reply: RpcReply): string => {
  assert.equal(reply.message?.result?.resultType, 'complete', reply.text);
  return reply.message.result.content[0].text;
};

const refused = (reply: RpcReply): void => {
  assert.equal(reply.message?.error?.code, -32602, reply.text);
  assert.equal(reply.message.error.data.code, 'GW_INPUT_STATE');
};

for (const transport of TRANSPORTS) {
  describe(`a legacy ${transport} server that asks a client of 2026-07-28`, () => {
    it('gets its answers, round after round, from an SDK client', async (t) => {
      const { gateway } = await common(transport);
      const client = await connectV2(t, gateway.url, 'modern', { capabilities: EVERYTHING });
      const asked: string[] = [];
      client.setRequestHandler('elicitation/create', async ({ params }) => {
        asked.push(params.message);
        return { action: 'accept', content: { name: asked.length === 1 ? 'Ada' : 'Lovelace' } };
      });
      client.setRequestHandler('sampling/createMessage', async () => {
        return { role: 'assistant', content: { type: 'text', text: 'something' }, model: 'm' };
      });
      client.setRequestHandler('roots/list', async () => ({ roots: [{ uri: 'file:///a' }] }));
      const text = async (name: string): Promise<unknown> => {
        const { content } = await client.callTool({ name, arguments: {} });
        return (content as { text: string }[])[0]?.text;
      };
      assert.equal(await text('steps'), 'Ada Lovelace');
      assert.deepEqual(asked, ['First name?', 'Last name, Ada?']);
      assert.equal(await text('interview'), 'Lovelace | something | file:///a');
      const { messages } = await client.getPrompt({ name: 'letter' });
      assert.equal((messages[0]!.content as { text: string }).text, 'Dear Lovelace');
    });

    it('names its questions, and has several of them in one round', async () => {
      const { gateway } = await common(transport);
      const named = await parked(gateway, 'named');
      assert.deepEqual(Object.keys(named.inputRequests), ['user_name']);
      assert.equal(named.inputRequests.user_name.params._meta, undefined);
      assert.match(named.requestState, /^sy1p\.[\w-]+$/);
      assert.ok(named._meta['io.modelcontextprotocol/serverInfo'].name);
      assert.equal(
        textOf(await call(gateway, 'named', {}, { state: named.requestState, answers: { user_name: ada } })),
        'Ada',
      );

      const interview = await parked(gateway, 'interview', { id: 'first' });
      const keys = Object.fromEntries(
        Object.entries(interview.inputRequests as Record<string, Message>).map(([key, { method }]) => [method, key]),
      );
      assert.equal(Object.keys(keys).length, 3);
      const half = { [keys['elicitation/create']!]: ada, [keys['roots/list']!]: { roots: [] }, unknown: {} };
      const second = await call(gateway, 'interview', { id: 'b' }, { state: interview.requestState, answers: half });
      assert.deepEqual(Object.keys(second.message.result.inputRequests), [keys['sampling/createMessage']]);
      const said = { role: 'assistant', content: { type: 'text', text: 'words' }, model: 'm' };
      const rest = { [keys['sampling/createMessage']!]: said };
      const last = await call(
        gateway,
        'interview',
        { id: 'c' },
        { state: second.message.result.requestState, answers: rest },
      );
      assert.equal(textOf(last), 'Ada | words | ');
      assert.equal(last.message.id, 'c');
    });

    it('has the answer of each call go to that call, also where they cross', async () => {
      const { server: running, gateway } = await common(transport);
      const server = running.fromNow();
      const one = await parked(gateway, 'greet', { args: { text: 'one' } });
      const two = await parked(gateway, 'greet', { args: { text: 'two' } });
      const answer = (name: string) => ({ q1: { action: 'accept', content: { name } } });
      const [second, first] = await Promise.all([
        call(gateway, 'greet', { args: { text: 'two' }, id: 22 }, { state: two.requestState, answers: answer('Bob') }),
        call(gateway, 'greet', { args: { text: 'one' }, id: 11 }, { state: one.requestState, answers: answer('Ada') }),
      ]);
      assert.equal(textOf(first), 'one Ada');
      assert.equal(textOf(second), 'two Bob');
      assert.deepEqual([first.message.id, second.message.id], [11, 22]);
      // Each was called once: a retry goes on, it does not repeat.
      assert.equal(server.calls('greet').length, 2);
    });

    it('is not reached by a state that is not for this call', async () => {
      const { server: running, gateway } = await common(transport);
      const server = running.fromNow();
      const { requestState: state } = await parked(gateway, 'greet', { args: { text: 'hi' } });
      const answers = { q1: ada };
      const middle = Math.floor(state.length / 2);
      const changed = state.slice(0, middle) + (state[middle] === 'x' ? 'y' : 'x') + state.slice(middle + 1);
      refused(await call(gateway, 'greet', { args: { text: 'hi' } }, { state: changed, answers }));
      refused(await call(gateway, 'greet', { args: { text: 'hi' } }, { state: 'forged', answers }));
      refused(await call(gateway, 'greet', { args: { text: 'ho' } }, { state, answers }));
      refused(await call(gateway, 'named', { args: { text: 'hi' } }, { state, answers }));
      assert.equal(server.calls('greeted').length, 0);
      assert.equal(textOf(await call(gateway, 'greet', { args: { text: 'hi' } }, { state, answers })), 'hi Ada');
      refused(await call(gateway, 'greet', { args: { text: 'hi' } }, { state, answers }));
      assert.equal(server.calls('greet').length, 1);
    });

    it('is cancelled when the client never comes back', async (t) => {
      const server = await asking(t, transport);
      const gateway = await start(t, server, { limits: { parkMs: 300 } });
      const { requestState: state } = await parked(gateway, 'greet');
      await eventually('the question is answered for the client', () => server.calls('greeted').length === 1);
      assert.deepEqual(server.calls('greeted')[0]?.args, { name: 'nobody (cancel)' });
      refused(await call(gateway, 'greet', {}, { state, answers: { q1: ada } }));
    });

    it('may finish, withdraw its question, or end while the client is away', async (t) => {
      const gateway = await start(t, await asking(t, transport));
      const later = async (name: string): Promise<RpcReply> => {
        const { requestState: state } = await parked(gateway, name);
        await new Promise((resolve) => setTimeout(resolve, 1000));
        return call(gateway, name, { id: 'late' }, { state, answers: { q1: ada } });
      };
      assert.equal(textOf(await later('hasty')), 'not needed');
      assert.equal(textOf(await later('impatient')), 'too late');
      const { message } = await later('exit');
      assert.equal(message.id, 'late');
      assert.match(message.error.data.code, /^GW_UPSTREAM_/);
    });

    it('cannot ask what the client does not declare', async () => {
      const { server: running, gateway } = await common(transport);
      const server = running.fromNow();
      const reply = await call(gateway, 'sample', { capabilities: { elicitation: {} } });
      assert.equal(reply.status, 400);
      assert.equal(reply.message.error.code, -32021);
      assert.deepEqual(reply.message.error.data.requiredCapabilities, { sampling: {} });
      await eventually('the server is told', () => server.calls('sample refused').length === 1);
      assert.deepEqual(server.calls('sample refused')[0]?.args, { code: -32601 });
    });

    it('has a URL visited before the call is made again', async () => {
      const { gateway } = await common(transport);
      const result = await parked(gateway, 'sign_in');
      assert.deepEqual(result.inputRequests, {
        q1: {
          method: 'elicitation/create',
          params: { mode: 'url', url: 'https://sign-in.example/start', message: 'Sign in first' },
        },
      });
      const { requestState: state } = result;
      refused(await call(gateway, 'greet', {}, { state, answers: {} }));
      const answers = { q1: { action: 'accept' } };
      assert.equal(textOf(await call(gateway, 'sign_in', {}, { state, answers })), 'signed in');
    });
  });
}

describe('parked calls', () => {
  const jwt = { type: 'jwt', algorithms: ['HS256'], secret: SECRET, issuer: 'https://i.example', audience: 'gw' };
  const token = (subject: string): Promise<string> =>
    new SignJWT({})
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject(subject)
      .setIssuer(jwt.issuer)
      .setAudience(jwt.audience)
      .setExpirationTime('5m')
      .sign(Buffer.from(SECRET));

  it('belong to the principal that made them, who may have so many', async (t) => {
    const server = await asking(t, 'http');
    const gateway = await start(t, server, { auth: jwt, limits: { maxParkedPerPrincipal: 1 } });
    const [one, other] = [await token('one'), await token('other')];
    const { requestState: state } = await parked(gateway, 'greet', { token: one });
    const stats = (await (await fetch(`${gateway.adminUrl}/stats`)).json()) as Message;
    assert.deepEqual([stats.parkedCalls, stats.requests.inFlight], [1, 0]);
    const answers = { q1: ada };
    refused(await call(gateway, 'greet', { token: other }, { state, answers }));
    const more = await call(gateway, 'greet', { token: one });
    assert.equal(more.message.error.data.code, 'GW_TOO_MANY_PARKED');
    await eventually('the server is told', () => server.calls('greet refused').length === 1);
    const { requestState: second } = await parked(gateway, 'greet', { token: other });
    // Another token of the same subject is the same principal.
    assert.equal(textOf(await call(gateway, 'greet', { token: await token('one') }, { state, answers })), ' Ada');
    assert.equal(textOf(await call(gateway, 'greet', { token: other }, { state: second, answers })), ' Ada');
  });

  it('end with the gateway: a state of before is refused and the upstream told', async (t) => {
    const server = await asking(t, 'http');
    const config = { sessions: { secret: SECRET }, limits: { drainMs: 20_000 } };
    const first = await start(t, server, config);
    const { requestState: state } = await parked(first, 'greet');
    assert.equal(await first.stop(), 0);
    await eventually('the call is cancelled', () => server.calls('greeted').length === 1);
    const second = await start(t, server, config);
    refused(await call(second, 'greet', {}, { state, answers: { q1: ada } }));
    assert.equal(server.calls('greet').length, 1);
  });

  it('let a modern server have its own states and answers', async (t) => {
    const upstream = await rawUpstream(
      t,
      (_request, answer) => answer.result({ resultType: 'complete', content: [] }),
      {
        family: 'modern',
      },
    );
    const gateway = await startGateway(t, { mcpServers: { raw: { url: upstream.url, prefix: false } } });
    await call(gateway, 'call', {}, { state: 'sy1p.theirs', answers: { k: { action: 'decline' } } });
    const { params } = upstream.received('tools/call')[0]!.message;
    assert.equal(params.requestState, 'sy1p.theirs');
    assert.deepEqual(params.inputResponses, { k: { action: 'decline' } });
  });

  it('are cancelled upstream when the client leaves after it came back', async (t) => {
    const upstream = await rawUpstream(t, (_request, answer) => {
      answer.sse().event({ jsonrpc: '2.0', id: 'q', method: 'roots/list' });
    });
    const gateway = await startGateway(t, { mcpServers: { raw: { url: upstream.url, prefix: false } } });
    const { requestState: state } = await parked(gateway, 'call');
    const leave = new AbortController();
    const retry = call(gateway, 'call', { signal: leave.signal }, { state, answers: { q1: { roots: [] } } });
    const answered = (): boolean =>
      upstream.requests.some(({ message }) => message?.id === 'q' && message.result.roots.length === 0);
    await eventually('the answer arrives', answered);
    leave.abort();
    await assert.rejects(retry);
    await eventually('the call is cancelled', () => upstream.received('notifications/cancelled').length === 1);
  });

  it('end an open stream with the question, and go on without what is said meanwhile', async (t) => {
    const upstream = await rawUpstream(t, ({ message }, answer) => {
      const { id, params } = message;
      if (message.id === 'q') {
        answer.response.writeHead(202).end();
        return;
      }
      const progress = (value: number) => ({
        jsonrpc: '2.0',
        method: 'notifications/progress',
        params: { progressToken: params._meta.progressToken, progress: value },
      });
      const stream = answer.sse();
      stream.event(progress(1));
      stream.event({ jsonrpc: '2.0', id: 'q', method: 'roots/list' });
      setTimeout(() => stream.event(progress(2)), 100);
      setTimeout(() => stream.event({ jsonrpc: '2.0', id, result: { content: [] } }), 300);
    });
    const gateway = await startGateway(t, { mcpServers: { raw: { url: upstream.url, prefix: false } } });
    const params = { name: 'call', arguments: {}, _meta: { progressToken: 'p' } };
    const options = { clientCapabilities: { roots: {} } };
    const first = await modernRpc(gateway.url, 'tools/call', params, options);
    assert.match(first.headers.get('content-type') ?? '', /^text\/event-stream/);
    assert.deepEqual(first.messages[0].params, { progressToken: 'p', progress: 1 });
    const { requestState } = first.message.result;
    await new Promise((resolve) => setTimeout(resolve, 200));
    const retry = { ...params, _meta: { progressToken: 'p2' }, requestState, inputResponses: { q1: { roots: [] } } };
    const second = await modernRpc(gateway.url, 'tools/call', retry, { ...options, id: 2 });
    assert.deepEqual(
      second.messages.map(({ id, result }) => [id, result?.resultType]),
      [[2, 'complete']],
    );
  });

  it('outlive the connection they came on, and a cancellation of the request that was answered', async (t) => {
    const server = await asking(t, 'http');
    const gateway = await start(t, server);
    const open = () => openWebSocket(t, gateway.origin);
    const options = { clientCapabilities: EVERYTHING };
    const ask = async (connection: RawConnection, id: string, more: object = {}): Promise<Message> => {
      connection.send(modernMessage('tools/call', { name: 'greet', arguments: {}, ...more }, { ...options, id }));
      return eventually('an answer', () => connection.messages.find((message) => message.id === id));
    };
    const first = await open();
    const { result } = await ask(first, 'a');
    first.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'a' } });
    await ask(first, 'unrelated');
    first.close();
    const answers = { requestState: result.requestState, inputResponses: { q1: ada } };
    assert.equal((await ask(await open(), 'b', answers)).result.content[0].text, ' Ada');
    assert.equal(server.calls('greet', 'cancelled').length, 0);
  });

  it('wait at servers over WebSocket too', async (t) => {
    const gateway = await start(t, await asking(t, 'websocket'));
    const [one, two] = [await parked(gateway, 'named'), await parked(gateway, 'greet')];
    const second = await call(gateway, 'greet', {}, { state: two.requestState, answers: { q1: ada } });
    assert.equal(textOf(second), ' Ada');
    const first = await call(gateway, 'named', {}, { state: one.requestState, answers: { user_name: ada } });
    assert.equal(textOf(first), 'Ada');
  });

  it('may be many', async (t) => {
    const count = 500;
    const server = await asking(t, 'http');
    const gateway = await startGateway(t, {
      limits: { maxParkedPerPrincipal: count },
      mcpServers: { ask: { ...server.entry, prefix: false, maxConnections: 2 * count } },
    });
    const states = await crowd(count, async (number) => {
      const { requestState } = await parked(gateway, 'greet', { args: { text: `call ${number}` } });
      return requestState as string;
    });
    assert.equal(new Set(states).size, count);
    const texts = await crowd(count, async (number) => {
      const answers = { q1: { action: 'accept', content: { name: `client ${number}` } } };
      const options = { args: { text: `call ${number}` }, id: number };
      const reply = await call(gateway, 'greet', options, { state: states[number], answers });
      assert.equal(reply.message.id, number);
      return textOf(reply);
    });
    assert.deepEqual(
      texts,
      Array.from({ length: count }, (_, number) => `call ${number} client ${number}`),
    );
    assert.equal(server.calls('greet').length, count);
  });
});

/** `count` pieces of work, 50 at a time. */
async function crowd<T>(count: number, work: (number: number) => Promise<T>): Promise<T[]> {
  const results = new Array<T>(count);
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      const number = next;
      next += 1;
      results[number] = await work(number);
    }
  };
  await Promise.all(Array.from({ length: 50 }, worker));
  return results;
}
