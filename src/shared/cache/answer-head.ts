/**
 * What goes with an answer to the response cache and from it: words in front of the bytes of a result, both in the payload of
 * `Ask.store` and in that of `Verdict.cached` and of a `Verdict.lead` with an answer for the case that the upstream fails.
 */
import { type CodeOf, codes } from '../../codes.js';

/** What the cache has done for a call. */
export const CacheOutcome = codes('CacheOutcome', {
  /** The entry is fresh. */
  hit: 0,
  /** It is older than its time to live, and another call fetches a new one. */
  stale: 1,
  /** The call has waited for the answer of an identical one. */
  collapsed: 2,
  /** The upstream has failed, and the entry is served although it is older than its time to live. */
  error: 3,
});
export type CacheOutcome = CodeOf<typeof CacheOutcome>;

/** Words of the head; {@link AnswerHead} describes them. */
export const AnswerWord = {
  server: 0,
  freshMs: 1,
  staleMs: 2,
  staleIfErrorMs: 3,
  isPrivate: 4,
  resultTtlMs: 5,
  ttlStart: 6,
  ttlEnd: 7,
  ageMs: 8,
  outcome: 9,
} as const;

/** Words and bytes of the head. */
export const ANSWER_HEAD = 10;
export const ANSWER_HEAD_BYTES = 4 * ANSWER_HEAD;

/** The head as fields; one is reused for each answer. */
export class AnswerHead {
  /** Index of the server that gave the answer. */
  server = -1;
  /**
   * To the cache: milliseconds for which the upstream says that the answer is fresh; -1 = it says nothing, 0 = not at all. From the
   * cache: what is left of that time, negative = over.
   */
  freshMs = -1;
  /** To the cache: what the upstream says of `stale-while-revalidate` and `stale-if-error`; -1 = nothing. */
  staleMs = -1;
  staleIfErrorMs = -1;
  /** The upstream says that the answer is for this principal alone. */
  isPrivate = false;
  /** The member `ttlMs` of the result: as received, or the value for this client. -1 = there is none. */
  resultTtlMs = -1;
  /** Its place in the result. */
  ttlStart = 0;
  ttlEnd = 0;
  /** From the cache: age of the answer, milliseconds. */
  ageMs = 0;
  outcome: CacheOutcome = CacheOutcome.hit;

  /** Resets every field to its default. */
  clear(): void {
    this.server = -1;
    this.freshMs = -1;
    this.staleMs = -1;
    this.staleIfErrorMs = -1;
    this.isPrivate = false;
    this.resultTtlMs = -1;
    this.ttlStart = 0;
    this.ttlEnd = 0;
    this.ageMs = 0;
    this.outcome = CacheOutcome.hit;
  }

  /** Reads the head at `bytes[at]`. */
  read(bytes: Buffer, at: number): void {
    this.server = bytes.readInt32LE(at + 4 * AnswerWord.server);
    this.freshMs = bytes.readInt32LE(at + 4 * AnswerWord.freshMs);
    this.staleMs = bytes.readInt32LE(at + 4 * AnswerWord.staleMs);
    this.staleIfErrorMs = bytes.readInt32LE(at + 4 * AnswerWord.staleIfErrorMs);
    this.isPrivate = bytes.readInt32LE(at + 4 * AnswerWord.isPrivate) !== 0;
    this.resultTtlMs = bytes.readInt32LE(at + 4 * AnswerWord.resultTtlMs);
    this.ttlStart = bytes.readInt32LE(at + 4 * AnswerWord.ttlStart);
    this.ttlEnd = bytes.readInt32LE(at + 4 * AnswerWord.ttlEnd);
    this.ageMs = bytes.readInt32LE(at + 4 * AnswerWord.ageMs);
    this.outcome = bytes.readInt32LE(at + 4 * AnswerWord.outcome) as CacheOutcome;
  }

  /** Writes the head to `bytes[at]`. Times are whole milliseconds below 2^31. */
  write(bytes: Buffer, at: number): void {
    bytes.writeInt32LE(this.server, at + 4 * AnswerWord.server);
    bytes.writeInt32LE(this.freshMs, at + 4 * AnswerWord.freshMs);
    bytes.writeInt32LE(this.staleMs, at + 4 * AnswerWord.staleMs);
    bytes.writeInt32LE(this.staleIfErrorMs, at + 4 * AnswerWord.staleIfErrorMs);
    bytes.writeInt32LE(this.isPrivate ? 1 : 0, at + 4 * AnswerWord.isPrivate);
    bytes.writeInt32LE(this.resultTtlMs, at + 4 * AnswerWord.resultTtlMs);
    bytes.writeInt32LE(this.ttlStart, at + 4 * AnswerWord.ttlStart);
    bytes.writeInt32LE(this.ttlEnd, at + 4 * AnswerWord.ttlEnd);
    bytes.writeInt32LE(this.ageMs, at + 4 * AnswerWord.ageMs);
    bytes.writeInt32LE(this.outcome, at + 4 * AnswerWord.outcome);
  }
}

/** What the head in front of an answer says of the cache, without reading the rest. */
export function outcomeOf(answer: Buffer): CacheOutcome {
  return answer.readInt32LE(4 * AnswerWord.outcome) as CacheOutcome;
}

/** Longest time in milliseconds that an upstream can give: a day, as the clients of the SDK have it. */
export const MAX_FRESH_MS = 86_400_000;
