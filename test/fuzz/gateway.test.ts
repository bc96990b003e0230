/**
 * A whole gateway under random traffic: requests of both families, damaged ones, clients that leave at any moment,
 * upstreams that break in every way. Whatever happens, nothing is left behind and every answer is one of the table.
 *
 * SWITCHYARD_FUZZ_MS: how long each front end is fuzzed, ms; default 3,000. SWITCHYARD_FUZZ_SEED: repeats a run.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ERRORS } from '../../src/errors.js';
import { idle, listed, statsOf } from '../faults/observe.js';
import { type RunningGateway, startGateway } from '../support/gateway.js';
import { eventually } from '../support/process.js';
import { type Message, modernRpc, openSession, parseMessages } from '../support/rpc.js';
import { chaosUpstream } from './chaos-upstream.js';
import { type Answer, Choice, type ClientSession, exchange, type Manner, type Request, Traffic } from './traffic.js';

const FUZZ_MS = Number(process.env['SWITCHYARD_FUZZ_MS'] ?? 3_000);
const SEED = Number(process.env['SWITCHYARD_FUZZ_SEED'] ?? Date.now() % 0x7fffffff);
const LANES = 24;
/** Longer than any answer may take: the limit of a call, and its retries. */
const PATIENCE_MS = 15_000;
/** What the process may grow by under this traffic; buffers of large answers and compiled code included. */
const MAX_GROWTH = 160 * 1024 * 1024;
const TOKENS = ['token-of-ada-0123456789', 'token-of-bob-0123456789'];
const child = fileURLToPath(new URL('../upstream/fixtures/child.js', import.meta.url));

const config = (url: string): object => ({
  auth: {
    type: 'bearer',
    tokens: [
      { token: TOKENS[0], subject: 'ada' },
      { token: TOKENS[1], subject: 'bob' },
    ],
  },
  workers: 2,
  mcpServers: {
    web: { url, requestTimeoutMs: 300, maxConnections: 6, maxQueue: 8 },
    old: { command: process.execPath, args: [child, 'plain'], requestTimeoutMs: 300, maxConnections: 8, maxQueue: 8 },
    new: { command: process.execPath, args: [child, 'modern'], requestTimeoutMs: 300 },
  },
  routes: [
    { name: 'cached', match: { tools: ['web__cached'] }, server: 'web', cache: { ttlMs: 50, staleMs: 50 } },
    { name: 'limited', match: { tools: ['old__last'] }, server: 'old', rateLimit: { rate: 50, burst: 5 } },
  ],
  cache: { waitMs: 200, maxWaiters: 4 },
  limits: {
    maxInFlight: 40,
    maxSessions: 20,
    maxStreams: 6,
    maxResponseBytes: 1_000_000,
    maxClientBufferBytes: 65_536,
  },
});

/** Every error must be one of the table, or one the upstreams of this test give. */
function checkMessages(messages: readonly Message[], request: Request, context: string): void {
  const responses = messages.filter(({ method }) => method === undefined);
  for (const { error } of responses) {
    if (error === undefined || error.message === 'Method not found') continue;
    const row = ERRORS[error.data?.code as keyof typeof ERRORS];
    assert.ok(row !== undefined, context);
    assert.equal(error.code, row.rpc, context);
    assert.notEqual(error.data.code, 'GW_INTERNAL', context);
  }
  if (request.id === undefined) return;
  assert.ok(responses.length <= 1, context);
  for (const { id, result } of responses) {
    assert.equal(id, request.id, context);
    const text = result?.content?.[0]?.text;
    if (request.text !== undefined && text !== undefined) assert.ok(text.startsWith(request.text), context);
  }
}

