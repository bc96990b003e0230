import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { channelHandshake, ProbeEnded } from '../../../src/upstream/channel/handshake.js';
import { ControlError, type ControlReply } from '../../../src/upstream/core/control.js';
import { initializeParams } from '../../../src/upstream/core/handshake.js';
import { SHARED_PROFILE } from '../../../src/upstream/core/types.js';
import { eventually } from '../../support/process.js';
import { rawUpstream, type Script } from '../../support/raw-upstream.js';
import { httpOf, replyOf, serverOf, startPool } from '../fixture.js';

type Step = (params: object | null) => object | Promise<object>;

const DISCOVERED = { result: { supportedVersions: ['2026-07-28'], capabilities: {} } };
const INITIALIZED = { result: { protocolVersion: '2025-06-18', capabilities: {} } };
const error = (code: number, data?: object) => ({ error: { code, message: 'no', data } });
const after = (ms: number, message: object): Step => {
  return () => new Promise((resolve) => setTimeout(() => resolve(message), ms));
};
const ends: Step = () => {
  throw new ControlError('closed', 'the child exited with code 1');
};

/** Makes a handshake with a server that answers in these ways; each list is used up front to back, its last element stays. */
async function handshakeWith(steps: { discover?: Step[]; initialize?: Step[] }, legacyOnly = false) {
  const asked: string[] = [];
  const request = async (method: string, params: object | null, timeoutMs: number): Promise<ControlReply> => {
    asked.push(method);
    const list = method === 'initialize' ? steps.initialize : steps.discover;
    const step = list !== undefined && list.length > 1 ? list.shift() : list?.[0];
    const silence = new Promise<object>((_resolve, reject) => {
      setTimeout(() => reject(new ControlError('timeout', 'no answer')), timeoutMs);
    });
    silence.catch(() => {});
    const answer = await Promise.race([step === undefined ? silence : step(params), silence]);
    return replyOf(answer);
  };
  const notes: string[] = [];
  const handshake = await channelHandshake(
    { request, notify: (method) => notes.push(method) },
    {
      legacyOnly,
      timeoutMs: 400,
      initialize: initializeParams(SHARED_PROFILE),
    },
  );
  return { handshake, asked, notes };
}

test('a discover result is a modern server, and nothing else is sent', async () => {
  const { handshake, asked, notes } = await handshakeWith({ discover: [() => DISCOVERED] });
  assert.deepEqual([handshake.era, handshake.revision, asked, notes], [1, 4, ['server/discover'], []]);
});

test('any other error is a legacy server, which is initialized on the same connection', async () => {
  for (const code of [-32_601, -32_602, -32_000, -32_020, -32_700]) {
    const { handshake, asked, notes } = await handshakeWith({
      discover: [() => error(code)],
      initialize: [() => INITIALIZED],
    });
    assert.deepEqual([handshake.era, handshake.revision], [0, 2]);
    assert.deepEqual([asked, notes], [['server/discover', 'initialize'], ['notifications/initialized']]);
  }
});

test('silence is a legacy server', async () => {
  const { handshake } = await handshakeWith({ initialize: [() => INITIALIZED] });
  assert.equal(handshake.era, 0);
});

test('a modern server that starts slowly is still found to be one', async () => {
  const { handshake } = await handshakeWith({
    discover: [after(250, DISCOVERED)],
    initialize: [after(260, error(-32_022, { supported: ['2026-07-28'] }))],
  });
  assert.equal(handshake.era, 1);
});

test('a modern server that lists the supported revision is probed once more', async () => {
  const { handshake, asked } = await handshakeWith({
    discover: [() => error(-32_022, { supported: ['2026-07-28'] }), () => DISCOVERED],
  });
  assert.deepEqual([handshake.era, asked], [1, ['server/discover', 'server/discover']]);
});

