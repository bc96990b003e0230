/** Requests that are refused when they are read from their connection: which, and that no others lose or gain an answer. */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { decoderKind } from '../../../native/index.js';
import { listed, statsOf } from '../../faults/observe.js';
import { type RunningGateway, startGateway } from '../../support/gateway.js';
import { eventually } from '../../support/process.js';
import { rawUpstream } from '../../support/raw-upstream.js';
import { type LegacySession, type Message, modernHeaders, modernMessage, openSession } from '../../support/rpc.js';

/** One connection that is kept, and the answers on it in order. */
class KeptConnection {
  readonly #socket: Socket;
  #text = '';
  isClosed = false;

  constructor(port: number) {
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.on('data', (bytes) => {
      this.#text += bytes.toString('latin1');
    });
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => {
      this.isClosed = true;
    });
  }

  write(bytes: string): void {
    this.#socket.write(Buffer.from(bytes, 'latin1'));
  }

  end(): void {
    this.#socket.destroy();
  }

  /** Takes the next answer. Its length must be exact, or the next one cannot be read. */
  async answer(): Promise<{ status: number; head: string; body: string }> {
    const headEnd = await eventually('an answer', async () => this.#text.indexOf('\r\n\r\n') + 1);
    const head = this.#text.slice(0, headEnd + 3);
    const length = /content-length: (\d+)/i.exec(head)?.[1] ?? 0;
    const end = head.length + Number(length);
    await eventually('its body', async () => this.#text.length >= end);
    const body = this.#text.slice(head.length, end);
    this.#text = this.#text.slice(end);
    return { status: Number(head.slice(9, 12)), head, body };
  }

  get rest(): string {
    return this.#text;
  }
}

function post(port: number, headers: Record<string, string>, body: string, line = 'POST /mcp HTTP/1.1'): string {
  const fields = {
    host: `127.0.0.1:${port}`,
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'content-length': String(Buffer.byteLength(body, 'latin1')),
    ...headers,
  };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${line}\r\n${lines.join('')}\r\n${body}`;
}

/** A gateway in an overload that does not end, with a session of before. */
async function overloaded(t: TestContext, log: object = {}): Promise<[RunningGateway, LegacySession]> {
  const upstream = await rawUpstream(t, (_request, answer) => answer.result({ content: [] }));
  // Everything has more resident memory than one byte; handshakes are not in the order.
  const overload = { maxMemoryBytes: 1, order: ['lists', 'calls'], retryAfterMs: 2_500 };
  const config = { mcpServers: { peer: { url: upstream.url } }, overload, log };
  const gateway = await startGateway(t, config, { frontEnd: 'uws' });
  const session = await openSession(gateway.url);
  await eventually('all lists and calls are refused', async () => {
    await session.request('tools/list');
    await session.request('tools/call', { name: 'peer__call' });
    return (await statsOf(gateway)).overload.level > 1.99;
  });
  return [gateway, session];
}

const call = (id: unknown): string =>
  `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"peer__call"}}`;
/** Without the addon nothing is seen when it is read: everything takes the usual way. */
const SEES_READS = decoderKind === 'native';
/** Whether an answer was made by the stages: what is refused early has no exchange, so no correlation id. */
const isOfStages = (body: string): boolean => body.includes('"correlationId"');

describe('an overloaded gateway', () => {
  it('refuses calls as they are read, and everything else takes its usual way on the same connection', async (t) => {
    const [gateway, session] = await overloaded(t);
    const { port } = gateway;
    const connection = new KeptConnection(port);
    t.after(() => connection.end());
    let shed = 0;
    const ask = async (body: string, headers = session.headers) => {
      connection.write(post(port, headers, body));
      const answer = await connection.answer();
      if (answer.status === 503) shed += 1;
      return answer;
    };
    const before = await statsOf(gateway);
    // The stages judge the first one: it is not known yet that it is at the start of a request.
    assert.equal((await ask(call(1))).status, 503);
    for (const id of ['7', '"a string"', '"\\u00e9\\""', '-3', `"${'x'.repeat(200)}"`]) {
      const { status, head, body } = await ask(call(id));
      assert.deepEqual([status, /retry-after: (\d+)/.exec(head)?.[1]], [503, '3']);
      assert.ok(body.startsWith(`{"jsonrpc":"2.0","id":${id},`), body);
      const { data } = JSON.parse(body).error;
      const { correlationId, ...others } = data;
      assert.deepEqual(others, { code: 'GW_SHED', retryable: true, retryAfterMs: 2_500 });
      assert.equal(correlationId === undefined, SEES_READS);
    }
    const modern = modernMessage('tools/list');
    assert.equal(isOfStages((await ask(JSON.stringify(modern), modernHeaders(modern))).body), !SEES_READS);

    // What is no new work, what is none of the kinds, and what is no valid message.
    const input = '"requestState":"x","name":"peer__call"';
    assert.equal((await ask('{"jsonrpc":"2.0","id":9,"method":"ping"}')).status, 200);
    assert.equal(
      (await ask('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}')).status,
      202,
    );
    assert.equal((await ask(call(1).replace('"name":"peer__call"', input))).status, 200);
    assert.equal((await ask(`[${call(1)}]`)).status, 400);
    assert.equal((await ask('{"jsonrpc":"2.0",')).status, 400);
    assert.ok(isOfStages((await ask(call(`"${'x'.repeat(257)}"`))).body));
    assert.equal(isOfStages((await ask(call(2))).body), !SEES_READS);
    assert.equal(connection.rest, '');

    // They are counted like the others.
    const { overload, requests } = await eventually('all are counted', async () => {
      const stats: Message = await statsOf(gateway);
      const sum = (one: Message): number => one.overload.refused.calls + one.overload.refused.lists;
      return sum(stats) - sum(before) >= shed ? stats : null;
    });
    assert.equal(requests.errors.GW_SHED, overload.refused.calls + overload.refused.lists);
  });

  it('answers once to a request in pieces, or with a field that asks for more than an answer', async (t) => {
    const [gateway, session] = await overloaded(t);
    const { port } = gateway;
    const plain = post(port, session.headers, call(5));
    /** A connection on which the next plain request would be refused early. */
    const begin = async (): Promise<KeptConnection> => {
      const connection = new KeptConnection(port);
      t.after(() => connection.end());
      connection.write(plain);
      await connection.answer();
      connection.write(plain);
      assert.equal(isOfStages((await connection.answer()).body), !SEES_READS);
      return connection;
    };
    const fields: readonly [change: (text: string) => string, status: number, isClosed: boolean][] = [
      [(text) => text.replace('content-length: ', 'content-length: 5\r\ncontent-length: '), 400, true],
      [(text) => text.replace('host: ', 'host: other\r\nhost: '), 400, true],
      [(text) => text.replace('content-length: ', 'transfer-encoding: chunked\r\ncontent-length: '), 400, true],
      [(text) => text.replace('host: ', 'origin: https://evil.example\r\nhost: '), 403, true],
      [(text) => text.replace('application/json\r\n', 'text/plain\r\n'), 415, true],
      [(text) => text.replace('/mcp', '/none'), 404, true],
      [(text) => text.replace('host: ', 'connection: close\r\nhost: '), 503, true],
      [(text) => text.replace('host: ', 'x-note: a\tb\r\nhost: '), 503, false],
    ];
    for (const [change, status, isClosed] of fields) {
      const connection = await begin();
      connection.write(change(plain));
      const answer = await connection.answer();
      assert.equal(answer.status, status, change(plain));
      assert.ok(status !== 503 || isOfStages(answer.body), change(plain));
      if (isClosed) await eventually('it is closed', async () => connection.isClosed);
      assert.ok(!connection.rest.includes('HTTP/1.1'), connection.rest);
    }

    // What looks like a request is the rest of a body, or of a head.
    const [head = '', body = ''] = plain.split('\r\n\r\n');
    const inside = post(port, {}, plain).slice(0, -plain.length);
    for (const [first, second, status] of [
      [`${head}\r\n\r\n${body.slice(0, 9)}`, body.slice(9), 503],
      [inside, plain, 400],
      [`POST /mcp HTTP/1.1\r\nx-note: `, plain, 503],
    ] as const) {
      const connection = await begin();
      connection.write(first);
      // The gateway has to read it before the rest comes: another connection is answered after that.
      await openSession(gateway.url);
      connection.write(second);
      const answer = await connection.answer();
      assert.equal(answer.status, status, first);
      assert.ok(status !== 503 || isOfStages(answer.body), first);
      connection.write(plain);
      assert.equal((await connection.answer()).status, 503);
      assert.equal(connection.rest, '');
    }
  });

  it('refuses nothing early while each request is logged', async (t) => {
    const [gateway, session] = await overloaded(t, { access: true });
    const connection = new KeptConnection(gateway.port);
    t.after(() => connection.end());
    for (let i = 0; i < 3; i += 1) {
      connection.write(post(gateway.port, session.headers, call(i)));
      const { status, body } = await connection.answer();
      assert.deepEqual([status, isOfStages(body)], [503, true], body);
    }
    await listed(gateway);
  });
});