function check(answer: Answer, request: Request, manner: Manner, wasCut: boolean): void {
  const context = `seed ${SEED}, ${JSON.stringify(manner)}: ${request.bytes.toString('latin1').slice(0, 600)}\n=> ${answer.head}\n\n${answer.body.slice(0, 600)}`;
  if (answer.status === 0) {
    assert.ok(wasCut || request.id === undefined, `no answer; ${context}`);
    return;
  }
  if (wasCut) return;
  const type = /\r\ncontent-type: ([^\r]+)/i.exec(answer.head)?.[1] ?? '';
  assert.ok(
    [200, 202, 204, 400, 401, 403, 404, 405, 406, 409, 413, 415, 429, 431, 503, 505].includes(answer.status),
    context,
  );
  checkMessages(parseMessages(answer.body, type), request, context);
}

async function fuzz(gateway: RunningGateway, choice: Choice): Promise<number> {
  const traffic = new Traffic(choice, `127.0.0.1:${gateway.port}`, TOKENS);
  const patient = { pieces: 1, abortAfter: -1, deafFor: 0 };
  const open = async (): Promise<ClientSession | null> => {
    const version = choice.of(['2025-03-26', '2025-06-18', '2025-11-25']);
    const token = choice.of(TOKENS);
    const answer = await exchange(gateway.port, traffic.initialize(version, token), patient, PATIENCE_MS);
    const id = /\r\nmcp-session-id: ([^\r]+)/i.exec(answer.head)?.[1];
    return id === undefined ? null : { id, version, token };
  };
  const until = Date.now() + FUZZ_MS;
  let count = 0;
  const lane = async (): Promise<void> => {
    let session: ClientSession | null = null;
    while (Date.now() < until) {
      if (session === null || choice.chance(4)) session = await open();
      const request = traffic.next(session);
      const isStream = request.bytes.subarray(0, 4).toString() === 'GET ';
      const aborts = isStream || choice.chance(20);
      const manner = {
        pieces: choice.chance(15) ? 1 + choice.number(6) : 1,
        abortAfter: aborts ? choice.number(choice.chance(50) ? 8 : 60) : -1,
        deafFor: choice.chance(5) ? choice.number(80) : 0,
      };
      // A damaged request may be one that is never complete.
      const patience = request.id === undefined ? 1_000 : PATIENCE_MS;
      const began = Date.now();
      const answer = await exchange(gateway.port, request.bytes, manner, patience);
      check(answer, request, manner, aborts || (request.id === undefined && Date.now() - began >= patience));
      count += 1;
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return count;
}

describe('random traffic', () => {
  for (const frontEnd of ['uws', 'node'] as const) {
    it(`leaves nothing behind, ${frontEnd} front end`, async (scope) => {
      const upstream = await chaosUpstream(scope);
      const gateway = await startGateway(scope, config(upstream.url), { frontEnd });
      await listed(gateway);
      const choice = new Choice(SEED);
      const before = (await statsOf(gateway)).process.rssBytes;
      const count = await fuzz(gateway, choice);
      assert.ok(count > 0);
      assert.equal(gateway.process.child.exitCode, null, `seed ${SEED}: ${gateway.output}`);
      const stats = await idle(gateway);
      await eventually('the streams are closed', async () => (await statsOf(gateway)).streams === 0);
      assert.ok(stats.sessions <= 20);
      assert.ok(stats.process.rssBytes - before < MAX_GROWTH, `grew by ${stats.process.rssBytes - before} bytes`);
      assert.doesNotMatch(gateway.output, /a stage failed|nhandled|uncaught|Error:/, `seed ${SEED}`);
      const headers = { authorization: `Bearer ${TOKENS[0]}` };
      for (const name of ['web__call', 'old__call', 'new__call']) {
        await eventually(`${name} works`, async () => {
          const params = { name, arguments: { do: 'echo', text: 'fine' } };
          const modern = await modernRpc(gateway.url, 'tools/call', params, { headers });
          const legacy = await (await openSession(gateway.url, { headers })).request('tools/call', params);
          return [modern, legacy].every(({ message }) => message?.result?.content[0].text.includes('fine'));
        });
      }
      assert.equal(await gateway.stop(), 0, gateway.output);
    });
  }
});
