/** Requests of servers to legacy clients when something goes wrong or comes in an unusual order, message by message. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { JOURNAL_VARIABLE, readJournal } from '../support/call-journal.js';
import { type RunningGateway, startGateway } from '../support/gateway.js';
import { answer, liveCall, liveStream } from '../support/live-call.js';
import { eventually, startProcess, type TestScope, tempFolder } from '../support/process.js';
import { modernRpc, openSession, rpc } from '../support/rpc.js';
import { shared } from '../support/shared.js';

const program = fileURLToPath(new URL('../support/dialogue-server.js', import.meta.url));
const CAPABILITIES = { sampling: {}, elicitation: { form: {}, url: {} }, roots: { listChanged: true } };
const accepted = (text: string) => ({ action: 'accept', content: { answer: text } });

type Setup = 'legacy stdio' | 'legacy HTTP' | 'modern stdio' | 'modern HTTP';

/** A gateway before a server that asks back, for one test alone. */
async function fresh(scope: TestScope, setup: Setup, more: object = {}) {
  const [family, transport] = setup.split(' ') as [string, string];
  const file = `${await tempFolder(scope)}/calls.jsonl`;
  const env = { [JOURNAL_VARIABLE]: file };
  let entry: object = { command: process.execPath, args: [program, family, 'stdio'], env, isolation: 'session' };
  if (transport === 'HTTP') {
    const running = startProcess(scope, process.execPath, [program, family, 'http'], { env });
    const [, url] = await running.waitForLine(/^listening on (\S+)/);
    entry = { url };
  }
  const gateway = await startGateway(scope, { mcpServers: { peer: entry }, ...more });
  await eventually('the upstream is listed', async () => {
    const { message } = await modernRpc(gateway.url, 'tools/list');
    return message.result.tools.length > 0;
  });
  const { url } = gateway;
  const session = (options: { version?: string; capabilities?: object } = {}) =>
    openSession(url, { capabilities: CAPABILITIES, ...options });
  return { gateway, url, session, journal: () => readJournal(file) };
}

const sharedFixture = shared((scope, setup: Setup) => fresh(scope, setup));

/** The same for all tests that take no more from it than their own sessions; the journal is that of the test. */
async function fixture(setup: Setup) {
  const common = await sharedFixture(setup);
  const before = await counts(common.gateway);
  const known = common.journal().length;
  return {
    ...common,
    journal: () => common.journal().slice(known),
    /** What was counted since the test began. */
    counted: async () => {
      const now = await counts(common.gateway);
      return Object.fromEntries(Object.entries(now).map(([name, count]) => [name, count - (before[name] ?? 0)]));
    },
  };
}

async function counts(gateway: RunningGateway): Promise<Record<string, number>> {
  const stats = (await (await fetch(`${gateway.adminUrl}/stats`)).json()) as {
    serverRequests: Record<string, number>;
  };
  return stats.serverRequests;
}

const textOf = (message: { result: { content: { text: string }[] } }): string => message.result.content[0]!.text;

const all: readonly Setup[] = ['legacy stdio', 'legacy HTTP', 'modern stdio', 'modern HTTP'];
const legacy: readonly Setup[] = ['legacy stdio', 'legacy HTTP'];

