/**
 * A modern upstream under a legacy client: each round of questions (`input_required`) becomes requests to the client, and
 * their answers the next attempt upstream (MCP 2026-07-28, multi round-trip requests).
 */

import { randomUUID } from 'node:crypto';
import { type Decoder, METHODS, ScanStatus } from '../../native/layout.js';
import type { Spans } from '../../native/spans.js';
import type { Current } from '../config/current.js';
import type { LimitsSnapshot } from '../config/snapshot.js';
import type { ErrorCode } from '../errors.js';
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
import { type Exchange, Phase } from '../request/exchange/index.js';
import { clientRequestFor } from './client-request.js';
import type { ServerRequests } from './index.js';
import { type Call, callOf } from './open-requests.js';

/** What {@link InputRounds} works with. */
export interface InputRoundsParts {
  readonly config: Current<{ readonly limits: Pick<LimitsSnapshot, 'maxInputRounds'> }>;
  readonly requests: Pick<ServerRequests, 'ask' | 'callEnded'>;
  readonly decoder: Pick<Decoder, 'scan'>;
  readonly log: {
    /** The exchange of a call has another generation. */
    generationChanged(exchange: Exchange): void;
  };
  readonly send: {
    /** Sends a call once more, to the server it was sent to; `bytes` is the client's message with what the round added. */
    again(exchange: Exchange, bytes: Uint8Array, length: number): void;
  };
  readonly write: {
    fail(exchange: Exchange, code: ErrorCode): void;
    /** Ends a call whose client could not be asked or gave no answer, in the way of its method. */
    unanswerable(exchange: Exchange, code: ErrorCode, sentence: string): void;
  };
}

/** One question of a round. */
interface Entry {
  /** The upstream's key, a raw JSON string. */
  readonly key: Uint8Array;
  readonly method: string;
  /** What the client is sent as params. */
  readonly params: Uint8Array | null;
  /** The client's result, raw. */
  answer: Uint8Array | null;
}

/** The questions of one answer of the upstream. */
interface Round {
  readonly call: Call;
  readonly entries: readonly Entry[];
  /** Raw, null = none was given. */
  readonly state: Uint8Array | null;
  /** Questions without an answer. */
  open: number;
}

/** Pace of an upstream that asks for nothing but to be called again, in milliseconds. */
const RETRY_MS = 250;
/** Of what a client says about its refusal, in characters. */
const MAX_REASON = 500;
/** Questions in one round. */
const MAX_REQUESTS = 100;
const CONTINUATION = ['inputResponses', 'requestState'];
const NO_PARAMS = Buffer.from('{}');

/** See the file comment. */
export class InputRounds {
  readonly #parts: InputRoundsParts;
  /** Rounds of a call so far, by exchange: its generation changes with each round. */
  readonly #rounds = new WeakMap<Exchange, { generation: number; count: number }>();

  constructor(parts: InputRoundsParts) {
    this.#parts = parts;
  }

