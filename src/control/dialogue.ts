/**
 * What goes from upstreams to clients besides answers: their requests, the questions of `input_required`, changes that
 * clients follow. Puts the parts of src/session,
 * src/server-requests and src/subscriptions together with the stages and the upstream pool.
 */

import { decoder } from '../../native/index.js';
import { Method, ScanStatus } from '../../native/layout.js';
import { Spans } from '../../native/spans.js';
import type { Snapshot } from '../config/snapshot.js';
import type { ErrorCode } from '../errors.js';
import { EVENT_STREAM_HEAD } from '../protocol/event-frames.js';
import { Era } from '../protocol/revisions.js';
import type { Answered, Question } from '../request/dispatch/questions.js';
import type { Exchange } from '../request/exchange/index.js';
import type { ExchangeTable } from '../request/exchange/table.js';
import { ServerRequests } from '../server-requests/index.js';
import { InputRounds } from '../server-requests/input-rounds.js';
import { ParkedCalls } from '../server-requests/parked/index.js';
import { HandleSealer } from '../session/handles.js';
import type { SessionTable } from '../session/sessions.js';
import type { StandaloneStreams } from '../session/streams/index.js';
import { KeepAlive } from '../session/streams/keep-alive.js';
import { Resumption } from '../session/streams/resume.js';
import { TaskRoutes } from '../session/tasks.js';
import { Access } from '../subscriptions/access.js';
import { Subscriptions } from '../subscriptions/index.js';
import { UPSTREAM_DEPTH } from '../upstream/core/control.js';
import type { Discovery, Endpoint } from '../upstream/core/types.js';
import type { UpstreamPool } from '../upstream/pool.js';

/** What the dialogue needs of the stages; they are made after it. */
export interface DialogueStages {
  event(exchange: Exchange, message: Uint8Array): boolean;
  suspend(exchange: Exchange, result: Uint8Array): void;
  message(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): void;
  again(exchange: Exchange, bytes: Uint8Array, length: number): void;
  unanswerable(exchange: Exchange, code: ErrorCode, sentence: string): void;
  send(exchange: Exchange, bytes: Uint8Array, length: number): void;
  fail(exchange: Exchange, code: ErrorCode): void;
  refuse(exchange: Exchange, code: ErrorCode): void;
  result(exchange: Exchange, result: Uint8Array): void;
  /** Ends with a status and no body. */
  empty(exchange: Exchange, status: number): void;
  /** Everything is written, or nothing more will be: counts the exchange and gives it back. */
  complete(exchange: Exchange): void;
  abandon(exchange: Exchange): void;
  /** A head with what the client's origin needs besides. */
  head(exchange: Exchange, head: readonly string[]): readonly string[];
  /** Opens the stream of an answer. */
  open(exchange: Exchange): void;
  /** Part of the answer is on its way in a form that cannot be taken up by another connection. */
  isTorn(exchange: Exchange): boolean;
  /** Dispatcher.ask. */
  ask(question: Question, answered: Answered): boolean;
}

/** What the dialogue is made of besides itself. */
export interface DialogueParts {
  readonly snapshot: Snapshot;
  readonly table: ExchangeTable;
  readonly sessions: SessionTable;
  readonly streams: StandaloneStreams;
  upstreams(): UpstreamPool;
  stages(): DialogueStages;
  /** `"_meta":{"io.modelcontextprotocol/serverInfo":…}` of the gateway. */
  serverInfo(): Uint8Array;
  /** Opens a standalone stream. */
  openStream(exchange: Exchange): void;
  /** What the server calls the tool of a call in flight; empty when it is not known any more. */
  toolOf(exchange: Exchange): string;
  /** Whether an upstream lists a resource under exactly this spelling, which is not the normal form. */
  isListed(uri: string): boolean;
  /** Something threw, which nothing should: for the log. */
  broke(error: unknown): void;
}

/** See the file comment. */
export class Dialogue {
  readonly requests: ServerRequests;
  readonly rounds: InputRounds;
  readonly parked: ParkedCalls;
  readonly subscriptions: Subscriptions;
  readonly resumption: Resumption;
  readonly tasks: TaskRoutes;
  readonly #keepAlive: KeepAlive;
  readonly #handles: readonly HandleSealer[];
  readonly #stages: () => DialogueStages;
  readonly #upstreams: () => UpstreamPool;

