/** The log: structured lines on standard error, without secrets, that never delay or fail a request. */
import { type Logger, pino } from 'pino';
import { METHODS } from '../../native/layout.js';
import type { LogSnapshot } from '../config/snapshot/index.js';
import type { Exchange } from '../request/exchange/index.js';
import { isSecretName } from '../secrets/names.js';
import { Scrubber } from '../secrets/scrub.js';
import { type KnownSecret, MASK } from '../secrets/show.js';
import type { Count } from '../units.js';
import { LogSink, type LogSinkOptions } from './log-sink.js';

/** Writes the line about one finished request. `server` is the name of its server, '' = none. */
export type AccessLog = (exchange: Exchange, server: string) => void;

/** Options of {@link openLog}. */
export interface LogOptions {
  readonly settings: LogSnapshot;
  /** Values that must not appear in any line. */
  readonly secrets?: readonly KnownSecret[];
  /** Where lines go; default standard error. */
  readonly sink?: LogSinkOptions;
  /** Whether lines go to a terminal; default: standard error is one. */
  readonly terminal?: boolean;
}

/** Bytes of a name shown in an access line. */
const MAX_NAME = 128;
/** Depth and fields of an object to which it is searched for fields with secret names. */
const MAX_DEPTH = 4;
const MAX_FIELDS = 64;

/** The log of one gateway: pino in front of a {@link LogSink}, with the secrets of the configuration masked. */
export class Log {
  readonly logger: Logger;
  readonly #sink: LogSink;
  readonly #pretty: ((line: string) => string) | null;
  #scrubber: Scrubber;
  #access: AccessLog | null;

  /** Use {@link openLog}. */
  constructor(options: LogOptions, pretty: ((line: string) => string) | null) {
    const { settings } = options;
    this.#pretty = pretty;
    this.#scrubber = new Scrubber(options.secrets ?? []);
    this.#sink = new LogSink({
      ...options.sink,
      notice: (dropped) => this.#format(droppedLine(dropped)),
    });
    this.logger = pino(
      {
        level: settings.level,
        base: null,
        timestamp: pino.stdTimeFunctions.isoTime,
        formatters: {
          level: (label) => ({ level: label }),
          log: (fields) => this.#masked(fields, 0) as Record<string, unknown>,
        },
        hooks: {
          logMethod: (parts, method) => {
            // The formatter masks fields; strings are the message.
            const words = parts.map((part: unknown) => {
              if (part instanceof Error) return this.#scrubber.scrub(part.message);
              return typeof part === 'string' ? this.#scrubber.scrub(part) : part;
            });
            method.apply(this.logger, words as typeof parts);
          },
        },
      },
      { write: (line: string) => this.#sink.write(this.#format(line)) },
    );
    this.#access = this.#accessFor(settings);
  }

  /** Null when no access lines are written, so that a request costs nothing here. Read again after {@link configure}. */
  get access(): AccessLog | null {
    return this.#access;
  }

  /** Lines lost because they could not be written. */
  get dropped(): Count {
    return this.#sink.dropped;
  }

  /** Applies another level, access setting and list of secrets. The format stays. */
  configure(settings: LogSnapshot, secrets: readonly KnownSecret[]): void {
    this.logger.level = settings.level;
    this.#scrubber = new Scrubber(secrets);
    this.#access = this.#accessFor(settings);
  }

  /** Resolves when all lines so far are written or dropped. */
  drained(): Promise<void> {
    return this.#sink.drained();
  }

  close(): Promise<void> {
    return this.#sink.close();
  }

  /**
   * The value of a field in a line: masked under a secret name, without known secrets in any text, and of an error only the
   * message, because stack and causes hold paths and addresses. Texts are searched before they are part of a line, so that
   * nothing of its JSON counts as a secret. The caller's object is not changed.
   */
  #masked(value: unknown, depth: number): unknown {
    if (typeof value === 'string') return this.#scrubber.scrub(value);
    if (typeof value !== 'object' || value === null) return value;
    if (value instanceof Error) return this.#scrubber.scrub(value.message);
    if (depth > MAX_DEPTH) return '[deep]';
    if (Array.isArray(value)) return value.slice(0, MAX_FIELDS).map((element) => this.#masked(element, depth + 1));
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== null && prototype !== Object.prototype) return this.#scrubber.scrub(String(value));
    const result: Record<string, unknown> = {};
    for (const [key, field] of Object.entries(value).slice(0, MAX_FIELDS)) {
      const isSecret = isSecretName(key) && field !== null && typeof field !== 'number';
      result[key] = isSecret ? MASK : this.#masked(field, depth + 1);
    }
    return result;
  }

  #format(line: string): string {
    return this.#pretty === null ? line : this.#pretty(line);
  }

  #accessFor(settings: LogSnapshot): AccessLog | null {
    const { logger } = this;
    if (settings.access && logger.isLevelEnabled('info')) {
      return (exchange, server) => logger.info(accessFields(exchange, server), 'request');
    }
    if (logger.isLevelEnabled('debug')) {
      return (exchange, server) => logger.debug(accessFields(exchange, server), 'request');
    }
    return null;
  }
}

/** Opens the log. `format: auto` is pretty on a terminal and JSON elsewhere. */
export async function openLog(options: LogOptions): Promise<Log> {
  const terminal = options.terminal ?? process.stderr.isTTY === true;
  const { format } = options.settings;
  if (format === 'json' || (format === 'auto' && !terminal)) return new Log(options, null);
  // Loaded here: most gateways write JSON.
  const { prettyFactory } = await import('pino-pretty');
  const pretty = prettyFactory({
    colorize: terminal && process.env['NO_COLOR'] === undefined,
    translateTime: 'SYS:HH:MM:ss.l',
    singleLine: true,
    ignore: 'pid,hostname',
  });
  return new Log(options, (line) => pretty(line) as string);
}

function droppedLine(dropped: Count): string {
  const time = new Date().toISOString();
  return `${JSON.stringify({ level: 'warn', time, dropped, msg: 'log lines were dropped: the output could not be written' })}\n`;
}

function accessFields(exchange: Exchange, server: string): Record<string, unknown> {
  const { spans } = exchange.message;
  const name = nameOf(exchange);
  return {
    method: METHODS[spans.method] ?? '',
    ...(name === '' ? {} : { name }),
    ...(server === '' ? {} : { server }),
    era: exchange.client.era === 0 ? 'legacy' : 'modern',
    status: exchange.client.status,
    ...(exchange.client.error === null ? {} : { code: exchange.client.error }),
    durationUs: Math.round((performance.now() - exchange.client.startedAt) * 1000),
    bytesIn: exchange.client.bytesIn,
    bytesOut: exchange.client.bytesOut,
  };
}

function nameOf(exchange: Exchange): string {
  const { spans, body, bodyLength, decodedName } = exchange.message;
  if (decodedName.length > 0) return decodedName.toString('utf8', 0, MAX_NAME);
  const start = spans.nameStart;
  const end = Math.min(spans.nameEnd, start + MAX_NAME);
  return start < 0 || end > bodyLength ? '' : body.toString('utf8', start, end);
}