  /**
   * Takes over an answer that asks the client for something. Either all of its questions are asked, or none.
   *
   * @returns false when the client cannot be asked
   */
  inputRequired(exchange: Exchange, bytes: Uint8Array, length: number, spans: Spans): boolean {
    const { session } = exchange.client;
    if (session === null || exchange.message.bodyLength === 0) return false;
    const { config, write } = this.#parts;
    if (this.#count(exchange) > config.current.limits.maxInputRounds) {
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
      const question = clientRequestFor(
        session,
        (METHODS as readonly string[]).indexOf(entry.method),
        content,
        entry.params,
      );
      if (question.isUnknown) {
        write.fail(exchange, 'GW_UPSTREAM_PROTOCOL');
        return true;
      }
      if (question.refusal !== '') {
        write.unanswerable(exchange, 'GW_INPUT_REQUIRED_UNSUPPORTED', `${entry.method}: ${question.refusal}`);
        return true;
      }
      const params = paramsFor(content, entry.params, question.edits, question.isUrlMode);
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

  #count(exchange: Exchange): number {
    const rounds = this.#rounds.get(exchange);
    const count = rounds?.generation === exchange.generation ? rounds.count + 1 : 1;
    this.#rounds.set(exchange, { generation: exchange.generation, count });
    return count;
  }

  #begin(round: Round): void {
    const { exchange } = round.call;
    exchange.phase = Phase.asking;
    exchange.call.upstream = null;
    exchange.call.deadline = 0;
    if (round.entries.length === 0) {
      setTimeout(() => this.#sendAgain(round), RETRY_MS);
      return;
    }
    for (const entry of round.entries) {
      const asked = this.#parts.requests.ask(exchange, entry.method, entry.params, (result, error) =>
        this.#answered(round, entry, result, error),
      );
      // An answer may have come already, and ended the call.
      if (!isAsking(round)) return;
      if (!asked) {
        this.#fail(round, 'GW_INPUT_REQUIRED_UNSUPPORTED', 'The client cannot be reached for it at the moment.');
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
      this.#fail(round, 'GW_CLIENT_REFUSED', `The client's answer to ${entry.method} is no object.`);
    } else {
      entry.answer = result;
      round.open -= 1;
      if (round.open === 0) this.#sendAgain(round);
    }
  }

  /** The call ends for want of an answer; what else its client was asked is taken back. */
  #fail({ call }: Round, code: ErrorCode, sentence: string): void {
    this.#parts.requests.callEnded(call.exchange);
    this.#parts.write.unanswerable(call.exchange, code, sentence);
  }

  /** All is answered: the client's message once more, with the answers. */
  #sendAgain(round: Round): void {
    if (!isAsking(round)) return;
    const { exchange } = round.call;
    const message = withAnswers(exchange, round);
    const { words } = exchange.message.spans;
    if (this.#parts.decoder.scan(message, message.length, words, UPSTREAM_DEPTH) !== ScanStatus.ok) {
      this.#parts.write.fail(exchange, 'GW_INTERNAL');
      return;
    }
    exchange.message.body = message;
    exchange.message.bodyLength = message.length;
    const rounds = this.#rounds.get(exchange)!;
    // Every attempt has an id of its own upstream, and ids are made of the generation. Nothing else knows this one now.
    exchange.generation = (exchange.generation + 1) & 0x7fffffff;
    rounds.generation = exchange.generation;
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

/** The params for the client: without a progress token, whose owner gets no progress in 2026-07-28. */
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
  // 2025-11-25 wants a name for an elicitation by URL; nobody must be able to guess another's.
  if (byUrl && findMember(bytes, params.start, params.end, 'elicitationId') === undefined) {
    edits.push(insertMember(bytes, params.start, 'elicitationId', JSON.stringify(randomUUID())));
  }
  return applyEdits(bytes, params.start, params.end, edits);
}

/** The client's message with this round's answers and state, and none of an earlier round. */
function withAnswers({ message: { body, bodyLength, spans } }: Exchange, { entries, state }: Round): Buffer {
  const content = body.subarray(0, bodyLength);
  const start = spans.paramsStart;
  const edits: Edit[] = removeMembers(content, start, CONTINUATION);
  const members: Uint8Array[] = [];
  if (entries.length > 0) {
    const answers = entries.flatMap(({ key, answer }) => [COMMA, key, COLON, answer ?? NO_PARAMS]).slice(1);
    members.push(Buffer.from('"inputResponses":{'), ...answers, Buffer.from('},'));
  }
  if (state !== null) members.push(Buffer.from('"requestState":'), state, COMMA);
  // The params have a name or a URI besides, so that something always follows.
  edits.push({ start: start + 1, end: start + 1, text: Buffer.concat(members) });
  const message = applyEdits(content, 0, bodyLength, edits);
  return Buffer.from(message.buffer, message.byteOffset, message.length);
}

const COMMA = Buffer.from(',');
const COLON = Buffer.from(':');

/** What an error of a client says, as text for whoever called. */
function reasonOf(error: Uint8Array): string {
  const message = findPath(error, 0, error.length, 'message');
  const text = message === undefined ? '' : parseValue(error, message.start, message.end);
  return typeof text === 'string' && text !== '' ? text.slice(0, MAX_REASON) : 'no reason given';
}
