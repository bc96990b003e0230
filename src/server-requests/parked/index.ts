/**
 * A legacy upstream behind a modern client: when the upstream sends a request, the client's call ends with
 * `input_required` and is parked; the client's retry with the answers continues it (docs/protocol.md, parked calls).
 */

import { Kind, Method } from '../../../native/layout.js';
import type { Spans } from '../../../native/spans.js';
import type { Current } from '../../config/snapshot/current.js';
import type { LimitsSnapshot } from '../../config/snapshot/index.js';
import { type ErrorCode, errorNumber } from '../../errors.js';
import { Capability, capabilityMask, neededCapability } from '../../protocol/client-capabilities.js';
import { stringValue } from '../../protocol/json-cursor.js';
import { Era } from '../../protocol/revisions.js';
import type { Policy } from '../../request/dispatch/questions.js';
import { handOver } from '../../request/exchange/handover.js';
import { type Exchange, Phase } from '../../request/exchange/index.js';
import type { ExchangeTable } from '../../request/exchange/table.js';
import type { HandleSealer } from '../../session/handles.js';
import type { GatewayIdentity } from '../../shared/gateway-identity.js';
import { Verdict } from '../../shared/ring/records.js';
import type { Endpoint, EndpointState } from '../../upstream/core/types.js';
import { type Outcome, ParkedCall } from './call.js';
import { Counts } from './counts.js';
import {
  answerTo,
  capabilitiesOf,
  type InputRequest,
  idToken,
  inputRequired,
  loginRequest,
  noAnswerTo,
  parsedParams,
  readInputRequest,
  refusal,
  requirement,
  supportsInputRequired,
  urlInputRequests,
} from './input-requests.js';
import { callDigest, RequestStates, StateKind } from './states.js';

/** The limits of parked calls. */
export type ParkedLimits = Pick<LimitsSnapshot, 'maxParked' | 'maxParkedPerPrincipal' | 'parkMs' | 'maxHeldBytes'>;

/** How clients of parked calls are answered: the write stage. */
export interface ParkedAnswers {
  /** Answers the client's request with a `result` object and keeps the exchange. */
  suspend(exchange: Exchange, result: Uint8Array): void;
  /** Passes on a message of the upstream. */
  message(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): void;
  fail(exchange: Exchange, code: ErrorCode): void;
  /** Ends a request with an error of the table. */
  refuse(exchange: Exchange, code: ErrorCode): void;
}

/** What {@link ParkedCalls} reads of a server. */
export interface ParkedServer {
  /** `maxConnections`: calls in flight at one endpoint. */
  readonly config: { readonly maxConnections: number; readonly maxConcurrent: number };
  readonly endpoints: readonly { readonly state: EndpointState; readonly era: Era }[];
}

/** What {@link ParkedCalls} works with. */
export interface ParkedCallsParts {
  readonly config: Current<{ readonly limits: ParkedLimits }>;
  readonly table: Pick<ExchangeTable, 'concurrency' | 'release'>;
  readonly handles: HandleSealer;
  readonly identity: GatewayIdentity;
  readonly write: ParkedAnswers;
  /** By server index. */
  readonly upstreams: { readonly servers: readonly ParkedServer[] };
}

const TOKEN_REVOKED = errorNumber('GW_TOKEN_REVOKED');
/** Requests of a server within so many milliseconds are sent to the client in one round. */
const COLLECT_MS = 10;
/** Open input requests of one call. */
const MAX_INPUT_REQUESTS = 32;

/** See the file comment. The router, the pipeline and the sink of upstream messages call it; one per front. */
export class ParkedCalls {
  readonly #parts: ParkedCallsParts;
  readonly #states: RequestStates;
  /** Calls with input requests, including those that are not sent to the client yet. */
  readonly #calls = new Map<Exchange, ParkedCall>();
  /** Parked calls by the number in their state. */
  readonly #byNumber = new Map<number, ParkedCall>();
  readonly #perPrincipal = new Counts<string>();
  readonly #perEndpoint = new Counts<Endpoint>();
  #lastNumber = 0;
  #closed = false;

  constructor(parts: ParkedCallsParts) {
    this.#parts = parts;
    this.#states = new RequestStates(parts.handles);
  }

  /** Parked calls; each holds an exchange without a client. */
  get size(): number {
    return this.#byNumber.size;
  }

