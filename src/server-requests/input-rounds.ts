/**
 * A modern upstream behind a legacy client: each `input_required` result becomes requests to the client, and their results
 * become the next attempt upstream (MCP 2026-07-28, multi round-trip requests).
 */

import { randomUUID } from 'node:crypto';
import { type Decoder, METHODS, ScanStatus } from '../../native/layout.js';
import type { Spans } from '../../native/spans.js';
import type { Current } from '../config/snapshot/current.js';
import type { LimitsSnapshot } from '../config/snapshot/index.js';
import { ERRORS, type ErrorCode } from '../errors.js';
import { UPSTREAM_DEPTH } from '../protocol/depth.js';
import {
  applyEdits,
  type Edit,
  findMember,
  findPath,
  insertMember,
  JsonCursor,
  parseValue,
  type Range,
  removeMembers,
  stringValue,
} from '../protocol/json-cursor.js';
import { Accepts, type Exchange, Phase } from '../request/exchange/index.js';
import { clientRequestFor } from './client-request.js';
import type { ServerRequests } from './index.js';
import { type Call, callOf } from './open-requests.js';

/** What {@link InputRounds} works with. */
export interface InputRoundsParts {
  readonly config: Current<{ readonly limits: Pick<LimitsSnapshot, 'maxInputRounds'> }>;
  readonly requests: Pick<ServerRequests, 'ask' | 'callEnded'>;
  readonly decoder: Pick<Decoder, 'scan'>;
  readonly log: {
    /** The exchange of a call has a new generation. */
    generationChanged(exchange: Exchange): void;
  };
  readonly send: {
    /** Sends a call to the same server again; `bytes` is the client's message with the results of the round. */
    again(exchange: Exchange, bytes: Uint8Array, length: number): void;
  };
  readonly write: {
    fail(exchange: Exchange, code: ErrorCode): void;
    /** Ends a call whose client could not be reached or did not answer, in the form of its method. */
    unanswerable(exchange: Exchange, code: ErrorCode, sentence: string): void;
  };
}

/** Tasks that ask for input: PolledTasks. */
export interface AnsweredTasks {
  /** @returns false when the call waits for no task */
  answered(exchange: Exchange, inputResponses: Uint8Array): boolean;
}

/** One input request of a round. */
interface Entry {
  /** The upstream's key, a raw JSON string. */
  readonly key: Uint8Array;
  readonly method: string;
  /** The params for the client. */
  readonly params: Uint8Array | null;
  /** The client's result, raw. */
  answer: Uint8Array | null;
}

/** The input requests of one result of the upstream. */
interface Round {
  readonly call: Call;
  readonly entries: readonly Entry[];
  /** `requestState`, raw; null = none. */
  readonly state: Uint8Array | null;
  /** Input requests without an answer. */
  open: number;
}

/** Pause before a call whose result has a state but no input requests is sent again, in milliseconds. */
const RETRY_MS = 250;
/** Longest quoted part of a client's error, in characters. */
const MAX_REASON = 500;
/** Input requests in one round. */
const MAX_REQUESTS = 100;
const CONTINUATION = ['inputResponses', 'requestState'];
const NO_PARAMS = Buffer.from('{}');

/** Rounds of a call so far. */
interface RoundCount {
  generation: number;
  count: number;
}

/** See the file comment. The write stage calls it; one per front. */
export class InputRounds {
  readonly #parts: InputRoundsParts;
  #tasks: AnsweredTasks | null = null;
  /** By exchange, whose generation changes with each round. */
  readonly #rounds = new WeakMap<Exchange, RoundCount>();

  constructor(parts: InputRoundsParts) {
    this.#parts = parts;
  }

