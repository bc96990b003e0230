/** Chunked bodies, however they arrive (RFC 9112 section 7.1). */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { ERRORS } from '../../src/errors.js';
import { KINDS, openTestFront, post, type TestFront, testSnapshot } from '../request/accept/fixture.js';
import { rawRequest } from '../support/raw-http.js';
import { CHUNKED_BODIES } from './http-rows.js';

const INDEX = new URL('../../src/request/accept/index.js', import.meta.url).href;
const HEAD = [
  'POST /mcp HTTP/1.1',
  'Host: localhost',
  'Content-Type: application/json',
  'Accept: application/json, text/event-stream',
  'Transfer-Encoding: chunked',
];
const BODY = '{"a":1}';
const NEXT = post('{"smuggled":true}').toString('latin1');

function chunked(body: string, lines: readonly string[] = HEAD): string {
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}

function statusesOf(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)]
    .map(([, status]) => Number(status))
    .filter((status) => status !== 100);
}

const answered = (text: string): boolean => statusesOf(text).length > 0 && text.includes('\r\n\r\n');

for (const kind of KINDS) {
  describe(`${kind}: chunked bodies in pieces`, () => {
    let front: TestFront;
    before(async () => {
      front = await openTestFront(kind);
    });
    after(() => front.close());

    for (const [name, body, uws, node] of CHUNKED_BODIES) {
      const outcome = kind === 'uws' ? uws : node;
      if (outcome === 'silent') continue;
      test(`${name}: ${outcome}, wherever it is cut`, async () => {
        const bytes = chunked(body);
        const headEnd = bytes.indexOf('\r\n\r\n');
        const last = Math.min(bytes.length - 1, headEnd + 60);
        const cuts = Array.from({ length: last - headEnd + 4 }, (_, at) => headEnd - 3 + at);
        const runs = [...cuts.map((cut) => [bytes.slice(0, cut), bytes.slice(cut)]), [...bytes.slice(-120)]];
        runs[runs.length - 1]!.unshift(bytes.slice(0, -120));
        await Promise.all(
          runs.map(async (pieces) => {
            const reply = await rawRequest(front.port, pieces, { waitMs: 8000, paceMs: 1, until: answered });
            const [status = 0] = statusesOf(reply.text);
            // Bytes that follow a refusal reset the connection, and with that its answer may be lost.
            const isLost = reply.closed && reply.text === '';
            if (outcome === 'served') assert.equal(status, 200, JSON.stringify(pieces));
            else assert.ok(status === outcome || isLost, `${status}: ${JSON.stringify(pieces)}`);
          }),
        );
        const seen = front.seen.splice(0).map((one) => one.body.toString());
        assert.deepEqual([...new Set(seen)], outcome === 'served' ? [BODY] : []);
        assert.equal(front.table.inUse, 0);
      });
    }
  });

  test(`${kind}: a legal chunked body leaves its connection open for the next request`, async (context) => {
    const front = await openTestFront(kind);
    context.after(() => front.close());
    const one = chunked(`7\r\n${BODY}\r\n0\r\n\r\n`);
    const count = 20;
    const text = await new Promise<string>((resolve, reject) => {
      const socket = connect({ port: front.port, host: '127.0.0.1', noDelay: true });
      let received = '';
      let sent = 1;
      socket.on('error', reject);
      socket.on('close', () => reject(new Error(`closed after ${received}`)));
      socket.on('data', (data) => {
        received += data.toString('latin1');
        if (received.split(BODY).length - 1 < sent) return;
        if (sent === count) {
          resolve(received);
          socket.destroy();
        } else {
          sent += 1;
          // Now with a length, now without.
          socket.write(sent % 2 === 0 ? post(BODY) : one);
        }
      });
      socket.write(one);
    });
    assert.deepEqual(statusesOf(text), Array<number>(count).fill(200));
    assert.equal(front.seen.length, count);
  });

  test(`${kind}: a large chunked body arrives whole, and one over the limit is refused`, async (context) => {
    const front = await openTestFront(kind);
    context.after(() => front.close());
    const chunk = `4000\r\n${'x'.repeat(0x4000)}\r\n`;
    const large = await rawRequest(front.port, chunked(`${chunk.repeat(16)}0\r\n\r\n`), {
      waitMs: 8000,
      until: (text) => text.length > 16 * 0x4000,
    });
    assert.equal(large.status, 200);
    assert.equal(front.seen[0]?.body.byteLength, 16 * 0x4000);
    const over = await rawRequest(front.port, [chunked(chunk.repeat(16)), chunk], {
      waitMs: 8000,
      paceMs: 20,
      until: answered,
    });
    assert.equal(over.status, 413);
    assert.equal(front.seen.length, 1);
  });

  test(`${kind}: a chunked body that is not wanted is read before that is said`, async (context) => {
    const front = await openTestFront(kind);
    context.after(() => front.close());
    const good = `7\r\n${BODY}\r\n0\r\n\r\n`;
    const bad = `7\n${BODY}\r\n0\r\n\r\n`;
    const nowhere = HEAD.with(0, 'POST /nothing HTTP/1.1');
    const text = HEAD.with(2, 'Content-Type: text/plain');
    const expecting = [...nowhere, 'Expect: 100-continue'];
    const statuses = async (lines: readonly string[], body: string): Promise<number[]> => {
      const head = chunked('', lines);
      const pieces = [head, ...(body === '' ? [] : [body]), NEXT];
      return statusesOf((await rawRequest(front.port, pieces, { waitMs: 8000, paceMs: 10, until: answered })).text);
    };
    assert.deepEqual(await statuses(nowhere, good), [404]);
    assert.deepEqual(await statuses(nowhere, bad), [400]);
    assert.deepEqual(await statuses(text, good), [415]);
    assert.deepEqual(await statuses(text, bad), [400]);
    // A client that waits to be asked for its body is told at once.
    assert.deepEqual(await statuses(expecting, ''), [404]);
    assert.deepEqual(front.seen, []);
  });

  test(`${kind}: what comes before a refusal is answered first, what comes behind it is not read`, async (context) => {
    const front = await openTestFront(kind);
    context.after(() => front.close());
    const health = 'GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n';
    const bad = 'GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n';
    const both = await rawRequest(front.port, health + bad, { waitMs: 8000 });
    assert.deepEqual([statusesOf(both.text), both.closed], [[200, 400], true]);
    const three = await rawRequest(front.port, health + bad + NEXT, { waitMs: 8000 });
    // uWebSockets.js cuts the connection at the third, and the answer to the first is still in its buffer.
    assert.deepEqual(
      [[200, 400].slice(0, statusesOf(three.text).length), three.closed],
      [statusesOf(three.text), true],
    );
    assert.deepEqual(front.seen, []);
    const two = await rawRequest(front.port, health + health, {
      waitMs: 8000,
      until: (text) => statusesOf(text).length === 2 && text.endsWith('}'),
    });
    assert.deepEqual([statusesOf(two.text), two.closed], [[200, 200], false]);
  });

  test(`${kind}: a chunked body that is not the first of its packet is not taken on trust`, async (context) => {
    const front = await openTestFront(kind, (exchange, body, own) => {
      exchange.client.reply!.send(200, ['content-type', 'application/json'], body, 0, body.byteLength);
      own.table.release(exchange);
    });
    context.after(() => front.close());
    // The body of the first request looks like the body of the second.
    const cover = post(`7\r\n{"b":2}\r\n0\r\n\r\n`).toString('latin1');
    const hidden = chunked(`7\n${BODY}\r\n0\r\n\r\n`);
    const reply = await rawRequest(front.port, cover + hidden, { waitMs: 8000 });
    assert.ok(reply.closed);
    assert.ok(!statusesOf(reply.text).slice(1).includes(200), reply.text);
    assert.equal(front.seen.filter((seen) => seen.body.toString() === BODY).length, 0);
  });
}

