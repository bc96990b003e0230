/**
 * send: a permitted call to an endpoint. Chooses the server and the endpoint, splices the body, forwards, and tries
 * the next endpoint where that is safe.
 */

import { Flag, Method } from '../../../native/layout.js';
import type { ErrorCode } from '../../errors.js';
import { ASKABLE, Capability, declaredCapabilities } from '../../protocol/client-capabilities.js';
import { encodeHeaderValue } from '../../protocol/header-value.js';
import { decodeString } from '../../protocol/json-cursor.js';
import { LEVELS, NO_LEVEL } from '../../protocol/levels.js';
import { isNameMirrored } from '../../protocol/names/mirrored-name.js';
import { Era } from '../../protocol/revisions.js';
import { TASKS_CAPABILITY } from '../../protocol/tasks-extension.js';
import { EntryFlag } from '../../shared/catalog-table.js';
import { Counter } from '../../shared/counters.js';
import { Verdict, VerdictFlag } from '../../shared/ring/records.js';
import { FULL_RETRY_MS } from '../exchange/concurrency.js';
import { type CallTarget, type Exchange, MessageFlag, Phase, type SessionLike } from '../exchange/index.js';
import { CapabilityMemo } from './capability-memo.js';
import { type Envelope, sessionEnvelope } from './envelope.js';
import { paramHeaders } from './param-headers.js';
import type { SendCatalog, SendParts, SendServer } from './parts.js';
import { type SpliceTarget, spliceRequest } from './splice.js';
import { type StartedCalls, StartingCalls } from './starting-calls.js';
import { unknownMethodHeaders } from './unknown-method.js';

/** Of a client that has no session, so that nothing is known of it. */
const NO_SESSION = sessionEnvelope(Buffer.alloc(0), {}, null);
const NO_SESSION_TASKS = sessionEnvelope(Buffer.alloc(0), TASKS_CAPABILITY, null);

/** The stage; one per front. */
export class SendStage implements StartedCalls {
  readonly #parts: SendParts;
  readonly #target: SpliceTarget = { era: Era.legacy, name: null, stripBytes: 0, envelope: null };
  /** Envelopes of legacy sessions towards modern upstreams, by tasks and log level; they live as long as the session. */
  readonly #envelopes = new WeakMap<SessionLike, (Envelope | undefined)[]>();
  readonly #capabilities = new CapabilityMemo();
  readonly #starting = new StartingCalls(this);
  /** Of the call that has just waited: later catalogs may have taken its place. */
  #kept: SendCatalog | null = null;

  constructor(parts: SendParts) {
    this.#parts = parts;
  }

  /**
   * Sends a call once more to the server that has answered it, with another body: `exchange.message.spans` is the scan of
   * `bytes[0, length)`, and `exchange.message.body` holds the same bytes, in case an endpoint fails before it has them.
   */
  again(exchange: Exchange, bytes: Uint8Array, length: number): void {
    exchange.enter(exchange.client.streaming ? Phase.streaming : Phase.sending);
    exchange.call.tried.clear();
    this.#attempt(exchange, bytes, length, 'GW_UPSTREAM_DOWN', false);
  }

  /** Forwards a call whose verdict is `forward` or `lead`; `bytes[0, length)` are valid during the call only. */
  send(exchange: Exchange, bytes: Uint8Array, length: number): void {
    const { verdict } = exchange;
    exchange.enter(Phase.sending);
    exchange.call.tried.clear();
    exchange.call.server = verdict.server;
    const server = this.#parts.upstreams.servers[exchange.call.server];
    if (server === undefined) {
      this.#parts.write.fail(exchange, 'GW_INTERNAL');
      return;
    }
    // Only a call that may go elsewhere has to keep its body.
    if (server.endpointCount > 1 || this.#parts.routes.serversOf(verdict).length > 1) keep(exchange, bytes, length);
    // A task that it makes is judged by its name, which the catalog does not have yet.
    else if (verdict.entry < 0 && exchange.message.spans.method === Method.toolsCall) {
      keep(exchange, bytes, length);
    }
    if (server.wantsLogin) this.#keepForLogin(exchange, bytes, length);
    this.#attempt(exchange, bytes, length, 'GW_UPSTREAM_DOWN', false);
  }

  /** The call after a login is compared with this one (`requestState`). */
  #keepForLogin(exchange: Exchange, bytes: Uint8Array, length: number): void {
    this.readCapabilities(exchange, bytes);
    const { client, message } = exchange;
    const isAsked = client.era === Era.modern && (client.capabilities & Capability.elicitationUrl) !== 0;
    if (isAsked && message.bodyLength === 0) keep(exchange, bytes, length);
  }

