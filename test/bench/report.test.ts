import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { figures, joinStarts, type Measured, type Round, ratio } from '../../bench/load/measure.js';
import { summariseProfiles } from '../../bench/load/profile.js';
import { describeRun, renderReport } from '../../bench/load/report.js';

function round(change: Partial<Round>): Round {
  return {
    slice: 1,
    callsPerSecond: 1000,
    p50Us: 100,
    p99Us: 200,
    p999Us: 300,
    relayCpuUs: 10,
    upstreamCpuUs: 5,
    generatorCpuUs: 5,
    rssBytes: 2 ** 20,
    foreignCpus: 0,
    ...change,
  };
}

const row = (name: string, rounds: Round[], wire: Measured['wire'] = 'http'): Measured => ({
  name,
  wire,
  connections: 64,
  rounds,
});

describe('figures', () => {
  it('leave out rounds in which other programs kept the machine busy', () => {
    const rows = row('x', [
      round({ callsPerSecond: 10, foreignCpus: 1 }),
      round({ callsPerSecond: 100 }),
      round({ callsPerSecond: 300, foreignCpus: 0.1 }),
    ]);
    assert.equal(figures(rows, 'callsPerSecond').median, 200);
  });

  it('use all rounds when none was calm', () => {
    const busy = [10, 20, 60].map((callsPerSecond) => round({ callsPerSecond, foreignCpus: 1 }));
    assert.equal(figures(row('x', busy), 'callsPerSecond').median, 20);
  });
});

describe('ratios', () => {
  it('are of rounds of one slice, and of undisturbed ones where there are some', () => {
    const rounds = (...values: [slice: number, relayCpuUs: number, foreignCpus?: number][]) =>
      values.map(([slice, relayCpuUs, foreignCpus = 0]) => round({ slice, relayCpuUs, foreignCpus }));
    const now = row('now', rounds([1, 10], [2, 30], [3, 1, 0.5], [5, 99]));
    const before = row('before', rounds([1, 20], [2, 40], [3, 100]));
    assert.deepEqual(ratio(now, before, 'relayCpuUs'), { median: 0.625, plusMinus: 0.2 });
  });

  it('take the rounds of all starts', () => {
    const starts = [1, 2].map((slice) => [row('a', [round({ slice })]), row('b', [round({ slice })])]);
    assert.deepEqual(
      joinStarts(starts).map(({ name, rounds }) => [name, rounds.map(({ slice }) => slice)]),
      [
        ['a', [1, 2]],
        ['b', [1, 2]],
      ],
    );
  });
});

describe('the report', () => {
  const description = describeRun({ starts: 2, rounds: 3, seconds: 4, arguments: ['--write-readme', '--rounds', '3'] });
  const full = 'gateway, all policy on';

  it('names the version, the machine and the command', () => {
    const { brief } = renderReport(description, [row('direct', [round({})])], []);
    assert.match(brief, new RegExp(`Node ${process.version}`));
    assert.match(brief, /`npm run bench:load -- --rounds 3`/);
  });

  it('says of each first target whether it was met', () => {
    const measured = [
      row('direct', [round({ callsPerSecond: 1000 })]),
      row('nginx', [round({ relayCpuUs: 10 })]),
      row(full, [round({ callsPerSecond: 349, relayCpuUs: 22 })]),
      row('civic passthrough', [round({ callsPerSecond: 10 })]),
      row(`stdio: ${full}`, [round({ callsPerSecond: 119 })], 'stdio'),
      row('stdio: mcp-proxy', [round({ callsPerSecond: 10 })], 'stdio'),
    ];
    const text = renderReport(description, measured, []).full;
    assert.match(text, /against nginx \| at most 2\.20 times \| 2\.20 times \| met \|/);
    assert.match(text, /against direct \| at least 35 % \| 35 % \| missed \|/);
    assert.match(text, /civic.*\| at least 25\.0 times \| 34\.9 times \| met \|/);
    assert.match(text, /mcp-proxy.*\| at least 12\.0 times \| 11\.9 times \| missed \|/);
  });

  it('compares with another commit slice by slice, and shows each kind of upstream by itself', () => {
    const name = 'translated 17 KB: gateway, minimal';
    const measured = [
      row('translated 17 KB: direct', [round({ callsPerSecond: 2000 })]),
      row(name, [round({ relayCpuUs: 60 })]),
      row(`${name} @abc1234`, [round({ relayCpuUs: 120 })]),
    ];
    const { brief, full: text } = renderReport(description, measured, []);
    assert.match(text, /\| translated 17 KB: \*\*Switchyard\*\*, minimal \| 64 \| abc1234 \| 0\.50 \| ±0 % \|/);
    assert.match(text, /\| \*\*Switchyard\*\*, minimal \| 64 \| 1,000 \| ±0 % \| 50 % \|/);
    assert.doesNotMatch(brief, /17 KB/);
  });

  it('does not judge by rows that were disturbed', () => {
    const measured = [row('direct', [round({ foreignCpus: 1 })]), row(full, [round({ callsPerSecond: 900 })])];
    assert.match(renderReport(description, measured, []).full, /against direct .* not judged/);
  });

  it('has every relay once in the brief table and once a load in the full one', () => {
    const measured = [1, 64].map((connections) => ({ ...row('nginx', [round({})]), connections }));
    const { brief, full: long } = renderReport(description, measured, []);
    assert.equal(brief.match(/^\| nginx \|/gm)?.length, 1);
    assert.equal(long.match(/^\| nginx \|/gm)?.length, 2);
  });
});

describe('summariseProfiles', () => {
  it('shows where time was spent, idle time apart', (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'bench-test-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const frame = (functionName: string) => ({ functionName, url: 'file:///a/b/c/d.js', lineNumber: 9 });
    const profile = {
      nodes: [
        { id: 1, callFrame: frame('work') },
        { id: 2, callFrame: { ...frame('(idle)'), url: '' } },
        { id: 3, callFrame: frame('rest') },
      ],
      samples: [1, 2, 3],
      timeDeltas: [3_000_000, 5_000_000, 1_000_000],
    };
    writeFileSync(join(folder, 'x.cpuprofile'), JSON.stringify(profile));
    const text = summariseProfiles(folder);
    assert.match(text, /busy 4\.00 s, idle 5\.00 s/);
    assert.match(text, /\| 75\.0 % \| work \| b\/c\/d\.js:10 \|\n\| 25\.0 % \| rest \|/);
  });
});
