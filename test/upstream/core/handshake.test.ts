import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { channelHandshake, ProbeEnded } from '../../../src/upstream/channel/handshake.js';
import { ControlError, type ControlReply } from '../../../src/upstream/core/control.js';
import { SHARED_PROFILE } from '../../../src/upstream/core/types.js';
import { eventually, type TestScope } from '../../support/process.js';
import { RAW_TOOLS, type RawUpstream, rawUpstream, type Script } from '../../support/raw-upstream.js';
import { httpOf, type PoolFixture, replyOf, serverOf, startPool } from '../fixture.js';

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
      profile: SHARED_PROFILE,
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

const answering = (protocolVersion: unknown): Step => {
  return () => ({ result: { protocolVersion, capabilities: { tools: {}, prompts: null } } });
};

test('a revision that the gateway does not know is served as the nearest older one', async () => {
  for (const [version, revision, header] of [
    ['2025-01-01', 0, ''],
    ['2024-10-07', 0, ''],
    ['2025-04-01', 1, ''],
    ['2025-09-15', 2, '2025-09-15'],
    ['2025-12-01', 3, '2025-12-01'],
    ['2026-07-28', 3, '2025-11-25'],
    ['2031-01-01', 3, '2025-11-25'],
    ['DRAFT-2025-v3', 3, '2025-11-25'],
    ['1.0', 0, ''],
  ] as const) {
    const { handshake } = await handshakeWith({ discover: [() => error(-32_601)], initialize: [answering(version)] });
    const { era, unknownVersion, versionHeader } = handshake;
    assert.deepEqual([era, handshake.revision, unknownVersion, versionHeader], [0, revision, version, header]);
    assert.deepEqual(handshake.capabilities, { tools: {} });
  }
  const { handshake } = await handshakeWith({ initialize: [answering('2025-06-18')] }, true);
  assert.deepEqual([handshake.revision, handshake.unknownVersion, handshake.versionHeader], [2, '', '2025-06-18']);
});

test('what is no revision is refused, with what came instead', async () => {
  for (const [version, shown] of [
    [undefined, 'none'],
    [null, 'null'],
    [20250618, '20250618'],
    ['', ''],
    [['2025-06-18\n'], '["2025-06-18\\\\n"]'],
  ] as const) {
    await assert.rejects(handshakeWith({ initialize: [answering(version)] }, true), (thrown: Error) => {
      assert.equal(thrown.message, `the upstream answered initialize with no protocol version (${shown})`);
      return true;
    });
  }
});

/** A server that supports some revisions, and refuses the others in its way. */
async function asksFor(supported: readonly string[], refusal: (asked: string) => object): Promise<unknown[]> {
  const asked: unknown[] = [];
  const initialize: Step = (params) => {
    const { protocolVersion } = params as { protocolVersion: string };
    asked.push(protocolVersion);
    return supported.includes(protocolVersion)
      ? { result: { protocolVersion, capabilities: {} } }
      : refusal(protocolVersion);
  };
  try {
    const { handshake } = await handshakeWith({ initialize: [initialize] }, true);
    return [...asked, handshake.revision];
  } catch (thrown) {
    return [...asked, (thrown as Error).message];
  }
}

test('a server that refuses the newest revision is asked for the newest one in common, then for the older ones', async () => {
  const refuse = (code: number, message: string, data?: object) => (): object => ({ error: { code, message, data } });
  for (const [refusal, supported, expected] of [
    [refuse(-32_022, 'no', { supported: ['2025-03-26', '2024-11-05'] }), ['2025-03-26'], ['2025-03-26', 1]],
    [refuse(-32_602, 'no', { supported: ['2024-11-05'] }), ['2024-11-05'], ['2024-11-05', 0]],
    [refuse(-32_000, 'no', { supportedVersions: ['2025-06-18'] }), ['2025-06-18'], ['2025-06-18', 2]],
    [refuse(-32_602, 'Unsupported protocol version'), ['2024-11-05'], ['2025-06-18', '2025-03-26', '2024-11-05', 0]],
    [
      refuse(-32_600, 'Protocol 2025-11-25 not supported, use one of 2025-03-26, 2024-11-05'),
      ['2025-03-26'],
      ['2025-03-26', 1],
    ],
    [refuse(-32_000, 'supported: 2025-06-18'), ['2025-03-26'], ['2025-06-18', '2025-03-26', 1]],
    [refuse(-32_000, 'no session'), [], ['the upstream answered with error -32000']],
    [refuse(-32_603, 'failed on 2025-06-18'), [], ['the upstream answered with error -32603']],
    [
      refuse(-32_602, 'wrong'),
      [],
      [
        ...['2025-06-18', '2025-03-26', '2024-11-05'],
        'the upstream answered with error -32602 to initialize with each of the protocol versions 2025-11-25, 2025-06-18, ' +
          '2025-03-26, 2024-11-05',
      ],
    ],
    [
      refuse(-32_022, 'no', { supported: ['2031-01-01', 'x\u0007'] }),
      [],
      ['the upstream supports none of the protocol versions of the gateway, only 2031-01-01, x\\x07'],
    ],
  ] as const) {
    assert.deepEqual(await asksFor(supported, refusal), ['2025-11-25', ...expected]);
  }
});

test('a modern server of other revisions only is left out with their names', async () => {
  const discovered = { result: { supportedVersions: ['2027-01-01'], capabilities: {} } };
  for (const refusal of [error(-32_601), error(-32_022, { supported: ['2027-01-01'] })]) {
    await assert.rejects(
      handshakeWith({ discover: [() => discovered], initialize: [() => refusal] }),
      /none of the protocol versions of the gateway, only 2027-01-01$/,
    );
  }
});

