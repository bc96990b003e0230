import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { typescriptDecoder } from '../../../native/index.js';
import { CallArguments } from '../../../src/request/dispatch/call-arguments.js';
import { writeDecide } from '../../../src/request/dispatch/request-record.js';
import { ATTRIBUTE_SEPARATOR, Caller, Scheme } from '../../../src/request/exchange/caller.js';
import { ExchangeTable } from '../../../src/request/exchange/table.js';
import { Ring, ringMemory } from '../../../src/shared/ring.js';
import { RequestRecord } from '../../../workers/request-record.js';

const value = fc.string({ unit: fc.constantFrom('a', 'Z', '0', ' ', ',', '~'), maxLength: 9 });

test('a worker reads of a caller what the front has written', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme-ascii', maxLength: 40 }),
      fc.nat(40),
      fc.nat(255),
      fc.array(value, { maxLength: 5 }),
      (token, scheme, view, values) => {
        const ring = new Ring(ringMemory(64 * 1024));
        const exchange = new ExchangeTable(1).acquire()!;
        const body = Buffer.from(
          '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"q":1}}}',
        );
        typescriptDecoder.scan(body, body.length, exchange.message.spans.words, 64);
        exchange.client.caller = new Caller(token, scheme, view, values.join(ATTRIBUTE_SEPARATOR));
        exchange.client.remoteAddress = '127.0.0.1';
        exchange.message.body = body;
        const args = new CallArguments(typescriptDecoder);
        assert.ok(args.read(exchange));
        assert.ok(writeDecide(ring, exchange, body, 1, true, args) >= 0);
        const record = new RequestRecord();
        record.locate(ring.words, ring.peek(), ring.buffer);
        for (const read of [record, record.copy()]) {
          assert.equal(read.bytes.toString('latin1', read.tokenStart, read.tokenEnd), token);
          assert.equal(read.bytes.toString('latin1', read.argumentsStart, read.argumentsEnd), '{"q":1}');
          assert.deepEqual([read.scheme, read.view], [scheme, view]);
          for (let position = 0; position < 6; position += 1) {
            const expected = values[position] ?? '';
            assert.equal(read.findAttribute(position), expected !== '');
            assert.equal(read.bytes.toString('latin1', read.valueStart, read.valueEnd), expected);
          }
        }
      },
    ),
  );
});

test('callers without a credential are the same one', () => {
  assert.equal(Caller.ofToken(''), Caller.ofToken(''));
  assert.equal(Caller.ofToken('x').scheme, Scheme.bearer);
});
