import { CallBuckets } from '../../src/shared/call-buckets.js';

/** The buckets of a call; those that are not given do not apply. */
export function callBuckets(some: Partial<CallBuckets>): CallBuckets {
  return Object.assign(new CallBuckets(), some);
}