for (const setup of all) {
  describe(`the answer to a question of a ${setup} server`, () => {
    it('counts from nobody but the session that was asked, and once', async () => {
      const { counted, url, session } = await fixture(setup);
      const [one, two] = [await session(), await session()];
      const first = await liveCall(url, one, 'a', 'peer__confirm', { question: 'one' });
      const second = await liveCall(url, two, 'a', 'peer__confirm', { question: 'two' });
      const asked = [await first.next(), await second.next()];
      assert.deepEqual(
        asked.map(({ method, params }) => [method, params.message]),
        [
          ['elicitation/create', 'one'],
          ['elicitation/create', 'two'],
        ],
      );
      assert.notEqual(asked[0].id, asked[1].id);
      // Each answers the other's question, then its own, twice.
      for (const [who, id] of [
        [one, asked[1].id],
        [two, asked[0].id],
        [one, 1],
        [one, `${asked[0].id}`],
      ] as const) {
        const reply = await answer(url, who, id, accepted('forged'));
        assert.deepEqual([reply.status, reply.text], [202, '']);
      }
      const foreign = await rpc(url, { jsonrpc: '2.0', id: asked[0].id, result: accepted('forged') });
      assert.equal(foreign.status, 400, 'without a session nothing is taken');
      await answer(url, two, asked[1].id, accepted('for two'));
      await answer(url, two, asked[1].id, accepted('again'));
      await answer(url, one, asked[0].id, accepted('for one'));
      assert.equal(textOf((await second.rest()).at(-1)), 'for two');
      assert.equal(textOf((await first.rest()).at(-1)), 'for one');
      await answer(url, one, asked[0].id, accepted('late'));
      const { open, answered, late } = await counted();
      assert.deepEqual([open, answered, late], [0, 2, 6]);
    });

    it('may come after the connection was lost, whose result is then fetched', async () => {
      const { url, session } = await fixture(setup);
      const client = await session();
      const call = await liveCall(url, client, 1, 'peer__confirm', { question: 'q', steps: 2 });
      const { id, params } = await call.next();
      assert.equal(params.message, 'q 1');
      assert.notEqual(call.lastEventId, '');
      call.cut();
      assert.equal((await answer(url, client, id, accepted('one'))).status, 202);
      // The next question waits for the client to come back.
      const resumed = await liveStream(url, client, call.lastEventId);
      const next = await resumed.next();
      assert.equal(next.params.message, 'q 2');
      await answer(url, client, next.id, accepted('two'));
      const rest = await resumed.rest();
      assert.equal(rest.length, 1);
      assert.equal(rest[0].id, 1);
      assert.equal(textOf(rest[0]), 'one,two');
    });

    it('is not waited for longer than answerMs', async (scope) => {
      const { gateway, url, session } = await fresh(scope, setup, { limits: { answerMs: 200 } });
      const client = await session();
      const call = await liveCall(url, client, 1, 'peer__confirm', { question: 'q' });
      const { id } = await call.next();
      const [note, result] = await call.rest();
      assert.deepEqual([note.method, note.params.requestId], ['notifications/cancelled', id]);
      assert.equal(result.result.isError, true);
      assert.equal((await answer(url, client, id, accepted('late'))).status, 202);
      const { expired, late, open } = await counts(gateway);
      assert.deepEqual([expired, late, open], [1, 1, 0]);
    });

    it('may take longer than a call', async (scope) => {
      const routes = [{ match: { tools: ['peer__confirm'] }, requestTimeoutMs: 500 }];
      const { url, session } = await fresh(scope, setup, { routes });
      const client = await session();
      // By then the client's child, if it needs one, is there.
      const before = await liveCall(url, client, 0, 'peer__roots');
      await answer(url, client, (await before.next()).id, { roots: [] });
      await before.rest();
      const call = await liveCall(url, client, 1, 'peer__confirm', { question: 'q' });
      const { id } = await call.next();
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      await answer(url, client, id, accepted('yes'));
      assert.equal(textOf((await call.rest()).at(-1)), 'yes');
    });

    it('is not waited for when the client cancels its call', async () => {
      const { counted, url, session } = await fixture(setup);
      const client = await session();
      const call = await liveCall(url, client, 'c', 'peer__confirm', { question: 'q' });
      const { id } = await call.next();
      await client.notify('notifications/cancelled', { requestId: 'c' });
      const rest = await call.rest();
      assert.deepEqual(
        rest.map(({ method, params }) => [method, params.requestId]),
        [['notifications/cancelled', id]],
        'the question is taken back, and the cancelled call has no answer',
      );
      await answer(url, client, id, accepted('late'));
      const { open, late } = await counted();
      assert.deepEqual([open, late], [0, 1]);
      const again = await liveCall(url, client, 'd', 'peer__confirm', { question: 'q' });
      await answer(url, client, (await again.next()).id, accepted('fine'));
      assert.equal(textOf((await again.rest()).at(-1)), 'fine', 'the server goes on');
    });

    it('cannot come from a client that ends its session', async () => {
      const { counted, url, session } = await fixture(setup);
      const client = await session();
      const call = await liveCall(url, client, 1, 'peer__confirm', { question: 'q' });
      const { id } = await call.next();
      await client.close();
      await eventually('nothing is open', async () => (await counted())['open'] === 0);
      assert.equal((await answer(url, client, id, accepted('late'))).status, 404);
      call.cut();
    });

    it('may be an error', async () => {
      const { url, session } = await fixture(setup);
      const client = await session();
      const call = await liveCall(url, client, 1, 'peer__sample', { prompt: 'p' });
      const { id } = await call.next();
      const refusal = { code: -1, message: 'User rejected sampling request', data: { why: 'tired' } };
      await rpc(url, { jsonrpc: '2.0', id, error: refusal }, client.headers);
      const { result } = (await call.rest()).at(-1);
      assert.equal(result.isError, true);
      assert.match(result.content[0].text, /User rejected sampling request/);
    });
  });
}