  constructor(parts: DialogueParts) {
    const { snapshot, table, sessions, streams, stages } = parts;
    const { limits } = snapshot;
    this.#stages = stages;
    this.#upstreams = () => parts.upstreams();
    const access = new Access({
      snapshot,
      ask: (question, answered) => stages().ask(question, answered),
      broke: (error) => parts.broke(error),
    });
    const { secrets } = snapshot.sessions;
    const taskHandles = new HandleSealer(secrets, 'task', 'sy1t.');
    const parkedHandles = new HandleSealer(secrets, 'parked call', 'sy1p.');
    this.#handles = [taskHandles, parkedHandles];
    this.tasks = new TaskRoutes({
      handles: taskHandles,
      serverName: (server) => parts.upstreams().servers[server]?.name ?? '',
      serverIndex: (name) => parts.upstreams().servers.findIndex((server) => server.name === name),
      carries: (server, era) => carriesTasks(parts.upstreams().servers[server]?.discovery ?? null, era),
      scan: (bytes, length, spans) => decoder.scan(bytes, length, spans.words, UPSTREAM_DEPTH) === ScanStatus.ok,
      send: (exchange, bytes, length) => stages().send(exchange, bytes, length),
      refuse: (exchange, code) => stages().refuse(exchange, code),
      toolOf: (exchange) => parts.toolOf(exchange),
      tell: (sessionId, starter, address, message) => {
        const session = sessions.open(sessionId);
        if (session === null) return;
        const token = session.stream?.client.token ?? starter;
        access.hearsOfTask({ token, address: '' }, address, () => streams.sendTo(session, message));
      },
    });
    this.requests = new ServerRequests({
      limits,
      toCall: (exchange, message) => stages().event(exchange, message),
      toSession: (sessionId, message) => {
        const session = sessions.open(sessionId);
        return session !== null && streams.sendTo(session, message);
      },
      openSession: (id) => sessions.open(id),
      callsAt: (endpoint, sessionId) => {
        const calls: Exchange[] = [];
        table.forEach((exchange) => {
          if (exchange.call.upstream === endpoint && exchange.client.session?.id === sessionId) calls.push(exchange);
        });
        return calls;
      },
      rootsChanged: (sessionId) => parts.upstreams().rootsChanged(sessionId),
    });
    this.rounds = new InputRounds({
      limits,
      requests: this.requests,
      scan: (bytes, length, spans) => decoder.scan(bytes, length, spans.words, UPSTREAM_DEPTH) === ScanStatus.ok,
      renewed: (exchange) => streams.log.renewed(exchange),
      again: (exchange, bytes, length) => stages().again(exchange, bytes, length),
      fail: (exchange, code) => stages().fail(exchange, code),
      unanswerable: (exchange, code, sentence) => stages().unanswerable(exchange, code, sentence),
    });
    this.parked = new ParkedCalls({
      limits,
      table,
      handles: parkedHandles,
      serverInfo: () => parts.serverInfo(),
      suspend: (exchange, result) => stages().suspend(exchange, result),
      message: (exchange, bytes, length, spans) => stages().message(exchange, bytes, length, spans),
      fail: (exchange, code) => stages().fail(exchange, code),
      refuse: (exchange, code) => stages().refuse(exchange, code),
      connectionsOf: (server) => parts.upstreams().servers[server]?.config.maxConnections ?? 0,
      eraOf: (server) => parts.upstreams().servers[server]?.endpoints.find(({ state }) => state === 'ready')?.era ?? -1,
    });
    this.subscriptions = new Subscriptions({
      limits,
      standing: streams.standing,
      server: (index) => parts.upstreams().servers[index] ?? null,
      access,
      isListed: (uri) => parts.isListed(uri),
      taskOf: (handle, subject) => this.tasks.taskOf(handle, subject),
      serverName: (server) => parts.upstreams().servers[server]?.name ?? '',
      notify: (session, message) => streams.notify(session, message),
      broadcast: (message) => streams.broadcast(message),
      openStream: (exchange) => exchange.client.reply?.openStream(200, stages().head(exchange, EVENT_STREAM_HEAD)),
      result: (exchange, result) => stages().result(exchange, result),
      refuse: (exchange, code) => stages().refuse(exchange, code),
      release: (exchange) => table.release(exchange),
      complete: (exchange) => stages().complete(exchange),
      serverInfo: () => parts.serverInfo(),
      broke: (error) => parts.broke(error),
    });
    this.resumption = new Resumption({
      streams,
      head: (exchange) => stages().head(exchange, EVENT_STREAM_HEAD),
      openNew: (exchange) => parts.openStream(exchange),
      isTorn: (exchange) => stages().isTorn(exchange),
      refuse: (exchange, code) => stages().refuse(exchange, code),
      empty: (exchange, status) => stages().empty(exchange, status),
      complete: (exchange) => stages().complete(exchange),
      release: (exchange) => table.release(exchange),
      abandon: (exchange) => stages().abandon(exchange),
    });
    this.#keepAlive = new KeepAlive({
      limits,
      table,
      standing: streams.standing,
      open: (exchange) => stages().open(exchange),
    });
  }

  /** A request of an upstream. */
  asked(endpoint: Endpoint, exchange: Exchange | null, bytes: Uint8Array, length: number, spans: Spans): void {
    if (exchange !== null && exchange.client.era === Era.modern)
      this.parked.asked(endpoint, exchange, bytes, length, spans);
    else this.requests.asked(endpoint, exchange, bytes, length, spans);
  }

  /** A notification of an upstream about its own requests. */
  noted(endpoint: Endpoint, exchange: Exchange | null, bytes: Uint8Array, length: number, spans: Spans): void {
    if (spans.method === Method.tasksStatus) {
      this.tasks.statusChanged(endpoint.server, bytes, length, spans);
      return;
    }
    this.parked.noted(endpoint, bytes, length, spans);
    this.requests.noted(endpoint, exchange, bytes, length, spans);
  }

  /** A response that may name tasks. */
  taskResponse(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): void {
    const sealed = this.tasks.sealed(exchange, bytes, spans, length);
    if (sealed === null) {
      this.#stages().message(exchange, bytes, length, spans);
      return;
    }
    const own = new Spans();
    decoder.scan(sealed, sealed.length, own, UPSTREAM_DEPTH);
    this.#stages().message(exchange, sealed, sealed.length, own);
  }

  /** A call is over that an upstream has asked something for. */
  over(exchange: Exchange): void {
    if (exchange.client.era === Era.modern) this.parked.over(exchange);
    else this.requests.over(exchange);
  }

  /**
   * An upstream answered -32042 (2025-11-25, URL elicitation required).
   *
   * @returns whether the client was told in its own way; false = it gets the error
   */
  urlRequired(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): boolean {
    if (exchange.client.era === Era.modern) return this.parked.urlRequired(exchange, bytes, length, spans);
    this.requests.urlRequired(exchange, bytes, length, spans);
    return false;
  }

  /** The endpoint waits no longer for answers. */
  lost(endpoint: Endpoint): void {
    this.requests.lost(endpoint);
    this.parked.lost(endpoint);
  }

  /** A session is over. */
  sessionEnded(sessionId: string): void {
    this.requests.sessionEnded(sessionId);
    this.subscriptions.sessionEnded(sessionId);
    this.#upstreams().sessionEnded(sessionId);
  }

  /** Follows a reload. @param secrets that session ids and handles are sealed with, newest first */
  useSecrets(secrets: readonly string[]): void {
    for (const handles of this.#handles) handles.reconfigure(secrets);
  }

  /** Ends what would wait for ever, so that the rest can finish. */
  drain(): void {
    this.requests.close();
    this.parked.close();
    this.subscriptions.endListens();
  }

  /** Ends everything. */
  close(): void {
    this.drain();
    this.#keepAlive.close();
  }
}

/** Tasks of 2025-11-25 are a capability of their own, later ones an extension. */
function carriesTasks(discovery: Discovery | null, era: number): boolean {
  if (discovery === null || discovery.era !== era) return false;
  if (era === Era.legacy) return typeof discovery.capabilities['tasks'] === 'object';
  const { extensions } = discovery.capabilities as { extensions?: Record<string, unknown> };
  return extensions?.['io.modelcontextprotocol/tasks'] !== undefined;
}
