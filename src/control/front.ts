/**
 * Puts the request path together on the main thread: accept, decode, dispatch, send and write around one exchange
 * table, with the upstream pool, the sessions and the catalog beside them. Nothing here runs per request except
 * through the stages.
 */

import { decoder } from '../../native/index.js';
import type { Catalog } from '../catalog/index.js';
import type { PreparedCatalog } from '../catalog/prepared.js';
import { isTombstone } from '../config/numbering.js';
import type { RouteSnapshot, ServerSnapshot, Snapshot } from '../config/snapshot.js';
import { ERRORS, type ErrorCode, errorNumber } from '../errors.js';
import { packageVersion } from '../package-root.js';
import { EVENT_STREAM_HEAD } from '../protocol/event-frames.js';
import { decodeString } from '../protocol/json-cursor.js';
import { corsHead } from '../request/accept/http/cors.js';
import type { PlainAnswer } from '../request/accept/http/handler.js';
import { DecodeStage } from '../request/decode/index.js';
import { Dispatcher } from '../request/dispatch/index.js';
import { Exchange, Phase, type SessionLike } from '../request/exchange/index.js';
import type { ExchangeTable } from '../request/exchange/table.js';
import { Pipeline } from '../request/pipeline.js';
import { SendStage } from '../request/send/index.js';
import { WriteStage } from '../request/write/index.js';
import { LargeAnswers } from '../request/write/large.js';
import { LocalAnswers } from '../request/write/local.js';
import { type RightHolder, Rights } from '../session/rights.js';
import type { Session, SessionTable } from '../session/sessions.js';
import type { StandaloneStreams } from '../session/streams/index.js';
import { isStanding } from '../session/streams/standing.js';
import { Counter } from '../shared/counters.js';
import { packedText } from '../shared/packed.js';
import { Verdict } from '../shared/records.js';
import type { VerdictRecord } from '../shared/verdict-record.js';
import type { UpstreamSink } from '../upstream/core/types.js';
import type { UpstreamPool } from '../upstream/pool.js';
import type { Accounting } from './accounting.js';
import { Dialogue } from './dialogue.js';
import type { WorkerPool } from './worker-pool.js';

/** What the front is made of besides itself. */
export interface FrontParts {
  /** The rules in force; its members change with a reload (in-force.ts). */
  readonly snapshot: Snapshot;
  readonly table: ExchangeTable;
  readonly pool: WorkerPool;
  readonly catalog: Catalog;
  readonly sessions: SessionTable;
  readonly streams: StandaloneStreams;
  readonly accounting: Accounting;
  /** Every exchange keeps its body, for the access log. */
  keepBodies(): boolean;
  /** The upstream pool; asked for at each use because it is made after the front. */
  upstreams(): UpstreamPool;
  /** `/health` and `/ready` of the data port. */
  plain(path: string): PlainAnswer | null;
  /** A WebSocket was closed for the rate of its frames: for the log. */
  tooManyFrames(address: string): void;
  /** A stage threw: for the log. */
  broke(error: unknown): void;
}

const TOKEN_REVOKED = errorNumber('GW_TOKEN_REVOKED');
/** Catalog versions a verdict may still refer to while its call is on its way. */
const KEPT_CATALOGS = 4;
/** Snapshots before the one in force that a call in flight may refer to. */
const KEPT_SNAPSHOTS = 4;

/** The assembled front; see the file comment. */
export class Front {
  readonly pipeline: Pipeline;
  readonly dispatcher: Dispatcher;
  readonly write: WriteStage;
  /** What upstreams report to. */
  readonly sink: UpstreamSink;
  /** What upstreams ask and clients follow. */
  readonly dialogue: Dialogue;
  readonly #rights: Rights;
  readonly #parts: FrontParts;
  readonly #catalogs: PreparedCatalog[] = [];
  readonly #earlier: Snapshot[] = [];
  #names: Buffer[];
  #serverInfo: Buffer;

