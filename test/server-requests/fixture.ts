import assert from 'node:assert/strict';
import { decoder } from '../../native/index.js';
import { ScanStatus } from '../../native/layout.js';
import { Spans } from '../../native/spans.js';
import { Era } from '../../src/protocol/revisions.js';
import { type Exchange, Framing, Phase, type Reply, type SessionLike } from '../../src/request/exchange/index.js';
import { ExchangeTable } from '../../src/request/exchange/table.js';
import { WriteStage } from '../../src/request/write/index.js';
import { NO_LIMITS } from '../../src/request/write/limit-fields.js';
import { NO_LOG } from '../../src/request/write/streams.js';
import { ServerRequests } from '../../src/server-requests/index.js';
import { InputRounds } from '../../src/server-requests/input-rounds.js';
import { SessionSealer } from '../../src/session/seal.js';
import { SessionTable } from '../../src/session/sessions.js';
import { type ConnectionOwner, type Endpoint, SHARED_PROFILE } from '../../src/upstream/core/types.js';
import { authOf } from '../support/auth.js';

// biome-ignore lint/suspicious/noExplicitAny: messages under test have any shape
type Message = any;

/** The client's end of one request: the bare messages in order. */
export class Wire implements Reply {
  readonly texts: string[] = [];
  streaming = false;
  ended = false;
  send(_status: number, _head: readonly string[], bytes: Uint8Array, start: number, end: number): void {
    assert.equal(this.ended, false, 'answered twice');
    this.texts.push(Buffer.from(bytes.subarray(start, end)).toString());
    this.ended = true;
  }
  openStream(): void {
    this.streaming = true;
  }
  write(bytes: Uint8Array, start: number, end: number): boolean {
    assert.equal(this.ended, false, 'written after the end');
    this.texts.push(Buffer.from(bytes.subarray(start, end)).toString());
    return true;
  }
  endStream(): void {
    this.ended = true;
  }
  buffered(): number {
    return 0;
  }
  abort(): void {}
  rebind(): void {}
  acknowledged(): void {}
  get messages(): Message[] {
    return this.texts.map((text) => JSON.parse(text));
  }
}

/** An upstream that keeps what it is sent. */
export class RecordingEndpoint implements Endpoint {
  readonly server = 0;
  readonly index = 0;
  readonly weight = 1;
  readonly transport = 'http';
  readonly state = 'ready';
  readonly era = Era.legacy;
  readonly revision = 3;
  readonly inFlight = 0;
  readonly reason = '';
  readonly profile;
  readonly texts: string[] = [];
  readonly called: string[] = [];
  constructor(owner: ConnectionOwner | null = null) {
    this.profile = { ...SHARED_PROFILE, owner };
  }
  call(_exchange: Exchange, bytes: Buffer): void {
    this.called.push(bytes.toString());
  }
  reply(bytes: Buffer): void {
    this.texts.push(bytes.toString());
  }
  async listen(): Promise<never> {
    throw new Error('no listen here');
  }
  cancel(): void {}
  pause(): void {}
  resume(): void {}
  get replies(): Message[] {
    return this.texts.map((text) => JSON.parse(text));
  }
}

const NO_BYTES = Buffer.alloc(0);

/** A client of an older revision. */
export interface FixtureClient {
  readonly session: SessionLike;
  /** What came on its standalone stream; null = it has none open. */
  own: string[] | null;
}