test('after a child that ends on the probe, at once or late, the next attempt goes without it', async () => {
  await assert.rejects(handshakeWith({ discover: [ends] }), ProbeEnded);
  await assert.rejects(handshakeWith({ initialize: [ends] }), ProbeEnded);
  await assert.rejects(handshakeWith({ initialize: [ends] }, true), ControlError);
  const { asked } = await handshakeWith({ initialize: [() => INITIALIZED] }, true);
  assert.deepEqual(asked, ['initialize']);
});

test('an unknown revision is refused', async () => {
  const odd = { result: { protocolVersion: '2031-01-01', capabilities: {} } };
  await assert.rejects(handshakeWith({ discover: [() => error(-32_601)], initialize: [() => odd] }), ControlError);
});

const plain = (status: number, body = ''): Script => {
  return (_request, answer) => void answer.response.writeHead(status, { 'content-type': 'text/plain' }).end(body);
};

test('over HTTP any 4xx to the probe but 401 and 403 means legacy; 5xx decides nothing', async (t) => {
  for (const [status, era] of [
    [400, 0],
    [404, 0],
    [405, 0],
    [406, 0],
    [422, 0],
    [401, null],
    [403, null],
    [500, null],
    [502, null],
  ] as const) {
    const server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk) => {
        body += chunk;
      });
      request.on('end', () => {
        const message = body === '' ? {} : JSON.parse(body);
        if (message.method === 'initialize') {
          response.writeHead(200, { 'content-type': 'application/json' });
          const result = { protocolVersion: '2025-03-26', capabilities: {} };
          response.end(JSON.stringify({ jsonrpc: '2.0', id: message.id, result }));
        } else if (message.method === 'notifications/initialized') response.writeHead(202).end();
        else response.writeHead(request.method === 'POST' ? status : 405).end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    const { port } = server.address() as { port: number };
    const pool = startPool(t, [serverOf([httpOf(`http://127.0.0.1:${port}/mcp`)])]);
    const endpoint = pool.server().endpoints[0]!;
    while (endpoint.state === 'connecting') await new Promise((resolve) => setTimeout(resolve, 5));
    assert.deepEqual(
      [status, endpoint.state, endpoint.handshake?.era ?? null],
      [status, era === null ? 'backoff' : 'ready', era],
    );
    if (era === 0) assert.equal(endpoint.revision, 1);
    await pool.pool.close(0);
  }
});

test('the version header is sent after initialize, to revisions that know it', async (t) => {
  const upstream = await rawUpstream(t, plain(500), { family: 'legacy' });
  const pool = startPool(t, [serverOf([httpOf(upstream.url)])]);
  await pool.ready();
  const [initialize] = upstream.received('initialize');
  const [initialized] = upstream.received('notifications/initialized');
  const [list] = upstream.received('tools/list');
  assert.equal(initialize?.headers['mcp-protocol-version'], undefined);
  assert.equal(initialize?.headers['mcp-session-id'], undefined);
  assert.deepEqual(initialize?.message.params.capabilities, {}, 'nothing is declared that we could not answer');
  for (const request of [initialized, list]) {
    assert.equal(request?.headers['mcp-protocol-version'], '2025-11-25');
    assert.equal(request?.headers['mcp-session-id'], 'raw-session');
  }
});

test('a server that answers 404 to everything after initialize is not initialized in a loop', async (t) => {
  let sessions = 0;
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      const message = body === '' ? {} : JSON.parse(body);
      if (message.method !== 'initialize') {
        response.writeHead(404).end();
        return;
      }
      sessions += 1;
      const result = { protocolVersion: '2025-11-25', capabilities: { tools: {} } };
      response.writeHead(200, { 'content-type': 'application/json', 'mcp-session-id': `session-${sessions}` });
      response.end(JSON.stringify({ jsonrpc: '2.0', id: message.id, result }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  const pool = startPool(t, [serverOf([httpOf(`http://127.0.0.1:${port}/mcp`)])]);
  await eventually('the loss is noticed', () => pool.server().endpoints[0]!.stats.sessionsLost > 0);
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.equal(sessions, 2);
});
