import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { test } from 'node:test';
import { rawRequest } from '../../support/raw-http.js';
import { CLOSED, echo, KINDS, openTestFront, post } from './fixture.js';

for (const kind of KINDS) {
  test(`${kind}: a POST reaches the handler with its body and headers, and its answer the client`, async (context) => {
    const front = await openTestFront(kind, echo, CLOSED);
    context.after(() => front.close());
    assert.equal(front.front.kind, kind);
    const reply = await rawRequest(
      front.port,
      post('{"jsonrpc":"2.0","id":1,"method":"ping"}', [
        'Authorization: Bearer abc',
        'Mcp-Session-Id: s1',
        'Mcp-Param-City: Zurich',
      ]),
      { until: (text) => text.includes('ping"}') },
    );
    assert.equal(reply.status, 200);
    assert.equal(reply.body, '{"jsonrpc":"2.0","id":1,"method":"ping"}');
    const [seen] = front.seen;
    assert.equal(seen?.kind, 'request');
    assert.equal(seen?.token, 'abc');
    assert.equal(seen?.sessionId, 's1');
    assert.equal(seen?.accepts, 3);
    assert.deepEqual(seen?.paramHeaders, ['mcp-param-city', 'Zurich']);
    assert.equal(seen?.remoteAddress, '127.0.0.1');
    assert.equal(front.table.inUse, 0);
  });

  test(`${kind}: tokens are distinguished from other schemes`, async (context) => {
    const front = await openTestFront(kind, echo, CLOSED);
    context.after(() => front.close());
    const rows: readonly (readonly [string, string, boolean])[] = [
      ['Bearer abc', 'abc', false],
      ['bearer   abc', 'abc', false],
      ['BEARER a.b-c_d~e+f/g=', 'a.b-c_d~e+f/g=', false],
      ['Basic dXNlcjpwYXNz', '', true],
      ['Bearer', '', true],
      ['Bearer a b', '', true],
      ['abc', '', true],
    ];
    for (const [value, token, foreign] of rows) {
      await rawRequest(front.port, post('{}', [`Authorization: ${value}`]), { until: (text) => text.endsWith('{}') });
      const seen = front.seen.at(-1);
      assert.deepEqual([seen?.token, seen?.foreignScheme], [token, foreign], value);
    }
    // A token in the query string is none.
    const query = post('{}').toString('latin1').replace('/mcp', '/mcp?access_token=abc');
    await rawRequest(front.port, query, { until: (text) => text.endsWith('{}') });
    assert.deepEqual([front.seen.at(-1)?.token, front.seen.length], ['', rows.length + 1]);

    const open = await openTestFront(kind);
    context.after(() => open.close());
    const bearer = post('{}', ['Authorization: Bearer abc']);
    await rawRequest(open.port, bearer, { until: (text) => text.endsWith('{}') });
    assert.equal(open.seen[0]?.token, '', 'where nothing verifies it, a token is dropped');
  });

  test(`${kind}: Accept is read as media ranges`, async (context) => {
    const front = await openTestFront(kind);
    context.after(() => front.close());
    const rows: readonly (readonly [readonly string[], number])[] = [
      [[], 5],
      [['Accept: application/json'], 1],
      [['Accept: text/event-stream'], 2],
      [['Accept: text/event-stream;q=0.5, Application/JSON'], 3],
      [['Accept: */*'], 5],
      [['Accept: application/json', 'Accept: text/event-stream'], 3],
      [['Accept: application/json;q=0, text/event-stream'], 2],
      [['Accept: text/html, application/jsonp'], 0],
    ];
    for (const [headers, bits] of rows) {
      const request = ['POST /mcp HTTP/1.1', 'Host: localhost', 'Content-Type: application/json', 'Content-Length: 2'];
      await rawRequest(front.port, `${[...request, ...headers].join('\r\n')}\r\n\r\n{}`, {
        until: (text) => text.endsWith('{}'),
      });
      assert.equal(front.seen.at(-1)?.accepts, bits, headers.join());
    }
  });

  test(`${kind}: an answer is a part of its bytes, and may be empty`, async (context) => {
    const front = await openTestFront(kind, (exchange, body, own) => {
      const bytes = Buffer.from('xx{"a":1}yy');
      const empty = body.byteLength === 2;
      exchange.client.reply!.send(empty ? 202 : 200, empty ? [] : ['mcp-session-id', 'new'], bytes, 2, empty ? 2 : 9);
      // The bytes belong to the caller again as soon as the call returns.
      bytes.fill(0);
      own.table.release(exchange);
    });
    context.after(() => front.close());
    const done = { until: (text: string) => text.includes('\r\n\r\n') };
    const empty = await rawRequest(front.port, post('{}'), done);
    assert.deepEqual([empty.status, empty.headers['content-length'], empty.body], [202, '0', '']);
    const part = await rawRequest(front.port, post('{"x":1}'), done);
    assert.deepEqual([part.status, part.headers['mcp-session-id'], part.body], [200, 'new', '{"a":1}']);
  });

  test(`${kind}: GET and DELETE on the endpoint are streams and ends of sessions`, async (context) => {
    const front = await openTestFront(kind);
    context.after(() => front.close());
    for (const method of ['GET', 'DELETE']) {
      for (const path of ['/mcp', '/mcp/', '/mcp?x=1']) {
        const line = `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nMcp-Session-Id: s\r\nLast-Event-ID: 7\r\n\r\n`;
        const reply = await rawRequest(front.port, line, { until: (text) => text.includes('\r\n\r\n') });
        assert.equal(reply.status, 200);
        assert.equal(front.seen.at(-1)?.kind, method === 'GET' ? 'stream' : 'terminate');
        assert.equal(front.seen.at(-1)?.sessionId, 's');
      }
    }
    assert.equal(front.seen.length, 6);
  });

  test(`${kind}: probes that name the address they connect to get health, whatever names are allowed`, async (context) => {
    const get = async (allowedHosts: readonly string[], host: string, path: string, method = 'GET') => {
      const front = await openTestFront(kind, undefined, { host: '0.0.0.0', allowedHosts });
      context.after(() => front.close());
      const head = `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: kube-probe/1.30\r\nConnection: close`;
      const reply = await rawRequest(front.port, `${head}\r\n\r\n`);
      assert.deepEqual(front.seen, []);
      return reply;
    };
    for (const names of [[], ['mcp.example']]) {
      for (const host of ['10.0.0.1:8000', '10.0.0.1', '[fd00::1]:8000', 'mcp.example']) {
        const health = await get(names, host, '/health');
        assert.deepEqual([health.status, health.body], [200, '{"status":"ok"}'], host);
        const head = await get(names, host, '/health', 'HEAD');
        assert.deepEqual([head.status, head.body, head.headers['content-length']], [200, '', '15'], host);
        assert.equal((await get(names, host, '/ready')).status, 404);
      }
    }
    assert.equal((await get(['mcp.example'], 'evil.example', '/health')).status, 403);
    assert.equal((await get(['mcp.example'], '10.0.0.1.evil.example', '/health')).status, 403);
    assert.equal((await get(['mcp.example'], '10.0.0.1', '/nothing')).status, 403);
  });

  test(`${kind}: on a loopback listener health is for loopback names`, async (context) => {
    const front = await openTestFront(kind);
    context.after(() => front.close());
    const get = (host: string) =>
      rawRequest(front.port, `GET /health HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    assert.equal((await get('localhost:8000')).status, 200);
    assert.equal((await get('127.0.0.1')).status, 200);
    assert.equal((await get('10.0.0.1:8000')).status, 403);
  });

  test(`${kind}: a body arrives whole and identical in pieces of any size, declared or chunked`, async (context) => {
    const front = await openTestFront(kind);
    context.after(() => front.close());
    const body = Buffer.alloc(150_000);
    for (let at = 0; at < body.byteLength; at += 1) body[at] = (at * 31 + (at >> 8)) & 0xff;
    const expected = createHash('sha256').update(body).digest('hex');
    const runs = [1, 7, 61, 1000, 4096, 16_384, 65_536].flatMap((size) => [
      [size, false] as const,
      [size, true] as const,
    ]);
    await Promise.all(
      runs.map(async ([size, chunked]) => {
        const sent = size < 50 ? body.subarray(0, 3000) : body;
        const reply = await sendInPieces(front.port, sent, size, chunked);
        assert.deepEqual(reply, sent, `${size} ${chunked}`);
      }),
    );
    const whole = front.seen.filter((seen) => seen.body.byteLength === body.byteLength);
    assert.equal(whole.length, 10);
    for (const seen of whole) assert.equal(createHash('sha256').update(seen.body).digest('hex'), expected);
    assert.equal(front.table.inUse, 0);
  });

  test(`${kind}: thousands of requests on kept connections get their own answers`, async (context) => {
    const front = await openTestFront(kind, (exchange, body, test) => {
      // Every third answer comes later, so that answers of different connections cross.
      const answer = (): void => {
        exchange.client.reply?.send(200, ['content-type', 'application/json'], body, 0, body.byteLength);
        test.table.release(exchange);
      };
      if (body.byteLength % 3 === 0) setImmediate(answer);
      else answer();
    });
    context.after(() => front.close());
    await Promise.all(
      Array.from({ length: 8 }, async (_, client) => {
        const bodies = Array.from({ length: 500 }, (_, n) => `{"client":${client},"n":"${'x'.repeat(n % 50)}${n}"}`);
        assert.deepEqual(await keepAlive(front.port, bodies), bodies);
      }),
    );
    assert.equal(front.seen.length, 4000);
    assert.equal(front.table.inUse, 0);
  });
}

/** Sends a POST whose body goes out in writes of `size` bytes, and returns the body of the answer. */
function sendInPieces(port: number, body: Buffer, size: number, chunked: boolean): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    let received = Buffer.alloc(0);
    socket.on('error', reject);
    socket.on('data', (data) => {
      received = Buffer.concat([received, data]);
      const end = received.indexOf('\r\n\r\n');
      if (end >= 0 && received.byteLength - end - 4 === body.byteLength) {
        socket.destroy();
        resolve(received.subarray(end + 4));
      }
    });
    socket.on('close', () => reject(new Error(`closed after ${received.toString('latin1', 0, 100)}`)));
    const length = chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${body.byteLength}`;
    socket.write(`POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${length}\r\n\r\n`);
    const pump = (at: number): void => {
      if (at >= body.byteLength) {
        if (chunked) socket.write('0\r\n\r\n');
        return;
      }
      const piece = body.subarray(at, at + size);
      const write = chunked
        ? Buffer.concat([Buffer.from(`${piece.byteLength.toString(16)}\r\n`), piece, Buffer.from('\r\n')])
        : piece;
      socket.write(write, () => pump(at + size));
    };
    pump(0);
  });
}

/** Sends bodies one after the other on one connection, each after the answer to the one before. */
function keepAlive(port: number, bodies: readonly string[]): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const answers: string[] = [];
    let received = '';
    const next = (): void => {
      socket.write(post(bodies[answers.length]!));
    };
    socket.on('connect', next);
    socket.on('error', reject);
    socket.on('data', (data) => {
      received += data.toString('latin1');
      const end = received.indexOf('\r\n\r\n');
      if (end < 0) return;
      const length = Number(/content-length: (\d+)/i.exec(received)?.[1]);
      if (received.length < end + 4 + length) return;
      answers.push(received.slice(end + 4, end + 4 + length));
      received = received.slice(end + 4 + length);
      if (answers.length < bodies.length) next();
      else {
        socket.destroy();
        resolve(answers);
      }
    });
  });
}