for (const setup of legacy) {
  describe(`a ${setup} server`, () => {
    it('asks on the stream of the session what belongs to none of its calls', async (scope) => {
      const { url, session } = await fresh(scope, setup);
      const client = await session();
      const own = await liveStream(url, client);
      scope.after(() => own.cut());
      const call = liveCallLater(url, client, 1, 'peer__aside', { question: 'beside' });
      const asked = await Promise.race([own.next(), call.then((live) => live.next())]);
      assert.equal(asked.method, 'elicitation/create');
      assert.equal(asked.params.message, 'beside');
      await answer(url, client, asked.id, accepted('heard'));
      assert.equal(textOf((await (await call).rest()).at(-1)), 'heard');
    });

    it('hears of the progress of its own request', async () => {
      const { url, session, journal } = await fixture(setup);
      const client = await session();
      const other = await session({ capabilities: { roots: {} } });
      const call = await liveCall(url, client, 1, 'peer__progress');
      const { id, params } = await call.next();
      const { progressToken } = params._meta;
      for (const progress of [1, 2.5, 3]) {
        await client.notify('notifications/progress', { progressToken, progress });
        await other.notify('notifications/progress', { progressToken, progress: 99 });
      }
      // The SDK forgets whom to tell as soon as it has read the answer.
      await eventually('it heard', () => journal().filter(({ name }) => name === 'progress').length === 3);
      const content = { type: 'text', text: 'done' };
      await answer(url, client, id, { role: 'assistant', model: 'm', content });
      assert.equal(textOf((await call.rest()).at(-1)), '1,2.5,3');
    });

    it('takes a question back', async () => {
      const { counted, url, session } = await fixture(setup);
      const client = await session();
      const call = await liveCall(url, client, 1, 'peer__withdraw');
      const { id } = await call.next();
      const note = await call.next();
      assert.deepEqual([note.method, note.params.requestId], ['notifications/cancelled', id]);
      assert.equal(textOf((await call.rest()).at(-1)), 'withdrawn');
      assert.equal((await counted())['open'], 0);
    });

    it('is told of a call that its client cancels while it asks', async (scope) => {
      const { url, session, journal } = await fresh(scope, setup);
      const client = await session();
      const call = liveCallLater(url, client, 'h', 'peer__hang');
      await eventually('the call arrived', () => journal().some(({ event }) => event === 'called'));
      await client.notify('notifications/cancelled', { requestId: 'h' });
      await eventually('the server heard', () => journal().some(({ event }) => event === 'cancelled'));
      assert.deepEqual(await (await call).rest(), []);
    });

    it('that dies takes its questions with it', async (scope) => {
      const { gateway, url, session, journal } = await fresh(scope, setup);
      const client = await session();
      const call = await liveCall(url, client, 1, 'peer__confirm', { question: 'q' });
      const { id } = await call.next();
      process.kill(journal().at(-1)!.pid, 'SIGKILL');
      const [note, failed] = await call.rest();
      assert.deepEqual([note.method, note.params.requestId], ['notifications/cancelled', id]);
      assert.equal(failed.error.code, -32603);
      assert.equal((await answer(url, client, id, accepted('late'))).status, 202);
      assert.equal((await counts(gateway))['open'], 0);
    });

    it('sends a client to a URL by an error, and tells it when that is done', async (scope) => {
      const { url, session } = await fixture(setup);
      const [client, other] = [await session(), await session()];
      const [own, others] = [await liveStream(url, client), await liveStream(url, other)];
      scope.after(() => own.cut());
      const { message } = await client.request('tools/call', { name: 'peer__must_visit', arguments: {} });
      assert.equal(message.error.code, -32042);
      assert.equal(message.error.data.elicitations[0].elicitationId, 'must-visit');
      const note = await own.next();
      assert.equal(note.method, 'notifications/elicitation/complete');
      assert.deepEqual(note.params, { elicitationId: 'must-visit' });
      assert.equal((await other.request('ping')).status, 200);
      others.cut();
      await assert.rejects(others.rest());
    });

    it('is refused what the client has not declared', async () => {
      const { counted, session } = await fixture(setup);
      const old = await session({ version: '2025-03-26' });
      const reply = await old.request('tools/call', { name: 'peer__confirm', arguments: { question: 'q' } });
      assert.equal(reply.messages.length, 1, 'nothing is asked of a revision without elicitation');
      assert.equal(reply.message.result.isError, true);
      const { open, answered } = await counted();
      assert.deepEqual([open, answered], [0, 0]);
    });
  });
}

