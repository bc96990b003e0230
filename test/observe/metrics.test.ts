import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorNumber } from '../../src/errors.js';
import { COUNTER_FAMILIES, METRIC_ALIASES, SINGLE_COUNTERS } from '../../src/observe/metric-names.js';
import { renderMetrics } from '../../src/observe/metrics.js';
import { observe } from '../../src/observe/state.js';
import { Counter, OutcomeId, Series } from '../../src/shared/counters.js';
import { sourcesOf } from './states.js';

interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

interface Family {
  readonly type: string;
  readonly help: string;
  readonly samples: Sample[];
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)/y;

/** A strict reader of the text format (Prometheus, exposition formats 0.0.4). */
function parse(text: string): Map<string, Family> {
  assert.ok(text.endsWith('\n'));
  const families = new Map<string, Family>();
  let current: { name: string; family: Family } | null = null;
  let help = '';
  for (const line of text.slice(0, -1).split('\n')) {
    if (line === '') continue;
    const described = new RegExp(`^# HELP (${NAME}) (.+)$`).exec(line);
    if (described !== null) {
      help = described[2]!;
      continue;
    }
    const typed = new RegExp(`^# TYPE (${NAME}) (counter|gauge|histogram)$`).exec(line);
    if (typed !== null) {
      assert.ok(!families.has(typed[1]!), `${typed[1]} twice`);
      current = { name: typed[1]!, family: { type: typed[2]!, help, samples: [] } };
      families.set(current.name, current.family);
      continue;
    }
    const sample = new RegExp(`^(${NAME})(?:\\{(.*)\\})? (\\S+)$`).exec(line);
    assert.ok(sample !== null && current !== null, line);
    const [, name, labelText = '', value] = sample;
    const suffixes = current.family.type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
    assert.ok(
      suffixes.some((suffix) => name === current!.name + suffix),
      line,
    );
    const labels: Record<string, string> = {};
    LABEL.lastIndex = 0;
    while (LABEL.lastIndex < labelText.length) {
      const label = LABEL.exec(labelText);
      assert.ok(label !== null, line);
      labels[label[1]!] = label[2]!.replaceAll(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c));
    }
    assert.ok(Number.isFinite(Number(value)), line);
    current.family.samples.push({ name: name!, labels, value: Number(value) });
  }
  return families;
}

function value(families: Map<string, Family>, name: string, labels: Record<string, string> = {}): number | undefined {
  const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ''));
  assert.ok(family !== undefined, `there is no ${name}`);
  return family.samples.find(
    (sample) => sample.name === name && JSON.stringify(sample.labels) === JSON.stringify(labels),
  )?.value;
}

test('the document is valid and shows what was counted by all threads', async () => {
  const { sources, names, front, worker } = sourcesOf(10);
  front.add(Counter.cacheHits, 2);
  worker.add(Counter.cacheHits, 3);
  front.add(Counter.memoHits, 8);
  front.add(Counter.workerHangs);
  front.error(errorNumber('GW_UPSTREAM_TIMEOUT'));
  for (const ms of [0.04, 0.3, 40]) front.observe(Series.request, ms, ms > 1);
  front.observe(names.id('upstream', 'files'), 2);
  front.observe(names.id('tool', 'files__read'), 2, true);
  const families = parse(await renderMetrics(observe(sources)));

  assert.equal(value(families, 'switchyard_cache_requests_total', { result: 'hit' }), 5);
  assert.equal(value(families, 'switchyard_decisions_total', { source: 'remembered' }), 8);
  assert.equal(value(families, 'switchyard_worker_hangs_total'), 1);
  assert.equal(value(families, 'switchyard_errors_total', { code: 'GW_UPSTREAM_TIMEOUT' }), 1);
  assert.equal(value(families, 'switchyard_request_duration_seconds_count'), 3);
  assert.equal(value(families, 'switchyard_request_duration_seconds_bucket', { le: '0.0005' }), 2);
  assert.equal(value(families, 'switchyard_request_duration_seconds_bucket', { le: '+Inf' }), 3);
  assert.ok(Math.abs(value(families, 'switchyard_request_duration_seconds_sum')! - 0.04034) < 1e-9);
  assert.equal(value(families, 'switchyard_upstream_call_duration_seconds_count', { upstream: 'files' }), 1);
  assert.equal(value(families, 'switchyard_tool_call_errors_total', { tool: 'files__read' }), 1);
  assert.equal(value(families, 'switchyard_catalog_entries', { kind: 'tools' }), 15);
  assert.equal(value(families, 'switchyard_catalog_undiscovered_servers'), 1);
  const state = (name: string) =>
    value(families, 'switchyard_upstream_state', { upstream: 'files', endpoint: '1', state: name });
  assert.deepEqual([state('backoff'), state('ready')], [1, 0]);
  const event = { upstream: 'files', endpoint: '0', event: 'junkLines' };
  assert.equal(value(families, 'switchyard_upstream_events_total', event), 12);
  assert.equal(value(families, 'switchyard_ready'), 1);
  assert.equal(value(families, 'switchyard_log_lines_dropped_total'), 6);
  assert.equal(
    value(families, 'switchyard_build_info', {
      version: '1.2.3',
      node: process.version,
      decoder: 'native',
      front_end: 'node',
    }),
    1,
  );
});

