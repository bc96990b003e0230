/** The transport for HTTP with SSE; with a handler instead of the stages. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Exchange } from '../../../../src/request/exchange/index.js';
import { Framing } from '../../../../src/request/exchange/index.js';
import { eventually } from '../../../support/process.js';
import { echo, KINDS, openTestFront, type Respond, type TestFront, TRANSPORTS } from '../fixture.js';

interface Stream {
  readonly status: number;
  readonly headers: Headers;
  /** Where messages are posted. */
  readonly messages: string;
  /** Everything that came after the endpoint. */
  text(): string;
  ended(): boolean;
  close(): void;
}

async function open(test: TestFront, headers: Record<string, string> = {}): Promise<Stream> {
  const leaving = new AbortController();
  const response = await fetch(`http://127.0.0.1:${test.port}/sse`, {
    headers: { accept: 'text/event-stream', ...headers },
    signal: leaving.signal,
  });
  let text = '';
  let isEnded = false;
  const read = async (): Promise<void> => {
    for await (const chunk of response.body!) text += Buffer.from(chunk).toString();
  };
  read()
    .catch(() => {})
    .finally(() => {
      isEnded = true;
    });
  if (response.status === 200) await eventually('the endpoint event', () => text.includes('\n\n'));
  const endpoint = /^event: endpoint\ndata: (\S+)\n\n/.exec(text);
  return {
    status: response.status,
    headers: response.headers,
    messages: `http://127.0.0.1:${test.port}${endpoint?.[1] ?? ''}`,
    text: () => text.slice(endpoint?.[0].length ?? 0),
    ended: () => isEnded,
    close: () => leaving.abort(),
  };
}

const post = (url: string, body: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(url, { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } });

/** Opens connections, and answers messages with themselves. */
const opens: Respond = (exchange, body, test) => {
  if (body.length === 0) exchange.verdict.subject.fill(7);
  echo(exchange, body, test);
};

