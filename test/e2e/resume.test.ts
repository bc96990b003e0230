/** A stream of an older client breaks, and the client comes back for what it missed (MCP, resumability). */
import assert from 'node:assert/strict';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { type OpenAnswer, openAnswer } from '../support/event-stream.js';
import { startGateway } from '../support/gateway.js';
import { eventually, type TestScope } from '../support/process.js';
import { type Answer, rawUpstream } from '../support/raw-upstream.js';
import { type LegacySession, type Message, modernHeaders, modernMessage, openSession, rpc } from '../support/rpc.js';
import { type ClientV1, type ClientV2, connectV1, connectV2 } from '../support/sdk-clients.js';
import { countingHttp } from '../support/upstreams.js';

/** A gateway before an upstream whose calls the test answers by hand. */
async function scripted(scope: TestScope, config: object = {}, frontEnd: 'uws' | 'node' = 'uws') {
  const calls: { id: number; token: unknown; stream: ReturnType<Answer['sse']> }[] = [];
  const upstream = await rawUpstream(scope, ({ message }, answer) => {
    calls.push({ id: message.id, token: message.params?._meta?.progressToken, stream: answer.sse() });
  });
  const gateway = await startGateway(scope, { mcpServers: { raw: { url: upstream.url } }, ...config }, { frontEnd });
  await eventually('the upstream is listed', async () => {
    const session = await openSession(gateway.url);
    const { message } = await session.request('tools/list');
    return message.result.tools.length > 0;
  });
  const call = (index: number) => {
    const { id, token, stream } = calls[index]!;
    return {
      progress: (progress: number) =>
        stream.event({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: token, progress } }),
      result(text: string) {
        stream.event({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text }] } });
        stream.end();
      },
      fail() {
        stream.event({ jsonrpc: '2.0', id, error: { code: -32603, message: 'it failed' } });
        stream.end();
      },
    };
  };
  const arrived = (count: number) => eventually(`${count} calls upstream`, () => calls.length === count);
  return { gateway, url: gateway.url, call, arrived };
}

const CALL = { name: 'raw__call', arguments: {}, _meta: { progressToken: 'p' } };

const callOf = (session: LegacySession, id: string) => ({
  message: { jsonrpc: '2.0', id, method: 'tools/call', params: CALL },
  headers: session.headers,
});

const resuming = (session: LegacySession, id: string) => ({ headers: { ...session.headers, 'last-event-id': id } });

const errorCode = (text: string): unknown => JSON.parse(text).error.data.code;

for (const frontEnd of ['uws', 'node'] as const) {
  describe(`a broken stream of a call, ${frontEnd} front end`, () => {
    it('goes on where it was once the call is over', async (scope) => {
      const { url, call, arrived } = await scripted(scope, {}, frontEnd);
      const session = await openSession(url);
      const opening = openAnswer(scope, url, callOf(session, 'mine'));
      await arrived(1);
      call(0).progress(1);
      const first = await opening;
      await first.until('"progress":1');
      first.cut();
      call(0).progress(2);
      call(0).result('late');

      const second = await openAnswer(scope, url, resuming(session, first.events().at(-1)!.id));
      await second.end();
      assert.equal(second.status, 200);
      assert.equal(second.headers['content-type'], 'text/event-stream');
      const messages = second.messages();
      assert.deepEqual(
        messages.map(({ params, result }) => params?.progress ?? result.content[0].text),
        [2, 'late'],
      );
      assert.equal(messages.at(-1).id, 'mine');

      const third = await openAnswer(scope, url, resuming(session, second.events().at(-1)!.id));
      assert.equal(third.status, 204, 'nothing is left to come for');
      const whole = await openAnswer(scope, url, resuming(session, first.events()[0]!.id));
      await whole.end();
      assert.equal(whole.messages().length, 3, 'from the beginning');
    });

    it('is taken over by the client that comes back while the call is under way', async (scope) => {
      const { url, gateway, call, arrived } = await scripted(scope, {}, frontEnd);
      const session = await openSession(url);
      const opening = openAnswer(scope, url, callOf(session, 'mine'));
      await arrived(1);
      call(0).progress(1);
      const first = await opening;
      await first.until('"progress":1');
      // Not cut: the gateway cannot know that the connection is dead.
      const second = await openAnswer(scope, url, resuming(session, first.events().at(-1)!.id));
      await first.end();
      call(0).progress(2);
      await second.until('"progress":2');
      second.cut();
      const third = await openAnswer(scope, url, resuming(session, second.events().at(-1)!.id));
      call(0).result('done');
      await third.end();
      assert.deepEqual(third.messages(), [
        { jsonrpc: '2.0', id: 'mine', result: { content: [{ type: 'text', text: 'done' }] } },
      ]);
      assert.equal(first.messages().length + second.messages().length, 2, 'each event once');
      await eventually('nothing in flight', async () => {
        const stats = (await (await fetch(`${gateway.adminUrl}/stats`)).json()) as { requests: { inFlight: number } };
        return stats.requests.inFlight === 0;
      });
    });
  });
}

