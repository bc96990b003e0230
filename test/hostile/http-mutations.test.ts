import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { KINDS, openTestFront, post } from '../request/accept/fixture.js';
import { rawRequest } from '../support/raw-http.js';
import { HTTP_ROWS } from './http-rows.js';

/** Single bytes that matter to HTTP parsers, beside arbitrary ones. */
const TELLING = [0x00, 0x09, 0x0a, 0x0b, 0x0d, 0x20, 0x2c, 0x2d, 0x30, 0x3a, 0x3b, 0x5f, 0x7f, 0x80, 0xff];

const seeds = HTTP_ROWS.flatMap((row) => (typeof row.data === 'string' ? [Buffer.from(row.data, 'latin1')] : []));

const legal = [
  post('{"a":1}'),
  post('{"legal":true}', [
    'Authorization: Bearer abc',
    'Mcp-Session-Id: s',
    'Mcp-Param-A: b',
    'Origin: http://localhost',
  ]),
];

const mutation = fc.record({
  seed: fc.oneof(
    { weight: 1, arbitrary: fc.constantFrom(...seeds) },
    { weight: 4, arbitrary: fc.constantFrom(...legal) },
  ),
  edits: fc.array(
    fc.record({
      at: fc.nat(100_000),
      kind: fc.constantFrom('replace', 'insert', 'remove', 'repeat'),
      byte: fc.oneof(fc.constantFrom(...TELLING), fc.nat(255)),
      length: fc.integer({ min: 1, max: 40 }),
    }),
    { minLength: 1, maxLength: 4 },
  ),
  cut: fc.nat(400),
});

type Mutation = typeof mutation extends fc.Arbitrary<infer T> ? T : never;

function apply({ seed, edits }: Mutation): Buffer {
  let bytes = seed;
  for (const { at, kind, byte, length } of edits) {
    const position = at % (bytes.byteLength + 1);
    const before = bytes.subarray(0, position);
    const after = bytes.subarray(position);
    if (kind === 'replace') bytes = Buffer.concat([before, Buffer.from([byte]), after.subarray(1)]);
    else if (kind === 'insert') bytes = Buffer.concat([before, Buffer.from([byte]), after]);
    else if (kind === 'remove') bytes = Buffer.concat([before, after.subarray(length)]);
    else bytes = Buffer.concat([before, after.subarray(0, length), after]);
  }
  return bytes;
}

function send(port: number, bytes: Buffer, cut: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    socket.on('error', () => {});
    socket.on('data', () => {});
    socket.on('close', () => resolve());
    socket.write(bytes.subarray(0, cut));
    setTimeout(() => socket.write(bytes.subarray(cut)), 2);
    setTimeout(() => socket.resetAndDestroy(), 12);
  });
}

for (const kind of KINDS) {
  test(`${kind}: damaged requests neither stop the server nor leave an exchange behind`, async (context) => {
    const front = await openTestFront(kind, (exchange, body, own) => {
      // Some answers come at once, some later, some after the client has gone.
      const { generation } = exchange;
      const answer = (): void => {
        if (exchange.generation !== generation || exchange.reply === null) return;
        exchange.reply.send(200, ['content-type', 'application/json'], body, 0, body.byteLength);
        own.table.release(exchange);
      };
      if (body.byteLength % 3 === 0) answer();
      else setTimeout(answer, body.byteLength % 20);
    });
    context.after(() => front.close());
    const cases = fc.sample(mutation, { numRuns: 3000, seed: 20_260_728 });
    for (let at = 0; at < cases.length; at += 50) {
      await Promise.all(cases.slice(at, at + 50).map((one) => send(front.port, apply(one), one.cut)));
    }
    const reply = await rawRequest(front.port, post('{"ok":1}'), { waitMs: 5000, until: (text) => text.endsWith('}') });
    assert.equal(reply.status, 200);
    const deadline = performance.now() + 5000;
    while (front.table.inUse > 0 && performance.now() < deadline) await new Promise((next) => setTimeout(next, 10));
    assert.equal(front.table.inUse, 0);
    assert.ok(front.seen.length > 100, `only ${front.seen.length} of them were whole requests`);
  });
}
