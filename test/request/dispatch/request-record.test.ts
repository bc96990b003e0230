import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { typescriptDecoder } from '../../../native/index.js';
import { SESSION_HEADER } from '../../../src/config/reserved-headers.js';
import { CallArguments } from '../../../src/request/dispatch/call-arguments.js';
import { writeDecide } from '../../../src/request/dispatch/request-record.js';
import { ATTRIBUTE_SEPARATOR, Caller, NOBODY, Scheme } from '../../../src/request/exchange/caller.js';
import { ExchangeTable } from '../../../src/request/exchange/table.js';
import { Ring, ringMemory } from '../../../src/shared/ring/index.js';
import { RequestRecord } from '../../../workers/request-record.js';

const value = fc.string({ unit: fc.constantFrom('a', 'Z', '0', ' ', ',', '~'), maxLength: 9 });

test('the header values of a caller follow the names that policy reads, and a connection is a session by itself', () => {
  const names = ['x-a', SESSION_HEADER, 'x-b'];
  const caller = new Caller('token', Scheme.bearer, 2, 'a\nforged\nb', names);
  assert.equal(caller.attributes(names), 'a\nforged\nb');
  assert.equal(caller.onConnection('id').attributes(names), 'a\nid\nb');
  const first = caller.onConnection('id').onConnection('other');
  assert.deepEqual([first.token, first.scheme, first.view], ['token', Scheme.bearer, 2]);
  assert.equal(first.attributes(['x-c', 'x-b', 'x-a', SESSION_HEADER]), '\nb\na\nother');
  assert.equal(first.attributes([]), '');
  assert.equal(NOBODY.attributes(names), '');
  assert.equal(NOBODY.onConnection('id').attributes(['x-a']), '');
  assert.equal(NOBODY.onConnection('id').attributes(names), '\nid\n');
});

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
        const names = values.map((_, position) => `x-${position}`);
        exchange.client.caller = new Caller(token, scheme, view, values.join(ATTRIBUTE_SEPARATOR), names);
        exchange.client.remoteAddress = '127.0.0.1';
        exchange.message.body = body;
        const args = new CallArguments(typescriptDecoder);
        assert.ok(args.read(exchange));
        assert.ok(writeDecide(ring, exchange, body, 1, names, true, args) >= 0);
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