  /** An endpoint reports that a call failed: the next one is tried if no byte left or the call is safe to repeat. */
  failed(exchange: Exchange, code: ErrorCode, sent: boolean): void {
    exchange.call.upstream = null;
    exchange.call.connection = null;
    // A task runs at one endpoint: the call would make another one.
    const mayRepeat = (!sent || this.#safe(exchange)) && exchange.call.taskId === '';
    const timedOut = code === 'GW_UPSTREAM_TIMEOUT' || code === 'GW_RESPONSE_TOO_LARGE' || code === 'GW_CANCELLED';
    if (
      mayRepeat &&
      !timedOut &&
      exchange.message.bodyLength > 0 &&
      exchange.client.events === 0 &&
      (exchange.client.reply !== null || (exchange.message.flags & MessageFlag.refresh) !== 0)
    ) {
      this.#attempt(exchange, exchange.message.body, exchange.message.bodyLength, code, true);
    } else {
      this.#parts.write.fail(exchange, code);
    }
  }

  /** See {@link StartedCalls}. */
  started(exchange: Exchange, catalog: SendCatalog | null): void {
    const { body, bodyLength } = exchange.message;
    exchange.call.server = exchange.verdict.server;
    this.#kept = catalog;
    this.#attempt(exchange, body, bodyLength, 'GW_UPSTREAM_DOWN', false);
    this.#kept = null;
  }

  /** See {@link StartedCalls}. */
  expired(exchange: Exchange): void {
    const server = this.#parts.upstreams.servers[exchange.call.server];
    this.#parts.write.fail(exchange, server?.unavailable(exchange) ?? 'GW_INTERNAL');
  }

  #safe(exchange: Exchange): boolean {
    if ((exchange.verdict.flags & VerdictFlag.safe) !== 0) return true;
    return this.#parts.routes.routeOf(exchange.verdict)?.idempotent === true;
  }