/** The parts of a front that server requests pass through, with a client and an upstream that record what they get. */
export function fixture(limits: { maxServerRequests?: number; answerMs?: number; maxInputRounds?: number } = {}) {
  const table = new ExchangeTable(1000);
  const sessions = new SessionTable({
    sealer: new SessionSealer(['a secret that is long enough to be one']),
    ttlSeconds: 600,
    maxSessions: 1000,
  });
  const clients = new Map<string, FixtureClient>();
  const rootsChanges: string[] = [];
  const released: Exchange[] = [];
  const again: string[] = [];
  const all = { maxServerRequests: 100, answerMs: 60_000, maxInputRounds: 8, ...limits };
  const config = { current: { limits: all } };
  const write = new WriteStage({
    routes: { variantHead: () => [] },
    config: { current: { auth: authOf(), views: [], publicUrl: null, cache: { headers: false, meta: false } } },
    identity: { serverInfo: NO_BYTES, serverName: () => null, serverReason: () => null },
    catalogs: { unknownName: () => '' },
    cache: { store: () => {}, release: (exchange) => released.push(exchange) },
    limits: NO_LIMITS,
    log: NO_LOG,
    accounting: { finished: () => {} },
    exchanges: table,
  });
  const requests = new ServerRequests({
    config,
    table,
    sessions,
    write,
    streams: {
      sendTo: ({ id }, message) => {
        const own = clients.get(id)?.own;
        own?.push(Buffer.from(message).toString());
        return Array.isArray(own);
      },
    },
    upstreams: { rootsChanged: (id) => rootsChanges.push(id) },
  });
  const rounds = new InputRounds({
    config,
    requests,
    decoder,
    log: { generationChanged: () => {} },
    send: {
      again: (exchange, bytes, length) => {
        exchange.enter(Phase.sending);
        again.push(Buffer.from(bytes.subarray(0, length)).toString());
      },
    },
    write,
  });
  write.attach({
    inputRequired: (exchange, bytes, length, spans) => rounds.inputRequired(exchange, bytes, length, spans),
    loginRequired: () => false,
    urlRequired: (exchange, bytes, length, spans) => {
      requests.urlRequired(exchange, bytes, length, spans);
      return false;
    },
    callEnded: (exchange) => requests.callEnded(exchange),
    callAnswered: (exchange) => requests.callAnswered(exchange),
  });

  const scanned = (text: string): { bytes: Buffer; spans: Spans } => {
    // A larger buffer around it, as messages come out of pipes and sockets.
    const bytes = Buffer.from(`${text}\0\0\0{"junk"`);
    const spans = new Spans();
    assert.equal(decoder.scan(bytes, Buffer.byteLength(text), spans.words, 100), ScanStatus.ok, text);
    return { bytes, spans };
  };

  /** A session; capabilities as in `initialize`. */
  const client = (capabilities: object, revision = 3, stream = false): FixtureClient => {
    const session = sessions.create(revision, Buffer.from(JSON.stringify(capabilities)), NO_BYTES, new Int32Array(4))!;
    const made: FixtureClient = { session, own: stream ? [] : null };
    clients.set(session.id, made);
    return made;
  };

  /** A call of a client, in flight at an upstream. */
  const call = ({ session }: FixtureClient, endpoint: Endpoint, text = toolCall()) => {
    const exchange = table.acquire()!;
    const wire = new Wire();
    exchange.client.reply = wire;
    exchange.client.accepts = 3;
    exchange.client.framing = Framing.message;
    exchange.client.era = Era.legacy;
    exchange.call.era = Era.modern;
    exchange.client.session = session;
    exchange.client.revision = session.revision;
    exchange.call.upstream = endpoint;
    exchange.call.server = 0;
    exchange.message.body = Buffer.from(text);
    exchange.message.bodyLength = exchange.message.body.length;
    assert.equal(
      decoder.scan(exchange.message.body, exchange.message.bodyLength, exchange.message.spans.words, 100),
      ScanStatus.ok,
    );
    exchange.client.id = Buffer.from('"mine"');
    exchange.client.idLength = exchange.client.id.length;
    exchange.enter(Phase.sending);
    return { exchange, wire };
  };

  /** A message of a client besides its calls. */
  const post = ({ session }: FixtureClient, text: string, take: (exchange: Exchange, bytes: Buffer) => void): void => {
    const exchange = table.acquire()!;
    const { bytes, spans } = scanned(text);
    exchange.client.session = session;
    exchange.message.spans.words.set(spans.words);
    take(exchange, bytes);
    table.release(exchange);
  };

  return {
    limits: all,
    table,
    sessions,
    requests,
    rounds,
    write,
    again,
    released,
    rootsChanges,
    client,
    call,
    serverRequest: (endpoint: Endpoint, exchange: Exchange | null, text: string) => {
      const { bytes, spans } = scanned(text);
      requests.serverRequest(endpoint, exchange, bytes, Buffer.byteLength(text), spans);
    },
    serverNotification: (endpoint: Endpoint, text: string) => {
      const { bytes, spans } = scanned(text);
      requests.serverNotification(endpoint, bytes, Buffer.byteLength(text), spans);
    },
    /** A message of the upstream about a call. */
    upstreamMessage: (exchange: Exchange, text: string) => {
      const { bytes, spans } = scanned(text);
      write.message(exchange, bytes, Buffer.byteLength(text), spans);
    },
    clientResponse: (from: FixtureClient, text: string) =>
      post(from, text, (exchange, bytes) => requests.clientResponse(exchange, bytes)),
    clientNotification: (from: FixtureClient, text: string) =>
      post(from, text, (exchange, bytes) => requests.clientNotification(exchange, bytes)),
    close: () => {
      requests.close();
      sessions.close();
    },
  };
}

/** A `tools/call` as a client sends it. */
export function toolCall(): string {
  return '{"jsonrpc":"2.0","id":"mine","method":"tools/call","params":{"name":"t","arguments":{"n":1.0}}}';
}

/** Everything that a client can declare. */
export const ALL = { sampling: { tools: {} }, elicitation: { form: {}, url: {} }, roots: { listChanged: true } };
/** A request of an upstream whose bytes are no parser's own. */
export const SAMPLE =
  '{"jsonrpc":"2.0","id":"s\\u00e9-1","method":"sampling/createMessage","params":{"messages":[{"role":"user","content":{"type":"text","text":"hi"}}],"maxTokens":1.50e1,"x":{"y":[]}}}';
