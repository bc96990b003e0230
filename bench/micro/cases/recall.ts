import { Counters, counterMemory } from '../../../src/shared/counters.js';
import { type Question, Recall, Recalled } from '../../../workers/recall/index.js';
import { fullSnapshot } from '../fixture.js';
import { type Case, keep } from '../runner.js';

const ENTRIES = 1000;
const RULE = { ttlMs: 86_400_000, staleMs: 0, public: false };

export const recallCases: readonly Case[] = [
  {
    name: 'cache look-up',
    what: `recall: a stored result found again, ${ENTRIES.toLocaleString('en-US')} entries in turn`,
    setup() {
      const never = () => {
        throw new Error('nobody waits here');
      };
      const counters = new Counters(counterMemory(1, 1), 0);
      const recall = new Recall(fullSnapshot().cache, 65_536, 1, counters, { answer: never, lead: never });
      const questions = Array.from({ length: ENTRIES }, (_, index): Question => {
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
          route: 1,
          d0: 1,
          d1: 2,
          d2: 3,
          d3: 4,
          kind: 10,
        };
      });
      const result = Buffer.alloc(500, 0x61);
      for (const question of questions) {
        if (recall.ask(question, RULE, 0, never) !== Recalled.lead) throw new Error('stored already');
        recall.store(recall.key, result, 0, result.length, 0);
      }
      return {
        run(times) {
          for (let i = 0; i < times; i++) {
            if (recall.ask(questions[i % ENTRIES]!, RULE, 1, never) !== Recalled.hit) throw new Error('not found');
            keep(recall.result.length);
          }
        },
      };
    },
  },
];
