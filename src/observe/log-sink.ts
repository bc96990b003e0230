/**
 * Where log lines go: a bounded queue in front of one file descriptor. It writes beside the event loop. A descriptor that
 * cannot be written (a full disk, a reader that has closed the pipe or does not read) costs lines, which are counted, and
 * nothing else.
 *
 * It is not `pino.destination`: with a descriptor that fails (EPIPE, ENOSPC) the `flushSync` of sonic-boom 4 retries
 * without end, so that the process would not exit, and lines that could not be written are kept, not counted as dropped.
 */
import { write, writeSync } from 'node:fs';
import type { Bytes, Count, Milliseconds } from '../units.js';

/** Options of a {@link LogSink}. */
export interface LogSinkOptions {
  /** Default 2, standard error: standard output carries the one line that says where the gateway listens. */
  readonly fd?: number;
  /** Bytes that may wait; lines beyond are dropped. Default 4 MiB. */
  readonly maxBytes?: Bytes;
  /** Pause before a descriptor that refused is tried again. Default 100 ms. */
  readonly retryMs?: Milliseconds;
  /** A line about dropped lines is written at most so often. Default one minute. */
  readonly noticeMs?: Milliseconds;
  /** Makes the line that reports dropped lines; default none. */
  readonly notice?: (dropped: Count) => string;
}

/** Lines of one write; larger queues go out in several. */
const BATCH_BYTES: Bytes = 256 * 1024;

/** One sink of log lines, made and closed by {@link Log}. */
export class LogSink {
  readonly #fd: number;
  readonly #maxBytes: Bytes;
  readonly #retryMs: Milliseconds;
  readonly #noticeMs: Milliseconds;
  readonly #notice: ((dropped: Count) => string) | null;
  #waiting: string[] = [];
  #waitingBytes = 0;
  /** The write in progress, and how many of its bytes are written. */
  #batch: Buffer | null = null;
  #written = 0;
  #batchLines = 0;
  #busy = false;
  #closed = false;
  #dropped = 0;
  #unreported = 0;
  #noticeAt = Number.NEGATIVE_INFINITY;
  #idle: (() => void)[] = [];
  readonly #atExit = (): void => this.flushSync();

  constructor(options: LogSinkOptions = {}) {
    this.#fd = options.fd ?? 2;
    this.#maxBytes = options.maxBytes ?? 4 * 1024 * 1024;
    this.#retryMs = options.retryMs ?? 100;
    this.#noticeMs = options.noticeMs ?? 60_000;
    this.#notice = options.notice ?? null;
    process.on('exit', this.#atExit);
  }

  /** Lines lost so far. */
  get dropped(): Count {
    return this.#dropped;
  }

  /** Queues one or more whole lines, or drops them where the queue is full. Never throws, never blocks. */
  write(lines: string): void {
    if (this.#closed || this.#waitingBytes + lines.length > this.#maxBytes) {
      this.#drop(1);
      return;
    }
    this.#waiting.push(lines);
    this.#waitingBytes += lines.length;
    if (!this.#busy) this.#start();
  }

  /** Resolves when all accepted lines are written or dropped. */
  drained(): Promise<void> {
    if (!this.#busy) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Writes the queue for at most `timeoutMs` (default 1,000), then drops every further line. */
  async close(timeoutMs: Milliseconds = 1_000): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
    });
    await Promise.race([this.drained(), limit]);
    clearTimeout(timer);
    this.#closed = true;
    process.off('exit', this.#atExit);
  }

  /** At the exit of the process: writes as much of the queue as the descriptor takes without an error. */
  flushSync(): void {
    // How much an unfinished write has written is unknown: its lines may appear twice, but none is missing.
    const rest = this.#batch === null ? [] : [this.#batch.subarray(this.#written)];
    const waiting = this.#waiting;
    this.#batch = null;
    this.#waiting = [];
    this.#waitingBytes = 0;
    try {
      for (const part of [...rest, Buffer.from(waiting.join(''))]) {
        for (let at = 0; at < part.length; ) at += writeSync(this.#fd, part, at);
      }
    } catch {
      this.#dropped += waiting.length;
    }
  }

  #start(): void {
    this.#busy = true;
    // Lines of one turn of the event loop share a write.
    setImmediate(() => this.#next());
  }

  #next(): void {
    if (this.#batch === null && this.#waiting.length === 0) {
      this.#busy = false;
      for (const resolve of this.#idle.splice(0)) resolve();
      return;
    }
    const batch = this.#batch ?? this.#takeBatch();
    write(this.#fd, batch, this.#written, batch.length - this.#written, null, (error, count) => {
      if (this.#batch !== batch) return;
      if (error === null) {
        this.#written += count;
        if (this.#written === batch.length) {
          this.#batch = null;
          this.#report();
        }
        this.#next();
        return;
      }
      if (error.code !== 'EAGAIN') {
        this.#batch = null;
        this.#drop(this.#batchLines);
      }
      setTimeout(() => this.#next(), this.#retryMs);
    });
  }

  #takeBatch(): Buffer {
    let bytes = 0;
    let lines = 0;
    for (const line of this.#waiting) {
      if (bytes >= BATCH_BYTES) break;
      bytes += line.length;
      lines += 1;
    }
    const text = this.#waiting.splice(0, lines).join('');
    this.#waitingBytes -= text.length;
    this.#batchLines = lines;
    this.#written = 0;
    this.#batch = Buffer.from(text, 'utf8');
    return this.#batch;
  }

  #drop(lines: Count): void {
    this.#dropped += lines;
    this.#unreported += lines;
  }

  /** After a successful write: queues the line about dropped lines. */
  #report(): void {
    if (this.#unreported === 0 || this.#notice === null) return;
    const now = performance.now();
    if (now - this.#noticeAt < this.#noticeMs) return;
    this.#noticeAt = now;
    const line = this.#notice(this.#unreported);
    this.#unreported = 0;
    this.#waiting.push(line);
    this.#waitingBytes += line.length;
  }
}
