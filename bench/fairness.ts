/**
 * How long calls to a quiet server wait while other upstreams send as fast as they can, or list a hundred thousand tools.
 *
 *     npm run bench:fairness -- [--seconds 3] [--only NAME] [--tolerance 50] [--tries 3] [--tools 100000]
 *
 * Two gateways run at once: one has the quiet server alone, the other has the neighbours of the row as well. Calls are made
 * one at a time, to one gateway and the other in turns. `wait` is what the client saw; `net` leaves out the time in which
 * the main thread of the gateway or this program was ready to run but the system ran something else (/proc/PID/schedstat,
 * Linux; elsewhere it is the same as `wait`): on a machine with as many floods as processors that is most of it. `loop` is
 * the largest delay of the gateway's event loop in /stats, such times included.
 *
 * A row is late when its largest `net` wait exceeds the largest one of the gateway without neighbours by more than the
 * tolerance. A late row is measured again, up to `--tries` times: noise does not come back, a held-up loop does. Exits
 * with 1 when a row stays late. Flooding servers run at the lowest priority.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startGateway } from '../test/support/gateway.js';
import { eventually, startProcess, type TestScope } from '../test/support/process.js';
import { modernRpc } from '../test/support/rpc.js';
import { quantile } from './statistics.js';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
    tolerance: { type: 'string', default: '50' },
    tries: { type: 'string', default: '3' },
    tools: { type: 'string', default: '100000' },
  },
});
const SECONDS = Number(values.seconds);
const TOLERANCE = Number(values.tolerance);
const TRIES = Number(values.tries);
const TOOLS = Number(values.tools);
/** Between two calls, so that the quiet server does not keep the gateway busy. */
const PAUSE_MS = 2;

const program = fileURLToPath(new URL('../test/support/flooding-server.js', import.meta.url));
const LOWEST = ['--nice', '19'];

interface Upstream {
  readonly entry: object;
}

/** A server that answers at once. */
async function quiet(scope: TestScope): Promise<Upstream> {
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const { id, method, params } = body === '' ? ({} as Record<string, never>) : JSON.parse(body);
    if (id === undefined) {
      response.writeHead(request.method === 'POST' ? 202 : 405).end();
      return;
    }
    const results: Record<string, object> = {
      initialize: {
        protocolVersion: params?.protocolVersion,
        capabilities: { tools: {} },
        serverInfo: { name: 'quiet', version: '1' },
      },
      'tools/list': { tools: [{ name: 'call', inputSchema: { type: 'object' } }] },
      'tools/call': { content: [] },
    };
    const result = results[method];
    const outcome = result === undefined ? { error: { code: -32_601, message: 'unknown' } } : { result };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ jsonrpc: '2.0', id, ...outcome }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  scope.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { entry: { url: `http://127.0.0.1:${(server.address() as { port: number }).port}/mcp` } };
}

/** A server that floods, over any transport. */
async function flooding(scope: TestScope, transport: string, args: readonly string[]): Promise<Upstream> {
  if (transport === 'stdio') {
    return { entry: { command: process.execPath, args: [program, transport, ...LOWEST, ...args] } };
  }
  const running = startProcess(scope, process.execPath, [program, transport, ...LOWEST, ...args]);
  const [, url] = await running.waitForLine(/^listening on http:\/\/(\S+)/);
  const paths: Record<string, string> = {
    http: `http://${url}/mcp`,
    sse: `http://${url}/sse`,
    websocket: `ws://${url}`,
  };
  const transports: Record<string, object> = { sse: { transport: 'sse' } };
  return { entry: { url: paths[transport], ...transports[transport] } };
}

interface Measured {
  readonly url: string;
  readonly pid: number;
  readonly waits: number[];
  readonly net: number[];
}

/** Time in which the main thread of a process was ready but did not run, in ms (Linux, documentation of sched-stats). */
function heldBack(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'latin1').split(' ')[1]) / 1e6;
  } catch {
    return 0;
  }
}

