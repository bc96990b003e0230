/** The example of docs/rate-limits.md runs as it stands, and answers as the page says. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { packageRoot } from '../../src/package-root.js';
import { statsOf } from '../faults/observe.js';
import { gatewayHere } from '../support/gateway.js';
import { rawUpstream } from '../support/raw-upstream.js';
import { modernRpc } from '../support/rpc.js';

const page = readFileSync(join(packageRoot, 'docs/rate-limits.md'), 'utf8');

/** The fenced blocks of a language, in order. */
function blocks(language: string): string[] {
  return [...page.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].flatMap(([, found, text = '']) =>
    found === language ? [text.trim()] : [],
  );
}

const FIELDS = ['retry-after', 'ratelimit-policy', 'ratelimit'];

test('docs/rate-limits.md: the example answers as the page says', async (scope) => {
  const tools = ['find', 'deep'].map((name) => ({ name, inputSchema: { type: 'object' } }));
  const upstream = await rawUpstream(scope, (_request, answer) => answer.result({ content: [] }), { tools });
  const written = blocks('yaml')[0]!.replaceAll(/https:\/\/\w+\.example\.com\/mcp/g, upstream.url);
  const config = parse(written.replace('${ANN}', 'ann-with-a-token').replace('${BOB}', 'bob-with-a-token'));
  const gateway = await gatewayHere(scope, { ...config, workers: 2 });
  const call = (who: string, name: string, headers: Record<string, string> = {}) =>
    modernRpc(
      gateway.url,
      'tools/call',
      { name, arguments: {} },
      { headers: { authorization: `Bearer ${who}-with-a-token`, ...headers } },
    );
  const shown = ({ status, headers }: Awaited<ReturnType<typeof call>>): string =>
    [String(status), ...FIELDS.flatMap((name) => (headers.has(name) ? [`${name}: ${headers.get(name)}`] : []))].join(
      '\n',
    );

  const [permitted, refused] = blocks('');
  assert.equal(shown(await call('ann', 'search__find')), permitted);
  assert.equal((await call('ann', 'search__deep')).status, 200);
  const last = await call('ann', 'search__find');
  assert.equal(shown(last), refused);
  const { correlationId, ...data } = last.message.error.data;
  assert.match(correlationId, /^[0-9a-f-]+$/);
  assert.ok(data.retryAfterMs > 15_000 && data.retryAfterMs <= 20_000, `${data.retryAfterMs}`);
  const [error, stats] = blocks('json').map((text) => JSON.parse(text));
  assert.deepEqual({ ...last.message.error, data: { ...data, retryAfterMs: 20_000 } }, error);

  assert.equal((await call('ann', 'search__find', { 'x-probe': 'yes' })).status, 200);
  const trial = { 'x-client-type': 'trial-7' };
  for (let i = 0; i < 2; i += 1) assert.equal((await call('bob', 'search__find', trial)).status, 200);
  const third = await call('bob', 'search__find', trial);
  assert.deepEqual([third.status, third.message.error.data.limit], [429, 'rateLimits.rules[1]']);
  assert.equal((await call('bob', 'search__find')).status, 200);

  const { limiter } = await statsOf(gateway);
  assert.deepEqual(
    limiter.near.filter(({ limit }: { limit: string }) => limit === 'rateLimits.perClient'),
    stats.near,
  );
  assert.deepEqual([limiter.refused.client, limiter.refused.rule], [1, 1]);
});
