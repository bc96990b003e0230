/** What servers answer in odd ways that have one meaning: the same for handshake, lists and calls, in both families. */
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { eventually } from '../../support/process.js';
import { httpOf, namesOf, type PoolFixture, serverOf, startPool } from '../fixture.js';
import { plain, startPeer, type WriteResponse } from './peer.js';

const JSON_TYPE = 'application/json';
const session = { 'mcp-session-id': 'peer' };

/** Responses with bodies written by `write`; the others as usual. */
const withBody =
  (write: WriteResponse): WriteResponse =>
  (request, response) =>
    request.text === '' ? plain(request, response) : write(request, response);

/** One JSON body. */
const body = (change: (text: string) => string, type: string | null = JSON_TYPE, status = 200): WriteResponse =>
  withBody(({ text }, response) => {
    response.writeHead(status, type === null ? session : { ...session, 'content-type': type });
    response.end(change(text));
  });

/** One event stream. */
const events = (change: (text: string) => string, type = 'text/event-stream', status = 200): WriteResponse =>
  withBody(({ text }, response) => {
    response.writeHead(status, { ...session, 'content-type': type });
    response.end(change(text));
  });

const same = (text: string): string => text;
const event = (text: string): string => `data: ${text}\n\n`;
const withMember = (member: string) => (text: string) => `${text.slice(0, -1)},${member}}`;
const withId = (change: (id: string) => string) => (text: string) =>
  text.replace(/"id":(\d+)/, (_, id: string) => `"id":${change(id)}`);

/** Junk counts in these rows. */
const HEARTBEATS = ['{"type":"heartbeat"}', '{}', 'null', 'ping', '[]', '1', '"text"', '{"id":1}'];

const ROWS: Readonly<Record<string, WriteResponse>> = {
  'status 201': body(same, JSON_TYPE, 201),
  'status 202 with a body': body(same, JSON_TYPE, 202),
  'status 203': body(same, JSON_TYPE, 203),
  'status 206': body(same, JSON_TYPE, 206),
  'application/json-rpc': body(same, 'application/json-rpc'),
  'a +json type': body(same, 'application/vnd.api+json; charset=utf-8'),
  'letters of any case': body(same, 'Application/JSON;Charset=UTF-8'),
  'text/plain': body(same, 'text/plain'),
  'no media type': body(same, null),
  'a byte order mark': body((text) => `\ufeff${text}`),
  'white space around it': body((text) => `\r\n ${text}\r\n`),
  'error: null beside the result': body((text) => (text.includes('"error"') ? text : withMember('"error":null')(text))),
  'result: null beside the error': body((text) =>
    text.includes('"error"') ? withMember('"result" : null ')(text) : text,
  ),
  'method: null beside the result': body(withMember('"method":null,"params":null')),
  'an id with a fraction': body(withId((id) => `${id}.0`)),
  'an id with an exponent': body(withId((id) => `${id}0e-1`)),
  'an id as a text': body(withId((id) => `"${id}"`)),
  'a batch of one': body((text) => `[${text}]`),
  'a batch with more': body((text) => `[{"type":"heartbeat"},${text},{"jsonrpc":"2.0","id":9,"result":{}}]`),
  'an event stream with status 201': events(event, 'text/event-stream', 201),
  'an event stream in capitals': events(event, 'Text/Event-Stream; charset=utf-8'),
  'heartbeats before it': events((text) => `: hello\n\n${HEARTBEATS.map(event).join('')}${event(text)}`),
  'events of any name': events((text) => `event: ping\ndata: {}\n\nevent: response\n${event(text)}`),
  'an event named error': events((text) => `event: error\n${event(text)}`),
  'the name after the data': events((text) => `data: ${text}\nevent: result\n\n`),
  'a byte order mark in an event': events((text) => event(`\ufeff${text}`)),
  'a byte order mark before the stream': events((text) => `\ufeff${event(text)}`),
  'an id with a fraction in an event': events((text) => event(withId((id) => `${id}.000`)(text))),
  'a batch in an event': events((text) => event(`[${text}]`)),
  'responses to other requests before it': events(
    (text) => `${event('{"jsonrpc":"2.0","id":1000000,"result":{}}')}${event(text)}`,
  ),
  '100 (Continue) that was not asked for': withBody((request, response) => {
    response.writeContinue();
    plain(request, response);
  }),
  '103 (Early Hints)': withBody((request, response) => {
    response.writeEarlyHints({ link: '</style.css>; rel=preload' });
    plain(request, response);
  }),
  'notifications answered by a message': (request, response) => {
    if (request.rpcMethod.startsWith('notifications/')) {
      response.writeHead(200, { 'content-type': JSON_TYPE }).end('{"jsonrpc":"2.0","result":{},"id":null}');
    } else plain(request, response);
  },
  'notifications answered by a page': (request, response) => {
    if (request.rpcMethod.startsWith('notifications/')) {
      response.writeHead(203, { 'content-type': 'text/html' }).end('<html>');
    } else plain(request, response);
  },
  'notifications answered by nothing': (request, response) => {
    if (request.rpcMethod.startsWith('notifications/')) response.writeHead(204).end();
    else plain(request, response);
  },
  'lists and calls in the body of a failure': (request, response) => {
    const isHandshake = request.rpcMethod === 'initialize' || request.rpcMethod === 'server/discover';
    if (isHandshake || request.text === '') plain(request, response);
    else response.writeHead(500, { 'content-type': JSON_TYPE }).end(request.text);
  },
};

