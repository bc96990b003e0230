/** What a client says that it accepts, on each front end and in both families (RFC 9110 section 12.5.1). */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startGateway } from '../support/gateway.js';
import { answer, liveStream } from '../support/live-call.js';
import { eventually, type TestScope } from '../support/process.js';
import {
  type Message,
  modernHeaders,
  modernMessage,
  modernRpc,
  openSession,
  parseMessages,
  rpc,
} from '../support/rpc.js';
import { shared } from '../support/shared.js';
import { countingStdio } from '../support/upstreams.js';

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly headers: Record<string, unknown>;
  readonly messages: Message[];
}

/** Unlike fetch, which adds `Accept` where there is none. */
function send(
  url: string,
  method: string,
  message: unknown,
  accept: string | null,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const all = { ...headers, ...(accept === null ? {} : { accept }) };
    const body = message === undefined ? undefined : JSON.stringify(message);
    const sent = request(url, {
      method,
      agent: false,
      headers: body === undefined ? all : { 'content-type': 'application/json', ...all },
    });
    sent.on('error', reject);
    sent.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => {
        const type = response.headers['content-type'] ?? '';
        const status = response.statusCode ?? 0;
        resolve({ status, type, headers: response.headers, messages: parseMessages(text, type) });
      });
    });
    sent.end(body);
  });
}

const JSON_ONLY = [null, '', '*/*', 'application/*', 'application/json', 'application/json, text/plain, */*'];
const STREAM_ONLY = [
  'text/event-stream',
  'text/*',
  'text/event-stream, application/json;q=0',
  '*/*, application/*;q=0',
];
const NEITHER = ['text/html', 'image/*, application/xml', '*/*;q=0', 'application/jsonp'];

/** A gateway whose one server has the tools `echo` and `slow`, which reports progress. */
const fixture = shared(async (scope: TestScope, frontEnd: 'uws' | 'node', family: 'legacy' | 'modern') => {
  const { entry } = await countingStdio(scope, family);
  const config = { mcpServers: { peer: entry }, limits: { maxHeldBytes: 16_384 } };
  const gateway = await startGateway(scope, config, { frontEnd });
  await eventually('the upstream is listed', async () => {
    const { message } = await modernRpc(gateway.url, 'tools/list');
    return message.result.tools.length > 0;
  });
  return gateway;
});