  /**
   * Handles an `input_required` result. Either all of its requests are sent to the client, or none.
   *
   * @returns false when the client has no session or the call cannot be repeated
   */
  inputRequired(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): boolean {
    const { session } = exchange.client;
    if (session === null || exchange.message.bodyLength === 0) return false;
    const { config, write } = this.#parts;
    if (this.#countRound(exchange) > config.current.limits.maxInputRounds) {
      write.fail(exchange, 'GW_INPUT_ROUNDS');
      return true;
    }
    const content = bytes.subarray(0, length);
    const [start, end] = [spans.resultStart, spans.resultEnd];
    const state = findMember(content, start, end, 'requestState');
    const entries: Entry[] = [];
    const cursor = new JsonCursor(content, findMember(content, start, end, 'inputRequests')?.start ?? length);
    while (cursor.next()) {
      const entry = readEntry(content, cursor);
      if (entry === null || entries.length === MAX_REQUESTS) {
        write.fail(exchange, 'GW_UPSTREAM_PROTOCOL');
        return true;
      }
      const method = (METHODS as readonly string[]).indexOf(entry.method);
      const request = clientRequestFor(session, method, content, entry.params);
      if (request.isUnknown) {
        write.fail(exchange, 'GW_UPSTREAM_PROTOCOL');
        return true;
      }
      if (request.refusal !== '') {
        write.unanswerable(exchange, 'GW_INPUT_REQUIRED_UNSUPPORTED', `${entry.method}: ${request.refusal}`);
        return true;
      }
      const params = paramsFor(content, entry.params, request.edits, request.isUrlMode);
      const key = Buffer.from(content.subarray(cursor.memberStart, cursor.keyEnd + 1));
      entries.push({ key, method: entry.method, params, answer: null });
    }
    if (entries.length === 0 && state === undefined) {
      write.fail(exchange, 'GW_UPSTREAM_PROTOCOL');
      return true;
    }
    this.#begin({
      call: callOf(exchange),
      entries,
      state: state === undefined ? null : Buffer.from(content.subarray(state.start, state.end)),
      open: entries.length,
    });
    return true;
  }

  #countRound(exchange: Exchange): number {
    const rounds = this.#rounds.get(exchange);
    const count = rounds?.generation === exchange.generation ? rounds.count + 1 : 1;
    this.#rounds.set(exchange, { generation: exchange.generation, count });
    return count;
  }

  #begin(round: Round): void {
    const { exchange } = round.call;
    exchange.enter(Phase.asking);
    exchange.call.upstream = null;
    exchange.call.deadline = 0;
    if (round.entries.length === 0) {
      setTimeout(() => this.#sendAgain(round), RETRY_MS);
      return;
    }
    for (const entry of round.entries) {
      const isSent = this.#parts.requests.ask(exchange, entry.method, entry.params, (result, error) =>
        this.#answered(round, entry, result, error),
      );
      // A response may have arrived already and ended the call.
      if (!isAsking(round)) return;
      if (!isSent) {
        const isDeaf = (exchange.client.accepts & Accepts.sse) === 0;
        if (isDeaf) this.#fail(round, 'GW_STREAM_REQUIRED', ERRORS.GW_STREAM_REQUIRED.sentence);
        else this.#fail(round, 'GW_INPUT_REQUIRED_UNSUPPORTED', 'The client cannot be reached for it at the moment.');
        return;
      }
    }
  }

  #answered(round: Round, entry: Entry, result: Uint8Array | null, error: Uint8Array | null): void {
    if (!isAsking(round)) return;
    if (error !== null) {
      this.#fail(round, 'GW_CLIENT_REFUSED', `The client refused ${entry.method}: ${reasonOf(error)}`);
    } else if (result === null) {
      this.#fail(round, 'GW_CLIENT_SILENT', `The client did not answer ${entry.method}.`);
    } else if (result[0] !== 0x7b) {
      this.#fail(round, 'GW_CLIENT_REFUSED', `The client's answer to ${entry.method} is not an object.`);
    } else {
      entry.answer = result;
      round.open -= 1;
      if (round.open === 0) this.#sendAgain(round);
    }
  }

  /** Ends the call because an answer is missing, and cancels its other requests at the client. */
  #fail({ call }: Round, code: ErrorCode, sentence: string): void {
    this.#parts.requests.callEnded(call.exchange);
    this.#parts.write.unanswerable(call.exchange, code, sentence);
  }

  /** Sets what polls tasks. Once: it asks through these rounds. */
  attach(tasks: AnsweredTasks): void {
    this.#tasks = tasks;
  }

  /** Sends the answers to the task that has asked, or the client's message upstream again, with all answers. */
  #sendAgain(round: Round): void {
    if (!isAsking(round)) return;
    const { exchange } = round.call;
    if (this.#tasks?.answered(exchange, answersOf(round)) === true) return;
    const message = withAnswers(exchange, round);
    const { words } = exchange.message.spans;
    if (this.#parts.decoder.scan(message, message.length, words, UPSTREAM_DEPTH) !== ScanStatus.ok) {
      this.#parts.write.fail(exchange, 'GW_INTERNAL');
      return;
    }
    exchange.message.body = message;
    exchange.message.bodyLength = message.length;
    const rounds = this.#rounds.get(exchange);
    // Upstream ids contain the generation, and every attempt needs an id of its own.
    exchange.generation = (exchange.generation + 1) & 0x7fffffff;
    if (rounds !== undefined) rounds.generation = exchange.generation;
    this.#parts.log.generationChanged(exchange);
    this.#parts.send.again(exchange, message, message.length);
  }
}

