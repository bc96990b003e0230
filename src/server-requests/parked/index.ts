/**
 * A legacy upstream under a modern client: while the upstream waits for an answer, the client's request ends with
 * `input_required` and the call is parked; the client's next request goes on with it (docs/protocol.md, parked calls).
 */

import { Kind, Method } from '../../../native/layout.js';
import type { Spans } from '../../../native/spans.js';
import type { Current } from '../../config/current.js';
import type { LimitsSnapshot } from '../../config/snapshot.js';
import { type ErrorCode, errorNumber } from '../../errors.js';
import {
  Capability,
  capabilityMask,
  declaredCapabilities,
  neededCapability,
} from '../../protocol/client-capabilities.js';
import { stringValue } from '../../protocol/json-cursor.js';
import { Era } from '../../protocol/revisions.js';
import type { Policy } from '../../request/dispatch/questions.js';
import { handOver } from '../../request/exchange/handover.js';
import { type Exchange, Phase } from '../../request/exchange/index.js';
import type { ExchangeTable } from '../../request/exchange/table.js';
import type { HandleSealer } from '../../session/handles.js';
import type { GatewayIdentity } from '../../shared/gateway-identity.js';
import { Verdict } from '../../shared/records.js';
import type { Endpoint, EndpointState } from '../../upstream/core/types.js';
import { type Outcome, ParkedCall } from './call.js';
import { Counts } from './counts.js';
import {
  answerTo,
  idToken,
  inputRequired,
  noAnswerTo,
  parsedParams,
  readInputRequest,
  refusal,
  urlInputRequests,
} from './input-requests.js';
import { callDigest, RequestStates, StateKind } from './states.js';

/** What of the limits counts here. */
export type ParkedLimits = Pick<LimitsSnapshot, 'maxParked' | 'maxParkedPerPrincipal' | 'parkMs' | 'maxHeldBytes'>;

/** How clients of parked calls are answered: the write stage. */
export interface ParkedAnswers {
  /** Answers the client's request with a result (`bytes` is the whole `result` object) and keeps the exchange. */
  suspend(exchange: Exchange, result: Uint8Array): void;
  /** Passes on what the upstream said at last, as if it came now. */
  message(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): void;
  fail(exchange: Exchange, code: ErrorCode): void;
  /** Ends a request with an error of the table. */
  refuse(exchange: Exchange, code: ErrorCode): void;
}

/** A server as far as parked calls are concerned. */
export interface ParkedServer {
  /** `maxConnections`: calls that one of its endpoints may have in flight. */
  readonly config: { readonly maxConnections: number };
  readonly endpoints: readonly { readonly state: EndpointState; readonly era: Era }[];
}

/** What {@link ParkedCalls} works with. */
export interface ParkedCallsParts {
  readonly config: Current<{ readonly limits: ParkedLimits }>;
  readonly table: Pick<ExchangeTable, 'release'>;
  readonly handles: HandleSealer;
  readonly identity: GatewayIdentity;
  readonly write: ParkedAnswers;
  /** By server index. */
  readonly upstreams: { readonly servers: readonly ParkedServer[] };
}

const TOKEN_REVOKED = errorNumber('GW_TOKEN_REVOKED');
/** Questions that a server sends together come within so many milliseconds; they make one round. */
const COLLECT_MS = 10;
/** Questions of one call open at once. */
const MAX_INPUT_REQUESTS = 32;

/** See the file comment. */
export class ParkedCalls {
  readonly #parts: ParkedCallsParts;
  readonly #states: RequestStates;
  /** Calls with questions, those included whose client has not been asked yet. */
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

  /** Calls parked now: each holds an exchange without a client. */
  get size(): number {
    return this.#byNumber.size;
  }

  /** A request of a legacy upstream that belongs to the call of a modern client. */
  serverRequest(endpoint: Endpoint, exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): void {
    const id = idToken(bytes, spans);
    const needed = neededCapability(spans.method, parsedParams(bytes, spans));
    const capabilities = capabilitiesOf(exchange);
    // Results of other methods cannot ask; and who was told of no capability has nothing to ask for.
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
      endpoint.reply(refusal(id, -32603, 'Too many calls wait for answers of clients'));
      this.#fail(exchange, 'GW_TOO_MANY_PARKED', '');
      return;
    }
    if (
      call.inputRequests.size >= MAX_INPUT_REQUESTS ||
      call.inputRequestBytes + length > this.#parts.config.current.limits.maxHeldBytes
    ) {
      endpoint.reply(refusal(id, -32603, 'Too many questions of one call'));
      return;
    }
    call.add(readInputRequest(bytes, length, spans, needed, (key) => call.inputRequests.has(key)));
    // What the client of a parked call was asked has been said; the next round has this question.
    if (exchange.phase !== Phase.parked && !call.hasTimer) call.schedule(COLLECT_MS, () => this.#ask(call));
  }

