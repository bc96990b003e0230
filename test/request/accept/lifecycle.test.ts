import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { frontEndKind, openFrontEnd } from '../../../src/request/accept/index.js';
import type { Exchange } from '../../../src/request/exchange/index.js';
import { rawRequest } from '../../support/raw-http.js';
import { KINDS, openTestFront, post, testSnapshot } from './fixture.js';

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    assert.ok(performance.now() < deadline, `timed out: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function open(port: number): Promise<Socket & { text: string; ended: boolean }> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' }, () => resolve(client));
    const client = Object.assign(socket, { text: '', ended: false });
    socket.on('error', () => {});
    socket.on('data', (data) => {
      client.text += data.toString('latin1');
    });
    socket.on('close', () => {
      client.ended = true;
    });
  });
}

const INDEX = new URL('../../../src/request/accept/index.js', import.meta.url).href;
const TABLE = new URL('../../../src/request/exchange/table.js', import.meta.url).href;

for (const kind of KINDS) {
  test(`${kind}: while draining, requests under way and on kept connections are answered and connections end`, async (context) => {
    const held: Exchange[] = [];
    const front = await openTestFront(kind, (exchange) => held.push(exchange));
    context.after(() => front.close());
    const answer = (exchange: Exchange): void => {
      exchange.client.reply!.send(200, [], Buffer.from('"done"'), 0, 6);
      front.table.release(exchange);
    };
    const [waiting, kept] = [await open(front.port), await open(front.port)];
    kept.write(post('{}'));
    await until(() => held.length === 1, 'first');
    answer(held[0]!);
    await until(() => kept.text.endsWith('"done"'), 'kept answer');
    waiting.write(post('{}'));
    await until(() => held.length === 2, 'second');

    front.front.stopListening();
    const refused = await rawRequest(front.port, post('{}'), { waitMs: 100 });
    assert.equal(refused.text, '');
    if (kind === 'uws') {
      kept.text = '';
      kept.write(post('{}'));
      await until(() => held.length === 3, 'third');
      answer(held[2]!);
      await until(() => kept.ended, 'kept connection ends');
      assert.match(kept.text, /200 OK[\s\S]*connection: close[\s\S]*"done"$/i);
    }
    const closing = front.front.close(5000);
    answer(held[1]!);
    await closing;
    await until(() => waiting.ended, 'connection ends');
    assert.match(waiting.text, /200 OK[\s\S]*connection: close[\s\S]*"done"$/i);
    assert.equal(front.front.connections(), 0);
    await front.close();
  });

  test(`${kind}: close does not wait for connections on which nothing is owed`, async (context) => {
    const front = await openTestFront(kind);
    context.after(() => front.close());
    const idle = await open(front.port);
    idle.write(post('{}'));
    await until(() => idle.text.endsWith('{}'), 'answer');
    await Promise.race([
      front.front.close(60_000),
      new Promise((_, reject) => setTimeout(reject, 20_000, new Error('close waits')).unref()),
    ]);
    await until(() => idle.ended, 'ended');
  });

  test(`${kind}: close cuts what is left and reports it`, async (context) => {
    const held: Exchange[] = [];
    const front = await openTestFront(kind, (exchange) => held.push(exchange));
    context.after(() => front.close());
    const [idle, waiting] = [await open(front.port), await open(front.port)];
    waiting.write(post('{}'));
    await until(() => held.length === 1, 'request');
    await front.close();
    await until(() => idle.ended && waiting.ended, 'ended');
    assert.deepEqual(front.aborted, held);
    assert.equal(front.front.connections(), 0);
  });

  test(`${kind}: a taken port is an error, not a shared port`, async (context) => {
    const front = await openTestFront(kind);
    context.after(() => front.close());
    await assert.rejects(
      openTestFront(kind, undefined, { port: front.port }),
      (error: NodeJS.ErrnoException) => error.code === 'EADDRINUSE',
    );
    await assert.rejects(
      openTestFront(kind, undefined, { host: '192.0.2.1' }),
      (error: NodeJS.ErrnoException) => error.code === 'EADDRNOTAVAIL',
    );
  });

  test(`${kind}: it listens on IPv6`, async (context) => {
    const front = await openTestFront(kind, undefined, { host: '::1' });
    context.after(() => front.close());
    const reply = await rawRequest(
      front.port,
      post('{}').toString('latin1').replace('localhost', `[::1]:${front.port}`),
      {
        host: '::1',
        until: (text) => text.endsWith('{}'),
      },
    );
    assert.equal(reply.status, 200);
    assert.match(front.seen[0]!.remoteAddress, /^(::1|0:0:0:0:0:0:0:1)$/);
  });

  test(`${kind}: a listener on all addresses takes any well-formed Host, or those that are allowed`, async (context) => {
    const open = await openTestFront(kind, undefined, { host: '0.0.0.0' });
    const strict = await openTestFront(kind, undefined, { host: '0.0.0.0', allowedHosts: ['mcp.example'] });
    context.after(() => Promise.all([open.close(), strict.close()]));
    const status = async (port: number, host: string): Promise<number> => {
      const request = post('{}').toString('latin1').replace('localhost', host);
      return (await rawRequest(port, request, { until: (text) => /\r\n\r\n./.test(text), waitMs: 5000 })).status;
    };
    assert.equal(await status(open.port, 'any.example:80'), 200);
    assert.equal(await status(open.port, 'any.example/x'), 400);
    assert.equal(await status(strict.port, 'MCP.example:8000'), 200);
    assert.equal(await status(strict.port, 'other.example'), 403);
    assert.equal(await status(strict.port, '127.0.0.1'), 403);
  });
}

test('where uWebSockets.js does not load, node:http serves, with one warning', async () => {
  const code = `
    const { frontEndKind, openFrontEnd } = await import(${JSON.stringify(INDEX)});
    const { ExchangeTable } = await import(${JSON.stringify(TABLE)});
    const warnings = [];
    const table = new ExchangeTable(1);
    const snapshot = ${JSON.stringify(testSnapshot())};
    const handler = { plain: () => ({ status: 200, contentType: 'text/plain', body: 'up' }) };
    const front = await openFrontEnd({ snapshot, table, handler, warn: (text) => warnings.push(text) });
    const reply = await fetch('http://127.0.0.1:' + front.address.port + '/health');
    console.log(JSON.stringify({ kind: front.kind, warnings, choice: frontEndKind('uws', 1000).kind, text: await reply.text() }));
    process.exit(0);`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code], {
    env: { ...process.env, SWITCHYARD_UWS: 'off' },
  });
  const result = JSON.parse(stdout) as { kind: string; warnings: string[]; choice: string; text: string };
  assert.equal(result.kind, 'node');
  assert.equal(result.choice, 'node');
  assert.equal(result.text, 'up');
  assert.equal(result.warnings.length, 1);
  assert.match(result.warnings[0]!, /uWebSockets\.js.*node:http/);
});

test('the choice of front end: node is node, uws and auto are uWebSockets.js where it loads', async () => {
  assert.deepEqual(frontEndKind('node', 8192), { kind: 'node', reason: null });
  assert.deepEqual(frontEndKind('auto', 8192), { kind: 'uws', reason: null });
  assert.deepEqual(frontEndKind('uws', 8192), { kind: 'uws', reason: null });
  const front = await openTestFront('uws');
  assert.equal(typeof openFrontEnd, 'function');
  assert.equal(front.front.kind, 'uws');
  await front.close();
});

for (const kind of KINDS) {
  test(`${kind}: with few descriptors connections are closed, traffic goes on, and no time is burnt`, async (context) => {
    const fixture = new URL('./fixture.js', import.meta.url).href;
    const code = `
      const { openTestFront } = await import(${JSON.stringify(fixture)});
      const front = await openTestFront('${kind}');
      console.log(front.port);
      process.stdin.on('data', () => {
        const { user, system } = process.cpuUsage();
        console.log(JSON.stringify({ cpuMs: (user + system) / 1000, connections: front.front.connections() }));
      });`;
    const child = spawn(
      'bash',
      ['-c', 'ulimit -n 128; exec "$0" --input-type=module -e "$1"', process.execPath, code],
      {
        cwd: fileURLToPath(new URL('.', import.meta.url)),
        stdio: ['pipe', 'pipe', 'inherit'],
      },
    );
    context.after(() => child.kill('SIGKILL'));
    let output = '';
    child.stdout.on('data', (data) => {
      output += data;
    });
    const lines = (): string[] => output.split('\n').slice(0, -1);
    await until(() => lines().length === 1, 'port');
    const port = Number(lines()[0]);
    const first = await open(port);
    const many = await Promise.all(Array.from({ length: 300 }, () => open(port)));
    await until(() => many.filter((socket) => socket.ended).length >= 236, 'closed ones');
    first.write(post('{}'));
    await until(() => first.text.endsWith('{}'), 'traffic');

    const ask = async (): Promise<{ cpuMs: number; connections: number }> => {
      const count = lines().length;
      child.stdin.write('?');
      await until(() => lines().length > count, 'figures');
      return JSON.parse(lines().at(-1)!) as { cpuMs: number; connections: number };
    };
    const before = await ask();
    await new Promise((resolve) => setTimeout(resolve, 500));
    const after = await ask();
    assert.ok(after.connections <= 64, `${after.connections} connections`);
    assert.ok(after.cpuMs - before.cpuMs < 250, `${after.cpuMs - before.cpuMs} ms of CPU in half a second`);
    for (const socket of many) socket.destroy();
    await until(() => first.ended || many.every((socket) => socket.ended), 'gone');
    const again = await open(port);
    again.write(post('{}'));
    await until(() => again.text.endsWith('{}'), 'recovery');
    again.destroy();
    first.destroy();
  });
}
