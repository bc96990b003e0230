import { typescriptDecoder } from '../../../native/index.js';
import type { CacheRule, CacheSnapshot } from '../../../src/config/snapshot/index.js';
import { ANSWER_HEAD_BYTES, AnswerHead } from '../../../src/shared/cache/answer-head.js';
import { Counter, Counters, counterMemory } from '../../../src/shared/counters.js';
import { VerdictRecord } from '../../../src/shared/ring/verdict-record.js';
import { CacheEvents, type CacheQuery, type Lookup, ResponseCache } from '../../../workers/cache/index.js';
import { route, snapshot } from '../fixture.js';

/** The parts of a key that a test chooses. */
export interface Parts {
  readonly name?: string;
  readonly args?: string;
  readonly route?: number;
  readonly subject?: number;
  readonly kind?: number;
  readonly server?: number;
  readonly view?: number;
  readonly group?: number;
  readonly headers?: string;
  /** Overrides the hash, to make keys collide. */
  readonly hash?: readonly [number, number];
}

export function queryOf(parts: Parts = {}): CacheQuery {
  const { name = 'tool', args = '{"a":1}', route = 0, subject = 0, kind = 10, hash } = parts;
  const bytes = Buffer.from(`${name}${args}`);
  const lanes = new Int32Array(2);
  const nameEnd = Buffer.byteLength(name);
  typescriptDecoder.hash(bytes, nameEnd, bytes.length, lanes);
  return {
    bytes,
    nameStart: 0,
    nameEnd,
    argumentsStart: nameEnd,
    argumentsEnd: bytes.length,
    hashLow: hash?.[0] ?? lanes[0]!,
    hashHigh: hash?.[1] ?? lanes[1]!,
    server: parts.server ?? 0,
    route,
    digest: Int32Array.of(subject, 0, 0, 0),
    subject: `subject ${subject}`,
    kind,
    view: parts.view ?? 0,
    group: parts.group ?? 0,
    headers: Buffer.from(parts.headers ?? ''),
    headersLength: Buffer.byteLength(parts.headers ?? ''),
  };
}

/** A cache with its clock; `answers` and `leads` are the calls that waited. */
export class CacheFixture {
  readonly counters = new Counters(counterMemory(1, 1), 0);
  readonly events = new CacheEvents(this.counters, [route('a'), route('b')]);
  readonly answers: [slot: number, result: string][] = [];
  readonly leads: [slot: number, key: number][] = [];
  readonly forwarded: number[] = [];
  readonly cache: ResponseCache;
  now = 1000;
  #slot = 0;

  constructor(changes: Partial<CacheSnapshot> = {}) {
    this.cache = new ResponseCache({ ...snapshot().cache, ...changes }, 1_000_000, 1, this.events, {
      answer: ({ slot }, result) => this.answers.push([slot, resultOf(result)]),
      lead: ({ slot }, key) => this.leads.push([slot, key]),
      forward: ({ slot }) => this.forwarded.push(slot),
    });
  }

  lookup(parts: Parts = {}, rule: Partial<CacheRule> = {}): Lookup {
    const caller = new VerdictRecord();
    caller.slot = this.#slot;
    caller.generation = 1;
    this.#slot += 1;
    const whole = { ttlMs: 100, staleMs: 0, staleIfErrorMs: 0, public: false, ...rule };
    return this.cache.lookup(queryOf(parts), whole, this.now, caller);
  }

  store(text = 'result', key = this.cache.key, hints: Partial<AnswerHead> = {}): void {
    const bytes = Buffer.concat([Buffer.alloc(2 + ANSWER_HEAD_BYTES), Buffer.from(`${text}yy`)]);
    Object.assign(new AnswerHead(), { server: 0 }, hints).write(bytes, 2);
    this.cache.store(key, bytes, 2, bytes.length - 2, this.now);
    bytes.fill(0);
  }

  /** The result of the last look-up. */
  get result(): string {
    return resultOf(this.cache.answer);
  }

  /** What its head says. */
  get head(): AnswerHead {
    const head = new AnswerHead();
    head.read(this.cache.answer, 0);
    return head;
  }

  total(name: keyof typeof Counter): number {
    return this.counters.total(Counter[name]);
  }
}

function resultOf(answer: Buffer): string {
  return answer.subarray(ANSWER_HEAD_BYTES).toString();
}