describe('a server whose child belongs to one session', () => {
  const setup = 'legacy stdio';

  it('asks it on any of its streams, whatever other clients have under way', async (scope) => {
    const { url, session, journal } = await fresh(scope, setup);
    const [client, other] = [await session(), await session()];
    const calls = [liveCallLater(url, client, 'h', 'peer__hang'), liveCallLater(url, other, 'h', 'peer__hang')];
    await eventually('both calls arrived', () => journal().length === 2);
    const beside = liveCallLater(url, client, 1, 'peer__aside', { question: 'q' });
    // Without a stream of the session's own it comes on one of its two calls.
    const asked = await (await Promise.race([calls[0]!, beside])).next();
    assert.equal(asked.params.message, 'q');
    await answer(url, client, asked.id, accepted('heard'));
    for (const each of [client, other]) await each.notify('notifications/cancelled', { requestId: 'h' });
    const rest = await Promise.all([...calls, beside].map(async (call) => (await call).rest()));
    assert.deepEqual(rest[1], [], 'nobody else was asked');
    assert.equal(textOf([...rest[0]!, ...rest[2]!].at(-1)), 'heard');
  });

  it('hears that the roots of its client have changed', async () => {
    const { url, session, journal } = await fixture(setup);
    const client = await session();
    const call = await liveCall(url, client, 1, 'peer__roots');
    await answer(url, client, (await call.next()).id, { roots: [] });
    await call.rest();
    await client.notify('notifications/roots/list_changed');
    await eventually('the server heard', () => journal().some(({ name }) => name === 'roots changed'));
  });
});

