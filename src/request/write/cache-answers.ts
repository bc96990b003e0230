/**
 * The response cache as write sees it: what a call that leads a key reports to it, and the form in which a stored answer is sent.
 */
import { Flag } from '../../../native/layout.js';
import type { Spans } from '../../../native/spans.js';
import type { Current } from '../../config/snapshot/current.js';
import type { CacheSnapshot } from '../../config/snapshot/index.js';
import type { Composer } from '../../protocol/composer.js';
import { findMember } from '../../protocol/json-cursor.js';
import { ANSWER_HEAD_BYTES, AnswerHead, CacheOutcome, MAX_FRESH_MS } from '../../shared/cache/answer-head.js';
import { parseCacheControl } from '../../shared/cache/control.js';
import { Verdict } from '../../shared/ring/records.js';
import type { Exchange } from '../exchange/index.js';
import { NO_HEAD } from './heads.js';
import { composeOpen, RESULT_CLOSE } from './translate.js';

/** The response cache as the leader of a cache key sees it: the dispatcher. */
export interface LeaderResults {
  /** The call has a good result, `bytes[start, end)`, which others may have as far as `head` allows. */
  store(exchange: Exchange, head: AnswerHead, bytes: Uint8Array, start: number, end: number): void;
  /** The call will have no result to share. @param hasFailed its upstream has failed */
  release(exchange: Exchange, hasFailed: boolean): void;
}

/** The settings of the cache that concern answers; follows a reload. */
export type AnswerSettings = Current<{ readonly cache: Pick<CacheSnapshot, 'headers' | 'meta'> }>;

const PUBLIC = Buffer.from('"public"');
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const MISS_HEAD: readonly string[] = ['cache-status', 'switchyard; fwd=miss'];
const STALE_HEAD: readonly string[] = ['cache-status', 'switchyard; fwd=stale'];
/** Key in `_meta` of what the cache has done. */
const META_KEY = 'switchyard/cache';
const STATUS = new Map<CacheOutcome, string>([
  [CacheOutcome.hit, 'hit'],
  [CacheOutcome.stale, 'stale'],
  [CacheOutcome.collapsed, 'collapsed'],
  [CacheOutcome.error, 'stale-if-error'],
]);

/** See the file comment; one per front. */
export class CacheAnswers {
  readonly #config: AnswerSettings;
  readonly #cache: LeaderResults;
  readonly #head = new AnswerHead();

  constructor(config: AnswerSettings, cache: LeaderResults) {
    this.#config = config;
    this.#cache = cache;
  }

  /**
   * Lets the cache keep the client's form of a good result.
   *
   * @param spans the scan of the upstream's response `bytes[0, length)`
   * @param composed the client's form of the same response, from `prefix` on
   */
  settle(
    exchange: Exchange,
    bytes: Uint8Array,
    length: number,
    spans: Spans,
    composed: Composer,
    prefix: number,
  ): void {
    const { flags, resultStart, resultEnd } = spans;
    const isGood =
      (flags & (Flag.isErrorResponse | Flag.isError | Flag.resultInputRequired)) === 0 &&
      (flags & Flag.resultIsObject) !== 0 &&
      ((flags & Flag.resultComplete) !== 0 || spans.resultTypeStart < 0);
    if (!isGood) {
      this.#cache.release(exchange, false);
      return;
    }
    const head = this.#headOf(exchange, bytes, spans);
    if (exchange.client.era === exchange.call.era) {
      this.#cache.store(exchange, head, bytes, resultStart, resultEnd);
      return;
    }
    // Everything around the result was copied as it is, but for the id, so its place in the composed message can be told.
    const longer = exchange.client.idLength - (spans.idEnd - spans.idStart);
    const isIdFirst = spans.idStart < resultStart;
    const start = prefix + resultStart + (isIdFirst ? longer : 0);
    const end = composed.length - (length - resultEnd) - (isIdFirst ? 0 : longer);
    this.#cache.store(exchange, head, composed.bytes, start, end);
  }

