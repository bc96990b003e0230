/** Verdicts that need no worker: the memo, the numbers of tokens it is keyed by, and the buckets it takes from. */

import { Flag } from '../../../native/layout.js';
import { authAt } from '../../config/snapshot/endpoint-auth.js';
import type { Snapshot } from '../../config/snapshot/index.js';
import { Era } from '../../protocol/revisions.js';
import { monotonic } from '../../shared/clock.js';
import { limitCounter } from '../../shared/counters.js';
import { type BucketPlan, planBuckets } from '../../shared/limits/bucket-plan.js';
import type { PolicyPool } from '../../shared/ring/policy-pool.js';
import { NEVER, type VerdictRecord } from '../../shared/ring/verdict-record.js';
import type { Count } from '../../units.js';
import { type Exchange, MessageFlag } from '../exchange/index.js';
import { Memo, MemoKey } from './memo.js';
import { TokenSlots } from './token-slots.js';

/** Key of all clients in the memo when neither tokens nor addresses matter. */
const ALL_CLIENTS = -0x7fffffff;

/** See the file comment. */
export class Remembered {
  readonly #pool: PolicyPool;
  #capacity: Count;
  #memo: Memo;
  #tokens: TokenSlots;
  #addresses: TokenSlots;
  #readsAddresses = false;
  #plan: BucketPlan;
  /** Numbers for the values of the request headers that policy reads. */
  #attributes: TokenSlots;
  readonly #key = new MemoKey();

  constructor(pool: PolicyPool) {
    this.#pool = pool;
    this.#capacity = pool.snapshot.limits.maxMemo;
    this.#memo = new Memo(this.#capacity);
    this.#tokens = new TokenSlots(this.#capacity);
    this.#addresses = new TokenSlots(this.#capacity);
    this.#attributes = new TokenSlots(this.#capacity);
    this.#plan = planBuckets(pool.snapshot);
    this.follow();
  }

  /** Verdicts in the memo, outdated ones included. */
  get size(): Count {
    return this.#memo.used;
  }

  /** Follows the snapshot of the pool. */
  follow(): void {
    const { snapshot } = this.#pool;
    const { limits } = snapshot;
    this.#plan = planBuckets(snapshot);
    this.#readsAddresses = this.#plan.clientLimits > 0 || snapshot.routes.some(variesByAddress);
    if (limits.maxMemo === this.#capacity) return;
    this.#capacity = limits.maxMemo;
    this.#memo = new Memo(this.#capacity);
    this.#tokens = new TokenSlots(this.#capacity);
    this.#addresses = new TokenSlots(this.#capacity);
    this.#attributes = new TokenSlots(this.#capacity);
  }

  /** The memo's key of the client: a number for its token, or a negative one for its address. */
  client(exchange: Exchange): number {
    const { token, view } = exchange.client.caller;
    if (token !== '' && authAt(this.#pool.snapshot, view).providers.length > 0) return this.#tokens.id(token);
    return this.#readsAddresses ? -this.#addresses.id(exchange.client.remoteAddress) : ALL_CLIENTS;
  }

  /** Copies the verdict remembered for an exchange with the body `bytes` into its verdict; false = there is none. */
  lookup(exchange: Exchange, bytes: Uint8Array): boolean {
    // A name with escapes has to be decoded for the later stages; it is too rare to be remembered.
    if (exchange.message.decodedName.length > 0 || this.#capacity === 0) return false;
    const { verdict } = exchange;
    if (!this.#memo.lookup(this.#keyOf(exchange, bytes), verdict)) return false;
    return verdict.rememberUntil === NEVER || verdict.rememberUntil > Date.now() / 1000;
  }

  /** Remembers the verdict of an exchange that owns its body, if the verdict allows it and is up to date. */
  remember(exchange: Exchange): void {
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
    this.#memo.remember(this.#keyOf(exchange, exchange.message.body), verdict);
  }

  /** Takes from the buckets of a remembered verdict, as the worker did when it decided. @returns as `Buckets.take` */
  take({ buckets }: VerdictRecord): number {
    return buckets.count === 0 ? 0 : this.#pool.buckets.take(monotonic(), buckets);
  }

  /** Counts a call that {@link take} refused. @returns the number of the limit that refused it */
  countRefusal(): number {
    const { buckets, counters } = this.#pool;
    const refused = this.#plan.planned[buckets.refusedBy];
    if (refused !== undefined) counters.add(limitCounter(refused.scope));
    return buckets.refusedBy;
  }

  #keyOf(exchange: Exchange, bytes: Uint8Array): MemoKey {
    const { spans } = exchange.message;
    const key = this.#key;
    const start = spans.nameStart;
    key.client = this.client(exchange);
    key.method = methodOf(exchange);
    const { caller } = exchange.client;
    const attributes = caller.attributes(this.#pool.snapshot.attributes);
    key.view = caller.view;
    key.attributes = attributes === '' ? 0 : this.#attributes.id(attributes);
    key.address = this.#plan.readsAddress ? this.#addresses.id(exchange.client.remoteAddress) : 0;
    key.hashLow = spans.nameHashLow;
    key.hashHigh = spans.nameHashHigh;
    key.bytes = bytes;
    key.start = Math.max(start, 0);
    key.end = start < 0 ? 0 : spans.nameEnd;
    key.stamp = this.#pool.epochs.stamp();
    return key;
  }
}

/** Whether the variant of anonymous clients depends on their address. */
function variesByAddress({ variants }: Snapshot['routes'][number]): boolean {
  return variants !== null && (variants.by.type === 'address' || variants.otherwise === 'address');
}

/** The method and everything else but client, view, attributes and name that the decision depends on. */
function methodOf(exchange: Exchange): number {
  return (
    exchange.message.spans.method |
    (exchange.client.era === Era.modern ? 1 << 16 : 0) |
    ((exchange.message.spans.flags & Flag.nameIsUri) !== 0 ? 1 << 17 : 0) |
    ((exchange.message.flags & MessageFlag.hasInputResponses) !== 0 ? 1 << 18 : 0) |
    ((exchange.message.flags & MessageFlag.unmetered) !== 0 ? 1 << 19 : 0) |
    (exchange.client.caller.scheme << 20)
  );
}
