import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MAX_SKIPPED_BYTES } from '../../../src/upstream/channel/skipped-message.js';
import { LongMessages } from '../../../src/upstream/websocket/long-messages.js';

const LIMIT = 100;

/** A frame of a server (RFC 6455, 5.2). */
function frame(opcode: number, isLast: boolean, payload: Buffer): Buffer {
  const first = (isLast ? 0x80 : 0) | opcode;
  const { length } = payload;
  if (length < 126) return Buffer.concat([Buffer.from([first, length]), payload]);
  const head = Buffer.alloc(4);
  head[0] = first;
  head[1] = 126;
  head.writeUInt16BE(length, 2);
  return Buffer.concat([head, payload]);
}

function filter(chunks: readonly Buffer[]) {
  const passed: Buffer[] = [];
  const skipped: { size: number; hasBegun: boolean; tail: string }[] = [];
  const filter = new LongMessages(LIMIT, {
    passed: (bytes) => passed.push(Buffer.from(bytes)),
    longMessage: ({ size, tail }, hasBegun) => skipped.push({ size, hasBegun, tail: tail.toString('latin1') }),
    longMessageEndless: () => assert.fail(),
  });
  for (const chunk of chunks) filter.feed(chunk);
  return { passed: Buffer.concat(passed), skipped };
}

test('property: messages within the limit pass unchanged, longer ones are taken out, however the bytes are cut', () => {
  const fragments = fc.array(fc.nat(70), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(fc.array(fragments, { maxLength: 6 }), fc.array(fc.nat(2_000), { maxLength: 10 }), (messages, cuts) => {
      const stream: Buffer[] = [];
      const expected: Buffer[] = [];
      const skipped: object[] = [];
      for (const [number, sizes] of messages.entries()) {
        let before = 0;
        let isSkipping = false;
        for (const [index, size] of sizes.entries()) {
          const payload = Buffer.alloc(size, 97 + number);
          const isLast = index === sizes.length - 1;
          const data = frame(index === 0 ? 1 : 0, isLast, payload);
          const ping = frame(9, true, Buffer.from('p'));
          stream.push(data, ping);
          if (before + size > LIMIT) isSkipping = true;
          if (!isSkipping) before += size;
          const total = sizes.reduce((a, b) => a + b, 0);
          if (isSkipping && isLast) {
            const tail = String.fromCharCode(97 + number).repeat(total - before);
            skipped.push({ size: total, hasBegun: before > 0, tail });
            if (before > 0) expected.push(Buffer.from([0x80, 0]));
          } else if (!isSkipping) {
            expected.push(data);
          }
          expected.push(ping);
        }
      }
      const whole = Buffer.concat(stream);
      const places = [0, ...cuts.map((cut) => cut % (whole.length + 1)).sort((a, b) => a - b), whole.length];
      const chunks = places.slice(1).map((end, index) => whole.subarray(places[index]!, end));
      assert.deepEqual(filter(chunks), { passed: Buffer.concat(expected), skipped });
      assert.deepEqual(filter(Array.from(whole, (byte) => Buffer.from([byte]))), {
        passed: Buffer.concat(expected),
        skipped,
      });
    }),
    { numRuns: 300 },
  );
});

test('property: masked frames pass, which ws refuses; nothing passes behind a close frame', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (rest) => {
      const masked = Buffer.concat([Buffer.from([0x81, 0x80 | 5, 1, 2, 3, 4]), Buffer.from(rest)]);
      assert.deepEqual(filter([masked]), { passed: masked, skipped: [] });
      const close = frame(8, true, Buffer.from([3, 232]));
      assert.deepEqual(filter([Buffer.concat([close, Buffer.from(rest)])]), { passed: close, skipped: [] });
    }),
  );
});

test('a message that does not end is given up', () => {
  let endless = 0;
  let passed = 0;
  const filter = new LongMessages(LIMIT, {
    passed: (bytes) => {
      passed += bytes.length;
    },
    longMessage: () => assert.fail(),
    longMessageEndless: () => {
      endless += 1;
    },
  });
  const head = Buffer.from([0x81, 127, 0, 1, 0, 0, 0, 0, 0, 0]);
  filter.feed(head);
  const chunk = Buffer.alloc(2 ** 26);
  for (let bytes = 0; bytes <= MAX_SKIPPED_BYTES + chunk.length; bytes += chunk.length) filter.feed(chunk);
  assert.deepEqual({ endless, passed }, { endless: 1, passed: 0 });
});
