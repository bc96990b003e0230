/** What tests of parked calls have in common: clients, an upstream, and the parts between them. */

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { decoder } from '../../../native/index.js';
import { Spans } from '../../../native/spans.js';
import type { ErrorCode } from '../../../src/errors.js';
import { capabilityMask } from '../../../src/protocol/client-capabilities.js';
import { Era } from '../../../src/protocol/revisions.js';
import { Accepts, type Exchange, Phase, type Reply } from '../../../src/request/exchange/index.js';
import { ExchangeTable } from '../../../src/request/exchange/table.js';
import { WriteStage } from '../../../src/request/write/index.js';
import { NO_LIMITS } from '../../../src/request/write/limit-fields.js';
import { NO_LOG } from '../../../src/request/write/streams.js';
import { ParkedCalls } from '../../../src/server-requests/parked/index.js';
import { HandleSealer } from '../../../src/session/handles.js';
import { Verdict } from '../../../src/shared/ring/records.js';
import { type Endpoint, SHARED_PROFILE } from '../../../src/upstream/core/types.js';
import { authOf } from '../../support/auth.js';
import { eventually } from '../../support/process.js';
import { type Message, type ModernOptions, modernMessage } from '../../support/rpc.js';

export const EVERYTHING = { sampling: {}, elicitation: { form: {}, url: {} }, roots: {} };
const SECRETS = ['a secret that is long enough to be one'];
export const ACCEPT = { action: 'accept', content: { name: 'Ada' } };
export const ELICIT = { mode: 'form', message: 'Who?', requestedSchema: { type: 'object', properties: {} } };

/** A client's side of one request. */
export class Wire implements Reply {
  status = 0;
  body = '';
  exchange: Exchange | null = null;
  send(status: number, _head: readonly string[], bytes: Uint8Array, start: number, end: number): void {
    assert.equal(this.status, 0, 'answered twice');
    this.status = status;
    this.body = Buffer.from(bytes.subarray(start, end)).toString();
  }
  openStream(): void {}
  write(): boolean {
    return true;
  }
  endStream(): void {}
  buffered(): number {
    return 0;
  }
  abort(): void {}
  rebind(exchange: Exchange): void {
    this.exchange = exchange;
  }
  acknowledged(): void {}
  get message(): Message {
    assert.notEqual(this.body, '', 'not answered');
    return JSON.parse(this.body);
  }
}

/** The endpoint of a legacy upstream; records what it is sent. */
export class Upstream implements Endpoint {
  readonly server = 0;
  readonly index = 0;
  readonly weight = 1;
  readonly transport = 'http';
  readonly profile = SHARED_PROFILE;
  readonly state = 'ready';
  readonly era = Era.legacy;
  readonly revision = 4;
  readonly inFlight = 0;
  readonly reason = '';
  readonly replies: Message[] = [];
  readonly cancelled: Exchange[] = [];
  call(): void {}
  reply(bytes: Buffer): void {
    assert.ok(!bytes.includes(10) && !bytes.includes(13), 'one line');
    this.replies.push(JSON.parse(bytes.toString()));
  }
  cancel(exchange: Exchange): void {
    this.cancelled.push(exchange);
    exchange.call.upstream = null;
  }
  pause(): void {}
  resume(): void {}
}

export interface CallOptions extends ModernOptions {
  name?: string;
  args?: unknown;
  method?: string;
  subject?: number;
  params?: Record<string, unknown>;
  text?: string;
}

