/** An upstream pool with a recording sink: calls are built as the send stage builds them. */

import { decoder } from '../../native/index.js';
import { METHODS } from '../../native/layout.js';
import type { EndpointSnapshot, LimitsSnapshot, ServerSnapshot, Snapshot } from '../../src/config/snapshot/index.js';
import type { ErrorCode } from '../../src/errors.js';
import { Era } from '../../src/protocol/revisions.js';
import { type Exchange, Phase, type SessionLike } from '../../src/request/exchange/index.js';
import { ExchangeTable } from '../../src/request/exchange/table.js';
import { BufferBudget } from '../../src/shared/buffer-budget.js';
import { type Packed, packedCount, packedText } from '../../src/shared/packed.js';
import { type ControlReply, scanResponse } from '../../src/upstream/core/control.js';
import type { UpstreamLog } from '../../src/upstream/core/endpoint.js';
import type {
  ConnectionOwner,
  Discovery,
  Endpoint,
  EndpointState,
  UpstreamEvents,
  UpstreamSink,
} from '../../src/upstream/core/types.js';
import { UpstreamPool } from '../../src/upstream/pool.js';
import type { UpstreamServer } from '../../src/upstream/server.js';
import { serverSnapshot, snapshotOfObject } from '../config/support.js';
import { eventually, type TestScope } from '../support/process.js';

/** The defaults, but for what tests wait for or fill up. */
export const LIMITS: LimitsSnapshot = {
  ...snapshotOfObject({}).limits,
  maxResponseBytes: 16_777_216,
  maxBufferedBytes: 0,
  readBudgetBytes: 65_536,
  maxTools: 10_000,
  maxPages: 100,
  drainMs: 1_000,
  maxServerRequests: 1_000,
};

/** What became of a call. */
export interface Outcome {
  readonly exchange: Exchange;
  /** The call's id towards the upstream; 0 = there was no endpoint. */
  id: number;
  /** Notifications, parsed, in order. */
  // biome-ignore lint/suspicious/noExplicitAny: messages under test have any shape
  readonly notifications: any[];
  /** The response, parsed; undefined when the call failed or goes on. */
  // biome-ignore lint/suspicious/noExplicitAny: messages under test have any shape
  response: any;
  /** The response's bytes. */
  raw: Buffer | null;
  error: ErrorCode | null;
  /** What the client is told besides the sentence of the error. */
  detail: string;
  retryAfterMs: number;
  sent: boolean | null;
  /** Final reports; anything but 1 at the end is a defect. */
  reports: number;
  readonly done: Promise<Outcome>;
}

/** One log line. */
export interface LogLine {
  readonly level: string;
  readonly fields: Record<string, unknown>;
  readonly message: string;
}

export interface CallOptions {
  deadlineMs?: number;
  /** First word of the subject digest. */
  subject?: number;
  progress?: boolean;
  /** Wait at an endpoint that is being restarted, as the send stage does where none is ready. */
  awaits?: boolean;
  nameHeader?: string;
  /** The client's legacy session. */
  session?: SessionLike;
  /** Capabilities of the client; default: those of the session. */
  capabilities?: number;
  /** Called on each notification. */
  onNotification?: (exchange: Exchange) => void;
}

/** A request of a server, or a notification. */
export interface ServerMessage {
  readonly endpoint: Endpoint;
  readonly exchange: Exchange | null;
  /** Id towards the upstream of the call that it belongs to; 0 = it belongs to none. */
  readonly callId: number;
  // biome-ignore lint/suspicious/noExplicitAny: messages under test have any shape
  readonly message: any;
}

