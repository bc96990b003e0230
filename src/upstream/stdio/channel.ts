import type { StdioEndpointSnapshot } from '../../config/snapshot/index.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { Bytes } from '../../units.js';
import type { Channel, ChannelListener } from '../channel/index.js';
import { LineWriter } from '../channel/line-writer.js';
import { type LineListener, LineSplitter } from '../channel/lines.js';
import { PipeReader } from '../channel/pipe-reader.js';
import type { SkippedMessage } from '../channel/skipped-message.js';
import type { EndpointContext } from '../core/endpoint.js';
import { childEnvironment } from './environment.js';
import { StdioProcess, type StdioProcessListener } from './process.js';
import { type ErrorLineListener, ErrorLines } from './stderr.js';

/** A child's standard input and output, one message a line (MCP, stdio). One for each child, owned by its endpoint. */
export class StdioChannel implements Channel, StdioProcessListener, LineListener {
  readonly #listener: ChannelListener;
  readonly #process: StdioProcess;
  readonly #writer: LineWriter;
  readonly #splitter: LineSplitter;
  readonly #output: PipeReader;
  readonly #errorOutput: PipeReader;
  readonly #errorLines: ErrorLines;

  /**
   * Starts the child.
   *
   * @throws Error when the system rejects the command, for instance because of a null byte in an argument
   */
  constructor(
    config: StdioEndpointSnapshot,
    { config: gateway, turns, table, stopGraceMs }: EndpointContext,
    listener: ChannelListener,
    errorLines: ErrorLineListener,
  ) {
    const { command, args, env, cwd } = config;
    this.#listener = listener;
    this.#process = new StdioProcess(
      { command, args, env: childEnvironment(process.env, env), cwd },
      stopGraceMs,
      this,
    );
    this.#writer = new LineWriter(this.#process.stdin, gateway.current.limits.maxPipeBytes);
    this.#output = new PipeReader(this.#process.stdout, turns);
    this.#splitter = new LineSplitter(gateway.current.limits.maxLineBytes, table.budget, this, this.#output.share);
    this.#output.attach(this.#splitter);
    this.#errorOutput = new PipeReader(this.#process.stderr, turns);
    this.#errorLines = new ErrorLines(errorLines, this.#errorOutput.share);
    this.#errorOutput.attach(this.#errorLines);
    // The pipe accepts messages before the child reads.
    process.nextTick(() => listener.opened());
  }

  get pid(): number {
    return this.#process.pid;
  }

  get queued(): Bytes {
    return this.#writer.queued;
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

  output(chunk: Buffer): void {
    this.#output.add(chunk);
  }

  errorOutput(chunk: Buffer): void {
    this.#errorOutput.add(chunk);
  }

  exited(reason: string): void {
    this.#writer.close();
    this.#errorOutput.end(() => this.#errorLines.end());
    this.#output.end(() => {
      this.#splitter.end();
      this.#listener.closed(reason);
    });
  }

  line(bytes: Buffer): void {
    this.#listener.message(bytes, bytes.length);
  }

  lineSkipped(line: SkippedMessage): void {
    this.#listener.skipped(line);
  }

  lineEndless(): void {
    this.#listener.messageEndless();
  }
}