for (const kind of KINDS) {
  describe(`HTTP with SSE on ${kind}`, () => {
    it('acknowledges messages with 202 and answers on the stream', async () => {
      const links: [number, boolean, Int32Array | null][] = [];
      const test = await openTestFront(kind, (exchange, body, front) => {
        links.push([exchange.client.framing, exchange.client.headerless, exchange.client.link?.subject ?? null]);
        opens(exchange, body, front);
      });
      const stream = await open(test);
      assert.equal(stream.headers.get('content-type'), 'text/event-stream');
      assert.match(stream.messages, /\/messages\?sessionId=[\w-]{32}$/);
      const answer = await post(stream.messages, '{"a":\n1}');
      assert.deepEqual([answer.status, await answer.text()], [202, 'Accepted']);
      await eventually('the answer', () => stream.text() === 'event: message\ndata: {"a": 1}\n\n');
      assert.deepEqual(links[1]!.slice(0, 2), [Framing.sse, true]);
      assert.deepEqual([...links[1]![2]!], [7, 7, 7, 7], 'the subject that opened the stream');
      assert.equal(test.table.inUse, 0);
      stream.close();
      await eventually('closing the stream closes the connection', async () => {
        const late = await post(stream.messages, '{}');
        return late.status === 404;
      });
      await test.close();
    });

    it('answers the POST itself with an error before the message is acknowledged', async () => {
      const test = await openTestFront(kind, (exchange, body, front) => {
        if (body.length === 0) {
          opens(exchange, body, front);
          return;
        }
        exchange.client.reply!.send(429, ['retry-after', '3'], Buffer.from('{"slow":1}'), 0, 10);
        front.table.release(exchange);
      });
      const stream = await open(test);
      const limited = await post(stream.messages, '{"id":1}');
      assert.deepEqual([limited.status, await limited.text()], [429, '{"slow":1}']);
      assert.equal(limited.headers.get('retry-after'), '3');
      assert.equal((await post(stream.messages.replace(/.$/, '~'), '{}')).status, 404);
      assert.equal((await post(stream.messages, '{}', { 'content-type': 'text/plain' })).status, 415);
      assert.equal((await post(stream.messages, `"${'x'.repeat(300_000)}"`)).status, 413);
      assert.equal((await fetch(stream.messages)).status, 405);
      assert.equal((await post(stream.messages.replace(/\/messages.*/, '/sse'), '{}')).status, 405);
      assert.equal(stream.text(), '');
      stream.close();
      await test.close();
    });

    it('acknowledges a message when it is sent upstream, and correlates answers', async () => {
      const held: Exchange[] = [];
      const test = await openTestFront(kind, (exchange, body, front) => {
        if (body.length === 0) opens(exchange, body, front);
        else held.push(exchange);
      });
      const [one, two] = [await open(test), await open(test)];
      const waiting = [post(one.messages, '{"for":"one"}'), post(two.messages, '{"for":"two"}')];
      await eventually('both are there', () => held.length === 2);
      for (const exchange of held) exchange.client.reply!.acknowledged();
      for (const answer of await Promise.all(waiting)) assert.equal(answer.status, 202);
      const order = test.seen.filter(({ kind: what }) => what === 'request').map(({ body }) => String(body));
      for (const [index, exchange] of held.entries()) {
        const event = Buffer.from(`event: message\ndata: {"note":${index}}\n\n`);
        exchange.client.reply!.openStream(200, ['content-type', 'text/event-stream']);
        assert.equal(exchange.client.reply!.write(event, 0, event.length), true);
        const body = Buffer.from(order[index]!);
        exchange.client.reply!.send(200, [], body, 0, body.length);
        test.table.release(exchange);
      }
      await eventually('the answers', () => one.text().includes('"for"') && two.text().includes('"for"'));
      const place = order[0] === '{"for":"one"}' ? [0, 1] : [1, 0];
      assert.equal(one.text(), `event: message\ndata: {"note":${place[0]}}\n\nevent: message\ndata: {"for":"one"}\n\n`);
      assert.equal(two.text(), `event: message\ndata: {"note":${place[1]}}\n\nevent: message\ndata: {"for":"two"}\n\n`);
      one.close();
      two.close();
      await test.close();
    });

    it('cancels the exchanges of a stream when the stream or a POST disconnects', async () => {
      const held: Exchange[] = [];
      const test = await openTestFront(kind, (exchange, body, front) => {
        if (body.length === 0) opens(exchange, body, front);
        else held.push(exchange);
      });
      const stream = await open(test);
      const leaving = new AbortController();
      const broken = fetch(stream.messages, {
        method: 'POST',
        body: '{"untaken":1}',
        headers: { 'content-type': 'application/json' },
        signal: leaving.signal,
      });
      await eventually('it is there', () => held.length === 1);
      leaving.abort();
      await assert.rejects(broken);
      await eventually('its exchange is aborted', () => test.aborted.length === 1);
      const taken = post(stream.messages, '{"taken":1}');
      await eventually('the next is there', () => held.length === 2);
      held[1]!.client.reply!.acknowledged();
      assert.equal((await taken).status, 202);
      const untaken = post(stream.messages, '{"untaken":2}');
      await eventually('the third is there', () => held.length === 3);
      stream.close();
      await eventually('both are aborted', () => test.aborted.length === 3);
      assert.equal((await untaken).status, 404);
      assert.equal(test.table.inUse, 0);
      await test.close();
    });

    it('keeps a silent stream alive', async () => {
      const test = await openTestFront(kind, opens, {}, { keepAliveMs: 20 });
      const stream = await open(test);
      await eventually('two comments', () => stream.text().startsWith(': keep-alive\n\n: keep-alive\n\n'));
      stream.close();
      await test.close();
    });

    it('applies the rules for Host, Origin and methods, and can be closed by the configuration', async () => {
      const origin = 'https://good.example';
      const test = await openTestFront(kind, opens, { allowedOrigins: [origin] }, { maxStreams: 1 });
      assert.equal((await open(test, { origin: 'https://evil.example' })).status, 403);
      const stream = await open(test, { origin });
      assert.equal(stream.headers.get('access-control-allow-origin'), origin);
      const answer = await post(stream.messages, '{}', { origin });
      assert.equal(answer.headers.get('access-control-allow-origin'), origin);
      assert.equal((await open(test)).status, 503, 'limits.maxStreams');
      await test.close();
      await eventually('the gateway ended it', () => stream.ended());
      const shut = await openTestFront(kind, opens, { transports: { ...TRANSPORTS, sse: false } });
      assert.equal((await open(shut)).status, 404);
      assert.equal((await post(`http://127.0.0.1:${shut.port}/messages?sessionId=x`, '{}')).status, 404);
      await shut.close();
    });
  });
}
