/** The stdio transport: one client on a pair of pipes, one JSON-RPC message a line (MCP, stdio transport). */

import type { Readable, Writable } from 'node:stream';
import type { ErrorCode } from '../../../errors.js';
import { Composer } from '../../../protocol/composer.js';
import { flatten, LINE_END } from '../../../protocol/event-frames.js';
import type { Bytes, Milliseconds } from '../../../units.js';
import { Caller } from '../../exchange/caller.js';
import { Framing } from '../../exchange/index.js';
import type { ExchangeTable } from '../../exchange/table.js';
import type { FrontHandler } from '../http/handler.js';
import { ClientConnection, type ConnectionLimits } from './index.js';
import { MessageLines, type MessageLinesEvents } from './message-lines.js';
import type { ConnectionWire } from './wire.js';

export interface StdioConnectionOptions {
  /** Where the client's messages come from. */
  readonly input: Readable;
  /** Where messages to the client go; nothing else may be written there. */
  readonly output: Writable;
  readonly handler: FrontHandler;
  readonly table: ExchangeTable;
  /** `limits` of the snapshot. */
  readonly limits: ConnectionLimits & { readonly slowClientMs: Milliseconds; readonly drainMs: Milliseconds };
  /** The bearer token that the policy verifies for each message; default none. */
  readonly token?: string;
}

/** A client on stdio that is served. */
export interface StdioConnection {
  /**
   * Resolves when the connection has ended: its input ended and the requests before that are answered (within
   * `limits.drainMs`), its output failed, or {@link close} was called.
   */
  readonly ended: Promise<void>;
  /** Ends the connection at once; what is in flight is cancelled. The streams stay open. */
  close(): void;
}

const composer = new Composer();
/** How often a slow client is looked for. */
const SWEEP_MS: Milliseconds = 1000;
/** How often the end of all answers is looked for once the input has ended. */
const DRAIN_POLL_MS: Milliseconds = 5;

/** See {@link serveStdio}. Lines towards the client are written together once per turn of the event loop. */
class StdioClient implements StdioConnection, ConnectionWire, MessageLinesEvents {
  readonly framing = Framing.message;
  readonly ended: Promise<void>;
  readonly #input: Readable;
  readonly #output: Writable;
  readonly #limits: StdioConnectionOptions['limits'];
  readonly #connection: ClientConnection;
  readonly #lines: MessageLines;
  readonly #sweep: NodeJS.Timeout;
  #poll: NodeJS.Timeout | null = null;
  #inputEndedAt: Milliseconds = 0;
  #isCorked = false;
  #settle: () => void = () => {};

  constructor({ input, output, handler, table, limits, token = '' }: StdioConnectionOptions) {
    this.#input = input;
    this.#output = output;
    this.#limits = limits;
    this.ended = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.#connection = new ClientConnection({ wire: this, handler, table, limits, caller: Caller.ofToken(token) });
    this.#lines = new MessageLines(limits.maxBodyBytes, this, table.budget);
    this.#sweep = setInterval(() => {
      if (this.#connection.isStuck(performance.now(), limits.slowClientMs)) this.close();
    }, SWEEP_MS);
    this.#sweep.unref();
    input.on('data', this.#onData);
    input.on('end', this.#onEnd);
    input.on('close', this.#onEnd);
    // The listeners for errors stay: a late error of a closed connection ends nothing else.
    input.on('error', this.#onEnd);
    output.on('error', this.#onClose);
    output.on('close', this.#onClose);
  }

  close(): void {
    clearInterval(this.#sweep);
    if (this.#poll !== null) clearTimeout(this.#poll);
    this.#input.off('data', this.#onData);
    this.#input.off('end', this.#onEnd);
    this.#input.off('close', this.#onEnd);
    this.#output.off('close', this.#onClose);
    this.#lines.close();
    this.#connection.closed();
    this.#settle();
  }

  send(bytes: Uint8Array, start: number, end: number): void {
    const output = this.#output;
    if (!output.writable) return;
    composer.reset().range(bytes, start, end);
    flatten(composer, 0);
    const line = composer.put(LINE_END).take();
    if (!this.#isCorked) {
      this.#isCorked = true;
      output.cork();
      process.nextTick(this.#uncork);
    }
    output.write(line, this.#onWritten);
  }

  buffered(): Bytes {
    return this.#output.writableLength;
  }

  remoteAddress(): string {
    return '';
  }

  pause(): void {
    this.#input.pause();
  }

  resume(): void {
    if (this.#input.isPaused()) this.#input.resume();
  }

  line(bytes: Uint8Array, start: number, end: number): void {
    this.#connection.receive(bytes.subarray(start, end), end - start);
  }

  skipped(code: ErrorCode, id: Uint8Array): void {
    this.#connection.refuse(code, id);
  }

  /** Closes the connection once all answers are written, or after `limits.drainMs`. */
  #closeWhenDrained(): void {
    const isLate = performance.now() - this.#inputEndedAt >= this.#limits.drainMs;
    const isDrained = this.#connection.pending === 0 && this.#output.writableLength === 0;
    if (isDrained || isLate) this.close();
    else this.#poll = setTimeout(() => this.#closeWhenDrained(), DRAIN_POLL_MS);
  }

  readonly #onData = (chunk: Buffer | string): void => {
    this.#lines.feed(typeof chunk === 'string' ? Buffer.from(chunk) : chunk);
  };

  readonly #onEnd = (): void => {
    if (this.#inputEndedAt > 0) return;
    this.#inputEndedAt = performance.now();
    this.#lines.end();
    this.#connection.drain();
    this.#closeWhenDrained();
  };

  readonly #onClose = (): void => this.close();

  /** Not the event `drain` of the stream, which does not follow `maxClientBufferBytes`. */
  readonly #onWritten = (): void => {
    if (this.#output.writableLength === 0) this.#connection.drained();
  };

  readonly #uncork = (): void => {
    this.#isCorked = false;
    this.#output.uncork();
  };
}

/** Serves one client on a pair of streams. `input` is read from now on. */
export function serveStdio(options: StdioConnectionOptions): StdioConnection {
  return new StdioClient(options);
}
