import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';

import type { Readable, Writable } from 'node:stream';
import { fallbackWatcher, launcherPath } from '../../../native/index.js';
import type { Milliseconds } from '../../units.js';
import { NOT_FOUND } from './program.js';

/** The command to run. */
export interface StdioCommand {
  readonly command: string;
  readonly args: readonly string[];
  /** The whole environment. */
  readonly env: Record<string, string>;
  readonly cwd: string | null;
}

/** What a child's output and end are reported to: its channel. */
export interface StdioProcessListener {
  output(chunk: Buffer): void;
  errorOutput(chunk: Buffer): void;
  /** The last report: it has ended or could not be started. `reason` is a clause without the command's arguments. */
  exited(reason: string): void;
}

/** The descriptor of the pipe whose end tells the launcher that the gateway has ended. */
const LIFELINE = 3;

/** Time to read the pipes after the child has ended; a grandchild may keep them open. */
const LAST_OUTPUT_MS = 50;
/** Most repetitions of that time while the output is paused in favour of other sources. */
const LAST_OUTPUT_TURNS = 20;

/**
 * One child in a process group of its own, started without a shell. It does not outlive the gateway: the launcher
 * (native/launcher.ts) ends it, or where that is not built a watcher process (native/launcher-fallback.ts). Owned by the
 * channel.
 */
export class StdioProcess {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #watcher: ChildProcess | null;
  readonly #launched: boolean;
  readonly #graceMs: Milliseconds;
  readonly #exited: Promise<void>;
  #ended = false;

  /**
   * @param graceMs time between the steps of {@link stop}
   * @param launcher path of the launcher; null = the watcher
   */
  constructor(
    command: StdioCommand,
    graceMs: Milliseconds,
    listener: StdioProcessListener,
    launcher: string | null = launcherPath(),
  ) {
    this.#graceMs = graceMs;
    this.#launched = launcher !== null;
    const options: SpawnOptions = { env: command.env, detached: true, windowsHide: true };
    if (command.cwd !== null) options.cwd = command.cwd;
    if (launcher !== null) {
      options.stdio = ['pipe', 'pipe', 'pipe', 'pipe'];
      const guarded = ['-g', String(Math.min(Math.ceil(graceMs), 60_000)), String(LIFELINE)];
      this.#child = spawn(launcher, [...guarded, command.command, ...command.args], options);
    } else {
      options.stdio = ['pipe', 'pipe', 'pipe'];
      this.#child = spawn(command.command, command.args, options);
    }
    this.pid = this.#child.pid ?? -1;
    this.#watcher = launcher === null && this.pid > 1 ? watch(this.pid, graceMs) : null;
    let settle = (): void => {};
    this.#exited = new Promise((resolve) => {
      settle = resolve;
    });
    const ended = (reason: string): void => {
      if (this.#ended) return;
      this.#ended = true;
      // Ends the rest of its group; the launcher does that by itself.
      if (!this.#launched) this.#signalGroup('SIGKILL');
      this.#watcher?.stdin?.end('\n');
      for (const stream of this.#child.stdio) stream?.destroy();
      settle();
      listener.exited(reason);
    };
    this.#child.stdout?.on('data', (chunk: Buffer) => {
      if (!this.#ended) listener.output(chunk);
    });
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      if (!this.#ended) listener.errorOutput(chunk);
    });
    // A pipe breaks when the child ends, which is reported by `exit`.
    for (const stream of this.#child.stdio) stream?.on('error', () => {});
    this.#child.once('error', (error: NodeJS.ErrnoException) => ended(`cannot be started (${error.code ?? 'error'})`));
    let exit = 'ended';
    this.#child.once('exit', (code, signal) => {
      exit = describeExit(code, signal, this.#launched);
      let turns = 0;
      const timer = setInterval(() => {
        turns += 1;
        if (!this.#ended && turns < LAST_OUTPUT_TURNS && this.stdout.isPaused()) return;
        clearInterval(timer);
        ended(exit);
      }, LAST_OUTPUT_MS);
    });
    this.#child.once('close', () => ended(exit));
  }

  get stdin(): Writable {
    return this.#child.stdin as Writable;
  }

  get stdout(): Readable {
    return this.#child.stdout as Readable;
  }

  get stderr(): Readable {
    return this.#child.stderr as Readable;
  }

  /** Closes its input, waits, sends SIGTERM to the group, waits, sends SIGKILL. Settles when the child has exited. */
  async stop(): Promise<void> {
    if (this.#ended || this.pid < 0) return;
    this.#child.stdin?.end();
    if (await this.#exitedWithin(this.#graceMs)) return;
    await this.terminate();
  }

  /** Like {@link stop}, without waiting for the child to notice the end of its input. */
  async terminate(): Promise<void> {
    if (this.#ended || this.pid < 0) return;
    if (this.#launched) {
      // The launcher forwards it, and kills the rest of the group after the grace time.
      this.#child.kill('SIGTERM');
      if (await this.#exitedWithin(this.#graceMs + 2_000)) return;
      this.#child.kill('SIGKILL');
    } else {
      this.#signalGroup('SIGTERM');
      if (await this.#exitedWithin(this.#graceMs)) return;
      this.#signalGroup('SIGKILL');
    }
    await this.#exited;
  }

  #signalGroup(signal: NodeJS.Signals): void {
    if (this.pid <= 1) return;
    try {
      process.kill(-this.pid, signal);
    } catch {
      // The group is empty.
    }
  }

  async #exitedWithin(ms: Milliseconds): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), ms);
    });
    const hasExited = await Promise.race([this.#exited.then(() => true), late]);
    clearTimeout(timer);
    return hasExited;
  }
}

function watch(group: number, graceMs: Milliseconds): ChildProcess {
  const { command, args } = fallbackWatcher(group, graceMs / 1_000);
  const watcher = spawn(command, args, { detached: true, stdio: ['pipe', 'ignore', 'ignore'], env: {} });
  watcher.once('error', () => {});
  watcher.stdin.on('error', () => {});
  watcher.unref();
  (watcher.stdin as unknown as { unref(): void }).unref();
  return watcher;
}

function describeExit(code: number | null, signal: NodeJS.Signals | null, launched: boolean): string {
  if (signal !== null) return `ended by ${signal}`;
  if (launched && code === 127) return NOT_FOUND;
  if (launched && code !== null && code > 128) return `ended by signal ${code - 128}`;
  return `exited with code ${code}`;
}
