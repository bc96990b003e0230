import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

/** Kernel clock ticks a second of /proc/PID/stat: 100 on every Linux that Node runs on (proc(5), USER_HZ). */
const TICKS_PER_SECOND = 100;
const PAGE_BYTES = 4096;

/** A process that was started and is ready. */
export interface Started {
  readonly pid: number;
  /** The first group of the readiness pattern in its output; empty after waiting for a port. */
  readonly announced: string;
  stop(): Promise<void>;
}

export interface StartOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  /** Pattern of the line of stdout or stderr that means that the process is ready, or the local port that it will open. */
  readonly ready: RegExp | number;
  /** How long to wait for that; default 20 s. */
  readonly timeoutMs?: number;
}

/** Processes that have not ended; they are ended with this process. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  // Not KILL: nginx would leave its worker behind.
  for (const child of running) child.kill('SIGTERM');
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

function portOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** Starts a process and waits until it is ready. Rejects with the end of its output when it ends first. */
export async function start(options: StartOptions): Promise<Started> {
  const spawning: SpawnOptions = { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...options.env } };
  if (options.cwd !== undefined) spawning.cwd = options.cwd;
  const child = spawn(options.command, options.args, spawning);
  running.add(child);
  const over = new Promise<void>((resolve) => {
    child.once('exit', () => {
      running.delete(child);
      resolve();
    });
  });
  const tail: string[] = [];
  let announced: string | undefined;
  let failure = '';
  child.once('error', (error) => {
    failure = error.message;
  });
  for (const stream of [child.stdout!, child.stderr!]) {
    createInterface({ input: stream }).on('line', (line) => {
      if (announced !== undefined) return;
      tail.push(line);
      if (tail.length > 30) tail.shift();
      if (typeof options.ready === 'number') return;
      const match = options.ready.exec(line);
      if (match !== null) announced = match[1] ?? '';
    });
  }
  const deadline = Date.now() + (options.timeoutMs ?? 20_000);
  while (announced === undefined) {
    if (child.exitCode !== null || child.signalCode !== null)
      failure = `ended with ${child.exitCode ?? child.signalCode}`;
    if (Date.now() > deadline) failure = 'not ready in time';
    if (failure !== '') {
      child.kill('SIGKILL');
      throw new Error(`${options.command} ${options.args.join(' ')}: ${failure}\n${tail.join('\n')}`);
    }
    if (typeof options.ready === 'number' && (await portOpen(options.ready))) announced = '';
    else await sleep(20);
  }
  return {
    pid: child.pid!,
    announced,
    async stop() {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
      await over;
      clearTimeout(timer);
    },
  };
}

/** CPU and memory of a process tree at one moment. */
export interface TreeUse {
  /** User and system time of all threads, seconds since each process started. */
  readonly cpuSeconds: number;
  readonly rssBytes: number;
}

interface ProcessStat {
  readonly parent: number;
  readonly cpuSeconds: number;
  readonly rssBytes: number;
}

function readStat(pid: number): ProcessStat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  // The command in parentheses may itself hold parentheses and spaces: fields are counted behind the last one.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return {
    parent: Number(fields[1]),
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND,
    rssBytes: Number(fields[21]) * PAGE_BYTES,
  };
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

/**
 * Sums the use of a process and all its descendants.
 *
 * @param upstream marks command lines of upstream processes; they and what they start are summed apart
 */
export function treeUse(root: number, upstream?: RegExp): { relay: TreeUse; children: TreeUse } {
  const stats = new Map<number, ProcessStat>();
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    const stat = readStat(pid);
    if (stat !== undefined) stats.set(pid, stat);
  }
  const relay = { cpuSeconds: 0, rssBytes: 0 };
  const children = { cpuSeconds: 0, rssBytes: 0 };
  const add = (pid: number, isChild: boolean): void => {
    const stat = stats.get(pid);
    if (stat === undefined) return;
    // A launcher carries its child's command line in its own: only a node process is the upstream itself.
    const line = upstream === undefined || isChild ? '' : commandLine(pid);
    const belongs =
      isChild || (upstream !== undefined && pid !== root && /^\S*node /.test(line) && upstream.test(line));
    const sum = belongs ? children : relay;
    sum.cpuSeconds += stat.cpuSeconds;
    sum.rssBytes += stat.rssBytes;
    for (const [other, { parent }] of stats) if (parent === pid) add(other, belongs);
  };
  add(root, false);
  return { relay, children };
}

/** CPU seconds of the children that this process has waited for, since it started (proc(5): cutime, cstime). */
export function waitedCpuSeconds(): number {
  const text = readFileSync('/proc/self/stat', 'latin1');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[13]) + Number(fields[14])) / TICKS_PER_SECOND;
}

/** Busy CPU seconds of the whole machine since it started, all CPUs added. */
export function machineCpuSeconds(): number {
  const [, user, nice, system, , , irq, softirq] = readFileSync('/proc/stat', 'latin1')
    .split('\n', 1)
    .join('')
    .split(/\s+/);
  return (Number(user) + Number(nice) + Number(system) + Number(irq) + Number(softirq)) / TICKS_PER_SECOND;
}