  /** A request of a legacy upstream that belongs to the call of a modern client. */
  serverRequest(endpoint: Endpoint, exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): void {
    const id = idToken(bytes, spans);
    const needed = neededCapability(spans.method, parsedParams(bytes, spans));
    const capabilities = capabilitiesOf(exchange);
    // Other methods have no `input_required` result; a server that was told of no capabilities must not send requests.
    if (needed < 0 || capabilities < 0 || !supportsInputRequired(exchange)) {
      endpoint.reply(refusal(id, -32601, 'Method not found'));
      return;
    }
    if ((needed & ~capabilities) !== 0) {
      endpoint.reply(refusal(id, -32601, 'The client does not declare this capability'));
      this.#fail(exchange, 'GW_CAPABILITY_REQUIRED', requirement(needed));
      return;
    }
    if (this.#closed) {
      endpoint.reply(refusal(id, -32603, 'The gateway is stopping'));
      return;
    }
    const call = this.#callAt(endpoint, exchange);
    if (call === null) {
      endpoint.reply(refusal(id, -32603, 'Too many calls wait for responses of clients'));
      this.#fail(exchange, 'GW_TOO_MANY_PARKED', '');
      return;
    }
    if (
      call.inputRequests.size >= MAX_INPUT_REQUESTS ||
      call.inputRequestBytes + length > this.#parts.config.current.limits.maxHeldBytes
    ) {
      endpoint.reply(refusal(id, -32603, 'Too many requests of one call'));
      return;
    }
    call.add(readInputRequest(bytes, length, spans, needed, (key) => call.inputRequests.has(key)));
    // The client of a parked call gets this request with the next round.
    if (exchange.phase !== Phase.parked && !call.hasTimer) call.schedule(COLLECT_MS, () => this.#ask(call));
  }

  /** Continues the parked call of a retry. @returns false when it belongs to none and is to be forwarded as a new call */
  resume(exchange: Exchange, bytes: Uint8Array, length: number): boolean {
    const message = bytes.subarray(0, length);
    const start = exchange.message.spans.requestStateStart;
    // Without a state it is a new call.
    if (start < 0) return false;
    const text = stringValue(message, start, exchange.message.spans.requestStateEnd) ?? '';
    const state = this.#states.open(text);
    const call = state?.isOwn === true ? this.#byNumber.get(state.number) : undefined;
    if (state === null || (state.kind === StateKind.parked && call === undefined)) {
      const era = this.#eraOf(exchange.verdict.server);
      // The state may be that of a modern upstream, even of another gateway of this kind. Legacy upstreams have none.
      if (era === Era.modern || (era === null && !this.#parts.handles.hasPrefix(text))) return false;
      this.#parts.write.refuse(exchange, 'GW_INPUT_STATE');
      return true;
    }
    if (state.expires <= Date.now() || !state.digest.equals(callDigest(exchange, message))) {
      this.#parts.write.refuse(exchange, 'GW_INPUT_STATE');
      return true;
    }
    if (call === undefined) return false;
    this.#resume(call, exchange, message);
    return true;
  }

  /** The upstream's response to a parked call. */
  response(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): void {
    // Without a client there is no stream for progress and log messages.
    if (spans.kind !== Kind.response) return;
    if (length > this.#parts.config.current.limits.maxHeldBytes) this.failed(exchange, 'GW_RESPONSE_TOO_LARGE');
    else this.#setOutcome(exchange, { code: null, bytes: Buffer.from(bytes.subarray(0, length)), spans: spans.copy() });
  }

  /** A parked call failed. */
  failed(exchange: Exchange, code: ErrorCode): void {
    this.#setOutcome(exchange, { code, detail: '' });
  }

  /** Converts an error -32042 of a legacy upstream to `input_required`. @returns false when that is impossible */
  urlRequired(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): boolean {
    return this.#askForUrls(exchange, urlInputRequests(bytes, length, spans));
  }

  /** Asks a client that can to show a page of the gateway, and to call again. @returns false when that is impossible */
  loginRequired(exchange: Exchange, url: string): boolean {
    if (capabilitiesOf(exchange) < 0 || (exchange.client.capabilities & Capability.elicitationUrl) === 0) return false;
    return this.#askForUrls(exchange, [loginRequest(url)]);
  }

  #askForUrls(exchange: Exchange, inputRequests: readonly InputRequest[]): boolean {
    const capabilities = capabilitiesOf(exchange);
    if (inputRequests.length === 0 || capabilities < 0 || !supportsInputRequired(exchange)) return false;
    if ((capabilities & Capability.elicitationUrl) === 0) {
      exchange.message.detail = requirement(Capability.elicitationUrl);
      this.#parts.write.fail(exchange, 'GW_CAPABILITY_REQUIRED');
      return true;
    }
    const expires = Date.now() + this.#parts.config.current.limits.parkMs;
    const state = this.#states.seal(StateKind.again, 0, expires, digestOf(exchange));
    this.#parts.write.suspend(exchange, inputRequired(inputRequests, state, this.#parts.identity.serverInfo));
    this.#parts.table.release(exchange);
    return true;
  }

  /** The upstream cancels one of its requests. */
  serverNotification(endpoint: Endpoint, bytes: Uint8Array, spans: Spans): void {
    const start = spans.requestIdStart;
    if (spans.method !== Method.cancelled || start < 0) return;
    const id = Buffer.from(bytes.subarray(start, spans.requestIdEnd)).toString('utf8');
    for (const call of this.#calls.values()) {
      if (call.endpoint !== endpoint) continue;
      for (const request of call.inputRequests.values()) {
        if (request.id !== id) continue;
        call.remove(request);
        this.#removeIfIdle(call);
        return;
      }
    }
  }

  /** The endpoint disconnected and no longer waits for responses; its calls fail separately. */
  endpointDisconnected(endpoint: Endpoint): void {
    for (const call of this.#calls.values()) {
      if (call.endpoint !== endpoint) continue;
      call.clear();
      this.#removeIfIdle(call);
    }
  }

  /** The call ended because its client disconnected or cancelled it. */
  callEnded(exchange: Exchange): void {
    const call = this.#callOf(exchange);
    if (call === null) return;
    this.#declineInputRequests(call);
    this.#remove(call);
  }

  /** Ends the parked calls whose token is revoked: their clients cannot retry. */
  endRevoked(policy: Policy): void {
    for (const call of [...this.#byNumber.values()]) {
      const { caller } = call.exchange.client;
      policy.ask({ caller, address: '', about: 'token', name: '', isMetered: false }, (verdict) => {
        const isRevoked = verdict.error === TOKEN_REVOKED && verdict.kind === Verdict.deny;
        if (isRevoked && this.#byNumber.get(call.number) === call) this.#expire(call);
      });
    }
  }

  /** Ends all parked calls; from now on requests of upstreams are refused. */
  close(): void {
    this.#closed = true;
    for (const call of this.#calls.values()) {
      if (call.number > 0) this.#expire(call);
      else this.callEnded(call.exchange);
    }
  }

  /** The family of a server; null = no endpoint is ready. */
  #eraOf(server: number): Era | null {
    const endpoints = this.#parts.upstreams.servers[server]?.endpoints ?? [];
    return endpoints.find(({ state }) => state === 'ready')?.era ?? null;
  }

  #connectionsOf(server: number): number {
    const config = this.#parts.upstreams.servers[server]?.config;
    return Math.min(config?.maxConnections ?? 0, config?.maxConcurrent || Number.POSITIVE_INFINITY);
  }

  /** The parked call of an exchange; one of an earlier generation is removed. */
  #callOf(exchange: Exchange): ParkedCall | null {
    const call = this.#calls.get(exchange);
    if (call === undefined || call.isCurrent) return call ?? null;
    this.#remove(call);
    return null;
  }

  /** The parked call of an exchange at an endpoint, created if there is none; null when there are too many. */
  #callAt(endpoint: Endpoint, exchange: Exchange): ParkedCall | null {
    const known = this.#callOf(exchange);
    if (known !== null) {
      if (known.endpoint === endpoint) return known;
      // The call was retried at another endpoint.
      this.#remove(known);
    }
    const { maxParked, maxParkedPerPrincipal } = this.#parts.config.current.limits;
    const principal = principalOf(exchange);
    if (this.#calls.size >= maxParked || this.#perPrincipal.of(principal) >= maxParkedPerPrincipal) return null;
    // Each occupies a connection until its user has answered; half of the connections remain for other calls.
    const maxParkedHere = Math.max(1, Math.floor(this.#connectionsOf(endpoint.server) / 2));
    if (this.#perEndpoint.of(endpoint) >= maxParkedHere) return null;
    const call = new ParkedCall(endpoint, exchange, principal, digestOf(exchange));
    this.#calls.set(exchange, call);
    this.#perPrincipal.add(principal);
    this.#perEndpoint.add(endpoint);
    return call;
  }

  #remove(call: ParkedCall): void {
    call.cancelTimer();
    call.clear();
    this.#byNumber.delete(call.number);
    if (this.#calls.get(call.exchange) !== call) return;
    this.#calls.delete(call.exchange);
    this.#perPrincipal.remove(call.principal);
    this.#perEndpoint.remove(call.endpoint);
  }

  /** Parks the call: answers the client with the open input requests. */
  #ask(call: ParkedCall): void {
    const { exchange, endpoint } = call;
    // The call may have been retried at another endpoint.
    if (this.#callOf(exchange) !== call || exchange.call.upstream !== endpoint || exchange.client.reply === null) {
      this.#remove(call);
      return;
    }
    this.#lastNumber += 1;
    call.number = this.#lastNumber;
    this.#byNumber.set(call.number, call);
    const { parkMs } = this.#parts.config.current.limits;
    const state = this.#states.seal(StateKind.parked, call.number, Date.now() + parkMs, call.digest);
    call.schedule(parkMs, () => this.#expire(call));
    // A slow client may have paused the upstream, and cannot resume it now.
    endpoint.resume(exchange);
    this.#parts.write.suspend(
      exchange,
      inputRequired(call.inputRequests.values(), state, this.#parts.identity.serverInfo),
    );
  }

  /** Moves the client of a retry to the parked exchange and sends its answers upstream. */
  #resume(call: ParkedCall, retry: Exchange, message: Uint8Array): void {
    const { exchange, outcome } = call;
    call.cancelTimer();
    this.#byNumber.delete(call.number);
    call.number = 0;
    handOver(retry, exchange);
    exchange.enter(exchange.client.streaming ? Phase.streaming : Phase.sending);
    exchange.client.capabilities = declaredIn(retry, message);
    exchange.call.sentAt = performance.now();
    exchange.message.detail = '';
    const answers = answersIn(call, retry, message);
    this.#parts.table.release(retry);
    if (outcome !== null) {
      this.#remove(call);
      this.#deliver(exchange, outcome);
      return;
    }
    for (const answer of answers) call.endpoint.reply(answer);
    if (call.inputRequests.size === 0) this.#remove(call);
    else this.#askAgain(call);
  }

  /** Starts another round for requests without an answer, unless the retry lacks a capability for them. */
  #askAgain(call: ParkedCall): void {
    const { exchange } = call;
    let needed = 0;
    for (const request of call.inputRequests.values()) needed |= request.needed;
    if ((needed & ~exchange.client.capabilities) === 0) this.#ask(call);
    else this.#fail(exchange, 'GW_CAPABILITY_REQUIRED', requirement(needed));
  }

  #deliver(exchange: Exchange, outcome: Outcome): void {
    if (outcome.code === null) {
      const { bytes, spans } = outcome;
      this.#parts.write.message(exchange, bytes, bytes.length, spans);
    } else {
      exchange.message.detail = outcome.detail;
      this.#parts.write.fail(exchange, outcome.code);
    }
  }

  /** Keeps the end of a parked call for its client. */
  #setOutcome(exchange: Exchange, outcome: Outcome): void {
    const call = this.#callOf(exchange);
    if (call === null) return;
    call.clear();
    call.outcome ??= outcome;
    // It waits for its client only, which may never come: the server is done with it.
    this.#parts.table.concurrency.endCall(exchange.call);
  }

  /** Removes a call without open requests whose client was not asked yet: it continues as an ordinary call. */
  #removeIfIdle(call: ParkedCall): void {
    if (call.inputRequests.size === 0 && call.number === 0) this.#remove(call);
  }