  /** What the upstream says about storing its answer: in the result (2026-07-28, caching), else in the head of the response. */
  #headOf(exchange: Exchange, bytes: Uint8Array, spans: Spans): AnswerHead {
    const head = this.#head;
    const { cacheControl, answerAge, era, server } = exchange.call;
    head.clear();
    head.server = server;
    if (cacheControl !== '') {
      const directives = parseCacheControl(cacheControl, answerAge, MAX_FRESH_MS);
      head.freshMs = directives.freshMs;
      head.staleMs = directives.staleMs;
      head.staleIfErrorMs = directives.staleIfErrorMs;
      head.isPrivate = directives.isPrivate;
    }
    if (spans.cacheScopeStart >= 0 && !isPublic(bytes, spans.cacheScopeStart, spans.cacheScopeEnd))
      head.isPrivate = true;
    if (spans.ttlMsStart < 0) return head;
    const ttlMs = readTtl(bytes, spans.ttlMsStart, spans.ttlMsEnd);
    // What must not be stored by its head is not stored, whatever the result says.
    if (head.freshMs !== 0) head.freshMs = ttlMs;
    if (exchange.client.era !== era) return head;
    head.resultTtlMs = ttlMs;
    head.ttlStart = spans.ttlMsStart - spans.resultStart;
    head.ttlEnd = spans.ttlMsEnd - spans.resultStart;
    return head;
  }

  /** The call leads a key and has failed: the answer that is served instead, or null. */
  fallbackOf(exchange: Exchange, isOfUpstream: boolean): Buffer | null {
    const { fallback } = exchange.call;
    this.#cache.release(exchange, isOfUpstream);
    exchange.verdict.kind = Verdict.forward;
    exchange.call.fallback = null;
    return isOfUpstream ? fallback : null;
  }

  /** Fields for the answer of a call that the cache has forwarded and whose answer it may keep. */
  forwardedHead(exchange: Exchange): readonly string[] {
    if (!this.#config.current.cache.headers) return NO_HEAD;
    return exchange.call.fallback === null ? MISS_HEAD : STALE_HEAD;
  }

  /** Reads the head of a stored answer, whose form {@link compose} appends. @returns fields for the head of the answer */
  open(answer: Buffer): readonly string[] {
    const head = this.#head;
    head.read(answer, 0);
    if (!this.#config.current.cache.headers) return NO_HEAD;
    const left = Math.floor(head.freshMs / 1_000);
    let status = `switchyard; hit; ttl=${left}`;
    if (head.outcome === CacheOutcome.collapsed) status = 'switchyard; fwd=miss; collapsed';
    else if (head.outcome === CacheOutcome.error) status = `${status}; detail=upstream-failed`;
    return ['cache-status', status, 'age', String(Math.floor(head.ageMs / 1_000))];
  }

  /** Appends the response with the stored answer that {@link open} has read: `ttlMs` is what is left of it. */
  compose(composer: Composer, exchange: Exchange, answer: Buffer): void {
    const head = this.#head;
    const start = ANSWER_HEAD_BYTES;
    composeOpen(composer, exchange);
    let meta = this.#config.current.cache.meta ? metaPlace(answer, start) : null;
    let at = start;
    if (meta !== null && (head.resultTtlMs < 0 || meta.at <= start + head.ttlStart)) {
      at = this.#meta(composer, answer, at, meta);
      meta = null;
    }
    if (head.resultTtlMs >= 0) {
      composer.range(answer, at, start + head.ttlStart).integer(head.resultTtlMs);
      at = start + head.ttlEnd;
    }
    if (meta !== null) at = this.#meta(composer, answer, at, meta);
    composer.range(answer, at, answer.length).put(RESULT_CLOSE);
  }

  /** Appends the answer up to a place and the member there. */
  #meta(composer: Composer, answer: Buffer, from: number, { at, isInside, isEmpty }: MetaPlace): number {
    const { ageMs, freshMs, outcome } = this.#head;
    const about = { status: STATUS.get(outcome), ageMs, ttlMs: Math.max(0, freshMs) };
    const member = `${JSON.stringify(META_KEY)}:${JSON.stringify(about)}`;
    composer.range(answer, from, at).text(isInside ? member : `"_meta":{${member}}`);
    if (!isEmpty) composer.text(',');
    return at;
  }
}

/** Where something is inserted into a result: in its `_meta`, or a `_meta` where there is none. */
interface MetaPlace {
  readonly at: number;
  readonly isInside: boolean;
  /** Nothing follows in the object. */
  readonly isEmpty: boolean;
}

/** Null = another gateway has said the same already. */
function metaPlace(answer: Buffer, start: number): MetaPlace | null {
  const meta = findMember(answer, start, answer.length, '_meta');
  if (meta === undefined) return { at: start + 1, isInside: false, isEmpty: isEmptyObject(answer, start) };
  if (answer[meta.start] !== OPEN_OBJECT || findMember(answer, meta.start, meta.end, META_KEY) !== undefined)
    return null;
  return { at: meta.start + 1, isInside: true, isEmpty: isEmptyObject(answer, meta.start) };
}

function isEmptyObject(bytes: Buffer, start: number): boolean {
  let at = start + 1;
  while (at < bytes.length && bytes[at]! <= 0x20) at += 1;
  return bytes[at] === CLOSE_OBJECT;
}

function isPublic(bytes: Uint8Array, start: number, end: number): boolean {
  return end - start === PUBLIC.length && PUBLIC.every((byte, index) => bytes[start + index] === byte);
}

/** A `ttlMs` in whole milliseconds; 0 = it is none, or negative. */
function readTtl(bytes: Uint8Array, start: number, end: number): number {
  const value = Number(Buffer.from(bytes.subarray(start, end)).toString('latin1'));
  return value > 0 ? Math.floor(Math.min(value, MAX_FRESH_MS)) : 0;
}
