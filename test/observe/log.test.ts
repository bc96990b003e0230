import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Method } from '../../native/layout.js';
import { compileSnapshot } from '../../src/config/compile/index.js';
import { loadConfigObject } from '../../src/config/load.js';
import type { GatewayConfig } from '../../src/config/schema/index.js';
import type { LogSnapshot } from '../../src/config/snapshot/index.js';
import { type Log, openLog } from '../../src/observe/log.js';
import { LogSink } from '../../src/observe/log-sink.js';
import { Exchange } from '../../src/request/exchange/index.js';
import { type KnownSecret, MASK } from '../../src/secrets/show.js';
import { tempFolder } from '../support/process.js';

const known = (value: string): KnownSecret => ({ value, shown: MASK });
const SETTINGS: LogSnapshot = { level: 'info', format: 'json', access: false };

interface Logged {
  readonly log: Log;
  /** The lines so far. */
  lines(): Promise<string[]>;
}

async function logged(
  t: TestContext,
  settings: Partial<LogSnapshot> = {},
  secrets: readonly KnownSecret[] = [],
  terminal = false,
): Promise<Logged> {
  const file = join(await tempFolder(t), 'log');
  const fd = openSync(file, 'a');
  const log = await openLog({ settings: { ...SETTINGS, ...settings }, secrets, sink: { fd }, terminal });
  t.after(async () => {
    await log.close();
    closeSync(fd);
  });
  return {
    log,
    async lines() {
      await log.drained();
      return (await readFile(file, 'utf8')).split('\n').filter((line) => line !== '');
    },
  };
}

function finished(name: string): Exchange {
  const exchange = new Exchange(0);
  const body = Buffer.from(`{"name":"${name}"}`);
  exchange.message.body = body;
  exchange.message.bodyLength = body.length;
  exchange.client.bytesIn = body.length;
  exchange.message.spans.clear();
  exchange.message.spans.method = Method.toolsCall;
  exchange.message.spans.nameStart = 9;
  exchange.message.spans.nameEnd = 9 + Buffer.byteLength(name);
  exchange.client.startedAt = performance.now();
  exchange.client.status = 200;
  exchange.client.error = 'GW_UPSTREAM_TIMEOUT';
  exchange.client.bytesOut = 77;
  return exchange;
}

test('a line is one JSON object with its level as a word', async (t) => {
  const { log, lines } = await logged(t);
  log.logger.warn({ upstream: 'files', text: 'a\nb' }, 'upstream not available');
  log.logger.debug('not at this level');
  const [line, ...more] = await lines();
  assert.deepEqual(more, []);
  const { time, ...rest } = JSON.parse(line!);
  assert.ok(Math.abs(Date.parse(time) - Date.now()) < 60_000);
  assert.deepEqual(rest, { level: 'warn', upstream: 'files', text: 'a\nb', msg: 'upstream not available' });
});

const formats: [format: LogSnapshot['format'], terminal: boolean, json: boolean][] = [
  ['auto', false, true],
  ['auto', true, false],
  ['json', true, true],
  ['pretty', false, false],
];
for (const [format, terminal, json] of formats) {
  test(`format ${format} is ${json ? 'JSON' : 'readable'} on ${terminal ? 'a terminal' : 'a file'}`, async (t) => {
    const { log, lines } = await logged(t, { format }, [], terminal);
    log.logger.info({ port: 8000 }, 'listening');
    const [line] = await lines();
    if (json) assert.equal(JSON.parse(line!).msg, 'listening');
    else assert.match(line!, /INFO.*listening.*8000/);
  });
}

const accessRows: [settings: Partial<LogSnapshot>, level: string | null][] = [
  [{ level: 'info', access: false }, null],
  [{ level: 'info', access: true }, 'info'],
  [{ level: 'debug', access: false }, 'debug'],
  [{ level: 'debug', access: true }, 'info'],
  [{ level: 'warn', access: true }, null],
  [{ level: 'silent', access: true }, null],
];
for (const [settings, level] of accessRows) {
  test(`access lines with ${JSON.stringify(settings)} come ${level === null ? 'not at all' : `at ${level}`}`, async (t) => {
    const { log, lines } = await logged(t, settings);
    log.access?.(finished('files__read'), 'files');
    const found = (await lines()).map((line) => JSON.parse(line));
    assert.equal(log.access === null, level === null);
    assert.deepEqual(
      found.map((line) => line.level),
      level === null ? [] : [level],
    );
  });
}

