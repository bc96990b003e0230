/** One decision by the code of the workers, with both ends of its rings in this thread. */
import { MessageChannel } from 'node:worker_threads';
import { typescriptDecoder } from '../../native/index.js';
import { Decider } from '../../workers/decide.js';
import type { Finder } from '../../workers/find/index.js';
import type { AuthProvider, AuthSnapshot } from '../config/snapshot/auth.js';
import { authAt, withProviders } from '../config/snapshot/endpoint-auth.js';
import type { Snapshot } from '../config/snapshot/index.js';
import { CallArguments } from '../request/dispatch/call-arguments.js';
import { writeDecide } from '../request/dispatch/request-record.js';
import type { CatalogTable } from '../shared/catalog-table.js';
import { counterMemory } from '../shared/counters.js';
import { Epochs, epochMemory } from '../shared/epochs.js';
import { createBuckets, type PlannedLimit, planBuckets } from '../shared/limits/bucket-plan.js';
import type { BucketLayout } from '../shared/limits/buckets.js';
import { Ring, ringMemory } from '../shared/ring/index.js';
import { RECORD_VERSION, VERDICT_HEAD, Verdict } from '../shared/ring/records.js';
import { VerdictRecord } from '../shared/ring/verdict-record.js';
import { Scheme } from '../shared/scheme.js';
import { EXPLAINED_TOKEN, type ExplainedCall, exchangeOf, QuestionError } from './question.js';

const RING_BYTES = 1 << 20;

/** What was decided, and how. */
export interface Decided {
  readonly verdict: VerdictRecord;
  /** Scopes for the challenge of a refusal, or ''. */
  readonly payload: string;
  /** Its fields are the outcome of the look-up. */
  readonly finder: Finder;
  /** The rate limits that the call takes from. */
  readonly limits: readonly PlannedLimit[];
  /** Rules read the arguments. */
  readonly readsArguments: boolean;
  /** Position in `Snapshot.views` of the one that the call comes to. */
  readonly view: number;
  /** What decides about credentials there. */
  readonly auth: AuthSnapshot;
}

/**
 * Decides about a call as if it were the first one of its client: all buckets are full and nothing is cached.
 *
 * @throws QuestionError for a call that no client could send
 */
export function decide(call: ExplainedCall, snapshot: Snapshot, catalog: CatalogTable): Decided {
  const { exchange, body } = exchangeOf(call, snapshot);
  const requestMemory = ringMemory(RING_BYTES);
  const verdictMemory = ringMemory(RING_BYTES);
  const requests = new Ring(requestMemory);
  const verdicts = new Ring(verdictMemory);
  const plan = planBuckets(snapshot);
  const buckets = createBuckets(plan, snapshot.rateLimits.maxClients, 1);
  const rings = { requests: requestMemory, verdicts: verdictMemory };
  const { view } = exchange.client.caller;
  const auth = authAt(snapshot, view);
  const isKnown = call.subject !== null && auth.providers.length > 0;
  const rules = isKnown ? withProviders(snapshot, [providerOf(call)]) : snapshot;
  const decider = createDecider(rules, catalog, rings, buckets.layout);
  const verdict = new VerdictRecord();
  exchange.message.body = body;
  exchange.message.bodyLength = body.length;
  const args = new CallArguments(typescriptDecoder);
  let payload = '';
  let passes = 0;
  do {
    // The second pass has the arguments, as in dispatch.
    const { finder } = decider;
    finder.conditions.trace = [];
    const isSecond = passes > 0;
    if (isSecond && !args.read(exchange)) throw new QuestionError('a member of the arguments is repeated');
    const written = writeDecide(
      requests,
      exchange,
      body,
      catalog.version,
      snapshot.attributes,
      true,
      isSecond ? args : null,
    );
    if (written < 0) throw new QuestionError('the arguments are too large');
    decider.run(1);
    const at = verdicts.peek();
    if (at < 0) throw new Error('the policy has not decided');
    verdict.read(verdicts.words, at);
    const start = (at + VERDICT_HEAD) * 4;
    payload = verdicts.buffer.toString('utf8', start, start + verdict.payloadLength);
    verdicts.advance();
    passes += 1;
  } while (verdict.kind === Verdict.needsArguments && passes < 2);
  const { count, pairs } = verdict.buckets;
  const limits = Array.from({ length: count }, (_, i) => plan.planned[buckets.limitNumber(pairs[i * 2]!)]!);
  return { verdict, payload, finder: decider.finder, limits, readsArguments: passes > 1, view, auth };
}

/** A provider with one client, who is the one that is asked about. */
function providerOf({ subject, scopes, permissions }: ExplainedCall): AuthProvider {
  const token = { token: EXPLAINED_TOKEN, subject: subject ?? '', scopes, permissions, metadata: {} };
  return { type: 'bearer', scheme: Scheme.bearer, waitsFor: null, tokens: [token] };
}

function createDecider(
  snapshot: Snapshot,
  catalog: CatalogTable,
  rings: { readonly requests: SharedArrayBuffer; readonly verdicts: SharedArrayBuffer },
  buckets: BucketLayout,
): Decider {
  const epochs = epochMemory();
  const versions = new Epochs(epochs);
  versions.setSnapshot(snapshot.version);
  versions.setCatalog(catalog.version);
  const { port1 } = new MessageChannel();
  port1.close();
  return new Decider(
    {
      recordVersion: RECORD_VERSION,
      worker: 0,
      incarnation: 1,
      snapshot,
      catalog,
      epochs,
      buckets,
      counters: counterMemory(2, 1),
      ...rings,
      bell: { handle: 0, cell: null },
      port: port1,
      keys: [],
      revoked: [],
    },
    { ring() {}, post() {}, receive: () => null, requestKeys() {}, inquire() {} },
  );
}
