/**
 * Framing, Host and Origin are judged before anything is answered: every fault on every path with every method gets one
 * refusal and the end of the connection, and what follows it is not read.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Admin, type AdminSource, openAdmin } from '../../src/control/admin/admin.js';
import { KINDS, openTestFront, type TestFront } from '../request/accept/fixture.js';
import { rawRequest } from '../support/raw-http.js';
import { CHUNKED_BODIES } from './http-rows.js';

interface Fault {
  readonly name: string;
  /** The lines of the head that matter. */
  readonly lines: readonly string[];
  readonly body?: string;
  readonly version?: string;
  /** What may be answered. */
  readonly status: readonly number[];
}

const HOST = 'Host: localhost';
const CHUNKED = 'Transfer-Encoding: chunked';
const BODY = '{"a":1}';
const CHUNKS = `7\r\n${BODY}\r\n0\r\n\r\n`;

function framing(name: string, lines: readonly string[], body = BODY): Fault {
  return { name, lines: [HOST, ...lines], body, status: [400] };
}

function stranger(name: string, lines: readonly string[], status = 403): Fault {
  return { name, lines, status: [status] };
}

const FAULTS: readonly Fault[] = [
  framing('two different Content-Length', ['Content-Length: 7', 'Content-Length: 70']),
  framing('two different Content-Length, of which one is 0', ['Content-Length: 0', 'Content-Length: 7']),
  framing('the same Content-Length twice', ['Content-Length: 7', 'Content-Length: 7']),
  framing('Content-Length as a list', ['Content-Length: 7, 7']),
  framing('Content-Length with plus', ['Content-Length: +7']),
  framing('Content-Length in hex', ['Content-Length: 0x7']),
  framing('empty Content-Length', ['Content-Length:'], ''),
  framing('Content-Length of 19 digits', ['Content-Length: 9223372036854775807']),
  framing('Content-Length and Transfer-Encoding', ['Content-Length: 7', CHUNKED], CHUNKS),
  framing('Transfer-Encoding and Content-Length', [CHUNKED, 'Content-Length: 7'], CHUNKS),
  framing('Transfer-Encoding: xchunked', ['Transfer-Encoding: xchunked'], CHUNKS),
  framing('Transfer-Encoding: Chunked', ['Transfer-Encoding: Chunked'], CHUNKS),
  framing('Transfer-Encoding: gzip, chunked', ['Transfer-Encoding: gzip, chunked'], CHUNKS),
  framing('two Transfer-Encoding', [CHUNKED, 'Transfer-Encoding: identity'], CHUNKS),
  framing('byte over 127 before Content-Length', ['Content-Length:\xff7']),
  framing('byte over 127 behind Transfer-Encoding', ['Transfer-Encoding: chunked\xff'], CHUNKS),
  framing('space before a colon', ['Content-Length : 7']),
  framing('field without a name', [': a', 'X: b'], ''),
  framing('DEL in a value', ['X: a\x7fb'], ''),
  framing('folded line', ['X: a', ' b'], ''),
  framing('control character', ['X: a\x01b'], ''),
  ...CHUNKED_BODIES.filter(([, , uws, node]) => uws === 400 && node === 400).map(([name, body]) =>
    framing(`chunked: ${name}`, ['Content-Type: application/json', CHUNKED], body),
  ),
  { name: 'HTTP/1.0', lines: [HOST], version: 'HTTP/1.0', status: [400, 505] },
  { name: 'HTTP/1.0 without Host', lines: ['X: y'], version: 'HTTP/1.0', status: [400, 505] },
  stranger('no Host', ['X: y'], 400),
  stranger('empty Host', ['Host:'], 400),
  stranger('two Hosts', [HOST, 'Host: evil.example'], 400),
  stranger('the same Host twice', [HOST, HOST], 400),
  stranger('Host with userinfo', ['Host: localhost@evil.example'], 400),
  stranger('foreign Host', ['Host: evil.example']),
  stranger('foreign Host that looks like an address', ['Host: 127.0.0.1.evil.example']),
  stranger('foreign Origin', [HOST, 'Origin: http://evil.example']),
  stranger('Origin: null', [HOST, 'Origin: null']),
  stranger('two Origins', [HOST, 'Origin: http://localhost', 'Origin: http://localhost'], 400),
];