test('an access line has the request and its outcome', async (t) => {
  const { log, lines } = await logged(t, { access: true });
  log.access!(finished('files__read'), 'files');
  log.access!(finished('x'.repeat(5_000)), '');
  const [first, second] = (await lines()).map((line) => JSON.parse(line));
  const { time: _, durationUs, ...rest } = first;
  assert.ok(durationUs >= 0);
  assert.deepEqual(rest, {
    level: 'info',
    method: 'tools/call',
    name: 'files__read',
    server: 'files',
    era: 'legacy',
    status: 200,
    code: 'GW_UPSTREAM_TIMEOUT',
    bytesIn: 22,
    bytesOut: 77,
    msg: 'request',
  });
  assert.equal(second.name.length, 128);
});

test('another level and other secrets hold from the next line on', async (t) => {
  const { log, lines } = await logged(t);
  log.configure({ ...SETTINGS, level: 'debug' }, [known('new-secret')]);
  assert.notEqual(log.access, null);
  log.logger.debug('it is new-secret');
  const [line] = await lines();
  assert.equal(JSON.parse(line!).msg, `it is ${MASK}`);
});

const CANARY = 'canary-7f"3\\x';
const TOKEN = 'canary-7f-0123456789-0123456789-0123456789';
const basic = Buffer.from(`user:${CANARY}`).toString('base64');
const local = 'http://localhost/';
const where: [place: string, config: GatewayConfig, secret: string][] = [
  ['a bearer token of a client', { auth: { type: 'bearer', tokens: { alice: TOKEN } } }, TOKEN],
  ['the secret of JWTs', { auth: { type: 'jwt', secret: TOKEN, audience: 'me' } }, TOKEN],
  ['the session secret', { sessions: { secret: TOKEN } }, TOKEN],
  ['a header', { mcpServers: { a: { url: local, headers: { 'X-Key': CANARY } } } }, CANARY],
  ['a bearer header', { mcpServers: { a: { url: local, headers: { Authorization: `Bearer ${CANARY}` } } } }, CANARY],
  ['a basic header', { mcpServers: { a: { url: local, headers: { authorization: `Basic ${basic}` } } } }, CANARY],
  ['the query of an address', { mcpServers: { a: { url: `${local}?key=${encodeURIComponent(CANARY)}` } } }, CANARY],
  ['the environment of a child', { mcpServers: { a: { command: 'x', env: { API_TOKEN: CANARY } } } }, CANARY],
  ['the argument behind an option', { mcpServers: { a: { command: 'x', args: ['--api-key', CANARY] } } }, CANARY],
  ['the argument of an option', { mcpServers: { a: { command: 'x', args: [`--password=${CANARY}`] } } }, CANARY],
];
for (const [place, config, secret] of where) {
  test(`${place} never reaches the log, however it is spelled`, async (t) => {
    const { secrets } = compileSnapshot(loadConfigObject(config));
    const { log, lines } = await logged(t, {}, secrets);
    log.logger.info(`message ${secret} end`);
    log.logger.error({ error: new Error(`failed at http://x/?key=${encodeURIComponent(secret)}`) }, 'failed');
    log.logger.warn({ line: JSON.stringify({ secret }), list: [{ deep: `x${secret}x` }] }, 'a line that is no message');
    log.logger.error(new Error(`broke at ${secret}`));
    const text = (await lines()).join('\n');
    assert.equal(text.split('\n').length, 4);
    assert.ok(text.includes(MASK));
    assert.doesNotMatch(text, /7f/);
  });
}

test('what came from a variable is logged as the name of the variable', async (t) => {
  const config = { name: '$' + '{WORD}', mcpServers: { a: { url: '$' + '{URL}' } } };
  const env = { WORD: 'server', URL: 'https://h/?key=hidden-value' };
  const { secrets } = compileSnapshot(loadConfigObject(config, { env }));
  const { log, lines } = await logged(t, {}, secrets);
  log.logger.info({ server: 'files', text: 'the server at https://h/?key=hidden-value, hidden-value' }, 'said');
  // Names of fields and the JSON of the line are not searched, even where a secret is spelled alike.
  const { server, text } = JSON.parse((await lines())[0]!);
  assert.deepEqual([server, text], ['files', 'the $' + '{WORD} at $' + '{URL}, $' + '{URL}']);
});

