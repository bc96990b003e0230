/**
 * A modern upstream under a legacy client: each round of questions (`input_required`) becomes requests to the client, and
 * their answers the next attempt upstream (MCP 2026-07-28, multi round-trip requests).
 */
import type { LimitsSnapshot } from '../config/snapshot.js';
import type { ErrorCode } from '../errors.js';
import type { Exchange } from '../request/exchange.js';
import type { ServerRequests } from './server-requests.js';

/** What {@link InputRounds} needs of the rest. */
export interface InputRoundsOptions {
  readonly limits: Pick<LimitsSnapshot, 'maxInputRounds' | 'answerMs'>;
  readonly requests: ServerRequests;
  /** Sends a call once more, to the server it was sent to; `bytes` is the client's message with what the round added. */
  again(exchange: Exchange, bytes: Uint8Array, length: number): void;
  fail(exchange: Exchange, code: ErrorCode): void;
}

/** See the file comment. */
export class InputRounds {
  constructor(_options: InputRoundsOptions) {}

  /** @returns false when the client cannot be asked */
  inputRequired(_exchange: Exchange, _bytes: Uint8Array, _length: number, _spans: Int32Array): boolean {
    return false;
  }
}