  constructor(parts: FrontParts) {
    const { snapshot, table, pool, sessions, streams } = parts;
    const { limits } = snapshot;
    this.#parts = parts;
    this.#names = serverNames(snapshot.servers);
    this.#serverInfo = serverInfo(snapshot.name, packageVersion);
    const dialogue = new Dialogue({
      snapshot,
      table,
      sessions,
      streams,
      upstreams: () => parts.upstreams(),
      serverInfo: () => this.#serverInfo,
      openStream: (exchange) => this.#openNew(exchange),
      toolOf: (exchange) => this.#toolOf(exchange),
      isListed: (uri) => parts.catalog.current.listsUnusual(uri),
      broke: (error) => parts.broke(error),
      stages: () => ({
        event: (exchange, message) => write.event(exchange, message),
        suspend: (exchange, result) => write.suspend(exchange, result),
        message: (exchange, bytes, length, spans) => write.message(exchange, bytes, length, spans),
        again: (exchange, bytes, length) => send.again(exchange, bytes, length),
        send: (exchange, bytes, length) => send.send(exchange, bytes, length),
        unanswerable: (exchange, code, sentence) => write.unanswerable(exchange, code, sentence),
        fail: (exchange, code) => write.fail(exchange, code),
        refuse: (exchange, code) => write.refuse(exchange, code),
        result: (exchange, result) => write.result(exchange, result),
        empty: (exchange, status) => write.empty(exchange, status),
        complete: (exchange) => write.complete(exchange),
        abandon: (exchange) => write.abandon(exchange),
        head: (exchange, head) => write.head(exchange, head),
        open: (exchange) => write.streams.open(exchange),
        isTorn: (exchange) => large.writes(exchange),
        ask: (question, answered) => dispatcher.ask(question, answered),
      }),
    });
    this.dialogue = dialogue;
    const dispatcher = new Dispatcher({
      table,
      pool,
      decoder,
      next: (exchange, bytes, length, payload) => this.pipeline.decided(exchange, bytes, length, payload),
    });
    const rights = new Rights({
      snapshotVersion: () => pool.epochs.snapshot(),
      revocation: () => pool.epochs.revocation(),
      ask: (question, answered) => dispatcher.ask(question, answered),
      followed: (holder) => (holder instanceof Exchange ? dialogue.subscriptions.followed(holder) : []),
      lost: (holder, code) => this.#rightLost(holder, code),
      resourceLost: (holder, uri, code) => this.#resourceLost(holder, uri, code),
      broke: (error) => parts.broke(error),
    });
    this.#rights = rights;
    streams.standing.attach(rights);
    const write = new WriteStage({
      serverInfo: () => this.#serverInfo,
      serverName: (index) => this.#names[index] ?? null,
      resourceMetadata: () => (snapshot.auth.type === 'none' ? null : snapshot.auth.resourceMetadata),
      corsHead,
      store: (exchange, bytes, start, end) => dispatcher.store(exchange, bytes, start, end),
      release: (exchange) => dispatcher.release(exchange),
      log: streams.log,
      inputRequired: (exchange, bytes, length, spans) => dialogue.rounds.inputRequired(exchange, bytes, length, spans),
      urlRequired: (exchange, bytes, length, spans) => dialogue.urlRequired(exchange, bytes, length, spans),
      unanswered: (exchange) => dialogue.over(exchange),
      finished: (exchange) => parts.accounting.finished(exchange),
      recycle: (exchange) => {
        large.forget(exchange);
        if (isStanding(exchange)) {
          streams.standing.release(exchange);
        } else {
          if (exchange.client.eventStream !== 0) streams.log.over(exchange);
          table.release(exchange);
        }
      },
    });
    const large = new LargeAnswers({
      serverInfo: () => this.#serverInfo,
      head: (exchange, head) => write.head(exchange, head),
      release: (exchange) => dispatcher.release(exchange),
      endStream: (exchange) => write.streams.end(exchange),
      complete: (exchange) => write.complete(exchange),
    });
    const send = new SendStage({
      server: (index) => parts.upstreams().servers[index] ?? null,
      route: (verdict) => this.#route(verdict),
      catalog: (version) => this.#catalog(version),
      retried: () => pool.counters.add(Counter.upstreamRetries),
      fail: (exchange, code) => write.fail(exchange, code),
    });
    const endSession = (session: SessionLike): void => {
      const stream = streams.end(session as Session);
      if (stream !== null) write.abandon(stream);
      sessions.end(session);
      dialogue.sessionEnded(session.id);
    };
    const local = new LocalAnswers({
      write,
      answers: () => parts.catalog.current,
      createSession: (revision, capabilities, clientInfo, subject) =>
        sessions.create(revision, capabilities, clientInfo, subject),
      endSession,
      answered: (exchange, bytes) => dialogue.requests.answered(exchange, bytes),
      noted: (exchange, bytes) => dialogue.requests.clientNoted(exchange, bytes),
      subscribe: (exchange, bytes) => dialogue.subscriptions.subscribe(exchange, bytes),
      listen: (exchange, bytes) => dialogue.subscriptions.listen(exchange, bytes),
      task: (exchange, bytes, length) => dialogue.tasks.task(exchange, bytes, length),
      openStandaloneStream: (exchange) => this.#openStream(exchange),
      cancel: (exchange, bytes, start, end) => {
        this.pipeline.cancel(exchange, bytes, start, end);
        dialogue.subscriptions.cancelled(exchange, bytes, start, end);
        dialogue.requests.clientCancelled(exchange, bytes, start, end);
      },
      levelChanged: (session) => parts.upstreams().wantLogLevel(session.logLevel),
    });
    const decode = new DecodeStage({
      decoder,
      get maxDepth() {
        return limits.maxDepth;
      },
      get authRequired() {
        return snapshot.auth.type !== 'none';
      },
      openSession: (id) => sessions.open(id),
      isListed: (uri) => parts.catalog.current.listsUnusual(uri),
      wantLogLevel: (level) => parts.upstreams().wantLogLevel(level),
      next: (exchange, bytes, length) => this.pipeline.decoded(exchange, bytes, length),
      batch: (exchange, bytes, length) => this.pipeline.batch(exchange, bytes, length),
      refuse: (exchange, code) => write.refuse(exchange, code),
    });
    this.dispatcher = dispatcher;
    this.write = write;
    this.sink = {
      message: (exchange, bytes, length, spans) => {
        const { generation } = exchange;
        try {
          if (exchange.phase === Phase.parked) dialogue.parked.response(exchange, bytes, length, spans);
          else if (dialogue.tasks.concerns(exchange, spans)) dialogue.taskResponse(exchange, bytes, length, spans);
          else write.message(exchange, bytes, length, spans);
        } catch (error) {
          this.pipeline.contain(exchange, generation, error);
        }
      },
      failed: (exchange, code, sent) => {
        const { generation } = exchange;
        try {
          if (large.failed(exchange, code)) return;
          if (exchange.call.openRequests > 0 && exchange.phase !== Phase.parked) dialogue.over(exchange);
          if (exchange.phase === Phase.parked) dialogue.parked.failed(exchange, code);
          else send.failed(exchange, code, sent);
        } catch (error) {
          this.pipeline.contain(exchange, generation, error);
        }
      },
      serverRequest: (endpoint, exchange, bytes, length, spans) =>
        dialogue.asked(endpoint, exchange, bytes, length, spans),
      serverNotification: (endpoint, exchange, bytes, length, spans) =>
        dialogue.noted(endpoint, exchange, bytes, length, spans),
      disconnected: (endpoint) => dialogue.lost(endpoint),
      largeStart: (exchange, bytes, length) => large.start(exchange, bytes, length),
      largePart: (exchange, bytes, start, end) => {
        const { generation } = exchange;
        try {
          large.part(exchange, bytes, start, end);
        } catch (error) {
          this.pipeline.contain(exchange, generation, error);
        }
      },
      largeEnd: (exchange, complete) => {
        const { generation } = exchange;
        try {
          large.end(exchange, complete);
        } catch (error) {
          this.pipeline.contain(exchange, generation, error);
        }
      },
    };
    this.pipeline = new Pipeline({
      table,
      decode,
      dispatch: dispatcher,
      send,
      write,
      local,
      resume: (exchange, bytes, length) => dialogue.parked.resume(exchange, bytes, length),
      splitBatch: (bytes, length, out) => decoder.splitBatch(bytes, length, out),
      maxBatch: limits.maxBatch,
      get keepBodies() {
        return parts.keepBodies();
      },
      tasks: dialogue.tasks,
      streamClosed: (exchange) => {
        if (!streams.remove(exchange)) dialogue.subscriptions.closed(exchange);
      },
      connected: (link, token, verdict) => rights.hold(link, token, verdict),
      disconnected: (link) => rights.release(link),
      sessionClosed: (sessionId) => {
        const session = sessions.open(sessionId);
        if (session !== null) endSession(session);
      },
      plain: (path) => parts.plain(path),
      tooManyFrames: (address) => {
        pool.counters.add(Counter.webSocketsTooFast);
        parts.tooManyFrames(address);
      },
      broke: (error) => parts.broke(error),
    });
  }

