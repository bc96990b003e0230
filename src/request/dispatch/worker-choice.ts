import { authAt } from '../../config/snapshot/endpoint-auth.js';
import type { PolicyPool } from '../../shared/ring/policy-pool.js';
import type { Exchange } from '../exchange/index.js';
import type { Remembered } from './remembered.js';

/**
 * Which worker decides about an exchange.
 *
 * @param spread a hash of its name and arguments when the answer may be in a cache, so that each key lives in one worker; else -1: by
 * token, so that verified tokens are found again, or the shortest ring
 */
export function chooseWorker(pool: PolicyPool, remembered: Remembered, exchange: Exchange, spread: number): number {
  const { size } = pool;
  if (size === 1) return 0;
  if (spread >= 0) return spread % size;
  const { token, view } = exchange.client.caller;
  if (token !== '' && authAt(pool.snapshot, view).providers.length > 0) {
    const affine = Math.abs(remembered.client(exchange)) % size;
    if (pool.slot(affine).ready) return affine;
  }
  let best = 0;
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < size; i += 1) {
    const { ready, requests } = pool.slot(i);
    const load = requests.used() + (ready ? 0 : requests.capacity);
    if (load < least) {
      best = i;
      least = load;
    }
  }
  return best;
}
