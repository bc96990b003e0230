/**
 * What clients get at once and three times the capacity, with the overload guard and without it.
 *
 *     npm run bench:overload -- [--seconds 8] [--factors 1,3] [--padding 17000] [--events 0] [--connections 2000] [--delay 30]
 *                               [--share 0]
 *
 * The capacity is what 64 connections get that call as fast as they are answered. Then calls begin at a fixed rate, whatever
 * becomes of those before (open loop): each takes a free connection; where all are waiting, it counts as not sent. Goodput is answers
 * with a result within `--patience` ms (default 1,000) of the time at which the call should have begun, since clients give up. The first
 * third of a run is not counted.
 *
 * Where the client and the upstream share the processors with the gateway, these rates say little, unless the gateway is given only a `--share` of
 * one of them (0 to 1, 0 = all it can get; Linux control groups, as root), so that the others are fast enough for it. What does not depend on that is the processor time of
 * the gateway for one call and for one refusal, from which follows how many calls fit beside the refusals: at F times the
 * capacity, with a refusal that costs the part c of a call, (1 - F * c) / (1 - c) of the capacity. That the guard admits nearly so many is shown by
 * a simulation without other processes (test/request/overload/guard.test.ts). "Not sent" means that the client itself was too slow.
 */
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startGateway } from '../test/support/gateway.js';
import { eventually, startProcess, type TestScope } from '../test/support/process.js';
import { type Message, openSession } from '../test/support/rpc.js';
import { quantile } from './statistics.js';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '8' },
    factors: { type: 'string', default: '1,3' },
    padding: { type: 'string', default: '17000' },
    events: { type: 'string', default: '0' },
    connections: { type: 'string', default: '2000' },
    patience: { type: 'string', default: '1000' },
    delay: { type: 'string', default: '30' },
    share: { type: 'string', default: '0' },
  },
});
const SECONDS = Number(values.seconds);
const CONNECTIONS = Number(values.connections);
const PATIENCE_MS = Number(values.patience);
const TICK_MS = 2;
const SHARE = Number(values.share);
/** Period of the share of processor time: short, since the gateway stands still for the rest of it; the part has to be 1 ms at least. */
const PERIOD_US = 5_000;

/** What one run has counted. */
interface Counts {
  readonly good: number[];
  readonly refused: number[];
  late: number;
  failed: number;
  notSent: number;
}

/** One connection with at most one call. */
class Connection {
  readonly socket: Socket;
  readonly #done: (status: number) => void;
  #head = '';
  #left = 0;
  #isChunked = false;
  #status = 0;