describe('a question of an upstream to a client that is away', () => {
  it('waits for it, and its answer finds the way', async (scope) => {
    const answers: Message[] = [];
    let stream: ReturnType<Answer['sse']> | undefined;
    let callId = 0;
    const upstream = await rawUpstream(scope, ({ message }, answer) => {
      if (message.method === 'tools/call') {
        callId = message.id;
        stream = answer.sse();
      } else {
        answers.push(message);
        answer.response.writeHead(202).end();
      }
    });
    const { url } = await startGateway(scope, { mcpServers: { raw: { url: upstream.url } } });
    const session = await openSession(url, { capabilities: { elicitation: {} } });
    await eventually('the upstream is listed', async () => {
      const { message } = await session.request('tools/list');
      return message.result.tools.length > 0;
    });
    const opening = openAnswer(scope, url, callOf(session, 'mine'));
    const answering = await eventually('the call', () => stream);
    answering.event({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'error', data: 'x' } });
    const first = await opening;
    await first.until('notifications/message');
    first.cut();
    const params = { message: 'name?', requestedSchema: { type: 'object', properties: {} } };
    answering.event({ jsonrpc: '2.0', id: 'theirs', method: 'elicitation/create', params });

    const second = await openAnswer(scope, url, resuming(session, first.events().at(-1)!.id));
    await second.until('elicitation/create');
    const { id } = second.messages().at(-1);
    const reply = await rpc(url, { jsonrpc: '2.0', id, result: { action: 'decline' } }, session.headers);
    assert.equal(reply.status, 202);
    await eventually('the answer', () => answers.some((message) => message.id === 'theirs'));
    assert.deepEqual(answers.at(-1), { jsonrpc: '2.0', id: 'theirs', result: { action: 'decline' } });
    answering.event({ jsonrpc: '2.0', id: callId, result: { content: [] } });
    await second.end();
    assert.equal(second.messages().at(-1).id, 'mine');
  });
});

describe('ids of events', () => {
  it('are for revisions that know them: greeted from 2025-11-25 on, bare before, none for modern clients', async (scope) => {
    const { url, call, arrived } = await scripted(scope, { sessions: { retryMs: 1234 } });
    const [newest, older] = [await openSession(url), await openSession(url, { version: '2025-06-18' })];
    const message = modernMessage('tools/call', CALL);
    const requests = [callOf(newest, 'a'), callOf(older, 'b'), { message, headers: modernHeaders(message) }];
    const answers: OpenAnswer[] = [];
    for (const [index, request] of requests.entries()) {
      const opening = openAnswer(scope, url, request);
      await arrived(index + 1);
      call(index).progress(1);
      answers.push(await opening);
    }
    for (const [index, answer] of answers.entries()) {
      call(index).result('done');
      await answer.end();
    }
    const [first, second, third] = answers as [OpenAnswer, OpenAnswer, OpenAnswer];
    assert.equal(first.events()[0]!.data, '');
    assert.equal(first.events()[0]!.retry, '1234');
    assert.ok(first.events().every(({ id }) => id !== ''));
    assert.equal(new Set(first.events().map(({ id }) => id)).size, 3);
    assert.ok(second.events().every(({ id, data, retry }) => id !== '' && data !== '' && retry === ''));
    assert.doesNotMatch(third.text, /^(id|retry):/m);
    assert.equal(third.messages().length, 2);
  });

  it('say nothing to other sessions, and garbage is refused', async (scope) => {
    const { url, call, arrived } = await scripted(scope);
    const [session, stranger] = [await openSession(url), await openSession(url)];
    const opening = openAnswer(scope, url, callOf(session, 'mine'));
    await arrived(1);
    call(0).progress(1);
    const first = await opening;
    await first.until('"progress":1');
    first.cut();
    call(0).result('secret');
    const { id } = first.events().at(-1)!;
    const [tag, ...rest] = id.split('-');
    const foreign = [tag === '00000000' ? '11111111' : '00000000', ...rest].join('-');
    const rows: [LegacySession, string, string][] = [
      [stranger, id, 'GW_RESUME_GONE'],
      [session, `${id}zz`, 'GW_RESUME_GONE'],
      [session, id.replace('-c', '-s'), 'GW_RESUME_GONE'],
      [session, foreign, 'GW_RESUME_GONE'],
      [session, 'garbage', 'GW_RESUME_UNSUPPORTED'],
      [session, `${id}-1`, 'GW_RESUME_UNSUPPORTED'],
    ];
    for (const [who, lastEventId, code] of rows) {
      const answer = await openAnswer(scope, url, resuming(who, lastEventId));
      await answer.end();
      assert.equal(answer.status, 400, lastEventId);
      assert.equal(errorCode(answer.text), code, lastEventId);
    }
    const mine = await openAnswer(scope, url, resuming(session, id));
    await mine.end();
    assert.equal(mine.messages()[0].result.content[0].text, 'secret');
  });

  it('of a standalone stream from before a restart begin a new one', async (scope) => {
    const { url } = await scripted(scope);
    const session = await openSession(url);
    const answer = await openAnswer(scope, url, resuming(session, '00000000-s1-3'));
    await eventually('the greeting', () => answer.events().length === 1);
    assert.equal(answer.status, 200);
    assert.notEqual(answer.events()[0]!.id.split('-')[0], '00000000');
  });

  it('are not given when nothing is kept, and the oldest events go first', async (scope) => {
    const none = await scripted(scope, { sessions: { eventLogBytes: 0 } });
    const plain = openAnswer(scope, none.url, callOf(await openSession(none.url), 'a'));
    await none.arrived(1);
    none.call(0).progress(1);
    none.call(0).result('done');
    const answer = await plain;
    await answer.end();
    assert.doesNotMatch(answer.text, /^(id|retry):/m);

    const small = await scripted(scope, { sessions: { eventLogBytes: 2048 } });
    const session = await openSession(small.url);
    const opening = openAnswer(scope, small.url, callOf(session, 'a'));
    await small.arrived(1);
    for (let progress = 1; progress <= 20; progress += 1) small.call(0).progress(progress);
    const first = await opening;
    await first.until('"progress":20');
    first.cut();
    const ids = first.events().map(({ id }) => id);
    const late = await openAnswer(scope, small.url, resuming(session, ids[1]!));
    await late.end();
    assert.equal(errorCode(late.text), 'GW_RESUME_GONE');
    const recent = await openAnswer(scope, small.url, resuming(session, ids.at(-2)!));
    small.call(0).result('done');
    await recent.end();
    assert.equal(recent.messages().length, 2);
  });
});