export interface PoolFixture {
  readonly pool: UpstreamPool;
  readonly table: ExchangeTable;
  readonly discoveries: Discovery[];
  readonly states: { server: number; endpoint: number; state: EndpointState; reason: string }[];
  readonly updatedResources: string[];
  readonly changedTasks: string[];
  /** Requests of servers, in order. */
  readonly serverRequests: ServerMessage[];
  /** Notifications that servers sent besides those that the pool itself understands. */
  readonly serverNotifications: ServerMessage[];
  /** Endpoints that ended, in order. */
  readonly disconnected: Endpoint[];
  readonly log: LogLine[];
  /** The owner of the endpoint from which each of `updatedResources` came. */
  readonly updateOwners: (ConnectionOwner | null)[];
  /** Called with what a server asks. */
  onServerRequest: ((request: ServerMessage) => void) | null;
  server(index?: number): UpstreamServer;
  /** Waits until every endpoint of the server (default: any) is ready and its lists are read. */
  ready(index?: number): Promise<Discovery>;
  /** Calls a tool at the endpoint that the server chooses. */
  call(tool: string, args?: object, options?: CallOptions): Outcome;
  /** Sends a request to the endpoint that the server chooses. */
  send(method: string, params: object, options?: CallOptions): Outcome;
}

/** A response as a control request gives it. */
export function replyOf(response: object): ControlReply {
  const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 1, ...response }));
  const spans = scanResponse(decoder, bytes);
  if (spans === null) throw new Error('that is no response');
  return { bytes, spans, status: 0, sessionId: '' };
}

/** A snapshot with these servers and nothing else of interest. */
export function snapshotOf(servers: readonly ServerSnapshot[], limits: Partial<LimitsSnapshot> = {}): Snapshot {
  return { version: 1, servers, routes: [], secrets: [], limits: { ...LIMITS, ...limits } } as unknown as Snapshot;
}

export function serverOf(endpoints: readonly EndpointSnapshot[], more: Partial<ServerSnapshot> = {}): ServerSnapshot {
  return serverSnapshot({
    endpoints,
    connectTimeoutMs: 10_000,
    requestTimeoutMs: 30_000,
    maxConnections: 64,
    maxQueue: 256,
    maxDedicated: 8,
    dedicatedIdleMs: 60_000,
    ...more,
  });
}

export function stdioOf(command: string, args: readonly string[], env: Record<string, string> = {}): EndpointSnapshot {
  return { transport: 'stdio', command, args, env, cwd: null, weight: 1, shownCommand: command };
}

export function httpOf(url: string, headers: Record<string, string> = {}): EndpointSnapshot {
  return { transport: 'http', detect: false, url, headers, weight: 1 };
}

export function sseOf(url: string, headers: Record<string, string> = {}): EndpointSnapshot {
  return { transport: 'sse', detect: false, url, headers, weight: 1 };
}

export function webSocketOf(url: string, headers: Record<string, string> = {}): EndpointSnapshot {
  return { transport: 'websocket', detect: false, url, headers, weight: 1 };
}

