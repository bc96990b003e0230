import type { CacheRule } from '../../src/config/snapshot/index.js';
import {
  ANSWER_HEAD,
  ANSWER_HEAD_BYTES,
  type AnswerHead,
  AnswerWord,
  type CacheOutcome,
} from '../../src/shared/cache/answer-head.js';
import type { Milliseconds } from '../../src/units.js';
import { type Key, keyBytes } from './key.js';

const NO_WORDS = new Int32Array(ANSWER_HEAD);
/** What an entry costs besides its bytes. */
const OVERHEAD = 256;
/** Time for which calls whose answer could not be shared are forwarded at once, instead of one after the other. */
const PASS_MS: Milliseconds = 10_000;
/** Pause between two attempts to fetch an answer whose upstream has failed, while a stale one is served. */
const RETRY_MS: Milliseconds = 1_000;

/** Times of an entry, monotonic milliseconds. */
interface EntryTimes {
  readonly receivedAt: number;
  readonly freshUntil: number;
  readonly staleUntil: number;
  readonly errorUntil: number;
}

/** A stored answer, or the memory that answers to a key are not shared. */
export class Entry {
  readonly key: Key;
  /** Index of the server that gave the answer. */
  readonly server: number;
  /** The head (src/shared/cache/answer-head.ts) and the result, in memory of their own; null = answers to the key are not shared. */
  readonly answer: Buffer | null;
  readonly times: EntryTimes;
  /** Whether calls that come while the answer is fetched may wait for it. */
  readonly isShared: boolean;
  /** Until then the answer is served without a call to the upstream, which has failed. */
  #retryAt = 0;
  readonly #resultTtlMs: number;
  /** The words of the head. */
  readonly #words: Int32Array;

  constructor(key: Key, head: AnswerHead, answer: Buffer | null, times: EntryTimes) {
    this.key = key;
    this.server = head.server;
    this.answer = answer;
    this.times = times;
    this.isShared = times.freshUntil > times.receivedAt;
    this.#resultTtlMs = head.resultTtlMs;
    this.#words = answer === null ? NO_WORDS : new Int32Array(answer.buffer, answer.byteOffset, ANSWER_HEAD);
  }

  /** Bytes that it is counted with. */
  get size(): number {
    return OVERHEAD + keyBytes(this.key) + (this.answer?.length ?? 0);
  }

  /** Whether calls are forwarded without waiting for each other. */
  passes(now: number): boolean {
    return this.answer === null && now < this.times.freshUntil;
  }

  isFresh(now: number): boolean {
    return now < this.times.freshUntil && this.answer !== null;
  }

  /** Whether it may be served while another call fetches a new one. */
  servesStale(now: number): boolean {
    return now < this.times.staleUntil && this.answer !== null;
  }

  /** Whether it may be served because the upstream has failed. */
  servesOnError(now: number): boolean {
    return now < this.times.errorUntil && this.answer !== null;
  }

  /** Whether it is served because the upstream failed a moment ago. */
  isRetryPaused(now: number): boolean {
    return now < this.#retryAt && this.servesOnError(now);
  }

  /** The upstream has failed. */
  failed(now: number): void {
    this.#retryAt = now + RETRY_MS;
  }

  /** Whether it serves for nothing any more. */
  isOver(now: number): boolean {
    const { freshUntil, staleUntil, errorUntil } = this.times;
    return now >= freshUntil && now >= staleUntil && now >= errorUntil;
  }

  /** The answer for a call of this moment: its head says its age, the time left, and what `ttlMs` is now. */
  serve(now: number, outcome: CacheOutcome): Buffer {
    const words = this.#words;
    const ageMs = Math.floor(now - this.times.receivedAt);
    const freshMs = Math.floor(this.times.freshUntil - now);
    words[AnswerWord.ageMs] = ageMs;
    words[AnswerWord.freshMs] = freshMs;
    words[AnswerWord.outcome] = outcome;
    // Never longer than the upstream has said, whatever the rule is.
    if (this.#resultTtlMs >= 0) {
      words[AnswerWord.resultTtlMs] = Math.max(0, Math.min(this.#resultTtlMs - ageMs, freshMs));
    }
    return this.answer!;
  }
}

/** The largest entry that a limit of the result's bytes allows, keys of some length included. */
export function entryBytes(resultBytes: number): number {
  return resultBytes + ANSWER_HEAD_BYTES + OVERHEAD;
}

/** The times of an answer under a rule. @param head what its upstream says @param respects whether that counts instead of the rule */
export function timesOf(head: AnswerHead, rule: CacheRule, respects: boolean, now: number): EntryTimes {
  const freshMs = respects && head.freshMs >= 0 ? head.freshMs : rule.ttlMs;
  // What is stale at once is served stale only where the upstream itself allows it.
  const ruleStaleMs = freshMs > 0 ? rule.staleMs : 0;
  const staleMs = respects && head.staleMs >= 0 ? head.staleMs : ruleStaleMs;
  const errorMs = respects && head.staleIfErrorMs >= 0 ? head.staleIfErrorMs : rule.staleIfErrorMs;
  const freshUntil = now + freshMs;
  return { receivedAt: now, freshUntil, staleUntil: freshUntil + staleMs, errorUntil: freshUntil + errorMs };
}

/** The memory that answers to a key are not shared. */
export function passEntry(key: Key, head: AnswerHead, now: number): Entry {
  const until = now + PASS_MS;
  return new Entry(key, head, null, { receivedAt: now, freshUntil: until, staleUntil: until, errorUntil: until });
}