async function call(url: string): Promise<void> {
  const { message } = await modernRpc(url, 'tools/call', { name: 'quiet__call', arguments: {} });
  if (message?.result === undefined) throw new Error(`the quiet server did not answer: ${JSON.stringify(message)}`);
}

async function measureCall({ url, pid, waits, net }: Measured): Promise<void> {
  const before = heldBack(pid) + heldBack(process.pid);
  const began = performance.now();
  await call(url);
  const took = performance.now() - began;
  waits.push(took);
  net.push(Math.max(0, took - (heldBack(pid) + heldBack(process.pid) - before)));
}

/** Calls one at a time, to each in turn, until `until` resolves. */
async function measure(all: readonly Measured[], until: Promise<unknown>): Promise<void> {
  let over = false;
  void until.then(() => {
    over = true;
  });
  do {
    for (const one of all) {
      await measureCall(one);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  } while (!over);
}

function at(values: readonly number[], share: number): number {
  return quantile(
    [...values].sort((a, b) => a - b),
    share,
  );
}

const seconds = (count: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, count * 1000));

// biome-ignore lint/suspicious/noExplicitAny: a document of the gateway
async function stats(adminUrl: string): Promise<any> {
  return (await fetch(`${adminUrl}/stats`)).json();
}

interface Row {
  readonly name: string;
  /** Further servers by name. */
  neighbours(scope: TestScope): Promise<Record<string, Upstream>>;
  /** What goes on while calls are measured; default: the seconds of the command line. */
  meanwhile?(gateway: { url: string; adminUrl: string }): Promise<unknown>;
}

const one =
  (transport: string, ...args: string[]) =>
  async (scope: TestScope) => ({ loud: await flooding(scope, transport, args) });

const settled = async (adminUrl: string, tools: number): Promise<void> => {
  await eventually('the large list', async () => (await stats(adminUrl)).catalog.tools > tools, 120_000);
  await seconds(0.5);
};

const ROWS: readonly Row[] = [
  { name: 'http: log messages on its stream', neighbours: one('http', '--send', 'log') },
  { name: 'http: list changes on its stream', neighbours: one('http', '--send', 'list') },
  { name: 'http: sampling requests on its stream', neighbours: one('http', '--send', 'request') },
  {
    name: 'http: progress on the streams of 4 calls',
    neighbours: one('http', '--send', 'none'),
    async meanwhile({ url }) {
      const stop = new AbortController();
      const params = { name: 'loud__stream', arguments: {} };
      for (let index = 0; index < 4; index += 1) {
        modernRpc(url, 'tools/call', params, { signal: stop.signal }).catch(() => {});
      }
      await seconds(SECONDS);
      stop.abort();
    },
  },
  { name: 'stdio: log messages', neighbours: one('stdio', '--send', 'log') },
  { name: 'stdio: answers to no request', neighbours: one('stdio', '--send', 'unknown') },
  { name: 'stdio: list changes', neighbours: one('stdio', '--send', 'list') },
  { name: 'stdio: resource updates', neighbours: one('stdio', '--send', 'resource') },
  { name: 'stdio: sampling requests', neighbours: one('stdio', '--send', 'request') },
  { name: 'stdio: lines on standard error', neighbours: one('stdio', '--send', 'stderr') },
  { name: 'websocket: log messages', neighbours: one('websocket', '--send', 'log') },
  { name: 'sse: log messages', neighbours: one('sse', '--send', 'log') },
  {
    name: 'ten at once over all transports',
    async neighbours(scope) {
      const kinds = ['http', 'http', 'http', 'stdio', 'stdio', 'stdio', 'websocket', 'websocket', 'sse', 'sse'];
      const loud: Record<string, Upstream> = {};
      for (const [index, kind] of kinds.entries()) {
        loud[`loud${index}`] = await flooding(scope, kind, ['--send', 'log']);
      }
      return loud;
    },
  },
  {
    name: 'http: 100,000 tools on one page, at the start',
    neighbours: one('http', '--send', 'none', '--tools', String(TOOLS)),
    meanwhile: ({ adminUrl }) => settled(adminUrl, TOOLS),
  },
  {
    name: 'http: 100,000 tools in pages, at the start',
    neighbours: one('http', '--send', 'none', '--tools', String(TOOLS), '--page', '1000'),
    meanwhile: ({ adminUrl }) => settled(adminUrl, TOOLS),
  },
  {
    name: 'stdio: 20,000 tools on one page, at the start',
    neighbours: one('stdio', '--send', 'none', '--tools', '19000'),
    meanwhile: ({ adminUrl }) => settled(adminUrl, 19_000),
  },
  {
    name: 'http: 100,000 tools that change',
    neighbours: one('http', '--send', 'none', '--tools', String(TOOLS)),
    async meanwhile({ url, adminUrl }) {
      await settled(adminUrl, TOOLS);
      const { version } = (await stats(adminUrl)).catalog;
      await modernRpc(url, 'tools/call', { name: 'loud__change', arguments: {} });
      await eventually('the changed list', async () => (await stats(adminUrl)).catalog.version > version, 120_000);
      await seconds(0.5);
    },
  },
];

