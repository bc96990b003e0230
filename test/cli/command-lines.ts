/** A process that runs command lines one after the other; `runHere` of `support.ts` talks to it. */
import { maskWith } from '../../src/cli/console/print.js';
import { runCommandLine } from '../../src/cli/run.js';

/** One command line, as it arrives. */
export interface CommandLine {
  readonly args: readonly string[];
  readonly cwd: string;
  /** Variables beside those of the process. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** What it wrote, and how it ended. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Collects what is written to a stream. */
function capture(stream: NodeJS.WriteStream): () => string {
  const { write } = stream;
  let text = '';
  stream.write = ((part: string | Uint8Array) => {
    text += typeof part === 'string' ? part : Buffer.from(part).toString();
    return true;
  }) as typeof write;
  return () => {
    stream.write = write;
    return text;
  };
}

const variables = process.env;

process.on('message', async ({ args, cwd, env }: CommandLine) => {
  process.chdir(cwd);
  process.env = { ...variables, ...env };
  // As in a new process: no secrets of the command line before.
  maskWith({ mask: (text) => text });
  const stdout = capture(process.stdout);
  const stderr = capture(process.stderr);
  const code = await runCommandLine(args);
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.removeAllListeners(signal);
  process.send?.({ code, stdout: stdout(), stderr: stderr() } satisfies Outcome);
});