test('a renamed metric has its old name too, with the same samples', async () => {
  const { sources, front, worker } = sourcesOf(4);
  front.add(Counter.memoHits, 8);
  front.add(Counter.memoMisses, 3);
  worker.add(Counter.decisions, 5);
  front.add(Counter.workerDeaths, 2);
  front.add(Counter.webSocketsTooFast, 1);
  const families = parse(await renderMetrics(observe(sources)));
  for (const { name, of, labelValues = {} } of METRIC_ALIASES) {
    const old = families.get(`switchyard_${name}`);
    const now = families.get(`switchyard_${of}`);
    assert.equal(old?.help, `Deprecated alias of switchyard_${of}.`);
    assert.equal(old.type, now?.type);
    const renamed = now?.samples.map(({ labels, value: number }) => [
      Object.entries(labels).map(([label, text]) => [label, labelValues[text] ?? text]),
      number,
    ]);
    assert.deepEqual(
      old.samples.map(({ labels, value: number }) => [Object.entries(labels), number]),
      renamed,
    );
    assert.ok(old.samples.length > 0, name);
  }
  assert.equal(value(families, 'switchyard_verdicts_total', { source: 'memo' }), 8);
  assert.equal(value(families, 'switchyard_verdicts_total', { source: 'worker' }), 5);
  assert.equal(value(families, 'switchyard_memo_misses_total'), 3);
  assert.equal(value(families, 'switchyard_memo_entries'), 9);
  assert.equal(value(families, 'switchyard_worker_deaths_total'), 2);
  assert.equal(value(families, 'switchyard_web_sockets_too_fast_total'), 1);
  assert.equal(value(families, 'switchyard_upstream_lanes', { upstream: 'files', endpoint: '0' }), 4);
});

test('every counter has a metric, and no metric without labels is printed for what has none', async () => {
  const { sources } = sourcesOf(4, { upstreams: () => [] });
  const families = parse(await renderMetrics(observe(sources)));
  assert.deepEqual(families.get('switchyard_upstream_state')?.samples, []);
  const counted = [...COUNTER_FAMILIES.flatMap(({ members }) => Object.keys(members)), ...Object.keys(SINGLE_COUNTERS)];
  assert.deepEqual(counted.sort(), Object.keys(Counter).sort());
});

test('every name is the gateway’s own, and every histogram rises to its count', async () => {
  const { sources, names, front } = sourcesOf(50);
  for (let index = 0; index < 40; index += 1) {
    const id = names.id('tool', `tool${index}`);
    for (let call = 0; call <= index; call += 1) front.observe(id, 2 ** (call % 20) / 10);
  }
  const families = parse(await renderMetrics(observe(sources)));
  for (const [name, { type, help, samples }] of families) {
    assert.match(name, /^switchyard_[a-z_]+$/);
    assert.notEqual(help, '');
    if (type === 'counter') assert.match(name, /_total$/);
    if (type !== 'histogram') continue;
    const series = new Map<string, Sample[]>();
    for (const sample of samples) {
      const { le: _, ...labels } = sample.labels;
      const key = JSON.stringify(labels);
      series.set(key, [...(series.get(key) ?? []), sample]);
    }
    for (const parts of series.values()) {
      const buckets = parts.filter((sample) => sample.name.endsWith('_bucket')).map((sample) => sample.value);
      const count = parts.find((sample) => sample.name.endsWith('_count'))!.value;
      assert.deepEqual(
        buckets,
        buckets.toSorted((a, b) => a - b),
      );
      assert.equal(buckets.at(-1), count);
    }
  }
});

test('names of tools can hold anything and stay bounded in number', async () => {
  const { sources, names, front } = sourcesOf(8);
  for (const name of ['quote"', 'back\\slash', 'line\nend', 'grün \u{1f600}']) front.observe(names.id('tool', name), 1);
  for (let index = 0; index < 1_000; index += 1) front.observe(names.id('tool', `more${index}`), 1);
  const families = parse(await renderMetrics(observe(sources)));
  const tools = new Set(
    families.get('switchyard_tool_call_duration_seconds')!.samples.map(({ labels }) => labels['tool']),
  );
  for (const name of ['quote"', 'back\\slash', 'line end', 'grün \u{1f600}']) assert.ok(tools.has(name), name);
  assert.ok(tools.size <= 8, `${tools.size} tools`);
  assert.equal(value(families, 'switchyard_tool_call_duration_seconds_count', { tool: 'other' }), 997);
});

test('the labels of the document come from a closed set', async () => {
  const { sources, front } = sourcesOf(8, {
    notReady: () => ['reason with a path /x'],
    catalog: () => ({
      version: 1,
      offered: [],
      undiscovered: [],
      problems: [],
      problemCounts: { repaired: 2 },
      renamed: [],
      renamedCount: 0,
      routeFaults: [],
      patternFaults: [],
    }),
  });
  front.request(9_999, OutcomeId.ok);
  const families = parse(await renderMetrics(observe(sources)));
  const allowed = new Set(
    'version node decoder front_end kind worker mode upstream endpoint state source result limit outcome method by direction code le tool event route work'.split(
      ' ',
    ),
  );
  for (const { samples } of families.values()) {
    for (const { labels } of samples) for (const label of Object.keys(labels)) assert.ok(allowed.has(label), label);
  }
});
