import type { LimitsSnapshot, Snapshot } from '../../../src/config/snapshot.js';
import { ERRORS, type ErrorCode } from '../../../src/errors.js';
import { corsHead } from '../../../src/request/accept/http/cors.js';
import type { FrontEnd, FrontEndKind } from '../../../src/request/accept/http/handler.js';
import { openFrontEnd } from '../../../src/request/accept/index.js';
import type { Exchange } from '../../../src/request/exchange/index.js';
import { ExchangeTable } from '../../../src/request/exchange/table.js';

/** Limits small enough for tests to reach. */
export const TEST_LIMITS: LimitsSnapshot = {
  maxBodyBytes: 262_144,
  maxHeaderBytes: 8192,
  maxHeaders: 64,
  maxDepth: 64,
  maxBatch: 50,
  maxInFlight: 1024,
  maxResponseBytes: 16_777_216,
  maxLineBytes: 10_485_760,
  maxPipeBytes: 8_388_608,
  readBudgetBytes: 65_536,
  maxNotificationsPerSecond: 40_000,
  maxClientBufferBytes: 1_048_576,
  slowClientMs: 30_000,
  smallFrameRate: 0,
  maxConnections: 10_000,
  maxSessions: 10_000,
  maxStreams: 1000,
  maxMemo: 1000,
  maxTools: 1000,
  maxPages: 10,
  maxToolMetrics: 10,
  drainMs: 25_000,
  workerHangMs: 5000,
  ringBytes: 65_536,
  decideMs: 5000,
  maxServerRequests: 1_000,
  answerMs: 10_000,
  maxInputRounds: 8,
  maxParked: 100,
  maxParkedPerPrincipal: 50,
  parkMs: 10_000,
  maxHeldBytes: 1_048_576,
  maxBufferedBytes: 0,
  keepAliveMs: 15_000,
  maxRevoked: 100,
  maxSubscriptions: 100,
};

export function testSnapshot(change: Partial<Snapshot> = {}, limits: Partial<LimitsSnapshot> = {}): Snapshot {
  return {
    version: 1,
    name: 'test',
    host: '127.0.0.1',
    port: 0,
    listens: true,
    admin: null,
    workers: 1,
    frontEnd: 'auto',
    allowedHosts: [],
    allowedOrigins: [],
    auth: { type: 'none' },
    servers: [],
    secrets: [],
    routes: [],
    rateLimits: { global: null, perClient: null, perTool: [], maxClients: 100 },
    cache: { enabled: false, maxBytes: 0, maxEntryBytes: 0, maxEntries: 0, maxWaiters: 0, waitMs: 0 },
    limits: { ...TEST_LIMITS, ...limits },
    catalog: { separator: '__', conflict: 'prefix', maxNameLength: 64, pageSize: 0, ttlMs: 0, startupWaitMs: 0 },
    sessions: {
      secrets: [],
      ttlSeconds: 3600,
      keyFile: null,
      eventLogBytes: 65_536,
      eventLogTotalBytes: 1_048_576,
      retryMs: 1000,
    },
    transports: { sse: true, websocket: true, rest: true },
    log: { level: 'silent', format: 'json', access: false },
    ...change,
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
  exchange.client.reply!.send(200, [...JSON_HEAD, ...corsHead(exchange)], body, 0, body.byteLength);
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
  const aborted: Exchange[] = [];
  const drained: Exchange[] = [];
  const ended: string[] = [];
  const tooFast: string[] = [];
  const take = (seenKind: Seen['kind'], exchange: Exchange, body: Buffer): void => {
    seen.push({
      kind: seenKind,
      body,
      token: exchange.client.token,
      sessionId: exchange.client.sessionId,
      accepts: exchange.client.accepts,
      foreignScheme: exchange.client.foreignScheme,
      paramHeaders: exchange.message.paramHeaders ?? [],
      remoteAddress: exchange.client.remoteAddress,
    });
    respond(exchange, body, test);
  };
  const front = await openFrontEnd({
    snapshot,
    table,
    handler: {
      request: (exchange, bytes, length) => take('request', exchange, Buffer.from(bytes.subarray(0, length))),
      stream: (exchange) => take('stream', exchange, Buffer.alloc(0)),
      terminate: (exchange) => take('terminate', exchange, Buffer.alloc(0)),
      refuse: (exchange, code) => {
        refused.push(code);
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
      connected: () => {},
      disconnected: () => {},
      ended: (sessionId) => ended.push(sessionId),
      tooManyFrames: (address) => tooFast.push(address),
      plain: (path) =>
        path === '/health' ? { status: 200, contentType: 'application/json', body: '{"status":"ok"}' } : null,
    },
  });
  const test: TestFront = {
    front,
    port: front.address.port,
    table,
    seen,
    refused,
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
