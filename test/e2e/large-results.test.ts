/** Answers too large to be held pass through in parts: byte for byte, in bounded memory, whole or not at all. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type ClientRequest, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { describe, it } from 'node:test';
import { idle, listed, statsOf } from '../faults/observe.js';
import { type RunningGateway, startGateway } from '../support/gateway.js';
import { eventually, type TestScope } from '../support/process.js';
import { type Answer, type RawUpstream, type ReceivedRequest, rawUpstream } from '../support/raw-upstream.js';
import { modernHeaders, modernMessage, openSession, rpc } from '../support/rpc.js';

const MIB = 1024 * 1024;
const PIECE = Buffer.from(`${'0123456789abcdef'.repeat(4_095)}\\n\\"{}[]:,\\\\`.padEnd(65_536, '.'));

/** How a large answer is put together. */
interface Shape {
  /** The message around the text; `id` and `TEXT` are replaced. */
  readonly frame: string;
  readonly pieces: number;
  /** As an event of a stream, with a progress notification before it. */
  readonly sse: boolean;
  readonly progress: boolean;
}

const RESULT_FIRST = '{"result":{"content":[{"type":"text","text":"TEXT"}],"x":[1.0]},"jsonrpc":"2.0","id":ID}';
const ID_FIRST = '{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"TEXT"}]}}';

/** Sends an answer of that shape, waiting for the reader. @param until stop after so many pieces, and cut */
async function send(request: ReceivedRequest, answer: Answer, shape: Shape, until = shape.pieces): Promise<void> {
  const { response } = answer;
  const [before, after] = shape.frame.replace('ID', String(request.message.id)).split('TEXT') as [string, string];
  response.writeHead(200, { 'content-type': shape.sse ? 'text/event-stream' : 'application/json' });
  if (shape.progress) {
    const params = { progressToken: request.message.params._meta.progressToken, progress: 1 };
    response.write(`data: ${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/progress', params })}\n\n`);
  }
  response.write((shape.sse ? 'event: message\ndata: ' : '') + before);
  for (let index = 0; index < until && !response.destroyed; index += 1) {
    if (!response.write(PIECE)) await taken(response);
  }
  if (until < shape.pieces) answer.socket.destroy();
  else response.end(shape.sse ? `${after}\n\n` : after);
}

/** Waits until a response takes more, or is over. */
function taken(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.on('drain', done);
    response.on('close', done);
  });
}

/** The digest of what the client must get. */
function digestOf(shape: Shape, frame: string, id: string): { digest: string; bytes: number } {
  const hash = createHash('sha256');
  const [before, after] = frame.replace('ID', id).split('TEXT') as [string, string];
  let bytes = 0;
  const add = (piece: string | Buffer): void => {
    hash.update(piece);
    bytes += Buffer.byteLength(piece);
  };
  add(before);
  for (let index = 0; index < shape.pieces; index += 1) add(PIECE);
  add(after);
  return { digest: hash.digest('hex'), bytes };
}

interface Received {
  readonly status: number;
  readonly type: string;
  readonly digest: string;
  readonly bytes: number;
  /** Bytes before the last event of a stream. */
  readonly lead: string;
  readonly complete: boolean;
}

/** Posts a message and digests the answer; of a stream, the data of its last event. */
async function receive(
  url: string,
  message: object,
  headers: Record<string, string>,
  onResponse: (response: IncomingMessage, request: ClientRequest) => void = () => {},
): Promise<Received> {
  const accept = 'application/json, text/event-stream';
  const request = httpRequest(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept, ...headers },
  });
  request.end(JSON.stringify(message));
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  onResponse(response, request);
  const type = response.headers['content-type'] ?? '';
  const hash = createHash('sha256');
  let bytes = 0;
  let lead = '';
  let within = !type.startsWith('text/event-stream');
  let complete = true;
  try {
    for await (const chunk of response) {
      let piece = chunk as Buffer;
      if (!within) {
        lead += piece.toString('latin1');
        const at = lead.indexOf('data: {"result"');
        if (at < 0) continue;
        within = true;
        piece = Buffer.from(lead.slice(at + 6), 'latin1');
        lead = lead.slice(0, at);
      }
      hash.update(piece);
      bytes += piece.length;
    }
  } catch {
    complete = false;
  }
  return { status: response.statusCode ?? 0, type, digest: hash.digest('hex'), bytes, lead, complete };
}