  /** A call of a modern client with answers. @returns false when it belongs to no parked call and goes its usual way */
  resume(exchange: Exchange, bytes: Uint8Array, length: number): boolean {
    const message = bytes.subarray(0, length);
    const start = exchange.message.spans.requestStateStart;
    // Without a state it is a fresh call.
    if (start < 0) return false;
    const text = stringValue(message, start, exchange.message.spans.requestStateEnd) ?? '';
    const state = this.#states.open(text);
    const call = state?.isOwn === true ? this.#byNumber.get(state.number) : undefined;
    if (state === null || (state.kind === StateKind.parked && call === undefined)) {
      const era = this.#eraOf(exchange.verdict.server);
      // A modern upstream has states of its own, and may be a gateway like this one. A legacy upstream has none.
      if (era === Era.modern || (era === null && !this.#states.hasPrefix(text))) return false;
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
    // Progress and log messages have no stream to go to.
    if (spans.kind !== Kind.response) return;
    if (length > this.#parts.config.current.limits.maxHeldBytes) this.failed(exchange, 'GW_RESPONSE_TOO_LARGE');
    else this.#setOutcome(exchange, { code: null, bytes: Buffer.from(bytes.subarray(0, length)), spans: spans.copy() });
  }

  /** A parked call failed. */
  failed(exchange: Exchange, code: ErrorCode): void {
    this.#setOutcome(exchange, { code, detail: '' });
  }

  /** A legacy upstream answered -32042: tells a modern client in its way. @returns false when that is impossible */
  urlRequired(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): boolean {
    const questions = urlInputRequests(bytes, length, spans);
    const capabilities = capabilitiesOf(exchange);
    if (questions.length === 0 || capabilities < 0 || !supportsInputRequired(exchange)) return false;
    if ((capabilities & Capability.elicitationUrl) === 0) {
      exchange.message.detail = requirement(Capability.elicitationUrl);
      this.#parts.write.fail(exchange, 'GW_CAPABILITY_REQUIRED');
      return true;
    }
    const expires = Date.now() + this.#parts.config.current.limits.parkMs;
    const state = this.#states.seal(StateKind.again, 0, expires, digestOf(exchange));
    this.#parts.write.suspend(exchange, inputRequired(questions, state, this.#parts.identity.serverInfo));
    this.#parts.table.release(exchange);
    return true;
  }

  /** The upstream takes a question back. */
  serverNotification(endpoint: Endpoint, bytes: Uint8Array, spans: Spans): void {
    const start = spans.requestIdStart;
    if (spans.method !== Method.cancelled || start < 0) return;
    const id = Buffer.from(bytes.subarray(start, spans.requestIdEnd)).toString('utf8');
    for (const call of this.#calls.values()) {
      if (call.endpoint !== endpoint) continue;
      for (const question of call.inputRequests.values()) {
        if (question.id !== id) continue;
        call.remove(question);
        this.#removeIfIdle(call);
        return;
      }
    }
  }

  /** The endpoint waits no longer for answers. Calls that end with it are reported one by one. */
  endpointDisconnected(endpoint: Endpoint): void {
    for (const call of this.#calls.values()) {
      if (call.endpoint !== endpoint) continue;
      call.clear();
      this.#removeIfIdle(call);
    }
  }

  /** The call is over, and its client with it: its upstream gets no answers any more. */
  callEnded(exchange: Exchange): void {
    const call = this.#callOf(exchange);
    if (call === null) return;
    this.#declineInputRequests(call);
    this.#remove(call);
  }

  /** Ends the parked calls whose token is revoked: their clients cannot come back for them. */
  endRevoked(policy: Policy): void {
    for (const call of [...this.#byNumber.values()]) {
      const { token } = call.exchange.client;
      policy.ask({ token, address: '', about: 'token', name: '', isMetered: false }, (verdict) => {
        const isRevoked = verdict.error === TOKEN_REVOKED && verdict.kind === Verdict.deny;
        if (isRevoked && this.#byNumber.get(call.number) === call) this.#expire(call);
      });
    }
  }

  /** Ends all parked calls; from now on upstreams are told at once that nobody answers. */
  close(): void {
    this.#closed = true;
    for (const call of this.#calls.values()) {
      if (call.number > 0) this.#expire(call);
      else this.callEnded(call.exchange);
    }
  }

  /** The family of the server that a permitted call goes to; null = not known. */
  #eraOf(server: number): Era | null {
    const endpoints = this.#parts.upstreams.servers[server]?.endpoints ?? [];
    return endpoints.find(({ state }) => state === 'ready')?.era ?? null;
  }

  #connectionsOf(server: number): number {
    return this.#parts.upstreams.servers[server]?.config.maxConnections ?? 0;
  }

  /** The call's record, unless it is of an earlier use of the same exchange. */
  #callOf(exchange: Exchange): ParkedCall | null {
    const call = this.#calls.get(exchange);
    if (call === undefined || call.isCurrent) return call ?? null;
    this.#remove(call);
    return null;
  }

  /** The same for a call at an endpoint, made when it is asked first there; null when there are too many. */
  #callAt(endpoint: Endpoint, exchange: Exchange): ParkedCall | null {
    const known = this.#callOf(exchange);
    if (known !== null) {
      if (known.endpoint === endpoint) return known;
      // The call failed there and went on here.
      this.#remove(known);
    }
    const { maxParked, maxParkedPerPrincipal } = this.#parts.config.current.limits;
    const principal = principalOf(exchange);
    if (this.#calls.size >= maxParked || this.#perPrincipal.of(principal) >= maxParkedPerPrincipal) return null;
    // Each holds a connection for as long as somebody thinks: the other half stays for other calls.
    const room = Math.max(1, Math.floor(this.#connectionsOf(endpoint.server) / 2));
    if (this.#perEndpoint.of(endpoint) >= room) return null;
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

  /** Ends the client's request with the open questions. */
  #ask(call: ParkedCall): void {
    const { exchange, endpoint } = call;
    // The call may have gone elsewhere after its endpoint failed.
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
    // A slow client may have stopped the upstream, and will not let it go on.
    endpoint.resume(exchange);
    this.#parts.write.suspend(
      exchange,
      inputRequired(call.inputRequests.values(), state, this.#parts.identity.serverInfo),
    );
  }

  /** The client is back: the parked exchange has it from now on. */
  #resume(call: ParkedCall, retry: Exchange, message: Uint8Array): void {
    const { exchange, outcome } = call;
    call.cancelTimer();
    this.#byNumber.delete(call.number);
    call.number = 0;
    handOver(retry, exchange);
    exchange.phase = exchange.client.streaming ? Phase.streaming : Phase.sending;
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

  /** What is still open makes another round at once, unless the retry declares less than the first request did. */
  #askAgain(call: ParkedCall): void {
    const { exchange } = call;
    let needed = 0;
    for (const question of call.inputRequests.values()) needed |= question.needed;
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

  /** Keeps what the upstream said at last for the client. */
  #setOutcome(exchange: Exchange, outcome: Outcome): void {
    const call = this.#callOf(exchange);
    if (call === null) return;
    call.clear();
    call.outcome ??= outcome;
  }

  /** The upstream goes on by itself: before the client was asked, it need not know. */
  #removeIfIdle(call: ParkedCall): void {
    if (call.inputRequests.size === 0 && call.number === 0) this.#remove(call);
  }

  /** Stops a call because its client cannot be asked: tells it now, or when it comes back. */
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

  /** The client did not come back in time. */
  #expire(call: ParkedCall): void {
    const { exchange } = call;
    const { isCurrent: current } = call;
    if (current) this.#declineInputRequests(call);
    this.#remove(call);
    if (!current) return;
    exchange.call.upstream?.cancel(exchange);
    exchange.call.upstream = null;
    // Its request has been answered and counted.
    this.#parts.table.release(exchange);
  }

  #declineInputRequests(call: ParkedCall): void {
    for (const question of call.inputRequests.values()) call.endpoint.reply(noAnswerTo(question));
    call.clear();
  }
}

/** The responses to the questions that the client has answered, which are open no longer. */
function answersIn(call: ParkedCall, retry: Exchange, message: Uint8Array): Buffer[] {
  const answers: Buffer[] = [];
  for (const question of [...call.inputRequests.values()]) {
    const answer = answerTo(question, message, retry.message.spans);
    if (answer === null) continue;
    call.remove(question);
    answers.push(answer);
  }
  return answers;
}

/** What the client can be asked for during a call; -1 = not known, since the call was not sent to be asked about. */
function capabilitiesOf({ message: { bodyLength }, client: { capabilities } }: Exchange): number {
  // Without its body a retry could not be told from another call.
  return bodyLength === 0 && capabilities > 0 ? -1 : capabilities;
}

/** Whether the method is one whose result can be `input_required`. */
function supportsInputRequired({ message: { spans } }: Exchange): boolean {
  const method = spans.method;
  return method === Method.toolsCall || method === Method.promptsGet || method === Method.resourcesRead;
}

function declaredIn(exchange: Exchange, message: Uint8Array): number {
  const start = exchange.message.spans.capabilitiesStart;
  return start < 0 ? 0 : capabilityMask(message.subarray(start, exchange.message.spans.capabilitiesEnd));
}

/** `data.requiredCapabilities` of -32021. */
function requirement(mask: number): string {
  return JSON.stringify(declaredCapabilities(mask, false));
}

function digestOf(exchange: Exchange): Buffer {
  return callDigest(exchange, exchange.message.body.subarray(0, exchange.message.bodyLength));
}

/** By subject; those without one by their address, as for rate limits. */
function principalOf(exchange: Exchange): string {
  const subject = exchange.verdict.subject;
  return subject.some((word) => word !== 0) ? subject.join(' ') : exchange.client.remoteAddress;
}