const endpointOf = (pool: PoolFixture) => pool.server().endpoints[0]!;

for (const family of ['legacy', 'modern'] as const) {
  test(`${family}: what has one meaning is taken for it in handshake, lists and calls`, async (t) => {
    for (const [what, write] of Object.entries(ROWS)) {
      await t.test(what, async (row) => {
        const peer = await startPeer(row, family, write);
        const pool = startPool(row, [serverOf([httpOf(peer.url)])]);
        const discovery = await pool.ready();
        assert.deepEqual(namesOf(discovery.tools), ['call']);
        for (let round = 0; round < 3; round += 1) {
          const { response, error, id } = await pool.call('call').done;
          assert.deepEqual([error, response?.result.ok, Number(response?.id)], [null, true, id]);
        }
        assert.equal(pool.table.inUse, 0);
      });
    }
  });

  test(`${family}: what is no message is counted and told, not passed on`, async (t) => {
    const peer = await startPeer(t, family, ROWS['heartbeats before it']);
    const pool = startPool(t, [serverOf([httpOf(peer.url)])]);
    await pool.ready();
    const { notifications } = await pool.call('call').done;
    assert.deepEqual(notifications, []);
    // A modern server is listened to besides.
    const count = endpointOf(pool).stats.junkLines;
    assert.ok(count > 0 && count % HEARTBEATS.length === 0, String(count));
    assert.ok(pool.log.some(({ fields }) => fields['line'] === '{"type":"heartbeat"}'));
  });

  test(`${family}: an error is passed on whatever the status, under the id of the call`, async (t) => {
    const peer = await startPeer(t, family);
    const pool = startPool(t, [serverOf([httpOf(peer.url)])]);
    await pool.ready();
    const error = '{"code":-32123,"message":"quota für \\u0041","data":{"n":12345678901234567890,"list":[1.0]}}';
    const ids: Readonly<Record<string, (id: unknown) => string>> = {
      'its id': (id) => `"id":${id},`,
      'its id with a fraction': (id) => `"id":${id}.0,`,
      'its id as a text': (id) => `"id":"${id}",`,
      null: () => '"id":null,',
      none: () => '',
      'a text': () => '"id":"server-error",',
    };
    for (const status of [200, 400, 401, 403, 404, 409, 410, 422, 429, 500, 502, 503, 504]) {
      for (const [what, idOf] of Object.entries(ids)) {
        for (const type of [JSON_TYPE, 'text/html', 'application/problem+json']) {
          peer.write = (request, response) => {
            const { id, rpcMethod } = request;
            // The gateway may look whether the server was replaced by one of the other family.
            if (rpcMethod !== 'tools/call') return plain(request, response);
            response.writeHead(status, { 'content-type': type });
            response.end(`{"jsonrpc":"2.0",${idOf(id)}"error":${error},"result":null}`);
          };
          const { raw, error: code, response, id } = await pool.call('call').done;
          assert.deepEqual([status, what, code, Number(response?.id)], [status, what, null, id]);
          assert.ok(raw?.toString().includes(error), 'byte for byte');
        }
      }
    }
  });

  test(`${family}: an error without an id ends the call on whose stream it comes`, async (t) => {
    const peer = await startPeer(t, family);
    const pool = startPool(t, [serverOf([httpOf(peer.url)])]);
    await pool.ready();
    for (const id of ['"id":null,', '', '"id":"server-error",']) {
      peer.write = (_request, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.end(`event: error\ndata: {"jsonrpc":"2.0",${id}"error":{"code":7,"message":"no"}}\n\n`);
      };
      const { response, id: own } = await pool.call('call').done;
      assert.deepEqual([response?.error, response?.id], [{ code: 7, message: 'no' }, own]);
    }
  });

  test(`${family}: 502 and 503 without a message mean that the server is not available`, async (t) => {
    const peer = await startPeer(t, family);
    const pool = startPool(t, [serverOf([httpOf(peer.url)])]);
    await pool.ready();
    for (const status of [502, 503]) {
      peer.write = (_request, response) => void response.writeHead(status).end('<h1>Bad Gateway</h1>');
      assert.equal((await pool.call('call').done).error, 'GW_UPSTREAM_UNAVAILABLE');
    }
  });
}

test('the standalone stream of a session takes events of any name and status, and skips heartbeats', async (t) => {
  let stream: ServerResponse | undefined;
  const peer = await startPeer(t, 'legacy', (request, response) => {
    if (request.method !== 'GET') return plain(request, response);
    stream = response.writeHead(203, { 'content-type': 'text/event-stream' });
    response.write(HEARTBEATS.map(event).join(''));
  });
  const pool = startPool(t, [serverOf([httpOf(peer.url)])]);
  await pool.ready();
  await eventually('the heartbeats', () => endpointOf(pool).stats.junkLines === HEARTBEATS.length);
  stream?.write(
    'event: change\ndata: [{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":null,"error":null}]\n\n',
  );
  const lists = () => peer.requests.filter(({ rpcMethod }) => rpcMethod === 'tools/list').length;
  await eventually('the list is read again', () => lists() >= 2);
  assert.equal(endpointOf(pool).stats.junkLines, HEARTBEATS.length);
});