for (const frontEnd of ['uws', 'node'] as const) {
  for (const family of ['legacy', 'modern'] as const) {
    describe(`a client of a ${family} server on ${frontEnd}`, () => {
      it('gets JSON, a stream, or 406, by what it accepts', async () => {
        const { url } = await fixture(frontEnd, family);
        const session = await openSession(url);
        const slow = { name: 'peer__slow', arguments: { ms: 20, steps: 2 } };
        const legacyCall = {
          jsonrpc: '2.0',
          id: 7,
          method: 'tools/call',
          params: { ...slow, _meta: { progressToken: 'p' } },
        };
        const modernCall = modernMessage('tools/call', slow, { id: 7, meta: { progressToken: 'p' } });
        const clients = [
          { call: legacyCall, headers: session.headers },
          { call: modernCall, headers: modernHeaders(modernCall) },
        ];
        const list = { jsonrpc: '2.0', id: 8, method: 'tools/list' };
        const unknown = { jsonrpc: '2.0', id: 9, method: 'tools/call', params: { name: 'none', arguments: {} } };
        for (const { call, headers } of clients) {
          for (const accept of JSON_ONLY) {
            const reply = await send(url, 'POST', call, accept, headers);
            assert.deepEqual([reply.status, reply.type], [200, 'application/json'], String(accept));
            assert.deepEqual([reply.messages.length, reply.messages[0].id], [1, 7], 'without the progress');
            assert.ok(Array.isArray(reply.messages[0].result.content));
          }
          for (const accept of STREAM_ONLY) {
            const reply = await send(url, 'POST', call, accept, headers);
            assert.deepEqual([reply.status, reply.type], [200, 'text/event-stream'], accept);
            assert.deepEqual(
              reply.messages.map(({ id, params }) => params?.progressToken ?? id),
              ['p', 'p', 7],
              accept,
            );
          }
          for (const accept of NEITHER) {
            const reply = await send(url, 'POST', call, accept, headers);
            assert.deepEqual([reply.status, reply.messages[0].error.data.code], [406, 'GW_NOT_ACCEPTABLE'], accept);
          }
        }
        for (const message of [list, unknown]) {
          const reply = await send(url, 'POST', message, 'text/event-stream', session.headers);
          assert.deepEqual([reply.status, reply.type], [200, 'text/event-stream']);
          assert.equal(reply.messages.at(-1).id, message.id, 'an answer of the gateway itself');
        }
        const notification = { jsonrpc: '2.0', method: 'notifications/initialized' };
        const noted = await send(url, 'POST', notification, 'text/event-stream', session.headers);
        assert.deepEqual([noted.status, noted.messages], [202, []]);
        const unread = await send(url, 'POST', { id: 1 }, 'text/event-stream', session.headers);
        assert.deepEqual([unread.status, unread.type], [400, 'application/json'], 'refusals have their status');
      });

      it('initializes whatever it accepts', async () => {
        const { url } = await fixture(frontEnd, family);
        const params = { protocolVersion: '2025-03-26', capabilities: {}, clientInfo: { name: 'x', version: '1' } };
        const initialize = { jsonrpc: '2.0', id: 0, method: 'initialize', params };
        for (const accept of [...JSON_ONLY, ...STREAM_ONLY]) {
          const reply = await send(url, 'POST', initialize, accept);
          assert.equal(reply.messages.at(-1).result.protocolVersion, '2025-03-26', String(accept));
          const id = String(reply.headers['mcp-session-id']);
          const batch = [1, 2].map((id) => ({ jsonrpc: '2.0', id, method: 'ping' }));
          const both = await send(url, 'POST', batch, accept, { 'mcp-session-id': id });
          const answers = both.messages.flat().map(({ id }: Message) => id);
          assert.deepEqual([both.status, answers], [200, [1, 2]], String(accept));
        }
      });

      it('gets a large answer in the form that it accepts', async () => {
        const { url } = await fixture(frontEnd, family);
        const session = await openSession(url);
        const text = 'x'.repeat(100_000);
        const call = {
          jsonrpc: '2.0',
          id: 7,
          method: 'tools/call',
          params: { name: 'peer__echo', arguments: { text } },
        };
        for (const [accept, type] of [
          ['*/*', 'application/json'],
          ['text/event-stream', 'text/event-stream'],
        ] as const) {
          const reply = await send(url, 'POST', call, accept, session.headers);
          assert.deepEqual([reply.status, reply.type], [200, type]);
          assert.equal(reply.messages.at(-1).result.content[0].text, text);
        }
      });
    });
  }

  describe(`a stream that is asked for on ${frontEnd}`, () => {
    it('is opened unless Accept excludes it', async () => {
      const { url } = await fixture(frontEnd, 'legacy');
      const session = await openSession(url);
      for (const accept of ['application/json', 'text/html', '*/*, text/event-stream;q=0']) {
        const reply = await send(url, 'GET', undefined, accept, session.headers);
        assert.deepEqual([reply.status, reply.messages[0].error.data.code], [406, 'GW_NOT_ACCEPTABLE_STREAM'], accept);
        const listen = modernMessage('subscriptions/listen', { notifications: { toolsListChanged: true } });
        const refused = await send(url, 'POST', listen, accept, modernHeaders(listen));
        const code = accept === 'text/html' ? 'GW_NOT_ACCEPTABLE' : 'GW_NOT_ACCEPTABLE_STREAM';
        assert.deepEqual([refused.status, refused.messages[0].error.data.code], [406, code], accept);
      }
      for (const accept of [null, '*/*', 'text/*', 'text/event-stream']) {
        const status = await new Promise<number>((resolve, reject) => {
          const headers = { ...session.headers, ...(accept === null ? {} : { accept }) };
          const sent = request(url, { agent: false, headers }, (response) => {
            resolve(response.statusCode ?? 0);
            sent.destroy();
          });
          sent.on('error', reject).end();
        });
        assert.equal(status, 200, String(accept));
      }
    });
  });
}

describe('a server that asks a client which accepts JSON alone', () => {
  const program = fileURLToPath(new URL('../support/dialogue-server.js', import.meta.url));
  for (const family of ['legacy', 'modern'] as const) {
    it(`gets the reason, ${family}`, async (scope) => {
      const entry = { command: process.execPath, args: [program, family, 'stdio'], isolation: 'session' };
      const { url } = await startGateway(scope, { mcpServers: { peer: entry } });
      await eventually('the upstream is listed', async () => {
        const { message } = await modernRpc(url, 'tools/list');
        return message.result.tools.length > 0;
      });
      const session = await openSession(url, { capabilities: { elicitation: { form: {} } } });
      const params = { name: 'peer__confirm', arguments: { question: 'sure?' } };
      const call = { jsonrpc: '2.0', id: 'c', method: 'tools/call', params };
      const headers = { ...session.headers, accept: 'application/json' };
      const refused = await rpc(url, call, headers);
      assert.equal(refused.status, 200);
      assert.match(refused.text, /accepts no event stream to be asked on; send Accept: application\/json, text/);
      // With the session's own stream open it can be asked there.
      const stream = await liveStream(url, session);
      const answered = rpc(url, call, headers);
      const question = await stream.next();
      assert.equal(question.method, 'elicitation/create');
      await answer(url, session, question.id, { action: 'accept', content: { answer: 'quite' } });
      assert.match((await answered).text, /quite/);
    });
  }
});