test('without the addon auto is node:http, and uWebSockets.js refuses chunked bodies and says what to do', async () => {
  const code = `
    const { frontEndKind, openFrontEnd } = await import(${JSON.stringify(INDEX)});
    const warnings = [];
    const handler = {
      plain: () => ({ status: 200, contentType: 'text/plain', body: 'up' }),
      refuse: (exchange, code) => {
        const body = Buffer.from(code);
        exchange.reply.send(411, [], body, 0, body.byteLength);
      },
    };
    const { ExchangeTable } = await import(${JSON.stringify(new URL('../../src/request/exchange/table.js', import.meta.url).href)});
    const snapshot = ${JSON.stringify(testSnapshot({ frontEnd: 'uws' }))};
    const front = await openFrontEnd({ snapshot, table: new ExchangeTable(8), handler, warn: (text) => warnings.push(text) });
    const { connect } = await import('node:net');
    const socket = connect(front.address.port, '127.0.0.1');
    let text = '';
    socket.on('data', (data) => { text += data; });
    socket.on('close', () => {
      console.log(JSON.stringify({ auto: frontEndKind('auto', 1000), kind: front.kind, warnings, text }));
      process.exit(0);
    });
    socket.write(${JSON.stringify(chunked(`7\r\n${BODY}\r\n0\r\n\r\n`))});`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code], {
    env: { ...process.env, SWITCHYARD_DECODER: 'typescript' },
  });
  const result = JSON.parse(stdout) as {
    auto: { kind: string; reason: string };
    kind: string;
    warnings: string[];
    text: string;
  };
  assert.equal(result.auto.kind, 'node');
  assert.match(result.auto.reason, /addon/);
  assert.equal(result.kind, 'uws');
  assert.equal(result.warnings.length, 1);
  assert.match(result.warnings[0]!, /chunked.*411.*frontEnd: node/);
  assert.deepEqual(statusesOf(result.text), [411]);
  assert.match(result.text, /GW_LENGTH_REQUIRED$/);
  assert.match(ERRORS.GW_LENGTH_REQUIRED.sentence, /Content-Length.*proxy.*frontEnd: node/);
});
