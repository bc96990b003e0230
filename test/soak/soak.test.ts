import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { growth, type Sample } from './counts.js';
import { soak } from './soak.js';

test('half a minute of clients that come and go, before upstreams that are killed', async () => {
  const outcome = await soak({
    minutes: 0.5,
    clients: 8,
    seed: 7,
    killMs: 4_000,
    say: () => {},
    look: (pid) => ({ rssBytes: 0, descriptors: readdirSync(`/proc/${pid}/fd`).length }),
  });
  assert.equal(outcome.failed, false, outcome.report);
  for (const action of [
    'modern echo',
    'modern ask',
    'modern listen',
    'legacy echo',
    'legacy ask',
    'legacy subscribe',
  ]) {
    assert.ok((outcome.counts.answered.get(action) ?? 0) > 0, `${action} was never answered\n${outcome.report}`);
  }
});

test('growth is what the end has more than the middle', () => {
  const run = (rss: (index: number) => number, descriptors: (index: number) => number): Sample[] =>
    Array.from({ length: 30 }, (_, index) => ({
      seconds: index,
      rssBytes: rss(index) * 1024 * 1024,
      descriptors: descriptors(index),
    }));
  const flat = () => 100;
  assert.deepEqual(growth(run(flat, flat)), []);
  assert.deepEqual(growth(run((index) => (index < 10 ? 50 : 150), flat)), []);
  assert.deepEqual(growth(run((index) => 100 + 10 * index, flat)), [
    'resident memory grew from 200.0 MiB to 300.0 MiB',
  ]);
  assert.deepEqual(growth(run(flat, (index) => 100 + 10 * index)), ['open descriptors grew from 200 to 300']);
  assert.deepEqual(growth(run((index) => 1000 * index, flat).slice(0, 5)), [], 'too little to tell');
});
