import type { LimitRule } from '../../config/snapshot/index.js';
import type { Milliseconds } from '../../units.js';
import { fixedWindow } from './fixed-window.js';
import type { Limiter } from './limiter.js';
import { slidingWindow } from './sliding-window.js';
import { tokenBucket } from './token-bucket.js';

const LIMITERS = {
  'token-bucket': tokenBucket,
  'sliding-window': slidingWindow,
  'fixed-window': fixedWindow,
} satisfies Record<LimitRule['algorithm'], Limiter>;

/** A rule with the numbers that its limiter works with. Immutable; each thread makes its own. */
export class Limit {
  readonly limiter: Limiter;
  /** Calls that an unused bucket permits. */
  readonly capacity: number;
  /** Calls that come back in a millisecond. */
  readonly perMs: number;
  /** Time in which {@link capacity} comes back. */
  readonly windowMs: Milliseconds;
  /** Of a window: calls that may come at once. */
  readonly burst: number;
  /** Of a window: milliseconds between calls beyond {@link burst}; 0 = they may come as they like. */
  readonly spacingMs: number;

  constructor(rule: LimitRule) {
    this.limiter = LIMITERS[rule.algorithm];
    if (rule.algorithm === 'token-bucket') {
      this.capacity = rule.burst;
      this.perMs = rule.rate / 1000;
      this.windowMs = rule.burst / this.perMs;
      this.burst = rule.burst;
      this.spacingMs = 0;
    } else {
      this.capacity = rule.limit;
      this.perMs = rule.limit / rule.windowMs;
      this.windowMs = rule.windowMs;
      this.burst = rule.burst;
      this.spacingMs = rule.burst < rule.limit ? rule.windowMs / rule.limit : 0;
    }
  }
}