test('objects of every kind are searched, and of an error only its message is logged', async (t) => {
  const { log, lines } = await logged(t, {}, [known('hidden-value')]);
  const bare = Object.assign(Object.create(null), { a: 'hidden-value' });
  const error = Object.assign(new Error('x'), { spawnargs: ['hidden-value'], stack: 'hidden-value' });
  log.logger.info({ bare, url: new URL('http://h/hidden-value'), error, err: error }, 'x');
  const { time: _, level: __, msg: ___, ...shown } = JSON.parse((await lines())[0]!);
  assert.deepEqual(shown, { bare: { a: MASK }, url: `http://h/${MASK}`, error: 'x', err: 'x' });
});

test('fields with secret names are redacted whatever they hold', async (t) => {
  const { log, lines } = await logged(t);
  const headers = { Authorization: 'Bearer abc', cookie: ['a=b'], accept: 'text/html' };
  const fields = {
    headers,
    password: 'p',
    apiKey: { nested: 'x' },
    token: 'tok',
    maxTokens: 5,
    deep: { a: { secret: 's' } },
  };
  log.logger.info(fields, 'fields');
  const { time: _, level: __, msg: ___, ...shown } = JSON.parse((await lines())[0]!);
  const hidden = MASK;
  assert.deepEqual(shown, {
    headers: { Authorization: hidden, cookie: hidden, accept: 'text/html' },
    password: hidden,
    apiKey: hidden,
    token: hidden,
    maxTokens: 5,
    deep: { a: { secret: hidden } },
  });
  assert.equal(fields.headers.Authorization, 'Bearer abc');
});

test('an error is logged without its stack', async (t) => {
  const { log, lines } = await logged(t);
  log.logger.error({ error: new Error('broken') }, 'failed');
  assert.equal(JSON.parse((await lines())[0]!).error, 'broken');
});

test('a full disk costs lines and nothing else', async (t) => {
  const full = openSync('/dev/full', 'w');
  t.after(() => closeSync(full));
  const log = await openLog({ settings: SETTINGS, sink: { fd: full, retryMs: 1 } });
  t.after(() => log.close());
  for (let index = 0; index < 50; index += 1) log.logger.info({ index }, 'line');
  await log.drained();
  assert.equal(log.dropped, 50);
});

test('lines are written again after a fault, with a word on those that were lost', async (t) => {
  const file = join(await tempFolder(t), 'log');
  const fd = openSync(file, 'a');
  const sink = new LogSink({ fd, maxBytes: 100, notice: (dropped) => `lost ${dropped}\n` });
  t.after(() => sink.close());
  for (let index = 0; index < 100; index += 1) sink.write(`line ${index}\n`);
  await sink.drained();
  const lines = (await readFile(file, 'utf8')).split('\n').filter((line) => line !== '');
  assert.equal(sink.dropped, 100 - (lines.length - 1));
  assert.ok(sink.dropped > 50);
  assert.equal(lines.at(-1), `lost ${sink.dropped}`);
  closeSync(fd);
});

test('a reader that closed the pipe does not end the process', async () => {
  const module = new URL('../../src/observe/log.js', import.meta.url).href;
  const program = `
    const { openLog } = await import(${JSON.stringify(module)});
    const log = await openLog({ settings: { level: 'info', format: 'json', access: false }, sink: { retryMs: 1 } });
    process.stdin.once('data', async () => {
      for (let i = 0; i < 100; i += 1) log.logger.info({ i }, 'line');
      await log.drained();
      process.stdout.write(String(log.dropped));
      await log.close();
      process.exit(0);
    });
    process.stdout.write('ready ');
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['pipe', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (data: Buffer) => {
    output += data.toString();
  });
  await once(child.stdout, 'data');
  child.stderr.destroy();
  await once(child.stderr, 'close');
  child.stdin.write('go');
  const [code] = await once(child, 'close');
  assert.equal(code, 0);
  assert.equal(output, 'ready 100');
});

test('what waits is written when the process ends at once', async () => {
  const module = new URL('../../src/observe/log.js', import.meta.url).href;
  const program = `
    const { openLog } = await import(${JSON.stringify(module)});
    const log = await openLog({ settings: { level: 'info', format: 'json', access: false } });
    log.logger.info('the last word');
    process.exit(3);
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let output = '';
  child.stderr.on('data', (data: Buffer) => {
    output += data.toString();
  });
  const [code] = await once(child, 'close');
  assert.equal(code, 3);
  assert.match(output, /the last word/);
});