async function start(
  scope: TestScope,
  family: 'legacy' | 'modern',
  limits: object = {},
  frontEnd: 'uws' | 'node' = 'uws',
): Promise<{ upstream: RawUpstream; gateway: RunningGateway }> {
  const upstream = await rawUpstream(scope, () => {}, { family });
  const gateway = await startGateway(scope, { mcpServers: { raw: { url: upstream.url } }, limits }, { frontEnd });
  await listed(gateway);
  return { upstream, gateway };
}

/** A call with a progress token, as a client of that family makes it. */
async function callAs(
  family: 'legacy' | 'modern',
  gateway: RunningGateway,
  name = 'raw__call',
): Promise<{ message: object; headers: Record<string, string> }> {
  const params = { name, arguments: {} };
  if (family === 'modern') {
    const message = { ...modernMessage('tools/call', params, { meta: { progressToken: 'p' } }), id: 'mine' };
    return { message, headers: modernHeaders(message) };
  }
  const session = await openSession(gateway.url);
  const message = {
    jsonrpc: '2.0',
    id: 'mine',
    method: 'tools/call',
    params: { ...params, _meta: { progressToken: 'p' } },
  };
  return { message, headers: session.headers };
}

describe('an answer of 100 MB', () => {
  for (const frontEnd of ['uws', 'node'] as const) {
    for (const sse of [false, true]) {
      it(`passes through in little memory, ${sse ? 'as an event' : 'as JSON'}, ${frontEnd} front end`, async (scope) => {
        const { upstream, gateway } = await start(scope, 'legacy', {}, frontEnd);
        const shape: Shape = { frame: RESULT_FIRST, pieces: 1_600, sse, progress: sse };
        upstream.script((request, answer) => send(request, answer, shape));
        const { message, headers } = await callAs('legacy', gateway);
        const rss = async (): Promise<number> => (await statsOf(gateway)).process.rssBytes;
        // The first call brings in what every call needs.
        const small: Shape = { ...shape, pieces: 32 };
        upstream.script((request, answer) => send(request, answer, small));
        await receive(gateway.url, message, headers);
        upstream.script((request, answer) => send(request, answer, shape));
        const before = await rss();
        let most = before;
        let going = true;
        const watching = (async () => {
          while (going) {
            most = Math.max(most, await rss());
            await new Promise((resolve) => setTimeout(resolve, 10));
          }
        })();
        // Of a stream the end of the event is digested too.
        const { digest, bytes } = digestOf(shape, `${RESULT_FIRST}${sse ? '\n\n' : ''}`, '"mine"');
        const got = await receive(gateway.url, message, headers);
        going = false;
        await watching;
        assert.equal(got.status, 200);
        assert.equal(got.complete, true);
        assert.match(got.type, sse ? /^text\/event-stream/ : /^application\/json$/);
        if (sse) assert.match(got.lead, /"progressToken":"p"/);
        assert.deepEqual([got.bytes, got.digest], [bytes, digest]);
        assert.ok(most - before < 40 * MIB, `memory grew by ${(most - before) / MIB} MiB`);
        await idle(gateway);
      });
    }
  }
});

