import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { openClients, verify } from '../../bench/load/client.js';
import { spread } from '../../bench/load/measure.js';
import { start, treeUse } from '../../bench/load/processes.js';
import { startUpstream, type Target } from '../../bench/load/targets.js';
import { writeRequests } from '../../bench/load/wrk.js';

const BUILD = resolve(import.meta.dirname, '../..');

describe('the check of answers', () => {
  let target: Target;
  let falsifier: Server;
  let falsified: Target;
  let forge: (text: string) => string = (text) => text;

  before(async () => {
    target = await startUpstream({ scratch: '', build: BUILD }, 10);
    falsifier = createServer(async (request, response) => {
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part as Buffer);
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch(target.url, { method: 'POST', body: Buffer.concat(parts), headers });
      response.writeHead(answer.status, headers).end(forge(await answer.text()));
    });
    await new Promise<void>((done) => {
      falsifier.listen(0, '127.0.0.1', done);
    });
    falsified = { ...target, url: `http://127.0.0.1:${(falsifier.address() as AddressInfo).port}/mcp` };
  });
  after(async () => {
    falsifier.closeAllConnections();
    falsifier.close();
    await target.stop();
  });

  it('accepts correct answers and returns their size', async () => {
    const clients = await openClients(target, 3);
    assert.equal(clients.length, 3);
    const bytes = await verify(target, clients, ['echo', 'tool_00009']);
    assert.ok(bytes > 150 && bytes < 600, String(bytes));
  });

  const forgeries: [string, (text: string) => string, RegExp][] = [
    ['another id', (text) => text.replace(/"id":\d/, '"id":1'), /wrong id/],
    ['a changed echo', (text) => text.replace('quick', 'quack'), /wrong echo/],
    ['isError', (text) => text.replace('"result":{', '"result":{"isError":true,'), /failed/],
    ['an error', (text) => text.replace(/"result".*/, '"error":{"code":-32603,"message":"no"}}'), /failed/],
  ];
  for (const [what, change, expected] of forgeries) {
    it(`refuses ${what}`, async () => {
      const clients = await openClients(falsified, 1);
      forge = change;
      await assert.rejects(verify(falsified, clients, ['echo']), expected);
      forge = (text) => text;
    });
  }
});

describe('prepared requests', () => {
  const folder = mkdtempSync(join(tmpdir(), 'bench-test-'));
  after(() => rmSync(folder, { recursive: true }));

  it('give every call its own id and take clients and tools in turn', () => {
    const file = join(folder, 'requests');
    const clients = [
      { token: 't0', session: 's0' },
      { token: 't1', session: 's1' },
      { token: '', session: '' },
    ];
    writeRequests(file, clients, ['a', 'b']);
    const requests = readFileSync(file, 'utf8')
      .trimEnd()
      .split(/\n\n|(?<=\})\n/);
    assert.equal(requests.length, 2048);
    const bodies = requests.filter((_, index) => index % 2 === 1).map((body) => JSON.parse(body));
    assert.equal(new Set(bodies.map(({ id }) => id)).size, 1024);
    assert.deepEqual(
      bodies.slice(0, 3).map(({ params }) => params.name),
      ['a', 'b', 'a'],
    );
    assert.match(requests[0] ?? '', /^Authorization: Bearer t0$/m);
    assert.match(requests[2] ?? '', /^Mcp-Session-Id: s1$/m);
    assert.doesNotMatch(requests[4] ?? '', /Authorization|Session/);
  });
});

describe('treeUse', () => {
  it('counts the CPU of descendants, upstreams apart', async () => {
    const burn = 'const end = Date.now() + 300; while (Date.now() < end);';
    const family = `
      const { spawn } = require('node:child_process');
      spawn(process.execPath, ['-e', ${JSON.stringify(`${burn} process.stdin.on('end', () => process.exit()).resume(); // upstream-mark`)}]);
      setTimeout(() => console.log('ready'), 600);
      process.on('SIGTERM', () => process.exit(0));
      setInterval(() => {}, 1000);`;
    const started = await start({ command: process.execPath, args: ['-e', family], ready: /ready/ });
    const together = treeUse(started.pid);
    const apart = treeUse(started.pid, /upstream-mark/);
    await started.stop();
    assert.ok(together.relay.cpuSeconds >= 0.2, String(together.relay.cpuSeconds));
    assert.equal(together.children.rssBytes, 0);
    assert.ok(apart.children.cpuSeconds >= 0.2, String(apart.children.cpuSeconds));
    assert.ok(apart.relay.rssBytes > 0 && apart.relay.rssBytes < together.relay.rssBytes);
  });
});

describe('spread', () => {
  it('is the median and half the range', () => {
    assert.deepEqual(spread([3, 1, 2]), { median: 2, plusMinus: 0.5 });
    assert.deepEqual(spread([4, 2]), { median: 3, plusMinus: 1 / 3 });
    assert.deepEqual(spread([0]), { median: 0, plusMinus: 0 });
  });
});