  constructor(port: number, done: (connection: Connection, status: number) => void) {
    this.#done = (status) => done(this, status);
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.socket.on('error', () => this.socket.destroy());
    this.socket.on('close', () => this.#done(0));
    this.socket.on('data', (bytes) => this.#read(bytes));
  }

  #read(bytes: Buffer): void {
    let from = 0;
    if (this.#status === 0) {
      this.#head += bytes.toString('latin1');
      const end = this.#head.indexOf('\r\n\r\n');
      if (end < 0) return;
      from = bytes.length - (this.#head.length - end - 4);
      const head = this.#head.slice(0, end);
      this.#status = Number(head.slice(9, 12));
      this.#isChunked = /transfer-encoding: chunked/i.test(head);
      this.#left = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
    }
    this.#left -= bytes.length - from;
    const isDone = this.#isChunked ? bytes.subarray(-5).toString('latin1') === '0\r\n\r\n' : this.#left <= 0;
    if (!isDone) return;
    const status = this.#status;
    this.#status = 0;
    this.#head = '';
    this.#done(status);
  }
}

/** Calls at `rate` a second, or (0) each connection at once after its answer. */
async function drive(
  port: number,
  request: Buffer,
  connections: number,
  rate: number,
  seconds: number,
): Promise<Counts> {
  const counts: Counts = { good: [], refused: [], late: 0, failed: 0, notSent: 0 };
  const began = new Map<Connection, number>();
  const idle: Connection[] = [];
  let isCounting = rate === 0;
  let isOver = false;
  const send = (connection: Connection, at: number): void => {
    began.set(connection, at);
    connection.socket.write(request);
  };
  const done = (connection: Connection, status: number): void => {
    const at = began.get(connection);
    began.delete(connection);
    if (at === undefined) return;
    const took = performance.now() - at;
    if (isCounting && !isOver) {
      if (status === 503) counts.refused.push(took);
      else if (status !== 200) counts.failed += 1;
      else if (took > PATIENCE_MS) counts.late += 1;
      else counts.good.push(took);
    }
    if (isOver || status === 0) return;
    if (rate === 0) send(connection, performance.now());
    else idle.push(connection);
  };
  const all = Array.from({ length: connections }, () => new Connection(port, done));
  for (const { socket } of all) if (socket.connecting) await once(socket, 'connect');
  return new Promise((resolve) => {
    const start = performance.now();
    let sent = 0;
    if (rate === 0) for (const connection of all) send(connection, start);
    else idle.push(...all);
    const timer = setInterval(() => {
      const now = performance.now() - start;
      isCounting ||= now > (seconds * 1000) / 3;
      for (const due = rate === 0 ? 0 : Math.floor((now * rate) / 1000); sent < due; sent += 1) {
        const connection = idle.pop();
        if (connection === undefined) counts.notSent += isCounting ? 1 : 0;
        else send(connection, start + (sent * 1000) / rate);
      }
      if (now < seconds * 1000) return;
      clearInterval(timer);
      isOver = true;
      for (const { socket } of all) socket.destroy();
      resolve(counts);
    }, TICK_MS);
  });
}

/** Peak of the resident memory of a process, MiB (Linux, proc(5)). */
function peakMemory(pid: number): number {
  return Math.round(Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0) / 1024);
}

/**
 * Lets a process have a part of one processor's time.
 *
 * @throws Error when there are no control groups for that, or the rights are missing
 */
function restrict(scope: TestScope, pid: number, share: number): void {
  const isOne = existsSync('/sys/fs/cgroup/cgroup.controllers');
  const group = `/sys/fs/cgroup/${isOne ? '' : 'cpu/'}switchyard-bench-${pid}`;
  const quota = Math.round(PERIOD_US * share);
  mkdirSync(group);
  scope.after(() => rmdirSync(group));
  if (isOne) {
    writeFileSync(`${group}/cpu.max`, `${quota} ${PERIOD_US}`);
  } else {
    writeFileSync(`${group}/cpu.cfs_period_us`, String(PERIOD_US));
    writeFileSync(`${group}/cpu.cfs_quota_us`, String(quota));
  }
  writeFileSync(`${group}/cgroup.procs`, String(pid));
}

const endings: (() => unknown)[] = [];
const scope: TestScope = { after: (end) => void endings.unshift(end) };
const ms = (times: readonly number[], share: number): string =>
  times.length === 0
    ? '-'
    : `${quantile(
        [...times].sort((a, b) => a - b),
        share,
      ).toFixed(1)} ms`;

const upstream = startProcess(scope, process.execPath, [
  fileURLToPath(new URL('./upstreams/http.js', import.meta.url)),
  ...['--tools', '10', '--era', 'both', '--padding', values.padding, '--events', values.events],
]);
const [, upstreamPort] = await upstream.waitForLine(/listening on (\d+)/);
/** A gateway, and one call as bytes. */
async function target(overload: object) {
  const mcpServers = { up: { url: `http://127.0.0.1:${upstreamPort}/mcp` } };
  const gateway = await startGateway(scope, { mcpServers, overload });
  const stats = async (): Promise<Message> => (await fetch(`${gateway.adminUrl}/stats`)).json();
  await eventually('the upstream is listed', async () => (await stats()).catalog.tools > 0);
  if (SHARE > 0) restrict(scope, gateway.process.pid, SHARE);
  const session = await openSession(gateway.url);
  const params = '{"name":"up__echo","arguments":{"text":"x"},"_meta":{"progressToken":7}}';
  const body = `{"jsonrpc":"2.0","id":100001,"method":"tools/call","params":${params}}`;
  const head = Object.entries({
    host: `127.0.0.1:${gateway.port}`,
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'content-length': String(body.length),
    ...session.headers,
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  const request = Buffer.from(`POST /mcp HTTP/1.1\r\n${head.join('')}\r\n${body}`);
  const cpuMs = async (): Promise<number> => {
    const { cpuUserMs, cpuSystemMs } = (await stats()).process;
    return cpuUserMs + cpuSystemMs;
  };
  /** Calls as fast as they are answered. @returns answers a second, and processor time of the gateway for each in µs */
  const saturate = async (of: 'good' | 'refused') => {
    await drive(gateway.port, request, 64, 0, 2);
    const before = await cpuMs();
    const counts = await drive(gateway.port, request, 64, 0, SECONDS / 2);
    const spent = (await cpuMs()) - before;
    return { rate: counts[of].length / (SECONDS / 2), costUs: (spent * 1_000) / counts[of].length };
  };
  return { gateway, request, stats, saturate };
}

const print = (line: string): void => void process.stdout.write(`${line}\n`);

async function measureCosts(): Promise<void> {
  const calling = await target({});
  const call = await calling.saturate('good');
  await calling.gateway.stop();
  // Everything has more resident memory than one byte, so every call is refused.
  const refusing = await target({ maxMemoryBytes: 1, order: ['calls'] });
  const refusal = await refusing.saturate('refused');
  await refusing.gateway.stop();
  const part = refusal.costUs / call.costUs;
  const fits = Math.round((100 * (1 - 3 * part)) / (1 - part));
  print(
    `a call costs ${call.costUs.toFixed(1)} µs, a refusal ${refusal.costUs.toFixed(1)} µs (${Math.round(part * 100)} %):`,
  );
  print(`  at 3x the capacity ${fits} % of it fit beside the refusals`);
}

async function measureGoodput(enabled: boolean): Promise<void> {
  const { gateway, request, stats, saturate } = await target({ enabled, eventLoopDelayMs: Number(values.delay) });
  const { rate: peak } = await saturate('good');
  print(`guard ${enabled ? 'on' : 'off'}: capacity ${Math.round(peak)} calls/s`);
  for (const factor of values.factors.split(',').map(Number)) {
    const { good, refused, ...others } = await drive(gateway.port, request, CONNECTIONS, peak * factor, SECONDS);
    const each = (count: number): number => Math.round(count / ((SECONDS * 2) / 3));
    const share = Math.round((each(good.length) / peak) * 100);
    print(`  ${factor}x: goodput ${each(good.length)}/s (${share} %), p50 ${ms(good, 0.5)}, p99 ${ms(good, 0.99)}`);
    print(`      refused ${each(refused.length)}/s, p50 ${ms(refused, 0.5)}, p99 ${ms(refused, 0.99)}`);
    const rest = Object.entries(others).map(([name, count]) => `${name} ${each(count)}/s`);
    print(`      ${rest.join(', ')}; peak ${peakMemory(gateway.process.pid)} MiB`);
    await eventually('the gateway is idle', async () => (await stats()).requests.inFlight === 0, 30_000);
  }
  await gateway.stop();
}

await measureCosts();
await measureGoodput(true);
await measureGoodput(false);
for (const end of endings) await end();
process.exit(0);