describe('a server whose session serves many clients', () => {
  it('cannot ask beside its calls when more than one is under way', async (scope) => {
    const { gateway, url, session, journal } = await fresh(scope, 'legacy HTTP');
    const [client, other] = [await session(), await session()];
    const hanging = liveCallLater(url, other, 'h', 'peer__hang');
    await eventually('the other client has a call there', () => journal().length === 1);
    const { message } = await client.request('tools/call', { name: 'peer__aside', arguments: { question: 'q' } });
    assert.equal(message.result.isError, true);
    assert.equal((await counts(gateway))['unattributable'], 1);
    await other.notify('notifications/cancelled', { requestId: 'h' });
    assert.deepEqual(await (await hanging).rest(), [], 'nobody was asked');
    // What was taken back may go on at the server: the next question beside calls may be about it.
    const after = await client.request('tools/call', { name: 'peer__aside', arguments: { question: 'q' } });
    assert.equal(after.message.result.isError, true);
    const call = await liveCall(url, client, 1, 'peer__confirm', { question: 'on its own stream' });
    await answer(url, client, (await call.next()).id, accepted('heard'));
    assert.equal(textOf((await call.rest()).at(-1)), 'heard');
  });
});

for (const setup of ['modern stdio', 'modern HTTP'] as const) {
  describe(`a ${setup} server`, () => {
    it('may ask for nothing but to be called again, and not for ever', async (scope) => {
      const { url, session } = await fresh(scope, setup, { limits: { maxInputRounds: 3 } });
      const client = await session();
      const { message } = await client.request('tools/call', { name: 'peer__state', arguments: {} });
      assert.equal(textOf(message), 'state 2');
      const call = await liveCall(url, client, 1, 'peer__endless');
      for (let round = 0; round < 3; round += 1) {
        const asked = await call.next();
        assert.equal(asked.method, 'roots/list');
        await answer(url, client, asked.id, { roots: [] });
      }
      const [{ error }] = await call.rest();
      assert.equal(error.data.code, 'GW_INPUT_ROUNDS');
    });

    it('asks for prompts and resources too', async () => {
      const { url, session } = await fixture(setup);
      const client = await session();
      const ask = async (method: string, params: object, result: object) => {
        const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
        const response = await fetch(url, {
          method: 'POST',
          headers: {
            ...client.headers,
            'content-type': 'application/json',
            accept: 'application/json, text/event-stream',
          },
          body,
        });
        const reader = response.body!.getReader();
        let text = '';
        let answered = false;
        for (let read = await reader.read(); !read.done; read = await reader.read()) {
          text += Buffer.from(read.value).toString();
          const id = /"id":(\d{9,})/.exec(text)?.[1];
          if (id === undefined || answered) continue;
          answered = true;
          await answer(url, client, Number(id), result);
        }
        return text;
      };
      assert.match(await ask('prompts/get', { name: 'peer__asks' }, accepted('for a prompt')), /"for a prompt"/);
      const roots = { roots: [{ uri: 'file:///for-a-resource' }] };
      assert.match(await ask('resources/read', { uri: 'asks://it' }, roots), /"file:\/\/\/for-a-resource"/);
      const without = await session({ capabilities: {} });
      const { message } = await without.request('resources/read', { uri: 'asks://it' });
      assert.equal(message.error.code, -32603);
    });

    it('asks each caller itself, however cached its tool is', async (scope) => {
      const routes = [{ match: { tools: ['peer__sample'] }, cache: { ttlMs: 60_000, public: true } }];
      const { url, session } = await fresh(scope, setup, { routes });
      for (const text of ['first', 'second']) {
        const client = await session();
        const call = await liveCall(url, client, 1, 'peer__sample', { prompt: 'p' });
        const { id } = await call.next();
        await answer(url, client, id, { role: 'assistant', model: 'm', content: { type: 'text', text } });
        assert.equal(textOf((await call.rest()).at(-1)), text);
      }
    });
  });
}

/** A call whose answer may be long in beginning. */
function liveCallLater(...args: Parameters<typeof liveCall>): ReturnType<typeof liveCall> {
  const call = liveCall(...args);
  call.catch(() => {});
  return call;
}
