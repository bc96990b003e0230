import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cliPath } from '../support/gateway.js';
import { startProcess, type TestScope, tempFolder } from '../support/process.js';
import type { CommandLine, Outcome } from './command-lines.js';

/** What a command that has ended left behind. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Runs the command line to its end. */
export async function runCli(scope: TestScope, args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const child = startProcess(scope, process.execPath, [cliPath, ...args], {
    env: { NO_COLOR: undefined, FORCE_COLOR: undefined, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const { code } = await child.exited;
  return { code, stdout: child.stdout, stderr: child.stderr };
}

let runner: { readonly child: ChildProcess; readonly ended: Promise<Outcome> } | null = null;
let lastRun: Promise<unknown> = Promise.resolve();

/** What `switchyard` with these arguments prints, and its exit code; see {@link runHere}. */
async function runInRunner(line: CommandLine): Promise<Outcome> {
  if (runner === null) {
    const child = fork(fileURLToPath(new URL('./command-lines.js', import.meta.url)), {
      env: { ...process.env, NO_COLOR: '1' },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const ended = once(child, 'exit').then(([code]) => ({ code, stdout: '', stderr: 'the process has ended' }));
    runner = { child, ended };
  }
  const { child, ended } = runner;
  // The test file waits for it while it runs a command line; otherwise it ends with the test file.
  child.ref();
  child.channel?.ref();
  child.send(line);
  const answered = once(child, 'message').then(([outcome]) => outcome as Outcome);
  const outcome = await Promise.race([answered, ended]);
  child.unref();
  child.channel?.unref();
  return outcome;
}

/**
 * Runs a command line to its end in a process that the command lines of a test file share, one at a time: to start a process
 * takes most of the time of a short command. For commands that leave nothing open; {@link runCli} has a process of its own.
 */
export function runHere(args: readonly string[], { cwd = process.cwd(), env = {} }: RunOptions = {}): Promise<Outcome> {
  const run = lastRun.then(() => runInRunner({ args, cwd, env }));
  lastRun = run.catch(() => {});
  return run;
}

/** A file in a folder of its own. */
export async function fileWith(scope: TestScope, name: string, text: string): Promise<string> {
  const file = join(await tempFolder(scope), name);
  await writeFile(file, text);
  return file;
}