  /** Brings a catalog to the workers; it is in force when this returns. */
  useCatalog(next: PreparedCatalog): void {
    this.#catalogs.unshift(next);
    this.#catalogs.length = Math.min(this.#catalogs.length, KEPT_CATALOGS);
    this.#parts.accounting.setCatalog(next);
    this.dispatcher.setCatalog(next.table);
  }

  /**
   * Follows a reload, once the rules in force (`parts.snapshot`) are the new ones.
   *
   * @param before the snapshot that was in force; calls in flight finish by its routes
   */
  reconfigure(before: Snapshot): void {
    const { snapshot } = this.#parts;
    this.dialogue.useSecrets(snapshot.sessions.secrets);
    this.#earlier.unshift(before);
    this.#earlier.length = Math.min(this.#earlier.length, KEPT_SNAPSHOTS);
    this.#serverInfo = serverInfo(snapshot.name, packageVersion);
    // The name of a server that is gone stays: its last answers bear it.
    const names = serverNames(snapshot.servers);
    this.#names = names.map((name, index) =>
      isTombstone(snapshot.servers[index]!) ? (this.#names[index] ?? name) : name,
    );
  }

  /** By its own snapshot: the same number may mean another route after a reload. */
  #route(verdict: VerdictRecord): RouteSnapshot | null {
    const { snapshot } = this.#parts;
    const version = verdict.snapshotVersion;
    const rules = version === snapshot.version ? snapshot : this.#earlier.find((known) => known.version === version);
    return rules?.routes[verdict.route] ?? null;
  }

  #catalog(version: number): PreparedCatalog | null {
    for (const catalog of this.#catalogs) if (catalog.version === version) return catalog;
    return null;
  }

  /** What the server calls the tool of a call in flight; empty when it is not known any more. */
  #toolOf({ message: { body, bodyLength, spans }, verdict }: Exchange): string {
    const entry = verdict.entry;
    if (entry >= 0) {
      const catalog = this.#catalog(verdict.catalogVersion);
      return catalog === null ? '' : packedText(catalog.table.upstreamNames, entry);
    }
    if (bodyLength === 0) return '';
    const name = decodeString(body, spans.nameStart, spans.nameEnd);
    return name.slice(verdict.stripBytes);
  }

  #openStream(exchange: Exchange): void {
    const session = exchange.client.session as Session;
    if (this.#parts.sessions.open(session.id) === null) {
      // It was ended while this was decided.
      this.write.refuse(exchange, 'GW_SESSION_NOT_FOUND');
    } else if (exchange.client.lastEventId !== '') {
      this.dialogue.resumption.resume(exchange);
    } else {
      this.#openNew(exchange);
    }
  }

  #openNew(exchange: Exchange): void {
    const { streams, table } = this.#parts;
    const session = exchange.client.session as Session;
    if (streams.open(session, exchange, this.write.head(exchange, EVENT_STREAM_HEAD)) !== null) table.release(exchange);
    else this.write.refuse(exchange, streams.has(session) ? 'GW_STREAM_CONFLICT' : 'GW_OVERLOADED');
  }

  /** What streams and connections rest on may have changed with a reload. */
  recheckRights(): void {
    this.#rights.recheck();
  }

  /** Ends the parked calls whose token was revoked: their clients cannot come back for them. */
  endRevokedCalls(): void {
    const { table } = this.#parts;
    table.forEach((exchange) => {
      if (exchange.phase !== Phase.parked) return;
      const { generation } = exchange;
      const { token } = exchange.client;
      this.dispatcher.ask({ token, address: '', about: 'token', name: '', isMetered: false }, (verdict) => {
        const isRevoked = verdict.error === TOKEN_REVOKED && verdict.kind === Verdict.deny;
        if (isRevoked && exchange.generation === generation) this.dialogue.parked.abandon(exchange);
      });
    });
  }

  /** Ends what a client hears on without its right; calls in flight were permitted, and finish. */
  #rightLost(holder: RightHolder, code: ErrorCode): void {
    if (!(holder instanceof Exchange)) {
      holder.end(code);
      return;
    }
    const { link } = holder.client;
    if (this.dialogue.subscriptions.closed(holder)) {
      this.write.fail(holder, code);
    } else {
      // Not forgotten: with another token of the same subject, the client may come back for what it has missed.
      this.#parts.streams.remove(holder);
      this.#endStream(holder, code);
    }
    link?.end(code);
  }

  /** A listen stream ends, so that its client opens another and hears what is refused; a session has no such way. */
  #resourceLost(holder: RightHolder, uri: string, code: ErrorCode): void {
    if (!(holder instanceof Exchange)) return;
    if (holder.client.session !== null) this.dialogue.subscriptions.forbid(holder.client.session.id, uri);
    else if (this.dialogue.subscriptions.closed(holder)) this.write.fail(holder, code);
  }

  /** Ends a stream that is none of its session any more. */
  #endStream(exchange: Exchange, code: ErrorCode): void {
    const { reply } = exchange.client;
    exchange.client.error = code;
    if (exchange.client.link === null) this.#parts.streams.comment(exchange, ERRORS[code].sentence);
    reply?.endStream();
    this.write.abandon(exchange);
  }

  /**
   * The state of a session is dropped.
   *
   * @param isOver the session itself ended too; otherwise it only lost its place and may be used again
   */
  sessionDropped(session: Session, isOver: boolean): void {
    const { stream } = session;
    if (isOver && stream !== null) {
      const { link } = stream.client;
      this.#parts.streams.remove(stream);
      this.#endStream(stream, 'GW_SESSION_NOT_FOUND');
      link?.end('GW_SESSION_NOT_FOUND');
    }
    this.#parts.streams.forget(session);
    if (isOver) this.dialogue.sessionEnded(session.id);
    else this.dialogue.subscriptions.sessionEnded(session.id);
  }
}

function serverNames(servers: readonly ServerSnapshot[]): Buffer[] {
  return servers.map(({ name }) => Buffer.from(JSON.stringify(name)));
}

function serverInfo(name: string, version: string): Buffer {
  const info = JSON.stringify({ name, version });
  return Buffer.from(`"_meta":{"io.modelcontextprotocol/serverInfo":${info}}`);
}
