import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Anything that runs clean-up work when a test ends: a node:test context, or `{ after }` of node:test in a suite. */
export interface TestScope {
  after(work: () => unknown): void;
}

/** A child process whose output is captured while it runs. */
export interface RunningProcess {
  readonly child: ChildProcess;
  readonly pid: number;
  /** Everything written so far to standard output (the last MiB). */
  readonly stdout: string;
  /** Everything written so far to standard error (the last MiB). */
  readonly stderr: string;
  /** Both streams in order of arrival (the last MiB). */
  readonly output: string;
  /** Settles when the process has ended and its output is complete; never rejects. */
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /**
   * Waits for a line of either stream that matches.
   * @throws when the process ends or `timeoutMs` (default 20,000) passes before; the message holds the output.
   */
  waitForLine(pattern: RegExp, timeoutMs?: number): Promise<RegExpMatchArray>;
  /** Sends a signal (default SIGTERM), waits for the end, and SIGKILLs after `graceMs` (default 10,000). */
  stop(signal?: NodeJS.Signals, graceMs?: number): Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

const KEPT_OUTPUT = 1024 * 1024;

/** A port that was free on 127.0.0.1 a moment ago. Prefer port 0 where the program prints what it got. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** A new temporary folder, removed with its content when the test ends. */
export async function tempFolder(scope: TestScope): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'switchyard-'));
  // Retried, since a process that is being stopped may write its state meanwhile.
  scope.after(() => rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 }));
  return folder;
}

/** Waits until `condition` gives something truthy, asking every 20 ms. Rejects after `timeoutMs` (default 10,000). */
export async function eventually<T>(
  what: string,
  condition: () => T | Promise<T>,
  timeoutMs = 10_000,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value) return value as NonNullable<T>;
    if (performance.now() > deadline) throw new Error(`${what}: did not happen within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Whether a process with this id exists (a zombie that nobody has waited for counts as gone). */
export async function isAlive(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  if (process.platform !== 'linux') return true;
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return stat !== '' && !/^\d+ \(.*\) Z/s.test(stat);
}

/** Starts a program and captures its output; the program is killed when the test ends. */
export function startProcess(
  scope: TestScope,
  command: string,
  args: readonly string[],
  options: { env?: Record<string, string | undefined>; cwd?: string; input?: string } = {},
): RunningProcess {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env } as NodeJS.ProcessEnv,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  let output = '';
  const watchers = new Set<() => void>();
  const notify = (): void => {
    for (const watcher of watchers) watcher();
  };
  const keep = (text: string): string => (text.length > KEPT_OUTPUT ? text.slice(-KEPT_OUTPUT) : text);
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout = keep(stdout + text);
    output = keep(output + text);
    notify();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = keep(stderr + text);
    output = keep(output + text);
    notify();
  });
  // A program that exits at once breaks the pipe of its standard input; that is the program's affair.
  child.stdin.on('error', () => {});
  if (options.input !== undefined) child.stdin.end(options.input);

  let ended = false;
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once('error', (error) => {
      output = keep(`${output}${error.message}\n`);
      ended = true;
      resolve({ code: null, signal: null });
      notify();
    });
    child.once('close', (code, signal) => {
      ended = true;
      resolve({ code, signal });
      notify();
    });
  });

  const stop: RunningProcess['stop'] = async (signal = 'SIGTERM', graceMs = 10_000) => {
    if (ended) return exited;
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
    const result = await exited;
    clearTimeout(timer);
    return result;
  };
  scope.after(() => stop('SIGKILL'));

  return {
    child,
    pid: child.pid ?? -1,
    get stdout() {
      return stdout;
    },
    get stderr() {
      return stderr;
    },
    get output() {
      return output;
    },
    exited,
    stop,
    waitForLine(pattern, timeoutMs = 20_000) {
      const flags = pattern.flags.includes('m') ? pattern.flags : `${pattern.flags}m`;
      const perLine = new RegExp(pattern.source, flags.replace('g', ''));
      return new Promise((resolve, reject) => {
        const finish = (error?: Error, match?: RegExpMatchArray): void => {
          clearTimeout(timer);
          watchers.delete(look);
          if (match) resolve(match);
          else reject(error);
        };
        const look = (): void => {
          const match = stdout.match(perLine) ?? stderr.match(perLine);
          if (match) finish(undefined, match);
          else if (ended) finish(new Error(`${command} ended before ${pattern} appeared; its output:\n${output}`));
        };
        const timer = setTimeout(
          () => finish(new Error(`${pattern} did not appear within ${timeoutMs} ms; output so far:\n${output}`)),
          timeoutMs,
        );
        watchers.add(look);
        look();
      });
    },
  };
}