/** Starts a pool; it is closed when the test ends. */
export function startPool(
  scope: TestScope,
  servers: readonly ServerSnapshot[],
  limits: Partial<LimitsSnapshot> = {},
  stopGraceMs = 500,
): PoolFixture {
  const snapshot = snapshotOf(servers, limits);
  const budget = new BufferBudget({ max: () => snapshot.limits.maxBufferedBytes, reached: () => {} });
  const table = new ExchangeTable(1_024, budget);
  const outcomes = new Map<Exchange, { outcome: Outcome; settle: () => void; options: CallOptions }>();
  const discoveries: Discovery[] = [];
  const states: PoolFixture['states'] = [];
  const updatedResources: string[] = [];
  const updateOwners: (ConnectionOwner | null)[] = [];
  const changedTasks: string[] = [];
  const serverRequests: ServerMessage[] = [];
  const serverNotifications: ServerMessage[] = [];
  const disconnected: Endpoint[] = [];
  const log: LogLine[] = [];
  const end = (exchange: Exchange): void => {
    const entry = outcomes.get(exchange);
    if (entry === undefined) throw new Error('a report for a call that is over');
    entry.outcome.reports += 1;
    outcomes.delete(exchange);
    table.release(exchange);
    entry.settle();
  };
  const sink: UpstreamSink = {
    message(exchange, bytes, length) {
      const entry = outcomes.get(exchange);
      if (entry === undefined) throw new Error('a message for a call that is over');
      const raw = Buffer.from(bytes.subarray(0, length));
      const message = JSON.parse(raw.toString('utf8')) as { id?: unknown; method?: unknown };
      if (message.method !== undefined) {
        entry.outcome.notifications.push(message);
        entry.options.onNotification?.(exchange);
        return;
      }
      entry.outcome.response = message;
      entry.outcome.raw = raw;
      end(exchange);
    },
    failed(exchange, error, sent) {
      const entry = outcomes.get(exchange);
      if (entry === undefined) throw new Error('a failure for a call that is over');
      entry.outcome.error = error;
      entry.outcome.detail = exchange.call.detail;
      entry.outcome.retryAfterMs = exchange.call.retryAfterMs;
      entry.outcome.sent = sent;
      end(exchange);
    },
    serverRequest: (endpoint, exchange, bytes, length) => {
      const request = serverMessageOf(endpoint, exchange, bytes, length);
      serverRequests.push(request);
      fixture.onServerRequest?.(request);
    },
    serverNotification: (endpoint, exchange, bytes, length) =>
      serverNotifications.push(serverMessageOf(endpoint, exchange, bytes, length)),
    disconnected: (endpoint) => disconnected.push(endpoint),
    largeStart: () => false,
    largePart: () => {},
    largeEnd: () => {},
  };
  const events: UpstreamEvents = {
    discovered: (discovery) => discoveries.push(discovery),
    resourceUpdated: (_server, uri, _bytes, _length, owner) => {
      updatedResources.push(uri);
      updateOwners.push(owner);
    },
    ownListsChanged: () => {},
    taskChanged: (_server, taskId) => changedTasks.push(taskId),
    replaced: () => {},
    loggedIn: () => {},
    stateChanged: () => {},
  };
  const pool = new UpstreamPool({
    config: { current: snapshot },
    table,
    decoder,
    sink,
    events,
    log: recordingLog(log),
    stopGraceMs,
  });
  for (const server of pool.servers) recordStates(server, states);
  scope.after(() => pool.close(0));
  pool.start();

  const serverAt = (index: number): UpstreamServer => pool.servers[index]!;
  const send: PoolFixture['send'] = (method, params, options = {}) => {
    const server = serverAt(0);
    const exchange = table.acquire();
    if (exchange === null) throw new Error('the exchange table is full');
    let settle = (): void => {};
    let outcome: Outcome | null = null;
    const done = new Promise<Outcome>((resolve) => {
      settle = () => resolve(outcome as Outcome);
    });
    outcome = {
      exchange,
      id: 0,
      notifications: [],
      response: undefined,
      raw: null,
      error: null,
      detail: '',
      retryAfterMs: 0,
      sent: null,
      reports: 0,
      done,
    };
    outcomes.set(exchange, { outcome, settle, options });
    exchange.client.startedAt = performance.now();
    exchange.verdict.clear();
    exchange.verdict.route = -1;
    exchange.verdict.subject[0] = options.subject ?? 0;
    exchange.client.session = options.session ?? null;
    exchange.client.era = exchange.client.session === null ? Era.modern : Era.legacy;
    exchange.client.capabilities = options.capabilities ?? exchange.client.session?.capabilityMask ?? 0;
    const endpoint = server.choose(exchange) ?? (options.awaits ? server.chooseAwaitable(exchange) : null);
    if (endpoint === null) {
      outcome.error = server.unavailable(exchange);
      outcome.detail = exchange.call.detail;
      outcome.sent = false;
      setImmediate(() => end(exchange));
      return outcome;
    }
    exchange.enter(Phase.sending);
    exchange.call.upstreamId = exchange.generation * 65_536 + exchange.slot;
    outcome.id = exchange.call.upstreamId;
    exchange.call.sentAt = performance.now();
    exchange.call.server = 0;
    exchange.call.endpoint = endpoint.index;
    exchange.call.era = endpoint.era;
    exchange.call.deadline = options.deadlineMs === undefined ? 0 : exchange.client.startedAt + options.deadlineMs;
    const meta: Record<string, unknown> = {};
    if (endpoint.era === 1) {
      meta['io.modelcontextprotocol/protocolVersion'] = '2026-07-28';
      meta['io.modelcontextprotocol/clientCapabilities'] = {};
      meta['io.modelcontextprotocol/logLevel'] = 'debug';
    }
    if (options.progress) meta['progressToken'] = exchange.call.upstreamId;
    const body = { jsonrpc: '2.0', id: exchange.call.upstreamId, method, params: { ...params, _meta: meta } };
    const name = (params as { name?: string }).name;
    const nameHeader = options.nameHeader ?? (endpoint.era === 1 && name !== undefined ? name : '');
    const reportsBefore = outcome.reports;
    endpoint.call(
      exchange,
      Buffer.from(JSON.stringify(body)),
      (METHODS as readonly string[]).indexOf(method),
      nameHeader,
      null,
    );
    if (outcome.reports !== reportsBefore) throw new Error('reported from within the call');
    return outcome;
  };

  const fixture: PoolFixture = {
    pool,
    table,
    discoveries,
    states,
    updatedResources,
    changedTasks,
    serverNotifications,
    disconnected,
    log,
    updateOwners,
    serverRequests,
    onServerRequest: null,
    server: (index = 0) => serverAt(index),
    ready: (index = 0) =>
      eventually(
        `server ${index} ready (${serverAt(index).endpoints.map((endpoint) => endpoint.reason)})`,
        () => serverAt(index).endpoints.every((endpoint) => endpoint.state === 'ready') && serverAt(index).discovery,
        20_000,
      ) as Promise<Discovery>,
    send,
    call: (tool, args = {}, options = {}) => send('tools/call', { name: tool, arguments: args }, options),
  };
  return fixture;
}

