/** Control traffic of an HTTP upstream: handshake, lists, notifications, event streams. Apart from the connections of calls. */
import { Pool } from 'undici';
import type { Decoder } from '../../native/layout.js';
import { Kind, ScanStatus, SPAN_COUNT, Span } from '../../native/layout.js';
import { SseParser } from '../protocol/sse-parser.js';
import type { Bytes, Milliseconds } from '../units.js';
import { ControlError, type ControlReply, keepReply, parseId, scanReply, UPSTREAM_DEPTH } from './control.js';
import type { ConnectionTarget } from './http-connection.js';

/** Connections for control traffic: two streams and some requests beside them. */
const CONNECTIONS = 6;
/** Notifications and answers that may wait; more are dropped. */
const MAX_NOTES = 256;

/** One message of a stream. */
export type StreamMessage = (bytes: Uint8Array, length: number, spans: Int32Array) => void;

/** See the file comment. */
export class HttpControl {
  readonly #target: ConnectionTarget;
  readonly #decoder: Decoder;
  readonly #pool: Pool;
  #notes = 0;

  constructor(target: ConnectionTarget, decoder: Decoder) {
    this.#target = target;
    this.#decoder = decoder;
    this.#pool = new Pool(target.origin, {
      connections: CONNECTIONS,
      pipelining: 1,
      connect: { timeout: target.connectTimeoutMs },
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  destroy(): Promise<void> {
    return this.#pool.destroy();
  }

  /** Posts a request and gives its response, from JSON or from an event stream. @throws ControlError */
  async post(body: Buffer, id: number, headers: string[], timeoutMs: Milliseconds): Promise<ControlReply> {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), timeoutMs);
    try {
      const answer = await this.#pool.request({
        path: this.#target.path,
        method: 'POST',
        headers,
        body,
        signal: stop.signal,
      });
      const { statusCode: status } = answer;
      const sessionId = single(answer.headers['mcp-session-id']);
      const type = single(answer.headers['content-type']).toLowerCase();
      let reply: ControlReply | null = null;
      if (type.startsWith('text/event-stream')) {
        reply = await this.#fromStream(answer.body, id, status, sessionId);
        stop.abort();
      } else {
        const bytes = await collect(answer.body, this.#target.maxResponseBytes);
        if (type.startsWith('application/json')) reply = scanReply(this.#decoder, bytes, status, sessionId);
      }
      if (status === 401 || status === 403)
        throw new ControlError('refused', `the upstream answered ${status}`, status);
      if (reply !== null && (isFor(reply, id) || status !== 200)) return reply;
      if (status >= 200 && status < 300) throw new ControlError('invalid', 'the answer is no JSON-RPC response');
      throw new ControlError('http', `the upstream answered ${status}`, status);
    } catch (error) {
      if (error instanceof ControlError) throw error;
      if (stop.signal.aborted) throw new ControlError('timeout', 'the upstream did not answer in time');
      throw connectionError(error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Posts a notification or an answer to a request of the upstream. Nobody waits for the outcome. */
  note(body: Buffer, headers: string[], timeoutMs: Milliseconds): void {
    if (this.#notes >= MAX_NOTES) return;
    this.#notes += 1;
    void this.noteAndWait(body, headers, timeoutMs)
      .catch(() => {})
      .finally(() => {
        this.#notes -= 1;
      });
  }

  /** Like {@link note}; settles when it was answered. @throws ControlError */
  async noteAndWait(body: Buffer, headers: string[], timeoutMs: Milliseconds): Promise<void> {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), timeoutMs);
    try {
      const answer = await this.#pool.request({
        path: this.#target.path,
        method: 'POST',
        headers,
        body,
        signal: stop.signal,
      });
      await answer.body.dump();
    } catch (error) {
      throw connectionError(error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends a legacy session (Streamable HTTP, session management). Whether that works does not matter any more. */
  async endSession(headers: string[], timeoutMs: Milliseconds): Promise<void> {
    try {
      const signal = AbortSignal.timeout(timeoutMs);
      const answer = await this.#pool.request({ path: this.#target.path, method: 'DELETE', headers, signal });
      await answer.body.dump();
    } catch {
      // The upstream is gone, or knows no DELETE.
    }
  }

  /**
   * Opens an event stream and hands over its messages until it ends.
   *
   * @param body null = GET
   * @param stop ends it
   * @param opened the stream is open
   * @returns the status; 200 = the stream was open and has ended
   * @throws ControlError when the connection fails
   */
  async stream(
    body: Buffer | null,
    headers: string[],
    stop: AbortSignal,
    opened: () => void,
    message: StreamMessage,
  ): Promise<number> {
    try {
      const answer = await this.#pool.request({
        path: this.#target.path,
        method: body === null ? 'GET' : 'POST',
        headers,
        body,
        signal: stop,
      });
      const type = single(answer.headers['content-type']).toLowerCase();
      if (answer.statusCode !== 200 || !type.startsWith('text/event-stream')) {
        await answer.body.dump();
        return answer.statusCode === 200 ? 406 : answer.statusCode;
      }
      opened();
      const spans = new Int32Array(SPAN_COUNT);
      const parser = new SseParser(this.#target.maxResponseBytes, {
        event: (data, length, type) => {
          if (length === 0 || (type !== '' && type !== 'message')) return;
          if (this.#decoder.scan(data, length, spans, UPSTREAM_DEPTH) === ScanStatus.ok) message(data, length, spans);
        },
      });
      for await (const chunk of answer.body) {
        if (!parser.feed(chunk as Buffer)) throw new ControlError('invalid', 'an event is larger than the limit');
      }
      return 200;
    } catch (error) {
      throw error instanceof ControlError ? error : connectionError(error);
    }
  }

  async #fromStream(
    body: AsyncIterable<unknown>,
    id: number,
    status: number,
    sessionId: string,
  ): Promise<ControlReply | null> {
    const spans = new Int32Array(SPAN_COUNT);
    let reply: ControlReply | null = null;
    const parser = new SseParser(this.#target.maxResponseBytes, {
      event: (data, length) => {
        if (reply !== null || length === 0) return;
        if (this.#decoder.scan(data, length, spans, UPSTREAM_DEPTH) !== ScanStatus.ok) return;
        if (spans[Span.kind] !== Kind.response || idOf(data, spans) !== id) return;
        reply = keepReply(data, length, spans, status, sessionId);
      },
    });
    for await (const chunk of body) {
      if (!parser.feed(chunk as Buffer)) throw new ControlError('invalid', 'an event is larger than the limit');
      if (reply !== null) break;
    }
    return reply;
  }
}

function idOf(bytes: Uint8Array, spans: Int32Array): number {
  return parseId(bytes, spans[Span.idStart]!, spans[Span.idEnd]!);
}

function isFor(reply: ControlReply, id: number): boolean {
  return idOf(reply.bytes, reply.spans) === id;
}

async function collect(body: AsyncIterable<unknown>, maxBytes: Bytes): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += (chunk as Buffer).length;
    if (bytes > maxBytes) throw new ControlError('invalid', 'the answer is larger than limits.maxResponseBytes');
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks, bytes);
}

function single(value: string | string[] | undefined): string {
  return (Array.isArray(value) ? value[0] : value) ?? '';
}

const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
]);

function connectionError(error: unknown): ControlError {
  const code = (error as { code?: string }).code ?? (error as Error).name;
  return UNREACHABLE.has(code)
    ? new ControlError('unreachable', `the upstream cannot be reached (${code})`)
    : new ControlError('closed', `the connection ended (${code})`);
}
