import assert from 'node:assert/strict';
import { test } from 'node:test';
import { METHODS } from '../../native/layout.js';
import { errorNumber } from '../../src/errors.js';
import { observe } from '../../src/observe/state.js';
import { buildStats, renderStats, type Stats } from '../../src/observe/stats.js';
import { Counter, OutcomeId, Series } from '../../src/shared/counters.js';
import { sourcesOf } from './states.js';

test('latencies are microseconds, to a sixteenth of themselves', () => {
  const { sources, front } = sourcesOf(4);
  for (let ms = 1; ms <= 1000; ms += 1) front.observe(Series.request, ms, ms % 100 === 0);
  front.error(errorNumber('GW_UPSTREAM_CLOSED'));
  const { requests } = buildStats(observe(sources));
  assert.equal(requests.total, 1000);
  assert.equal(requests.failed, 10);
  assert.equal(requests.successRate, 0.99);
  assert.deepEqual(requests.errors, { GW_UPSTREAM_CLOSED: 1 });
  const { min, avg, max, p50, p90, p99, p999 } = requests.latencyUs;
  assert.deepEqual([min, avg, max], [1_000, 500_500, 1_000_000]);
  for (const [shown, exact] of [
    [p50, 500_000],
    [p90, 900_000],
    [p99, 990_000],
    [p999, 999_000],
  ] as const) {
    assert.ok(shown >= exact * 0.99 && shown <= exact * 1.07, `${shown} for ${exact}`);
  }
});

test('requests are counted by method and outcome; cancelled ones are neither failed nor in the latency', () => {
  const { sources, front } = sourcesOf(4);
  const list = METHODS.indexOf('tools/list');
  const call = METHODS.indexOf('tools/call');
  for (const [method, outcome] of [
    [list, OutcomeId.ok],
    [list, OutcomeId.ok],
    [call, OutcomeId.failed],
    [9_999, OutcomeId.ok],
  ] as const) {
    front.request(method, outcome);
    front.observe(Series.request, 1, outcome === OutcomeId.failed);
  }
  front.request(call, OutcomeId.cancelled);
  front.add(Counter.cancelled);
  const { requests } = buildStats(observe(sources));
  assert.deepEqual([requests.total, requests.failed, requests.cancelled, requests.successRate], [5, 1, 1, 0.75]);
  assert.deepEqual(requests.byMethod, {
    other: { ok: 1 },
    'tools/list': { ok: 2 },
    'tools/call': { failed: 1, cancelled: 1 },
  });
});

test('an idle gateway divides nothing by zero', () => {
  const { sources } = sourcesOf(4);
  const text = renderStats(observe(sources));
  assert.doesNotMatch(text, /null|NaN|Infinity/);
  const stats = JSON.parse(text) as Stats;
  assert.equal(stats.requests.successRate, 1);
  assert.deepEqual(stats.tools, []);
  assert.equal(stats.uptimeSeconds, 5);
});

test('upstreams show their calls, their endpoints with reasons, and what they offer', () => {
  const { sources, names, front } = sourcesOf(4);
  front.observe(names.id('upstream', 'files'), 3, true);
  front.observe(names.id('upstream', 'files'), 1);
  const [files, notes] = buildStats(observe(sources)).upstreams;
  assert.equal(files!.healthy, true);
  assert.equal(files!.calls, 2);
  assert.equal(files!.errors, 1);
  assert.equal(files!.latencyUs.max, 3_000);
  assert.equal(files!.endpoints[1]!.reason, 'it refuses connections');
  assert.deepEqual(files!.offers, { tools: 10, prompts: 1, resources: 2, templates: 3 });
  assert.equal(notes!.healthy, false);
  assert.equal(notes!.calls, 0);
});

test('tools come in the order of their calls; those beyond the bound are one', () => {
  const { sources, names, front } = sourcesOf(4);
  for (const [name, calls] of [
    ['rare', 1],
    ['busy', 3],
    ['never', 0],
    ['late', 2],
  ] as const) {
    const id = names.id('tool', name);
    for (let call = 0; call < calls; call += 1) front.observe(id, 1);
  }
  const stats = buildStats(observe(sources));
  assert.deepEqual(
    stats.tools.map(({ name, calls }) => [name, calls]),
    [
      ['busy', 3],
      ['rare', 1],
    ],
  );
  assert.equal(stats.otherTools.calls, 2);
});

test('counters of all threads add up in the document', () => {
  const { sources, front, worker } = sourcesOf(4);
  front.add(Counter.limitedTool, 2);
  worker.add(Counter.limitedTool, 3);
  worker.add(Counter.cacheMisses);
  const stats = buildStats(observe(sources));
  assert.equal(stats.limiter.refused.tool, 5);
  assert.equal(stats.cache.misses, 1);
  assert.equal(stats.logLinesDropped, 6);
  assert.deepEqual(stats.serverRequests, {
    open: 1,
    answered: 2,
    refused: 3,
    unattributable: 4,
    expired: 5,
    late: 6,
  });
  assert.equal(stats.parkedCalls, 2);
  assert.deepEqual(stats.catalog.undiscovered, ['notes']);
  assert.equal(stats.catalog.tools, 15);
  assert.equal(stats.configuration, 7);
  assert.equal(stats.frontEnd.reason, 'the binary does not load');
});

test('what endpoints count by themselves adds up over all of them', () => {
  const { sources } = sourcesOf(10);
  assert.equal(buildStats(observe(sources)).sending.junkLines, 12);
});

test('a moment survives the way to another thread', () => {
  const { sources, names, front } = sourcesOf(4);
  front.observe(names.id('tool', 'read'), 5);
  const state = observe(sources);
  assert.equal(renderStats(structuredClone(state)), renderStats(state));
});