function serverMessageOf(
  endpoint: Endpoint,
  exchange: Exchange | null,
  bytes: Uint8Array,
  length: number,
): ServerMessage {
  const message = JSON.parse(Buffer.from(bytes.subarray(0, length)).toString('utf8'));
  return { endpoint, exchange, callId: exchange?.call.upstreamId ?? 0, message };
}

/** Records each state that an endpoint of the server reports. */
function recordStates(server: UpstreamServer, states: PoolFixture['states']): void {
  const report = server.stateChanged.bind(server);
  server.stateChanged = (endpoint) => {
    const { index, state, reason } = endpoint;
    states.push({ server: server.index, endpoint: index, state, reason });
    report(endpoint);
  };
}

/** Dedicated endpoints of a server. */
export function dedicatedCount(pool: PoolFixture, index = 0): number {
  const server = pool.server(index);
  return server.endpoints.reduce((sum, _, position) => sum + server.totals(position).dedicated, 0);
}

/** The process id of the first child of an endpoint. */
export function pidOf({ log }: PoolFixture, endpoint = 0): number {
  const started = log.filter(
    ({ fields, message }) => message === 'stdio child started' && fields['endpoint'] === endpoint,
  );
  return started[0]!.fields['pid'] as number;
}

/** The names of raw items. */
export function namesOf(items: Packed): string[] {
  return Array.from({ length: packedCount(items) }, (_, index) => JSON.parse(packedText(items, index)).name);
}

function recordingLog(lines: LogLine[]): UpstreamLog {
  const at = (level: string) => (fields: object, message: string) => {
    lines.push({ level, fields: fields as Record<string, unknown>, message });
  };
  return { info: at('info'), warn: at('warn') };
}
