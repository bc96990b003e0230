import { compileSnapshot } from '../../../src/config/compile/index.js';
import { loadConfigObject } from '../../../src/config/load.js';
import type { LimitsSnapshot, Snapshot } from '../../../src/config/snapshot/index.js';
import { ERRORS, type ErrorCode } from '../../../src/errors.js';
import { originHead } from '../../../src/protocol/origin-head.js';
import type { FrontEnd, FrontEndKind, FrontHandler } from '../../../src/request/accept/http/handler.js';
import { openFrontEnd } from '../../../src/request/accept/index.js';
import { Scheme } from '../../../src/request/exchange/caller.js';
import type { Exchange } from '../../../src/request/exchange/index.js';
import { ExchangeTable } from '../../../src/request/exchange/table.js';
import { authOf } from '../../support/auth.js';

const DEFAULTS = compileSnapshot(loadConfigObject({ mcpServers: {} }));

/** All transports are open. */
export const TRANSPORTS = DEFAULTS.transports;

/** Clients authenticate with bearer tokens. */
export const CLOSED: Partial<Snapshot> = { auth: authOf({ type: 'bearer', tokens: [] }) };

/** Limits small enough for tests to reach. */
export const TEST_LIMITS: LimitsSnapshot = {
  ...DEFAULTS.limits,
  maxBodyBytes: 262_144,
  maxHeaderBytes: 8192,
  maxHeaders: 64,
  maxInFlight: 1024,
  maxResponseBytes: 16_777_216,
  smallFrameRate: 0,
  maxStreams: 1000,
  maxBufferedBytes: 0,
};

export function testSnapshot(change: Partial<Snapshot> = {}, limits: Partial<LimitsSnapshot> = {}): Snapshot {
  return { ...DEFAULTS, name: 'test', port: 0, admin: null, limits: { ...TEST_LIMITS, ...limits }, ...change };
}

/** A handler instead of the stages: it releases the exchanges, except where `methods` replace its own. */
export function handlerFixture(table: ExchangeTable, methods: Partial<FrontHandler>): FrontHandler {
  const release = (exchange: Exchange): void => table.release(exchange);
  const ignore = (): void => {};
  return {
    request: release,
    stream: release,
    terminate: release,
    refuse: release,
    aborted: release,
    drained: ignore,
    connected: ignore,
    disconnected: ignore,
    ended: ignore,
    tooManyFrames: ignore,
    ignoredProxy: ignore,
    plain: () => null,
    login: () => null,
    ...methods,
  };
}

/** What a handler was given, copied out of the exchange. */
export interface Seen {
  readonly kind: 'request' | 'stream' | 'terminate';
  readonly body: Buffer;
  readonly token: string;
  readonly sessionId: string;
  readonly accepts: number;
  readonly foreignScheme: boolean;
  readonly paramHeaders: readonly string[];
  readonly remoteAddress: string;
}

export interface TestFront {
  readonly front: FrontEnd;
  readonly port: number;
  readonly table: ExchangeTable;
  readonly seen: Seen[];
  readonly refused: ErrorCode[];
  /** The ids of the requests that were refused, as they were spelled; empty = unknown. */
  readonly refusedIds: string[];
  readonly aborted: Exchange[];
  readonly drained: Exchange[];
  readonly ended: string[];
  readonly tooFast: string[];
  close(): Promise<void>;
}

export type Respond = (exchange: Exchange, body: Buffer, test: TestFront) => void;

const JSON_HEAD = ['content-type', 'application/json'];

/** Answers a request with its own body. */
export function echo(exchange: Exchange, body: Buffer, test: TestFront): void {
  exchange.client.reply!.send(200, [...JSON_HEAD, ...originHead(exchange.client.origin)], body, 0, body.byteLength);
  test.table.release(exchange);
}

/** A front end whose handler records what it is given and answers through `respond`. */
export async function openTestFront(
  kind: FrontEndKind,
  respond: Respond = echo,
  change: Partial<Snapshot> = {},
  limits: Partial<LimitsSnapshot> = {},
): Promise<TestFront> {
  const snapshot = testSnapshot({ frontEnd: kind, ...change }, limits);
  const table = new ExchangeTable(snapshot.limits.maxInFlight);
  const seen: Seen[] = [];
  const refused: ErrorCode[] = [];
  const refusedIds: string[] = [];
  const aborted: Exchange[] = [];
  const drained: Exchange[] = [];
  const ended: string[] = [];
  const tooFast: string[] = [];
  const take = (seenKind: Seen['kind'], exchange: Exchange, body: Buffer): void => {
    seen.push({
      kind: seenKind,
      body,
      token: exchange.client.caller.token,
      sessionId: exchange.client.sessionId,
      accepts: exchange.client.accepts,
      foreignScheme: exchange.client.caller.scheme === Scheme.other,
      paramHeaders: exchange.message.paramHeaders ?? [],
      remoteAddress: exchange.client.remoteAddress,
    });
    respond(exchange, body, test);
  };
  const front = await openFrontEnd(
    snapshot,
    handlerFixture(table, {
      request: (exchange, bytes, length) => take('request', exchange, Buffer.from(bytes.subarray(0, length))),
      stream: (exchange) => take('stream', exchange, Buffer.alloc(0)),
      terminate: (exchange) => take('terminate', exchange, Buffer.alloc(0)),
      refuse: (exchange, code) => {
        refused.push(code);
        refusedIds.push(exchange.client.id.toString('utf8', 0, exchange.client.idLength));
        const { rpc, sentence } = ERRORS[code];
        const body = Buffer.from(JSON.stringify({ code, error: { code: rpc, message: sentence } }));
        exchange.client.error = code;
        exchange.client.reply!.send(ERRORS[code].status, JSON_HEAD, body, 0, body.byteLength);
        table.release(exchange);
      },
      drained: (exchange) => drained.push(exchange),
      aborted: (exchange) => {
        aborted.push(exchange);
        table.release(exchange);
      },
      ended: (sessionId) => ended.push(sessionId),
      tooManyFrames: (address) => tooFast.push(address),
      plain: (path) =>
        path === '/health' ? { status: 200, contentType: 'application/json', body: '{"status":"ok"}' } : null,
    }),
    table,
  );
  const test: TestFront = {
    front,
    port: front.address.port,
    table,
    seen,
    refused,
    refusedIds,
    aborted,
    drained,
    ended,
    tooFast,
    close: () => front.close(),
  };
  return test;
}

/** A POST on the endpoint with the headers every client sends. */
export function post(body: string | Buffer, headers: readonly string[] = []): Buffer {
  const bytes = Buffer.from(body);
  const head = [
    'POST /mcp HTTP/1.1',
    'Host: localhost',
    'Content-Type: application/json',
    'Accept: application/json, text/event-stream',
    `Content-Length: ${bytes.byteLength}`,
    ...headers,
  ];
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`, 'latin1'), bytes]);
}

export const KINDS: readonly FrontEndKind[] = ['uws', 'node'];
