import { MessageChannel } from 'node:worker_threads';
import { Method } from '../../../native/layout.js';
import type { Snapshot } from '../../../src/config/snapshot.js';
import { createBuckets, planBuckets } from '../../../src/shared/bucket-plan.js';
import { counterMemory } from '../../../src/shared/counters.js';
import { Epochs, epochMemory } from '../../../src/shared/epochs.js';
import { packedView } from '../../../src/shared/packed.js';
import {
  Ask,
  RECORD_VERSION,
  REQUEST_HEAD,
  RequestFlag,
  RequestWord,
  Verdict,
  VerdictWord,
} from '../../../src/shared/records.js';
import { Ring, ringMemory } from '../../../src/shared/ring.js';
import { Decider } from '../../../workers/decide.js';
import { mintTokens } from '../../load/gateway-config.js';
import { catalogOf, fullSnapshot } from '../fixture.js';
import { type Case, keep, type Operation } from '../runner.js';

const CLIENTS = 64;
const TOOLS = 1000;
/** Records that the front puts on the ring before the worker reads: a busy gateway's batch. */
const BATCH = 32;
const RING_BYTES = 1 << 20;

/** A worker's Decider, with both ends of its rings in this thread. */
async function decisions(snapshot: Snapshot, tokens: readonly string[]): Promise<Operation> {
  const catalog = catalogOf(TOOLS);
  const epochs = epochMemory();
  const versions = new Epochs(epochs);
  versions.setSnapshot(snapshot.version);
  versions.setCatalog(catalog.version);
  const requestMemory = ringMemory(RING_BYTES);
  const verdictMemory = ringMemory(RING_BYTES);
  const channel = new MessageChannel();
  const decider = new Decider(
    {
      recordVersion: RECORD_VERSION,
      worker: 0,
      incarnation: 1,
      snapshot,
      catalog,
      epochs,
      buckets: createBuckets(planBuckets(snapshot), 1024, 1).layout,
      counters: counterMemory(2, 1),
      requests: requestMemory,
      verdicts: verdictMemory,
      bell: { handle: 0, cell: null },
      port: channel.port1,
      keys: [],
      revoked: [],
    },
    { ring() {}, post() {}, receive: () => null, requestKeys() {}, inquire() {} },
  );
  channel.port1.close();

  const requests = new Ring(requestMemory);
  const verdicts = new Ring(verdictMemory);
  const records = Array.from({ length: CLIENTS }, (_, index) => {
    const token = Buffer.from(tokens[index % Math.max(1, tokens.length)] ?? '');
    const name = packedView(catalog.publicNames, (index * 13) % TOOLS);
    const words = new Int32Array(REQUEST_HEAD + ((token.length + 3) >> 2) + ((name.length + 3) >> 2));
    words[RequestWord.ask] = Ask.decide;
    words[RequestWord.slot] = index;
    words[RequestWord.method] = Method.toolsCall;
    words[RequestWord.flags] = token.length > 0 ? RequestFlag.hasToken : 0;
    words[RequestWord.catalogVersion] = catalog.version;
    words[RequestWord.tokenLength] = token.length;
    words[RequestWord.nameLength] = name.length;
    const bytes = Buffer.from(words.buffer);
    token.copy(bytes, REQUEST_HEAD * 4);
    name.copy(bytes, (REQUEST_HEAD + ((token.length + 3) >> 2)) * 4);
    return words;
  });

  let turn = 0;
  let denied = 0;
  const batch = (): void => {
    for (let i = 0; i < BATCH; i++) {
      const record = records[turn++ % CLIENTS]!;
      const at = requests.reserve(record.length);
      requests.words.set(record, at);
      requests.commit();
    }
    decider.run(256);
    for (let at = verdicts.peek(); at >= 0; at = verdicts.peek()) {
      if (verdicts.words[at + VerdictWord.kind] !== Verdict.forward) denied++;
      verdicts.advance();
    }
    keep(denied);
  };
  // Tokens are verified once, asynchronously; all later decisions find them.
  for (let i = 0; i < (CLIENTS / BATCH) * 2; i++) {
    batch();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  denied = 0;
  return {
    operationsPerTime: BATCH,
    run(times) {
      for (let i = 0; i < times; i++) batch();
      if (denied > 0) throw new Error(`${denied} calls were not permitted`);
    },
  };
}

export const decideCases: readonly Case[] = [
  {
    name: 'whole decision',
    what: 'policy: whole decision in the worker, from ring to ring (known JWT, scope, 3 limits, 1,000 tools)',
    goalNs: 2000,
    setup: async () => decisions(fullSnapshot(), await mintTokens(CLIENTS)),
  },
  {
    name: 'whole decision without policy',
    what: 'policy: the same without authentication, routes and limits',
    setup: () => {
      const full = fullSnapshot();
      const none = { ...full.rateLimits, global: null, perClient: null, perTool: [], other: null };
      return decisions({ ...full, auth: { ...full.auth, providers: [] }, routes: [], rateLimits: none }, []);
    },
  },
];
