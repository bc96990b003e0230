import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { packedCount } from '../../../src/shared/packed.js';
import { eventually, type TestScope } from '../../support/process.js';
import { type PoolFixture, serverOf, startPool, stdioOf } from '../fixture.js';

const EXPIRING = fileURLToPath(new URL('../fixtures/expiring.js', import.meta.url));

async function startExpiring(scope: TestScope, ttlMs: number, ...more: string[]): Promise<PoolFixture> {
  const pool = startPool(scope, [serverOf([stdioOf(process.execPath, [EXPIRING, String(ttlMs), ...more])])]);
  await pool.ready();
  return pool;
}

const tools = ({ discoveries }: PoolFixture) => discoveries.map(({ tools }) => packedCount(tools));

test('lists that expire are read again, at most once a second', async (t) => {
  const pool = await startExpiring(t, 10);
  const began = performance.now();
  await eventually('a third reading', () => pool.discoveries.length === 3);
  assert.deepEqual(tools(pool), [1, 2, 3]);
  assert.ok(performance.now() - began >= 1_900);
});

test('lists that expire are not read again when they have no time to live, or changes are announced', async (t) => {
  const pools = [await startExpiring(t, 0), await startExpiring(t, 10, 'announces')];
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  assert.deepEqual(pools.map(tools), [[1], [1]]);
});
