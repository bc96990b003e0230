/** The stdio door: one client on a pair of pipes, one JSON-RPC message a line (MCP, stdio transport). */
import type { Readable, Writable } from 'node:stream';
import { Composer } from '../../../protocol/composer.js';
import { flatten, LINE_END } from '../../../protocol/event-frames.js';
import type { Milliseconds } from '../../../units.js';
import { Framing } from '../../exchange/index.js';
import type { ExchangeTable } from '../../exchange/table.js';
import type { FrontHandler } from '../http/handler.js';
import { ClientConnection, type ConnectionLimits, type ConnectionWire } from './index.js';
import { MessageLines } from './message-lines.js';

export interface StdioConnectionOptions {
  /** Where the client's messages come from. */
  readonly input: Readable;
  /** Where messages to the client go; nothing else may be written there. */
  readonly output: Writable;
  readonly handler: FrontHandler;
  readonly table: ExchangeTable;
  /** `limits` of the snapshot. */
  readonly limits: ConnectionLimits & { readonly slowClientMs: Milliseconds; readonly drainMs: Milliseconds };
  /** The bearer token that the client's messages are judged with; default none. */
  readonly token?: string;
}

/** A client on stdio that is served. */
export interface StdioConnection {
  /**
   * Resolves when the client is gone: its input ended and the requests before that are answered (within
   * `limits.drainMs`), its output broke, or {@link close} was called.
   */
  readonly ended: Promise<void>;
  /** Ends the connection at once; what is in flight is cancelled. The streams stay open. */
  close(): void;
}

const composer = new Composer();
const SWEEP_MS = 1000;
const END_LOOK_MS = 5;

/** Lines towards the client, written together once per turn of the loop. */
class StdioWire implements ConnectionWire {
  readonly framing = Framing.message;
  readonly #input: Readable;
  readonly #output: Writable;
  readonly #close: () => void;
  readonly #drained: () => void;
  #isCorked = false;

  constructor(input: Readable, output: Writable, close: () => void, drained: () => void) {
    this.#input = input;
    this.#output = output;
    this.#close = close;
    this.#drained = drained;
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
    output.write(line, this.#written);
  }

  buffered(): number {
    return this.#output.writableLength;
  }

  remoteAddress(): string {
    return '';
  }

  close(): void {
    this.#close();
  }

  pause(): void {
    this.#input.pause();
  }

  resume(): void {
    if (this.#input.isPaused()) this.#input.resume();
  }

  /** Not the stream's own `drain`, which knows nothing of `maxClientBufferBytes`. */
  readonly #written = (): void => {
    if (this.#output.writableLength === 0) this.#drained();
  };

  readonly #uncork = (): void => {
    this.#isCorked = false;
    this.#output.uncork();
  };
}

/** Serves one client. `input` is read from now on. */
export function serveStdio(options: StdioConnectionOptions): StdioConnection {
  const { input, output, handler, table, limits } = options;
  let settle = (): void => {};
  const ended = new Promise<void>((resolve) => {
    settle = resolve;
  });
  const wire = new StdioWire(
    input,
    output,
    () => close(),
    () => connection.drained(),
  );
  const connection = new ClientConnection({ wire, handler, table, limits, token: options.token ?? '' });
  const lines = new MessageLines(
    limits.maxBodyBytes,
    {
      line: (bytes, start, end) => connection.receive(bytes.subarray(start, end), end - start),
      tooLong: () => connection.refuse('GW_BODY_TOO_LARGE'),
      noRoom: () => connection.refuse('GW_BUFFERS_FULL'),
    },
    table.budget,
  );
  let endingSince = 0;
  let look: NodeJS.Timeout | null = null;
  const sweep = setInterval(() => {
    if (connection.isStuck(performance.now(), limits.slowClientMs)) close();
  }, SWEEP_MS);
  sweep.unref();

  const onData = (chunk: Buffer | string): void => lines.feed(typeof chunk === 'string' ? Buffer.from(chunk) : chunk);
  const onEnd = (): void => {
    if (endingSince > 0) return;
    endingSince = performance.now();
    lines.end();
    connection.drain();
    finish();
  };
  const finish = (): void => {
    const isLate = performance.now() - endingSince >= limits.drainMs;
    if ((connection.pending > 0 || output.writableLength > 0) && !isLate) look = setTimeout(finish, END_LOOK_MS);
    else close();
  };
  const close = (): void => {
    clearInterval(sweep);
    if (look !== null) clearTimeout(look);
    input.off('data', onData);
    input.off('end', onEnd);
    input.off('close', onEnd);
    output.off('close', close);
    lines.close();
    connection.closed();
    settle();
  };
  input.on('data', onData);
  input.on('end', onEnd);
  input.on('close', onEnd);
  // A broken pipe is the end of its stream; these stay, so that a late one ends nothing else.
  input.on('error', onEnd);
  output.on('error', close);
  output.on('close', close);
  return { ended, close };
}