describe('a large answer', () => {
  const shape: Shape = { frame: ID_FIRST, pieces: 48, sse: false, progress: false };

  for (const family of ['legacy', 'modern'] as const) {
    for (const client of ['legacy', 'modern'] as const) {
      for (const sse of [false, true]) {
        it(`of a ${family} upstream reaches a ${client} client whole, ${sse ? 'event' : 'JSON'}`, async (scope) => {
          const { upstream, gateway } = await start(scope, family);
          const own = '"resultType":"complete","ttlMs":5,';
          const frame = ID_FIRST.replace('"content"', `${family === 'modern' ? own : ''}"content"`);
          upstream.script((request, answer) => send(request, answer, { ...shape, frame, sse }));
          const { message, headers } = await callAs(client, gateway);
          const got = await receive(gateway.url, message, headers);
          assert.deepEqual([got.status, got.complete, got.type], [200, true, 'application/json']);
          if (family === 'legacy' && client === 'modern') {
            // What a result must have there is added behind the rest.
            const { bytes } = digestOf(shape, ID_FIRST, '"mine"');
            assert.ok(got.bytes > bytes);
          } else {
            const expected = family === client ? frame : ID_FIRST;
            assert.deepEqual(got.digest, digestOf(shape, expected, '"mine"').digest);
          }
          await idle(gateway);
        });
      }
    }
  }

  it('gets what a modern client needs of a legacy upstream', async (scope) => {
    const { upstream, gateway } = await start(scope, 'legacy', { maxHeldBytes: 16_384 });
    upstream.script((request, answer) => send(request, answer, { ...shape, pieces: 3 }));
    const { message, headers } = await callAs('modern', gateway);
    const response = await fetch(gateway.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers },
      body: JSON.stringify(message),
    });
    const { id, result } = (await response.json()) as { id: unknown; result: Record<string, unknown> };
    assert.equal(id, 'mine');
    assert.equal(result['resultType'], 'complete');
    assert.ok('io.modelcontextprotocol/serverInfo' in (result['_meta'] as object));
  });

  it('counts as an error of the tool where it says so, behind its content', async (scope) => {
    const { upstream, gateway } = await start(scope, 'legacy', { maxHeldBytes: 16_384 });
    for (const says of ['true', 'false']) {
      const frame = ID_FIRST.replace('}]}', `}],"isError":${says}}`);
      upstream.script((request, answer) => send(request, answer, { ...shape, pieces: 3, frame, sse: says === 'true' }));
      const { message, headers } = await callAs('legacy', gateway);
      const got = await receive(gateway.url, message, headers);
      assert.equal(got.digest, digestOf({ ...shape, pieces: 3 }, frame, '"mine"').digest);
    }
    const { tools } = await idle(gateway);
    assert.deepEqual([tools[0].calls, tools[0].errors, tools[0].errorResults], [2, 0, 1]);
  });

  for (const sse of [false, true]) {
    it(`that breaks off cuts the client's connection, ${sse ? 'event' : 'JSON'}, and the next call succeeds`, async (scope) => {
      const { upstream, gateway } = await start(scope, 'legacy');
      const broken: Shape = { ...shape, sse, progress: sse, frame: RESULT_FIRST };
      upstream.script((request, answer) => send(request, answer, broken, 32));
      const { message, headers } = await callAs('legacy', gateway);
      const got = await receive(gateway.url, message, headers);
      assert.equal(got.complete, false);
      assert.ok(got.bytes > MIB);
      upstream.script((_, answer) => answer.result({ content: [] }));
      const next = await receive(gateway.url, message, headers);
      assert.deepEqual([next.status, next.complete], [200, true]);
      await idle(gateway);
    });
  }

  it('that turns out to be for another call is cut off', async (scope) => {
    const { upstream, gateway } = await start(scope, 'legacy');
    const wrong = RESULT_FIRST.replace('ID', '1ID');
    upstream.script((request, answer) => send(request, answer, { ...shape, frame: wrong }));
    const { message, headers } = await callAs('legacy', gateway);
    assert.equal((await receive(gateway.url, message, headers)).complete, false);
    await idle(gateway);
  });

  it('that is an error, or larger than allowed before it could begin, is answered as ever', async (scope) => {
    const { upstream, gateway } = await start(scope, 'legacy', { maxResponseBytes: 4 * MIB });
    const { message, headers } = await callAs('legacy', gateway);
    const failing = '{"jsonrpc":"2.0","id":ID,"error":{"code":-32001,"message":"TEXT"}}';
    upstream.script((request, answer) => send(request, answer, { ...shape, frame: failing }));
    const error = await receive(gateway.url, message, headers);
    assert.equal(error.digest, digestOf(shape, failing, '"mine"').digest);
    upstream.script((request, answer) => send(request, answer, { ...shape, frame: failing, pieces: 80 }));
    const got = await receive(gateway.url, message, headers);
    assert.deepEqual([got.status, got.complete], [200, true]);
    assert.ok(got.bytes < 1_000);
    // One that had begun is cut at the limit.
    upstream.script((request, answer) => send(request, answer, { ...shape, pieces: 80 }));
    assert.equal((await receive(gateway.url, message, headers)).complete, false);
    await idle(gateway);
  });

  it('waits for a client that does not read, and goes on when it does', async (scope) => {
    const { upstream, gateway } = await start(scope, 'modern');
    let written = 0;
    const many: Shape = { ...shape, pieces: 1_600 };
    upstream.script(async (request, answer) => {
      const { write } = answer.response;
      answer.response.write = function counted(this: unknown, ...args: unknown[]) {
        written += (args[0] as Buffer).length;
        return (write as (...rest: unknown[]) => boolean).apply(answer.response, args);
      } as typeof write;
      await send(request, answer, many);
    });
    const { message, headers } = await callAs('modern', gateway);
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const receiving = receive(gateway.url, message, headers, (response) => {
      response.pause();
      const iterate = response[Symbol.asyncIterator].bind(response);
      response[Symbol.asyncIterator] = async function* delayed() {
        await held;
        yield* iterate();
      } as unknown as typeof iterate;
    });
    let last = -1;
    await eventually(
      'the upstream is held back',
      async () => {
        const still = written > 0 && written === last;
        last = written;
        await new Promise((resolve) => setTimeout(resolve, 300));
        return still;
      },
      20_000,
    );
    assert.ok(written < 60 * MIB, `${written / MIB} MiB were written`);
    release();
    const got = await receiving;
    assert.deepEqual(got.digest, digestOf(many, ID_FIRST, '"mine"').digest);
    await idle(gateway);
  });

  it('is not stored, and those who waited for it get their own', async (scope) => {
    const upstream = await rawUpstream(scope, () => {}, { family: 'modern' });
    const gateway = await startGateway(scope, {
      mcpServers: { raw: { url: upstream.url } },
      cache: { enabled: true },
      routes: [{ match: { tools: ['raw__read'] }, cache: { ttlMs: 60_000, public: true } }],
    });
    await listed(gateway);
    upstream.script((request, answer) => send(request, answer, shape));
    const { message, headers } = await callAs('modern', gateway, 'raw__read');
    const { digest } = digestOf(shape, ID_FIRST, '"mine"');
    const got = await Promise.all([1, 2, 3].map(() => receive(gateway.url, message, headers)));
    got.push(await receive(gateway.url, message, headers));
    for (const each of got) assert.equal(each.digest, digest);
    assert.equal(upstream.received('tools/call').length, 4);
    await idle(gateway);
  });

  it('is cut off when its client cancels the call', async (scope) => {
    const { upstream, gateway } = await start(scope, 'legacy');
    upstream.script(async (request, answer) => {
      if (request.message.method === 'notifications/cancelled') answer.response.writeHead(202).end();
      else await send(request, answer, { ...shape, pieces: 1_600 });
    });
    const { message, headers } = await callAs('legacy', gateway);
    const got = await receive(gateway.url, message, headers, (response) => {
      response.once('data', () => {
        const params = { requestId: 'mine' };
        void rpc(gateway.url, { jsonrpc: '2.0', method: 'notifications/cancelled', params }, headers);
      });
    });
    assert.equal(got.complete, false);
    await eventually('the upstream is told', () => upstream.received('notifications/cancelled').length === 1);
    await idle(gateway);
  });

  for (const client of ['legacy', 'modern'] as const) {
    it(`is given up with its ${client} client`, async (scope) => {
      const { upstream, gateway } = await start(scope, client);
      upstream.script((request, answer) => send(request, answer, { ...shape, pieces: 800 }));
      const { message, headers } = await callAs(client, gateway);
      const got = await receive(gateway.url, message, headers, (response, request) => {
        response.once('data', () => request.destroy());
      });
      assert.equal(got.complete, false);
      await idle(gateway);
      if (client === 'modern') await eventually('the upstream is stopped', () => upstream.aborted === 1);
      upstream.script((_, answer) => answer.result({ content: [] }));
      assert.equal((await receive(gateway.url, message, headers)).complete, true);
    });
  }
});
