/** Verdicts that need no worker: the memo, the numbers of tokens it is keyed by, and the buckets it takes from. */

import { Flag } from '../../../native/layout.js';
import { Era } from '../../protocol/revisions.js';
import { monotonic } from '../../shared/clock.js';
import { limitCounter } from '../../shared/counters.js';
import type { PolicyPool } from '../../shared/policy-pool.js';
import type { VerdictRecord } from '../../shared/verdict-record.js';
import type { Count } from '../../units.js';
import { type Exchange, MessageFlag } from '../exchange/index.js';
import { Memo } from './memo.js';
import { TokenSlots } from './token-slots.js';

/** The place of everybody in the memo when neither tokens nor addresses matter. */
const ANYBODY = -0x7fffffff;

/** See the file comment. */
export class Remembered {
  readonly #pool: PolicyPool;
  #capacity: Count;
  #memo: Memo;
  #tokens: TokenSlots;
  #addresses: TokenSlots;
  #countsClients = false;

  constructor(pool: PolicyPool) {
    this.#pool = pool;
    this.#capacity = pool.snapshot.limits.maxMemo;
    this.#memo = new Memo(this.#capacity);
    this.#tokens = new TokenSlots(this.#capacity);
    this.#addresses = new TokenSlots(this.#capacity);
    this.follow();
  }

  /** Verdicts in the memo, outdated ones included. */
  get size(): Count {
    return this.#memo.used;
  }

  /** Follows the snapshot of the pool. */
  follow(): void {
    const { rateLimits, routes, limits } = this.#pool.snapshot;
    this.#countsClients =
      rateLimits.perClient !== null || routes.some(({ clientRateLimit }) => clientRateLimit !== null);
    if (limits.maxMemo === this.#capacity) return;
    this.#capacity = limits.maxMemo;
    this.#memo = new Memo(this.#capacity);
    this.#tokens = new TokenSlots(this.#capacity);
    this.#addresses = new TokenSlots(this.#capacity);
  }

  /** What the memo is keyed by instead of the token: a small number, apart for tokens and addresses. */
  client(exchange: Exchange): number {
    if (exchange.client.token !== '' && this.#pool.snapshot.auth.type !== 'none')
      return this.#tokens.id(exchange.client.token);
    return this.#countsClients ? -this.#addresses.id(exchange.client.remoteAddress) : ANYBODY;
  }

  /** Copies what is remembered for an exchange with the body `bytes` into its verdict; false = nothing that counts. */
  recall(exchange: Exchange, bytes: Uint8Array): boolean {
    // A name with escapes has to be decoded for the stages behind; it is too rare to be remembered.
    if (exchange.message.decodedName.length > 0 || this.#capacity === 0) return false;
    const { spans } = exchange.message;
    const start = spans.nameStart;
    return this.#memo.recall(
      this.client(exchange),
      methodOf(exchange),
      spans.nameHashLow,
      spans.nameHashHigh,
      bytes,
      Math.max(start, 0),
      start < 0 ? 0 : spans.nameEnd,
      this.#pool.epochs.stamp(),
      Date.now() / 1000,
      exchange.verdict,
    );
  }

  /** Remembers the verdict of an exchange that owns its body, if the verdict allows it and is up to date. */
  remember(exchange: Exchange): void {
    const { spans } = exchange.message;
    const { verdict } = exchange;
    const { epochs } = this.#pool;
    if (
      this.#capacity === 0 ||
      verdict.rememberUntil === 0 ||
      exchange.message.decodedName.length > 0 ||
      verdict.catalogVersion !== epochs.catalog() ||
      verdict.snapshotVersion !== epochs.snapshot() ||
      verdict.epoch !== epochs.revocation()
    ) {
      return;
    }
    const start = spans.nameStart;
    this.#memo.remember(
      this.client(exchange),
      methodOf(exchange),
      spans.nameHashLow,
      spans.nameHashHigh,
      exchange.message.body,
      Math.max(start, 0),
      start < 0 ? 0 : spans.nameEnd,
      epochs.stamp(),
      verdict,
    );
  }

  /** Takes from the buckets of a remembered verdict, as the worker did when it decided; answers as `Buckets.take`. */
  take(verdict: VerdictRecord): number {
    const global = verdict.bucketGlobal;
    const tool = verdict.bucketTool;
    const route = verdict.bucketRoute;
    const client = verdict.bucketClient;
    const routeClient = verdict.bucketClientTool;
    if ((global & tool & route & client & routeClient) === -1) return 0;
    return this.#pool.buckets.take(
      monotonic(),
      global,
      tool,
      route,
      client,
      verdict.bucketClientGeneration,
      routeClient,
      verdict.bucketClientToolGeneration,
    );
  }

  /** Counts a call that {@link take} refused under the limit that did. */
  countRefusal(verdict: VerdictRecord): void {
    const { buckets, counters } = this.#pool;
    counters.add(limitCounter(buckets.refusedBy, verdict.bucketGlobal, verdict.bucketTool, verdict.bucketRoute));
  }
}

/** The method and everything else but client and name that the decision depends on. */
function methodOf(exchange: Exchange): number {
  return (
    exchange.message.spans.method |
    (exchange.client.era === Era.modern ? 1 << 16 : 0) |
    ((exchange.message.spans.flags & Flag.nameIsUri) !== 0 ? 1 << 17 : 0) |
    ((exchange.message.flags & MessageFlag.hasInputResponses) !== 0 ? 1 << 18 : 0) |
    ((exchange.message.flags & MessageFlag.unmetered) !== 0 ? 1 << 19 : 0)
  );
}