/** Parked calls with the real table, scan and write stage around them. */
export function fixture(
  t: TestContext,
  options: { limits?: object; connections?: number; eraOf?: Era | null; handles?: HandleSealer } = {},
) {
  const table = new ExchangeTable(64);
  const limits = {
    maxParked: 100,
    maxParkedPerPrincipal: 100,
    parkMs: 60_000,
    maxHeldBytes: 100_000,
    ...options.limits,
  };
  const finished: (ErrorCode | null)[] = [];
  const write = new WriteStage({
    routes: { variantHead: () => [] },
    config: { current: { auth: authOf(), views: [], publicUrl: null, cache: { headers: false, meta: false } } },
    identity: {
      serverInfo: Buffer.from('"_meta":{}'),
      serverName: () => Buffer.from('"up"'),
      serverReason: () => null,
    },
    catalogs: { unknownName: () => '' },
    cache: { store: () => {}, release: () => {} },
    limits: NO_LIMITS,
    log: NO_LOG,
    accounting: { finished: (exchange) => finished.push(exchange.client.error) },
    exchanges: table,
  });
  const parked = new ParkedCalls({
    config: { current: { limits } },
    table,
    handles: options.handles ?? new HandleSealer(SECRETS, 'parked call', 'sy1p.'),
    identity: {
      serverInfo: Buffer.from('"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"gw","version":"1"}}'),
    },
    write,
    upstreams: {
      servers: [
        {
          config: { maxConnections: options.connections ?? 512, maxConcurrent: 0 },
          endpoints: options.eraOf === null ? [] : [{ state: 'ready', era: options.eraOf ?? Era.legacy }],
        },
      ],
    },
  });
  t.after(() => parked.close());
  write.attach({
    inputRequired: () => false,
    loginRequired: (exchange, url) => parked.loginRequired(exchange, url),
    urlRequired: (exchange, bytes, length, spans) => parked.urlRequired(exchange, bytes, length, spans),
    callEnded: (exchange) => parked.callEnded(exchange),
    callAnswered: (exchange) => parked.callEnded(exchange),
  });
  const scan = (message: unknown): { bytes: Buffer; spans: Spans } => {
    const bytes = Buffer.from(typeof message === 'string' ? message : JSON.stringify(message));
    const spans = new Spans();
    assert.equal(decoder.scan(bytes, bytes.length, spans.words, 64), 0);
    return { bytes, spans };
  };
  /** A request that the policy has permitted. */
  const request = (call: CallOptions = {}) => {
    const params = { name: call.name ?? 'tool', arguments: call.args ?? { a: 1, b: 2 }, ...call.params };
    const message = modernMessage(call.method ?? 'tools/call', params, { clientCapabilities: EVERYTHING, ...call });
    const exchange = table.acquire()!;
    const wire = new Wire();
    const { bytes, spans } = scan(call.text ?? message);
    exchange.client.reply = wire;
    wire.exchange = exchange;
    exchange.message.spans.words.set(spans.words);
    exchange.client.era = Era.modern;
    exchange.client.accepts = Accepts.json | Accepts.sse;
    exchange.client.idLength = bytes.copy(exchange.client.id, 0, spans.idStart, spans.idEnd);
    exchange.verdict.kind = Verdict.forward;
    exchange.verdict.server = 0;
    exchange.verdict.subject[0] = call.subject ?? 7;
    return { exchange, wire, bytes };
  };
  /** A call that is under way at an upstream. */
  const send = (upstream: Upstream, call: CallOptions = {}) => {
    const { exchange, wire, bytes } = request(call);
    exchange.message.body = bytes;
    exchange.message.bodyLength = bytes.length;
    const { spans } = exchange.message;
    exchange.client.capabilities = capabilityMask(bytes.subarray(spans.capabilitiesStart, spans.capabilitiesEnd));
    exchange.enter(Phase.sending);
    exchange.call.upstream = upstream;
    exchange.call.era = Era.legacy;
    exchange.call.sentAt = performance.now();
    exchange.call.deadline = exchange.call.sentAt + 5000;
    return { exchange, wire };
  };
  const ask = (upstream: Upstream, exchange: Exchange, id: unknown, method: string, params?: object): void => {
    const { bytes, spans } = scan({ jsonrpc: '2.0', id, method, ...(params === undefined ? {} : { params }) });
    parked.serverRequest(upstream, exchange, bytes, bytes.length, spans);
  };
  /** The upstream's last word about a call, the way the sink has it. */
  const answer = (exchange: Exchange, message: object): void => {
    const { bytes, spans } = scan({ jsonrpc: '2.0', id: 1, ...message });
    exchange.call.upstream = null;
    if (exchange.phase === Phase.parked) parked.response(exchange, bytes, bytes.length, spans);
    else write.message(exchange, bytes, bytes.length, spans);
  };
  const retry = (state: string | undefined, responses: object | undefined, call: CallOptions = {}) => {
    const params = {
      ...call.params,
      ...(responses === undefined ? {} : { inputResponses: responses }),
      ...(state === undefined ? {} : { requestState: state }),
    };
    const { exchange, wire, bytes } = request({ id: 'again', ...call, params });
    exchange.enter(Phase.sending);
    const isResumed = parked.resume(exchange, bytes, bytes.length);
    return { exchange, wire, isResumed };
  };
  const answered = (wire: Wire): Promise<Message> =>
    eventually('an answer', () => wire.body !== '').then(() => wire.message);
  /** A call that is parked with one elicitation, and what its client got. */
  const park = async (upstream: Upstream, call: CallOptions = {}) => {
    const { exchange, wire } = send(upstream, call);
    ask(upstream, exchange, 5, 'elicitation/create', ELICIT);
    const message = await answered(wire);
    assert.equal(message.result?.resultType, 'input_required', wire.body);
    return { exchange, message, state: message.result.requestState as string };
  };
  return { table, parked, write, finished, request, send, ask, answer, retry, answered, park, scan };
}
