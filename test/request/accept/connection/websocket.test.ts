/** The WebSocket transport: handshakes, frames, limits; with a handler instead of the stages. */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { WebSocket } from 'ws';
import type { Exchange } from '../../../../src/request/exchange/index.js';
import { Framing } from '../../../../src/request/exchange/index.js';
import { eventually } from '../../../support/process.js';
import {
  CLOSED,
  echo,
  KINDS,
  openTestFront,
  type Respond,
  type TestFront,
  TRANSPORTS,
  testSnapshot,
} from '../fixture.js';

interface Client {
  readonly socket: WebSocket;
  readonly messages: string[];
  /** The code with which it was closed; 0 = it is open. */
  readonly code: number;
}

function dial(test: TestFront, protocols: string[] = ['mcp'], options: object = {}): Promise<Client> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${test.port}/ws`, protocols, options);
    const client = { socket, messages: [] as string[], code: 0 };
    socket.on('message', (data) => client.messages.push(String(data)));
    socket.on('close', (code) => {
      client.code = code;
    });
    socket.on('open', () => resolve(client));
    socket.on('unexpected-response', (_request, response) => {
      reject(Object.assign(new Error('refused'), { status: response.statusCode }));
      response.resume();
      socket.terminate();
    });
    socket.on('error', reject);
  });
}

/** A WebSocket of which the test has the bare connection. */
async function handshake(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  await new Promise<void>((resolve) => socket.once('connect', () => resolve()));
  socket.write(
    'GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n',
  );
  await new Promise<void>((resolve) => socket.once('data', () => resolve()));
  return socket;
}

const refused = async (dialled: Promise<unknown>): Promise<number> => {
  const error = await dialled.then(
    () => null,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof Error, 'the handshake was refused');
  return (error as Error & { status?: number }).status ?? 0;
};

for (const kind of KINDS) {
  describe(`WebSockets on ${kind}`, () => {
    it('carry one message per frame, in both directions, without header fields', async () => {
      const exchanges: [boolean, number, boolean, string][] = [];
      const respond: Respond = (exchange, body, test) => {
        exchanges.push([
          exchange.client.headerless,
          exchange.client.framing,
          exchange.client.link !== null,
          exchange.client.remoteAddress,
        ]);
        echo(exchange, body, test);
      };
      const test = await openTestFront(kind, respond, CLOSED);
      const client = await dial(test, ['other', 'mcp'], { headers: { authorization: 'Bearer secret' } });
      assert.equal(client.socket.protocol, 'mcp');
      for (const text of ['{"a":1}', '"ü"', '']) client.socket.send(text);
      await eventually('the answers', () => client.messages.length === 2);
      assert.deepEqual(client.messages, ['{"a":1}', '"ü"'], 'an empty message is ignored');
      assert.deepEqual(
        test.seen.map(({ kind: what, token }) => [what, token]),
        [['stream', 'secret'], ...Array(2).fill(['request', 'secret'])],
      );
      assert.deepEqual(exchanges[1], [true, Framing.message, true, '127.0.0.1']);
      assert.equal(test.table.inUse, 0);
      client.socket.close();
      await eventually('the end', () => test.front.connections() === 0);
      await test.close();
    });

    it('are opened only by valid handshakes', async () => {
      const test = await openTestFront(kind, echo, { allowedOrigins: ['https://good.example'] });
      assert.equal(await refused(dial(test, ['graphql-ws'])), 400);
      assert.equal(await refused(dial(test, [], { headers: { origin: 'https://evil.example' } })), 403);
      assert.equal(await refused(dial(test, [], { headers: { host: 'evil.example' } })), 403);
      assert.equal(await refused(dial(test, [], { protocolVersion: 8 })), 400);
      const open = await dial(test, [], { headers: { origin: 'https://good.example' } });
      assert.equal(open.socket.protocol, '');
      open.socket.terminate();
      const plain = await fetch(`http://127.0.0.1:${test.port}/ws`);
      assert.equal(plain.status, 400);
      const posted = await fetch(`http://127.0.0.1:${test.port}/ws`, { method: 'POST', body: 'x' });
      assert.equal(posted.status, 405);
      await test.close();

      const shut = await openTestFront(kind, echo, { transports: { ...TRANSPORTS, websocket: false } });
      assert.equal(await refused(dial(shut)), 404);
      await shut.close();
    });

    it('are not opened when the policy refuses', async () => {
      const test = await openTestFront(kind, (exchange, _body, front) => {
        exchange.client.reply!.send(401, ['www-authenticate', 'Bearer'], Buffer.from('{}'), 0, 2);
        front.table.release(exchange);
      });
      assert.equal(await refused(dial(test)), 401);
      assert.equal(test.table.inUse, 0);
      await test.close();
    });

    it('end with a close code for the reason', async () => {
      const test = await openTestFront(kind, echo, {}, { maxBodyBytes: 2000 });
      const binary = await dial(test);
      binary.socket.send(Buffer.from('{}'), { binary: true });
      await eventually('binary is refused', () => binary.code === 1003);
      // Up to twice the limit, and a mebibyte over it, the message is refused, with its id, and the WebSocket stays open.
      const large = await dial(test);
      large.socket.send(`{"method":"m","params":"${'x'.repeat(2001)}","id":3}`);
      await eventually('too large', () => test.refused.length === 1);
      assert.deepEqual([test.refused, test.refusedIds, large.code], [['GW_BODY_TOO_LARGE'], ['3'], 0]);
      large.socket.terminate();
      const text = await dial(test);
      // A text frame whose payload is no UTF-8; uWebSockets.js cuts the connection without a close frame.
      text.socket.send(Buffer.from([0xff, 0xfe]), { binary: false });
      await eventually('no text', () => text.code !== 0);
      assert.equal(text.code, kind === 'node' ? 1007 : 1006);
      const giant = await dial(test);
      giant.socket.on('error', () => {});
      giant.socket.send('x'.repeat(4_000_000));
      await eventually('far too large', () => giant.code !== 0);
      assert.ok([1006, 1009].includes(giant.code), String(giant.code));
      assert.equal(test.seen.filter((seen) => seen.kind === 'request').length, 0);
      await eventually('all closed', () => test.front.connections() === 0);
      await test.close();
    });

    it('abort their exchanges when the client disconnects, and are closed with 1001 when the gateway stops', async () => {
      const held: Exchange[] = [];
      const test = await openTestFront(kind, (exchange, body, front) => {
        if (body.length === 0) echo(exchange, body, front);
        else held.push(exchange);
      });
      const client = await dial(test);
      client.socket.send('{"one":1}');
      client.socket.send('{"two":2}');
      await eventually('both are held', () => held.length === 2);
      client.socket.terminate();
      await eventually('both are aborted', () => test.aborted.length === 2);
      assert.equal(test.table.inUse, 0);
      const other = await dial(test);
      await test.close();
      await eventually('the close frame', () => other.code === 1001);
    });

    it('answer ten thousand messages sent at once, each with its own', async () => {
      const test = await openTestFront(
        kind,
        (exchange, body, front) => {
          if (body.length === 0) echo(exchange, body, front);
          else setImmediate(() => echo(exchange, body, front));
        },
        {},
        { maxInFlight: 500, maxBodyBytes: 4_000_000 },
      );
      const client = await dial(test);
      const sent = Array.from({ length: 10_000 }, (_, index) => `{"id":${index}}`);
      for (const text of sent) client.socket.send(text);
      await eventually('all answers', () => client.messages.length === sent.length);
      assert.deepEqual(client.messages, sent, 'in the order in which they were answered');
      assert.equal(test.table.inUse, 0);
      client.socket.terminate();
      await test.close();
    });

    it('survive arbitrary bytes, without an effect on other connections', async () => {
      const test = await openTestFront(kind);
      const steady = await dial(test);
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), { maxLength: 5 }),
          async (pieces) => {
            const socket = await handshake(test.port);
            for (const piece of pieces) socket.write(piece);
            socket.end();
            socket.resume();
            await new Promise((resolve) => socket.once('close', resolve));
          },
        ),
        { numRuns: 40 },
      );
      steady.socket.send('"steady"');
      await eventually('the answer', () => steady.messages.at(-1) === '"steady"');
      await eventually('the others are closed', () => test.front.connections() === 1);
      assert.equal(test.table.inUse, 0);
      steady.socket.terminate();
      await test.close();
    });

    it('count as connections, and follow the configuration', async () => {
      const test = await openTestFront(kind, echo, {}, { maxConnections: 2 });
      const open = [await dial(test), await dial(test)];
      assert.equal(test.front.connections(), 2);
      await assert.rejects(dial(test));
      open[0]!.socket.close();
      await eventually('there is room', () => test.front.connections() === 1);
      const shut = { ...TRANSPORTS, sse: false, websocket: false, rest: false };
      test.front.reconfigure(testSnapshot({ transports: shut }, { maxConnections: 10 }));
      assert.equal(await refused(dial(test)), 404);
      for (const path of ['/sse', '/tools', '/openapi.json']) {
        assert.equal((await fetch(`http://127.0.0.1:${test.port}${path}`)).status, 404, path);
      }
      open[1]!.socket.send('"still"');
      await eventually('what is open stays', () => open[1]!.messages.length === 1);
      open[1]!.socket.terminate();
      await test.close();
    });

    it('are closed when the client does not answer pings', async () => {
      const test = await openTestFront(kind, echo, {}, { keepAliveMs: 1000 });
      const lively = await dial(test);
      const socket = await handshake(test.port);
      // Nothing is read from it any more, so it answers no ping.
      socket.pause();
      assert.equal(test.front.connections(), 2);
      await eventually('it is closed', () => test.front.connections() === 1, 30_000);
      assert.equal(lively.code, 0, 'a client that answers pings stays connected');
      lively.socket.terminate();
      await test.close();
    });

    it('are cut when the client takes nothing', async () => {
      const answer = Buffer.from(`"${'x'.repeat(100_000)}"`);
      const test = await openTestFront(
        kind,
        (exchange, body, front) => echo(exchange, body.length === 0 ? body : answer, front),
        {},
        { slowClientMs: 1000, maxClientBufferBytes: 100_000 },
      );
      const socket = await handshake(test.port);
      socket.pause();
      // Masked text frames of two bytes, masked with zeros.
      const frame = Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x7b, 0x7d]);
      socket.write(Buffer.concat(Array(500).fill(frame)));
      await eventually('it is cut', () => test.front.connections() === 0);
      assert.equal(test.table.inUse, 0);
      await test.close();
    });
  });
}

describe('offers of other protocols', () => {
  for (const kind of KINDS) {
    it(`are ignored on ${kind}, also again on the same connection`, async () => {
      const test = await openTestFront(kind);
      const socket = connect(test.port, '127.0.0.1');
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk;
      });
      const request = (body: string): string =>
        'POST /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n' +
        'HTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Type: application/json\r\nAccept: */*\r\n' +
        `Content-Length: ${body.length}\r\n\r\n${body}`;
      for (let round = 1; round <= 15; round += 1) {
        socket.write(request(`{"round":${round}}`));
        await eventually(`answer ${round}`, () => text.endsWith(`{"round":${round}}`));
      }
      assert.equal(test.front.connections(), 1);
      socket.destroy();
      await eventually('it is closed', () => test.front.connections() === 0);
      await test.close();
    });
  }
});
