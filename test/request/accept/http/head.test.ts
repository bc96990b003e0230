import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RequestHead } from '../../../../src/request/accept/http/head.js';
import { AcceptRules, hostName, isLoopbackName } from '../../../../src/request/accept/http/rules.js';
import { Exchange, Verb } from '../../../../src/request/exchange/index.js';
import { testSnapshot } from '../fixture.js';

const PEER = { remoteAddress: () => '127.0.0.1' };
const [ENDPOINT] = testSnapshot().views;
const RULES = new AcceptRules(testSnapshot({ views: [ENDPOINT!, { ...ENDPOINT!, path: '/a', base: '/a' }] }));
const ONCE = [
  'host',
  'content-length',
  'transfer-encoding',
  'content-type',
  'content-encoding',
  'authorization',
  'origin',
  'mcp-session-id',
  'mcp-protocol-version',
  'mcp-method',
  'mcp-name',
  'last-event-id',
  'expect',
  'mcp-param-a',
  'mcp-param-bb',
  'mcp-param-ccc',
  'mcp-param-dddddd',
  'mcp-param-eeeeeee',
  'mcp-param-ffffffffff',
];
const MANY = ['accept', 'cookie', 'x-a', 'connection', 'mcp_name', 'content_length', 'mcp-paramx', 'te', 'hosts'];

const line = fc.tuple(
  fc.constantFrom(...ONCE, ...MANY),
  fc.oneof(
    fc.constantFrom('7', '0', '', '+7', '07', '7,7', '0x7', '1e1', '9'.repeat(15), '9'.repeat(16), ' 7', '٧'),
    fc.constantFrom('chunked', 'Chunked', 'gzip, chunked', 'localhost', 'evil', '100-continue', 'application/json'),
    fc.string({ maxLength: 20 }),
  ),
);

/** RFC 9112 and the rule that deciding fields come once, said in another way. */
function acceptable(lines: readonly (readonly [string, string])[]): boolean {
  const values = new Map<string, string[]>();
  for (const [name, value] of lines) values.set(name, [...(values.get(name) ?? []), value]);
  for (const name of ONCE) if ((values.get(name)?.length ?? 0) > 1) return false;
  const length = values.get('content-length')?.[0];
  const coding = values.get('transfer-encoding')?.[0];
  const expect = values.get('expect')?.[0];
  if (!values.has('host') || (length !== undefined && coding !== undefined)) return false;
  if (length !== undefined && !/^[0-9]{1,15}$/.test(length)) return false;
  if (coding !== undefined && coding !== 'chunked') return false;
  return expect === undefined || expect.toLowerCase() === '100-continue';
}

test('framing is valid exactly when every field that decides about it occurs once with one value', () => {
  const head = new RequestHead();
  let held = 0;
  fc.assert(
    fc.property(fc.array(line, { maxLength: 8 }), fc.boolean(), (lines, withHost) => {
      const all = withHost ? [['host', 'localhost'] as [string, string], ...lines] : lines;
      head.reset();
      for (const [name, value] of all) head.add(name, value);
      const expected = acceptable(all);
      if (expected) held += 1;
      assert.equal(head.hasValidFraming(RULES), expected);
    }),
    { numRuns: 5000 },
  );
  assert.ok(held > 200, `only ${held} acceptable heads were generated`);
});

test('reset leaves nothing of a head', () => {
  const head = new RequestHead();
  const fields = (): Record<string, unknown> => {
    const exchange = new Exchange(0);
    head.fill(exchange, RULES, PEER, Verb.post, 1, 0);
    const { caller, sessionId, lastEventId } = exchange.client;
    const { versionHeader, methodHeader, nameHeader, hasNameHeader } = exchange.message;
    const { paramHeaders } = exchange.message;
    const { origin, accepts } = exchange.client;
    return {
      ...{ caller, sessionId, versionHeader, methodHeader, nameHeader, hasNameHeader, lastEventId },
      ...{ paramHeaders, origin, accepts },
    };
  };
  head.add('host', 'localhost');
  head.hasValidFraming(RULES);
  const empty = fields();
  for (const name of [...ONCE, 'accept']) head.add(name, 'x');
  assert.notDeepEqual(fields(), empty);
  head.reset();
  head.add('host', 'localhost');
  assert.ok(head.hasValidFraming(RULES));
  assert.deepEqual(fields(), empty);
  assert.equal(head.contentLength, -1);
  assert.equal(head.isChunked, false);
});

test('hosts are parsed unambiguously', () => {
  const rows: readonly (readonly [string, string | null])[] = [
    ['localhost', 'localhost'],
    ['localhost:8000', 'localhost'],
    ['[::1]:8000', '[::1]'],
    ['a.b-c.example', 'a.b-c.example'],
    ['', null],
    [':80', null],
    ['a:', null],
    ['a:b', null],
    ['a:65536', null],
    ['a b', null],
    ['a@b', null],
    ['a/b', null],
    ['a#b', null],
    ['a\\b', null],
    ['[::1', null],
    ['::1', null],
    ['ｌocalhost', null],
  ];
  for (const [authority, name] of rows) assert.equal(hostName(authority), name, authority);
  for (const name of ['localhost', '127.0.0.1', '127.9.9.9', '[::1]', '::1']) assert.ok(isLoopbackName(name), name);
  for (const name of ['127.1', '127.0.0.1.evil', '0.0.0.0', 'localhost.', '1270.0.0.1', '127.0.0.256', '']) {
    assert.ok(!isLoopbackName(name), name);
  }
});

test('checking a host or an origin takes little time, whatever its value', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 200 }), (text) => {
      const host = RULES.hostAllowed(text);
      if (host) assert.ok(isLoopbackName(hostName(text.toLowerCase())!));
      if (RULES.originAllowed(text)) assert.match(text, /^https?:\/\//i);
    }),
  );
  for (const unit of ['a', '.', '1', ':', '[', 'http://', '%']) {
    const long = unit.repeat(8192);
    assert.equal(RULES.hostAllowed(long), false);
    assert.equal(RULES.originAllowed(`http://${long}`), false);
  }
});

test('headers that policy reads are kept by position, lines of one name joined', () => {
  const head = new RequestHead();
  const names = ['x-region', 'host', 'x-user'];
  head.attributeNames = { names, positions: new Map(names.map((name, position) => [name, position])) };
  const attributes = (lines: readonly (readonly [string, string])[]): string => {
    head.reset();
    head.add('host', 'localhost');
    for (const [name, value] of lines) head.add(name, value);
    const exchange = new Exchange(0);
    assert.ok(head.hasValidFraming(RULES));
    head.fill(exchange, RULES, PEER, Verb.post, 1, 1);
    assert.equal(exchange.client.caller.view, 1);
    return exchange.client.caller.attributes(names);
  };
  assert.equal(attributes([]), '\nlocalhost\n');
  assert.equal(
    attributes([
      ['x-user', 'ann'],
      ['x-other', 'y'],
    ]),
    '\nlocalhost\nann',
  );
  assert.equal(
    attributes([
      ['x-region', 'eu'],
      ['x-region', 'us'],
    ]),
    'eu, us\nlocalhost\n',
  );
  assert.equal(
    attributes([['x-region', 'caf\u00e9']]),
    '\nlocalhost\n',
    'other characters than ASCII count as not sent',
  );
  head.reset();
  head.add('host', 'localhost');
  head.add('x-user', 'x'.repeat(5_000));
  assert.ok(!head.hasValidFraming(RULES), 'more than crosses to a worker');
});
