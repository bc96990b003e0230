import type { StdioEndpointSnapshot } from '../../config/snapshot.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { Bytes } from '../../units.js';
import type { Channel, ChannelListener } from '../channel/index.js';
import type { EndpointContext } from '../core/endpoint.js';
import { PacedInput, type ReadShare } from '../core/read-turns.js';
import { childEnvironment } from './environment.js';
import { LineSplitter } from './lines.js';
import { StdioProcess } from './process.js';
import { ErrorLines } from './stderr.js';
import { StdioWriter } from './writer.js';

/** A child's standard input and output, one message a line (MCP, stdio). */
export class StdioChannel implements Channel {
  readonly #process: StdioProcess;
  readonly #writer: StdioWriter;

  /**
   * Starts the child.
   *
   * @param errorLine receives what it writes to standard error (stdio-stderr.ts)
   * @throws what the system refuses outright, such as a null byte in an argument
   */
  constructor(
    config: StdioEndpointSnapshot,
    context: EndpointContext,
    listener: ChannelListener,
    errorLine: (text: () => string) => void,
  ) {
    const { command, args, env, cwd } = config;
    const output: PacedInput<Buffer> = new PacedInput(context.turns, {
      pause: () => this.#process.stdout.pause(),
      resume: () => this.#process.stdout.resume(),
      take: (chunk) => rest(chunk, splitter.feed(chunk), output.share),
    });
    const errorOutput: PacedInput<Buffer> = new PacedInput(context.turns, {
      pause: () => this.#process.stderr.pause(),
      resume: () => this.#process.stderr.resume(),
      take: (chunk) => rest(chunk, errors.feed(chunk), errorOutput.share),
    });
    const lines = {
      line: (bytes: Buffer) => listener.message(bytes, bytes.length),
      lineTooLong: () => listener.tooLong(),
      crowdedOut: () => listener.crowdedOut(),
    };
    const splitter = new LineSplitter(context.limits.maxLineBytes, context.table.budget, lines, output.share);
    const errors = new ErrorLines(errorLine, errorOutput.share);
    this.#process = new StdioProcess(
      { command, args, env: childEnvironment(process.env, env), cwd },
      context.stopGraceMs,
      {
        output: (chunk) => output.add(chunk),
        errorOutput: (chunk) => errorOutput.add(chunk),
        ended: (reason) => {
          this.#writer.close();
          output.end(() => {
            splitter.end();
            listener.ended(reason);
          });
        },
      },
    );
    this.#writer = new StdioWriter(this.#process.stdin, context.limits.maxPipeBytes);
    // The pipe takes messages before the child looks at it.
    process.nextTick(() => listener.opened());
  }

  get pid(): number {
    return this.#process.pid;
  }

  get queued(): Bytes {
    return this.#writer.queued;
  }

  get details(): Readonly<Record<string, unknown>> {
    return { pid: this.#process.pid };
  }

  write(message: Buffer, owner: Exchange | null): boolean {
    return this.#writer.write(message, owner);
  }

  withdraw(owner: Exchange): boolean {
    return this.#writer.withdraw(owner);
  }

  stop(): Promise<void> {
    return this.#process.stop();
  }

  terminate(): Promise<void> {
    return this.#process.terminate();
  }
}

/** What is left of a chunk of which so much was taken. */
function rest(chunk: Buffer, taken: number, share: ReadShare): Buffer | null {
  share.bytes(taken);
  return taken < chunk.length ? chunk.subarray(taken) : null;
}