const plain = (status: number, body = ''): Script => {
  return (_request, answer) => void answer.response.writeHead(status, { 'content-type': 'text/plain' }).end(body);
};

test('over HTTP any refusal of the probe but 401 and 403 may come from a legacy server', async (t) => {
  for (const [status, era] of [
    [400, 0],
    [404, 0],
    [405, 0],
    [406, 0],
    [422, 0],
    [401, null],
    [403, null],
    [500, 0],
    [502, 0],
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

/** A server that never answers the probe, or breaks it off, and answers the rest as the script says. */
async function probedInVain(
  scope: TestScope,
  probe: Script,
  more: { initialize?: Script; connectTimeoutMs?: number } = {},
): Promise<{ upstream: RawUpstream; pool: PoolFixture }> {
  const upstream = await rawUpstream(
    scope,
    (request, answer) => {
      const { method } = request.message;
      if (method === 'server/discover') return probe(request, answer);
      if (method === 'notifications/initialized') return void answer.response.writeHead(202).end();
      if (method === 'tools/list') return answer.result({ tools: RAW_TOOLS });
      if (more.initialize !== undefined) return more.initialize(request, answer);
      const { protocolVersion } = request.message.params;
      return answer.result({ protocolVersion, capabilities: { tools: {} } });
    },
    { family: 'none' },
  );
  const pool = startPool(scope, [serverOf([httpOf(upstream.url)], { connectTimeoutMs: more.connectTimeoutMs ?? 500 })]);
  return { upstream, pool };
}

test('over HTTP a probe that is never answered, or reset, is followed by initialize at the same address', async (t) => {
  for (const probe of [
    () => {},
    (_request, answer) => answer.reset(),
    (_request, answer) => void answer.response.writeHead(200, { 'content-type': 'text/html' }).end('<p>hello'),
    (_request, answer) => void answer.sse().raw(': nothing\n\n'),
  ] as Script[]) {
    const { upstream, pool } = await probedInVain(t, probe);
    await pool.ready();
    assert.deepEqual([pool.server().endpoints[0]!.era, upstream.received('initialize').length], [0, 1]);
  }
});

test('over HTTP a modern server that is slow to answer the probe is still found to be one', async (t) => {
  let answerProbe = (): void => {};
  const { pool } = await probedInVain(
    t,
    (_request, answer) => {
      answerProbe = () => answer.result({ supportedVersions: ['2026-07-28'], capabilities: {} });
    },
    {
      connectTimeoutMs: 1_000,
      initialize: (request, answer) => {
        answer.json(
          JSON.stringify({ jsonrpc: '2.0', id: request.message.id, error: { code: -32_601, message: 'no' } }),
        );
        answerProbe();
        // It is answered once; older versions are asked for after that.
        answerProbe = () => {};
      },
    },
  );
  const endpoint = pool.server().endpoints[0]!;
  await eventually('ready', () => endpoint.state === 'ready');
  assert.equal(endpoint.era, 1);
});

test('over HTTP a text that refuses a version leads to one that the server names', async (t) => {
  const asked: unknown[] = [];
  const { pool } = await probedInVain(t, (_request, answer) => void answer.response.writeHead(404).end(), {
    initialize: (request, answer) => {
      const { protocolVersion } = request.message.params;
      asked.push(protocolVersion);
      if (protocolVersion === '2025-03-26') answer.result({ protocolVersion, capabilities: { tools: {} } });
      else answer.response.writeHead(400).end('Bad Request: Unsupported protocol version (supported: 2025-03-26)');
    },
  });
  await pool.ready();
  assert.deepEqual([asked, pool.server().endpoints[0]!.revision], [['2025-11-25', '2025-03-26'], 1]);
});

test('over HTTP an unknown revision is served, named in the header, and warned of once', async (t) => {
  const { upstream, pool } = await probedInVain(t, (_request, answer) => void answer.response.writeHead(500).end(), {
    initialize: (_request, answer) =>
      answer.result({ protocolVersion: '2025-09-15', capabilities: { tools: {} } }, { 'mcp-session-id': 's' }),
  });
  await pool.ready();
  const endpoint = pool.server().endpoints[0]!;
  assert.deepEqual([endpoint.revision, endpoint.state], [2, 'ready']);
  assert.equal(upstream.received('tools/list').at(-1)?.headers['mcp-protocol-version'], '2025-09-15');
  upstream.script((request, answer) => {
    const { method } = request.message;
    if (method === 'initialize')
      answer.result({ protocolVersion: '2025-09-15', capabilities: { tools: {} } }, { 'mcp-session-id': 't' });
    else if (method === 'tools/call' && request.headers['mcp-session-id'] !== 't') answer.response.writeHead(404).end();
    else answer.result({ tools: RAW_TOOLS });
  });
  await pool.call('read').done;
  assert.equal(upstream.received('initialize').length, 2);
  const warnings = pool.log.filter(({ fields }) => fields['protocolVersion'] !== undefined);
  assert.deepEqual(
    warnings.map(({ level, fields }) => [level, fields['protocolVersion'], fields['servedAs']]),
    [['warn', '2025-09-15', '2025-06-18']],
  );
});

test('over HTTP the reason of a server that is left out names its versions', async (t) => {
  const { pool } = await probedInVain(
    t,
    (_request, answer) => answer.result({ supportedVersions: ['2027-01-01'], capabilities: {} }),
    { initialize: (_request, answer) => void answer.response.writeHead(404).end() },
  );
  const endpoint = pool.server().endpoints[0]!;
  await eventually('left out', () => endpoint.state === 'backoff');
  assert.match(endpoint.reason, /only 2027-01-01$/);
});