/** Whether the call still waits for this round. */
function isAsking({ call }: Round): boolean {
  const { exchange, generation } = call;
  return exchange.generation === generation && exchange.phase === Phase.asking;
}

function readEntry(bytes: Uint8Array, { start, end }: Range): { method: string; params: Range | undefined } | null {
  const method = findMember(bytes, start, end, 'method');
  const name = method === undefined ? undefined : stringValue(bytes, method.start, method.end);
  const params = findMember(bytes, start, end, 'params');
  if (name === undefined || (params !== undefined && bytes[params.start] !== 0x7b)) return null;
  return { method: name, params };
}

/** The params for the client, without a progress token: 2026-07-28 has no progress of input requests. */
function paramsFor(
  bytes: Uint8Array,
  params: Range | undefined,
  fitting: readonly Edit[],
  byUrl: boolean,
): Uint8Array | null {
  if (params === undefined) return null;
  const edits = [...fitting];
  const meta = findMember(bytes, params.start, params.end, '_meta');
  if (meta !== undefined) edits.push(...removeMembers(bytes, meta.start, ['progressToken']));
  // 2025-11-25 requires an id for an elicitation by URL, which must not be guessable.
  if (byUrl && findMember(bytes, params.start, params.end, 'elicitationId') === undefined) {
    edits.push(insertMember(bytes, params.start, 'elicitationId', JSON.stringify(randomUUID())));
  }
  return applyEdits(bytes, params.start, params.end, edits);
}

/** The client's message with the answers and the state of this round instead of those of earlier rounds. */
function withAnswers({ message: { body, bodyLength, spans } }: Exchange, { entries, state }: Round): Buffer {
  const content = body.subarray(0, bodyLength);
  const start = spans.paramsStart;
  const edits: Edit[] = removeMembers(content, start, CONTINUATION);
  const members: Uint8Array[] = [];
  if (entries.length > 0) members.push(Buffer.from('"inputResponses":'), answersOf({ entries }), COMMA);
  if (state !== null) members.push(Buffer.from('"requestState":'), state, COMMA);
  // The params also have a name or a URI, so the trailing comma is valid.
  edits.push({ start: start + 1, end: start + 1, text: Buffer.concat(members) });
  const message = applyEdits(content, 0, bodyLength, edits);
  return Buffer.from(message.buffer, message.byteOffset, message.length);
}

/** `inputResponses` of a round. */
function answersOf({ entries }: Pick<Round, 'entries'>): Buffer {
  const answers = entries.flatMap(({ key, answer }) => [COMMA, key, COLON, answer ?? NO_PARAMS]).slice(1);
  return Buffer.concat([Buffer.from('{'), ...answers, Buffer.from('}')]);
}

const COMMA = Buffer.from(',');
const COLON = Buffer.from(':');

/** The message of a client's error, shortened. */
function reasonOf(error: Uint8Array): string {
  const message = findPath(error, 0, error.length, 'message');
  const text = message === undefined ? '' : parseValue(error, message.start, message.end);
  return typeof text === 'string' && text !== '' ? text.slice(0, MAX_REASON) : 'no reason given';
}