  /** Cancels a call whose client cannot be asked; the client gets the error now, or with its retry. */
  #fail(exchange: Exchange, code: ErrorCode, detail: string): void {
    const call = this.#callOf(exchange);
    if (call !== null) this.#declineInputRequests(call);
    exchange.call.upstream?.cancel(exchange);
    exchange.call.upstream = null;
    if (exchange.phase === Phase.parked) {
      this.#setOutcome(exchange, { code, detail });
      return;
    }
    if (call !== null) this.#remove(call);
    exchange.message.detail = detail;
    this.#parts.write.fail(exchange, code);
  }

  /** The client did not retry in time. */
  #expire(call: ParkedCall): void {
    const { exchange, isCurrent } = call;
    if (isCurrent) this.#declineInputRequests(call);
    this.#remove(call);
    if (!isCurrent) return;
    exchange.call.upstream?.cancel(exchange);
    exchange.call.upstream = null;
    // Its request was answered and counted when it was parked.
    this.#parts.table.release(exchange);
  }

  #declineInputRequests(call: ParkedCall): void {
    for (const request of call.inputRequests.values()) call.endpoint.reply(noAnswerTo(request));
    call.clear();
  }
}

/** Removes the input requests that the client has answered. @returns the responses to them */
function answersIn(call: ParkedCall, retry: Exchange, message: Uint8Array): Buffer[] {
  const answers: Buffer[] = [];
  for (const request of [...call.inputRequests.values()]) {
    const answer = answerTo(request, message, retry.message.spans);
    if (answer === null) continue;
    call.remove(request);
    answers.push(answer);
  }
  return answers;
}

function declaredIn(exchange: Exchange, message: Uint8Array): number {
  const start = exchange.message.spans.capabilitiesStart;
  return start < 0 ? 0 : capabilityMask(message.subarray(start, exchange.message.spans.capabilitiesEnd));
}

function digestOf(exchange: Exchange): Buffer {
  return callDigest(exchange, exchange.message.body.subarray(0, exchange.message.bodyLength));
}

/** The subject; for anonymous clients the address, as for rate limits. */
function principalOf(exchange: Exchange): string {
  const subject = exchange.verdict.subject;
  return subject.some((word) => word !== 0) ? subject.join(' ') : exchange.client.remoteAddress;
}