const METHODS = ['GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS', 'PUT'];
const PATHS = [
  '/mcp',
  '/mcp/',
  '/sse',
  '/messages?sessionId=x',
  '/ws',
  '/health',
  '/ready',
  '/tools',
  '/tools/call',
  '/openapi.json',
  '/nothing',
  '/',
];
const ADMIN_PATHS = ['/', '/metrics', '/stats', '/livez', '/readyz', '/nothing'];
const HANDSHAKE = [
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version: 13',
];

/** A request that must not be read: it follows one that ends its connection. */
const NEXT = 'GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n';

function requestOf(fault: Fault, method: string, path: string, more: readonly string[] = []): [string, string] {
  const line = `${method} ${path} ${fault.version ?? 'HTTP/1.1'}`;
  // POST needs a length unless the fault is about it.
  const length = method === 'POST' && fault.body === undefined ? ['Content-Length: 0'] : [];
  return [`${[line, ...fault.lines, ...length, ...more].join('\r\n')}\r\n\r\n`, fault.body ?? ''];
}

/** The ways in which a request and the one behind it reach the server. */
function deliveries([head, body]: readonly [string, string]): readonly (readonly string[])[] {
  return [
    [head + body + NEXT],
    [head + body, NEXT],
    // Through the end of the head, and byte by byte through the beginning of the body.
    [head.slice(0, -3), head.slice(-3, -1), head.slice(-1), ...body.slice(0, 4), body.slice(4), NEXT],
  ];
}

async function expectRefusal(port: number, pieces: readonly string[], fault: Fault, what: string): Promise<void> {
  const reply = await rawRequest(port, pieces, { waitMs: 8000, ...(pieces.length > 1 ? { paceMs: 1 } : {}) });
  const statuses = [...reply.text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status));
  // What is sent to a closed connection resets it, and with that the answer may be lost on its way.
  const isLost = statuses.length === 0 && pieces.length > 1;
  assert.ok(isLost || (statuses.length === 1 && fault.status.includes(statuses[0]!)), `${what}: ${reply.text}`);
  assert.ok(reply.closed, `${what}: the connection stays open`);
}

async function inTurns(jobs: readonly (() => Promise<void>)[], atOnce: number): Promise<void> {
  const left = jobs[Symbol.iterator]();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const job of left) await job();
    }),
  );
}

for (const kind of KINDS) {
  describe(`${kind}: what is refused on every path`, () => {
    let front: TestFront;
    before(async () => {
      front = await openTestFront(kind);
    });
    after(() => front.close());

    for (const fault of FAULTS) {
      test(`${fault.name}: ${fault.status.join(' or ')}`, async () => {
        const requests = PATHS.flatMap((path) =>
          METHODS.map((method) => [`${method} ${path}`, requestOf(fault, method, path)] as const),
        );
        requests.push(['a handshake', requestOf(fault, 'GET', '/ws', HANDSHAKE)]);
        const jobs = requests.flatMap(([what, request]) =>
          deliveries(request).map((pieces) => () => expectRefusal(front.port, pieces, fault, what)),
        );
        await inTurns(jobs, 24);
        assert.deepEqual(front.seen, []);
        assert.equal(front.table.inUse, 0);
      });
    }

    test('it serves afterwards', async () => {
      const reply = await rawRequest(front.port, NEXT, { until: (text) => text.endsWith('}') });
      assert.equal(reply.status, 200);
    });
  });
}

describe('the admin listener: what is refused on every path', () => {
  let admin: Admin;
  before(async () => {
    const source: AdminSource = {
      explain: () => Promise.resolve({}),
      metrics: async () => '# metrics\n',
      statsText: async () => '{}\n',
      notReady: () => [],
      down: () => [],
      revoke: () => true,
      unrevoke: () => true,
      purgeCache: () => {},
      documentFailed: () => {},
    };
    const snapshot = { admin: { host: '127.0.0.1', port: 0 }, allowedHosts: [], allowedOrigins: [] };
    admin = await openAdmin(source, snapshot);
  });
  after(() => admin.close(0));

  for (const fault of FAULTS) {
    test(`${fault.name}: ${fault.status.join(' or ')}`, async () => {
      const jobs = ADMIN_PATHS.flatMap((path) =>
        METHODS.flatMap((method) =>
          deliveries(requestOf(fault, method, path)).map(
            (pieces) => () => expectRefusal(admin.address.port, pieces, fault, `${method} ${path}`),
          ),
        ),
      );
      await inTurns(jobs, 24);
    });
  }

  test('it answers afterwards', async () => {
    const reply = await rawRequest(admin.address.port, NEXT.replace('/health', '/livez'), {
      until: (text) => text.includes('true'),
    });
    assert.equal(reply.status, 200);
  });
});