describe('a standalone stream', () => {
  it('has what came while its client was away', async (scope) => {
    const upstream = await countingHttp(scope, 'legacy');
    const gateway = await startGateway(scope, { mcpServers: { up: upstream.entry } });
    const session = await openSession(gateway.url);
    await eventually('the upstream is listed', async () => {
      const { message } = await session.request('tools/list');
      return message.result.tools.length > 0;
    });
    const first = await openAnswer(scope, gateway.url, { headers: session.headers });
    await eventually('the greeting', () => first.events().length === 1);
    first.cut();
    await session.request('tools/call', { name: 'up__add_tool', arguments: { name: 'another' } });
    await eventually('the list has changed', async () => {
      const { message } = await session.request('tools/list');
      return message.result.tools.some(({ name }: { name: string }) => name === 'up__another');
    });
    const second = await openAnswer(scope, gateway.url, resuming(session, first.events()[0]!.id));
    await second.until('notifications/tools/list_changed');
    assert.equal(second.ended, false);
    await session.request('tools/call', { name: 'up__add_tool', arguments: { name: 'third' } });
    await eventually('a second change', () => second.messages().length === 2);
  });
});

/** A way to the gateway that can be cut. */
async function cuttable(scope: TestScope, port: number) {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.pipe(upstream).pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = (): void => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  scope.after(() => {
    server.close();
    cut();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`, cut };
}

for (const sdk of ['v1', 'v2'] as const) {
  describe(`an SDK ${sdk} client whose connection is cut`, () => {
    it('gets the result of its call, once', async (scope) => {
      const { gateway, call, arrived } = await scripted(scope, { sessions: { retryMs: 20 } });
      const way = await cuttable(scope, gateway.port);
      const client = sdk === 'v1' ? await connectV1(scope, way.url) : await connectV2(scope, way.url, 'legacy');
      const seen: number[] = [];
      const options = { onprogress: ({ progress }: { progress: number }) => void seen.push(progress) };
      const params = { name: 'raw__call', arguments: {} };
      // The third parameter of v1 is the second of v2.
      const pending =
        sdk === 'v1'
          ? (client as ClientV1).callTool(params, undefined, options)
          : (client as ClientV2).callTool(params, options);
      await arrived(1);
      call(0).progress(1);
      await eventually('the first progress', () => seen.length === 1);
      way.cut();
      call(0).progress(2);
      call(0).result('late');
      const { content } = (await pending) as { content: { text: string }[] };
      assert.equal(content[0]!.text, 'late');
      assert.deepEqual(seen, [1, 2]);
    });

    it('does not come back for an error that it has got', async (scope) => {
      const { gateway, url, call, arrived } = await scripted(scope, { sessions: { retryMs: 10 } });
      const client = sdk === 'v1' ? await connectV1(scope, url) : await connectV2(scope, url, 'legacy');
      const requests = async () => {
        const stats = (await (await fetch(`${gateway.adminUrl}/stats`)).json()) as { requests: { total: number } };
        return stats.requests.total;
      };
      const failed = client.callTool({ name: 'raw__call', arguments: {}, _meta: { progressToken: 7 } });
      failed.catch(() => {});
      await arrived(1);
      call(0).progress(1);
      call(0).fail();
      await assert.rejects(failed, /it failed/);
      await new Promise((resolve) => setTimeout(resolve, 300));
      const before = await requests();
      await new Promise((resolve) => setTimeout(resolve, 300));
      assert.equal(await requests(), before);
    });
  });
}
