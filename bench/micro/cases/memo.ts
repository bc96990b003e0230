import { Method } from '../../../native/layout.js';
import { Memo, MemoKey } from '../../../src/request/dispatch/memo.js';
import { TokenSlots } from '../../../src/request/dispatch/token-slots.js';
import { monotonic } from '../../../src/shared/clock.js';
import { packedView } from '../../../src/shared/packed.js';
import { VerdictRecord } from '../../../src/shared/verdict-record.js';
import { mintTokens } from '../../load/gateway-config.js';
import { catalogOf } from '../fixture.js';
import { type Case, keep, type Operation } from '../runner.js';
import { AMPLE, ampleBuckets } from './buckets.js';

const CLIENTS = 64;
const TOOLS = 16;
const STAMP = 1;
const NEVER = 0x7fffffff;

/** @param fresh whether the token's text is new with each call, as it is when it comes from a socket */
async function remembered(fresh: boolean): Promise<Operation> {
  const tokens = (await mintTokens(CLIENTS)).map((token) => Buffer.from(token));
  const texts = tokens.map((token) => token.toString('latin1'));
  const { publicNames } = catalogOf(TOOLS);
  const names = Array.from({ length: TOOLS }, (_, entry) => packedView(publicNames, entry));
  const lows = names.map((_, index) => Math.imul(index + 1, 0x9e3779b1));
  const slots = new TokenSlots(65_536);
  const memo = new Memo(65_536);
  const buckets = ampleBuckets([AMPLE, AMPLE, AMPLE], 0);
  const verdict = new VerdictRecord();
  verdict.rememberUntil = NEVER;
  for (let limit = 0; limit < 3; limit++) verdict.buckets.add(limit, 0);
  const key = new MemoKey();
  key.method = Method.toolsCall;
  key.stamp = STAMP;
  const fill = (client: number, low: number, name: Uint8Array): void => {
    key.client = client;
    key.hashLow = lows[low]!;
    key.hashHigh = low;
    key.bytes = name;
    key.end = name.length;
  };
  names.forEach((name, low) => {
    for (const text of texts) {
      fill(slots.id(text), low, name);
      memo.remember(key, verdict);
    }
  });
  const out = new VerdictRecord();
  const now = monotonic();
  return {
    run(times) {
      for (let i = 0; i < times; i++) {
        const client = i % CLIENTS;
        const text = fresh ? tokens[client]!.toString('latin1') : texts[client]!;
        const low = (i >> 6) % TOOLS;
        const name = names[low]!;
        fill(slots.id(text), low, name);
        if (!memo.lookup(key, Date.now() / 1000, out)) throw new Error('not remembered');
        keep(buckets.take(now + i * 1e-4, out.buckets));
      }
    },
  };
}

export const memoCases: readonly Case[] = [
  {
    name: 'remembered verdict',
    what: 'dispatch: remembered verdict and three buckets, 64 clients, 16 tools',
    setup: () => remembered(false),
  },
  {
    name: 'remembered verdict with a fresh token text',
    what: 'dispatch: the same, the token a new text of 268 bytes each time',
    setup: () => remembered(true),
  },
];