function line(name: string, { waits, net }: Measured, loop: number): string {
  const figures = (values: readonly number[]): string =>
    [0.5, 0.99, 1].map((share) => ms(at(values, share)).padStart(9)).join(' ');
  return `  ${name} ${String(waits.length).padStart(6)} calls  wait ${figures(waits)}  net ${figures(net)}  loop ${ms(loop).padStart(9)}`;
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}

async function loopDelay(adminUrl: string): Promise<number> {
  return (await stats(adminUrl)).process.loopDelayUs.max / 1000;
}

/** @returns whether the row is in time */
async function run(row: Row): Promise<boolean> {
  const cleanups: (() => unknown)[] = [];
  const scope = { after: (work: () => unknown) => void cleanups.push(work) };
  const loud = await row.neighbours(scope);
  const servers = { quiet: (await quiet(scope)).entry };
  const settings = { limits: { maxTools: 200_000 }, catalog: { startupWaitMs: 0, pageSize: 1_000 } };
  const entries = Object.fromEntries(Object.entries(loud).map(([name, { entry }]) => [name, entry]));
  const quietly = await startGateway(scope, { ...settings, mcpServers: servers });
  await ready(quietly.url);
  const gateway = await startGateway(scope, { ...settings, mcpServers: { ...servers, ...entries } });
  const alone: Measured = { url: quietly.url, pid: quietly.process.pid, waits: [], net: [] };
  const beside: Measured = { url: gateway.url, pid: gateway.process.pid, waits: [], net: [] };
  await ready(gateway.url);
  await measure([alone, beside], row.meanwhile?.(gateway) ?? seconds(SECONDS));
  const late = at(beside.net, 1) - at(alone.net, 1) > TOLERANCE;
  console.log(line('alone ', alone, await loopDelay(quietly.adminUrl)));
  console.log(`${line('beside', beside, await loopDelay(gateway.adminUrl))}${late ? '  LATE' : ''}`);
  for (const cleanup of cleanups.reverse()) await cleanup();
  return !late;
}

/** The quiet server is listed and has answered a few calls. */
async function ready(url: string): Promise<void> {
  const answered = (): Promise<boolean> =>
    call(url).then(
      () => true,
      () => false,
    );
  await eventually('the quiet server', answered, 30_000);
  for (let index = 0; index < 20; index += 1) await answered();
}

console.log('p50, p99 and max of each:');
let good = true;
for (const row of ROWS.filter(({ name }) => name.includes(values.only))) {
  console.log(row.name);
  let inTime = false;
  for (let attempt = 0; attempt < TRIES && !inTime; attempt += 1) inTime = await run(row);
  good &&= inTime;
}
process.exit(good ? 0 : 1);
