import { decoder } from '../../../native/index.js';
import { ANSWER_HEAD_BYTES, AnswerHead } from '../../../src/shared/cache/answer-head.js';
import { Counters, counterMemory } from '../../../src/shared/counters.js';
import { VerdictRecord } from '../../../src/shared/ring/verdict-record.js';
import { CacheEvents, type CacheQuery, CacheRules, Lookup, ResponseCache } from '../../../workers/cache/index.js';
import { catalogOf, snapshotOf } from '../fixture.js';
import { type Case, keep } from '../runner.js';

const ENTRIES = 1000;
const RULE = { ttlMs: 86_400_000, staleMs: 0, staleIfErrorMs: 0, public: false };

export const cacheCases: readonly Case[] = [
  {
    name: 'cache look-up',
    what: `cache: a stored result found again, ${ENTRIES.toLocaleString('en-US')} entries in turn`,
    setup() {
      const never = () => {
        throw new Error('no call waits here');
      };
      const caller = new VerdictRecord();
      const events = new CacheEvents(new Counters(counterMemory(1, 1), 0), []);
      const cache = new ResponseCache(snapshotOf({}).cache, 65_536, 1, events, {
        answer: never,
        lead: never,
        forward: never,
      });
      const queries = Array.from({ length: ENTRIES }, (_, index): CacheQuery => {
        const name = 'files__read_text_file';
        const bytes = Buffer.from(`${name}{"path":"/srv/data/${String(index).padStart(6, '0')}.txt","lines":100}`);
        return {
          bytes,
          nameStart: 0,
          nameEnd: name.length,
          argumentsStart: name.length,
          argumentsEnd: bytes.length,
          hashLow: Math.imul(index + 1, 0x9e3779b1),
          hashHigh: Math.imul(index + 1, 0x85ebca6b),
          server: 0,
          route: -1,
          subject: 'ann',
          view: 0,
          group: 0,
          headers: Buffer.alloc(0),
          headersLength: 0,
          digest: Int32Array.of(1, 2, 3, 4),
          kind: 10,
        };
      });
      const result = Buffer.alloc(ANSWER_HEAD_BYTES + 500, 0x61);
      new AnswerHead().write(result, 0);
      for (const query of queries) {
        if (cache.lookup(query, RULE, 0, caller) !== Lookup.lead) throw new Error('stored already');
        cache.store(cache.key, result, 0, result.length, 0);
      }
      return {
        run(times) {
          for (let i = 0; i < times; i++) {
            if (cache.lookup(queries[i % ENTRIES]!, RULE, 1, caller) !== Lookup.hit) throw new Error('not found');
            keep(cache.answer.length);
          }
        },
      };
    },
  },
  ruleCase('off', {}),
  ruleCase('on', { tools: true, patterns: ['bench__*'], exclude: ['*__secret_*'] }),
  {
    name: 'cache arguments',
    what: 'cache: the arguments of a call in canonical form and their hash, 75 bytes, members not in order',
    setup() {
      const bytes = Buffer.from('{"path": "/srv/data/000123.txt", "lines": 100, "from": {"line": 7, "at": 1}}');
      const out = new Uint8Array(bytes.length);
      const hash = new Int32Array(2);
      return {
        run(times) {
          for (let i = 0; i < times; i++) {
            decoder.hash(out, 0, decoder.canonical(bytes, 0, bytes.length, out), hash);
            keep(hash[0]!);
          }
        },
      };
    },
  },
];

/** What each decision pays to find out whether the answer is stored. */
function ruleCase(name: string, cache: object): Case {
  return {
    name: `cache rule ${name}`,
    what: `cache: whether an answer is stored, global rule ${name}, 1,000 tools`,
    async setup() {
      const snapshot = snapshotOf({ cache });
      const { table } = await catalogOf(snapshot, 1000);
      const rules = new CacheRules(snapshot, table);
      const target = { server: 0, route: -1, variant: -1, entry: 0 };
      const bytes = Buffer.from('bench__tool_00000');
      return {
        run(times) {
          for (let i = 0; i < times; i++) {
            target.entry = i % 1000;
            keep(rules.ruleOf('tools', target, bytes, 0, bytes.length) === null ? 0 : 1);
          }
        },
      };
    },
  };
}
