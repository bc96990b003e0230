import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cliPath } from '../support/gateway.js';
import { startProcess, type TestScope, tempFolder } from '../support/process.js';

/** What a command that has ended left behind. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Record<string, string | undefined>;
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

/** A file in a folder of its own. */
export async function fileWith(scope: TestScope, name: string, text: string): Promise<string> {
  const file = join(await tempFolder(scope), name);
  await writeFile(file, text);
  return file;
}
