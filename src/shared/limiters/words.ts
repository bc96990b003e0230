import type { LimitRule } from '../../config/snapshot/index.js';

/** A limit for people, as `5 a second, 10 at once`. */
export function limitInWords(rule: LimitRule): string {
  const burst = `${rule.burst} at once`;
  if (rule.algorithm === 'token-bucket') return `${Number(rule.rate.toPrecision(3))} a second, ${burst}`;
  const window = `${rule.limit} in ${rule.windowMs / 1000} s`;
  return rule.burst < rule.limit ? `${window}, ${burst}` : window;
}