  #attempt(exchange: Exchange, bytes: Uint8Array, length: number, code: ErrorCode, isRetry: boolean): void {
    let server = this.#parts.upstreams.servers[exchange.call.server]!;
    let endpoint = this.#choose(exchange, server, bytes);
    let reason = exchange.call.tried.isEmpty ? null : code;
    while (endpoint === null) {
      const next = this.#fallback(exchange);
      if (next < 0) {
        this.#await(exchange, bytes, length, reason);
        return;
      }
      exchange.call.server = next;
      exchange.call.detail = '';
      exchange.call.tried.clear();
      server = this.#parts.upstreams.servers[next]!;
      endpoint = this.#choose(exchange, server, bytes);
      reason = null;
    }
    if (isRetry) this.#parts.counters.add(Counter.upstreamRetries);
    this.#forward(exchange, endpoint, server, bytes, length);
  }

  /** No endpoint is ready: the call waits for one that is being started, or fails. @param reason why an attempt has failed */
  #await(exchange: Exchange, bytes: Uint8Array, length: number, reason: ErrorCode | null): void {
    const servers = this.#parts.upstreams.servers;
    const last = servers[exchange.call.server]!;
    const first = servers[exchange.verdict.server] ?? last;
    const { call } = exchange;
    const mayWait = reason === null && this.#parts.concurrency.beginCall(call, first.config);
    const endpoint = mayWait ? first.chooseAwaitable(exchange) : null;
    if (endpoint === null) {
      const starting = reason !== null ? null : first.isStarting ? first : last.isStarting ? last : null;
      if (starting !== null && starting.config.maxQueue > 0) {
        const { catalogVersion, entry } = exchange.verdict;
        keep(exchange, bytes, length);
        const catalog = entry >= 0 ? this.#parts.catalogs.find(catalogVersion) : null;
        if (!this.#starting.hold(exchange, starting, catalog)) this.#parts.write.fail(exchange, 'GW_UPSTREAM_BUSY');
        return;
      }
      if (reason !== null) this.#parts.write.fail(exchange, reason);
      else if (this.#parts.concurrency.beginCall(call, last.config)) {
        call.retryAfterMs = last.retryInMs();
        this.#parts.write.fail(exchange, last.unavailable(exchange));
      } else {
        this.#parts.counters.add(Counter.concurrencyServer);
        this.#parts.tokens.giveBack(exchange);
        call.retryAfterMs = FULL_RETRY_MS;
        this.#parts.write.fail(exchange, 'GW_UPSTREAM_FULL');
      }
      return;
    }
    exchange.call.server = exchange.verdict.server;
    exchange.call.tried.clear();
    this.#forward(exchange, endpoint, first, bytes, length);
  }

  /** An endpoint for a call, which counts for the server from then on; null = it has none, or no room. */
  #choose(exchange: Exchange, server: SendServer, bytes: Uint8Array): CallTarget | null {
    if (!this.#parts.concurrency.beginCall(exchange.call, server.config)) return null;
    if (server.needsCapabilities) this.readCapabilities(exchange, bytes);
    return server.choose(exchange);
  }

  /** Sets what the client can be asked for, unless that was done before; `exchange.message.spans` is the scan of `bytes`. */
  readCapabilities(exchange: Exchange, bytes: Uint8Array): void {
    const { client, message } = exchange;
    if (client.capabilities >= 0) return;
    client.capabilities =
      client.era === Era.modern ? this.#capabilities.read(bytes, message.spans) : (client.session?.capabilityMask ?? 0);
  }

  /** The server behind the current one in the route's order, or -1. */
  #fallback(exchange: Exchange): number {
    if (exchange.message.bodyLength === 0) return -1;
    const servers = this.#parts.routes.serversOf(exchange.verdict);
    const at = servers.indexOf(exchange.call.server);
    return at < 0 ? -1 : (servers[at + 1] ?? -1);
  }

  #forward(exchange: Exchange, endpoint: CallTarget, server: SendServer, bytes: Uint8Array, length: number): void {
    const { verdict } = exchange;
    const method = exchange.message.spans.method;
    if (verdict.kind === Verdict.lead && !server.sharesAnswers(endpoint)) this.#parts.write.leadNoLonger(exchange);
    // Nothing is known of such a method, so it cannot be translated: only peers of one family have it in common.
    if (method === Method.unknown && endpoint.era !== exchange.client.era) {
      this.#parts.write.fail(
        exchange,
        exchange.client.era === Era.modern ? 'GW_METHOD_NOT_FOUND_MODERN' : 'GW_METHOD_NOT_FOUND',
      );
      return;
    }
    const { spans } = exchange.message;
    let { entry } = verdict;
    let catalog = entry >= 0 ? (this.#parts.catalogs.find(verdict.catalogVersion) ?? this.#kept) : null;
    if ((spans.flags & Flag.nameIsUri) !== 0) {
      // URIs are the same on both sides, unless only another spelling is listed.
      if (!(catalog?.isSpelledOtherwise(entry, bytes, spans.nameStart, spans.nameEnd) ?? false)) entry = -1;
      if (entry < 0) catalog = null;
    }
    if (entry >= 0 && catalog === null) {
      this.#parts.write.fail(exchange, 'GW_UPSTREAM_DOWN');
      return;
    }
    const target = this.#target;
    target.era = endpoint.era;
    // A fallback server has the same names or none: its name is the one the entry has at the first server.
    target.name = catalog === null ? null : catalog.upstreamName(entry);
    target.stripBytes = verdict.stripBytes;
    target.envelope = null;
    if (endpoint.era === Era.modern && exchange.client.era === Era.legacy) {
      target.envelope = this.#envelope(exchange, method === Method.toolsCall && server.answersWithTasks);
      // It may answer with questions, and wants the whole call again with their answers.
      if (mayAsk(method) && ((exchange.client.session?.capabilityMask ?? 0) & ASKABLE) !== 0)
        keep(exchange, bytes, length);
    } else if (endpoint.era === Era.legacy && exchange.client.era === Era.modern) {
      // It may ask, and the request that brings the answer has to be for the same call.
      const { capabilities } = exchange.client;
      if (capabilities > 0 && (capabilities & ASKABLE) !== 0 && mayAsk(method)) keep(exchange, bytes, length);
    }
    exchange.call.upstreamId = exchange.generation * 65_536 + exchange.slot;
    exchange.call.endpoint = endpoint.index;
    exchange.call.tried.add(endpoint.index);
    exchange.call.era = endpoint.era;
    exchange.call.sent = false;
    exchange.call.cacheControl = '';
    exchange.call.sentAt = performance.now();
    const timeout = this.#parts.routes.routeOf(verdict)?.requestTimeoutMs || server.requestTimeoutMs;
    exchange.call.deadline = timeout > 0 ? exchange.call.sentAt + timeout : 0;
    exchange.call.upstream = endpoint;
    let message = spliceRequest(exchange, bytes, length, target);
    let nameHeader = '';
    if (endpoint.era === Era.modern && endpoint.transport === 'http' && isNameMirrored(method)) {
      nameHeader = catalog !== null ? catalog.nameHeader(entry) : headerOf(exchange, bytes, target.stripBytes);
    }
    let extra: readonly string[] | null = exchange.message.paramHeaders;
    if (method === Method.unknown) {
      nameHeader = exchange.message.nameHeader;
      extra = unknownMethodHeaders(exchange, bytes);
    }
    if (catalog !== null && (catalog.table.flags[entry]! & EntryFlag.headerParams) !== 0) {
      extra = paramHeaders(exchange, bytes, catalog.headerParams(entry));
      if (extra === null) {
        exchange.call.upstream = null;
        this.#parts.write.fail(exchange, 'GW_HEADER_MISMATCH');
        return;
      }
    }
    exchange.call.taskTarget = null;
    if (catalog !== null && (catalog.table.flags[entry]! & EntryFlag.needsTask) !== 0 && server.runsTasks) {
      message = this.#parts.awaitedTasks.asTask(exchange, endpoint, message);
    }
    endpoint.call(exchange, message, method, nameHeader, extra);
  }

  /** @param takesTasks declare that the client takes tasks, which the gateway waits for (src/server-requests/polled-tasks.ts) */
  #envelope(exchange: Exchange, takesTasks: boolean): Envelope {
    const { session } = exchange.client;
    if (session === null) return takesTasks ? NO_SESSION_TASKS : NO_SESSION;
    let byLevel = this.#envelopes.get(session);
    if (byLevel === undefined) {
      byLevel = new Array<Envelope | undefined>(2 * (NO_LEVEL + 1));
      this.#envelopes.set(session, byLevel);
    }
    const level = session.logLevel < 0 ? NO_LEVEL : session.logLevel;
    const place = takesTasks ? NO_LEVEL + 1 + level : level;
    let envelope = byLevel[place];
    if (envelope === undefined) {
      const asked = declaredCapabilities(session.capabilityMask, false);
      const capabilities = takesTasks ? { ...asked, ...TASKS_CAPABILITY } : asked;
      envelope = sessionEnvelope(session.clientInfo, capabilities, LEVELS[level] ?? null);
      byLevel[place] = envelope;
    }
    return envelope;
  }
}

/** Whether a modern server may answer the method with `input_required` (MCP 2026-07-28, multi round-trip requests). */
function mayAsk(method: number): boolean {
  return method === Method.toolsCall || method === Method.promptsGet || method === Method.resourcesRead;
}

/** Gives the exchange a body of its own, if it has none. */
function keep(exchange: Exchange, bytes: Uint8Array, length: number): void {
  if (exchange.message.bodyLength > 0) return;
  exchange.message.body = Buffer.from(bytes.subarray(0, length));
  exchange.message.bodyLength = length;
}

/** The `Mcp-Name` of a name that is not in the catalog; rare, so it may cost a string. */
function headerOf(exchange: Exchange, bytes: Uint8Array, stripBytes: number): string {
  const start = exchange.message.spans.nameStart;
  if (start < 0) return '';
  const name = decodeString(bytes, start, exchange.message.spans.nameEnd);
  return encodeHeaderValue(name.slice(stripBytes));
}
