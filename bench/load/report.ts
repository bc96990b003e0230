import { cpus, release, totalmem } from 'node:os';
import { packageVersion } from '../../src/package-root.js';
import { writeBetween } from '../documents.js';
import { PEERS } from './install.js';
import { figures, type Measured, middle, type Round, ratio, wasCalm } from './measure.js';
import type { Scaling } from './scaling.js';

/** Machine, versions and command of a run. */
export interface Description {
  /** ISO 8601, UTC. */
  readonly date: string;
  readonly version: string;
  readonly node: string;
  readonly cpu: string;
  readonly cpus: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly command: string;
  /** Fresh starts of all targets, rounds in each, seconds of a round. */
  readonly starts: number;
  readonly rounds: number;
  readonly seconds: number;
}

export function describeRun(options: {
  starts: number;
  rounds: number;
  seconds: number;
  arguments: readonly string[];
}): Description {
  const args = options.arguments.filter((argument) => argument !== '--write-readme');
  return {
    date: new Date().toISOString(),
    version: packageVersion,
    node: process.version,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cpus: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    command: `npm run bench:load${args.length > 0 ? ` -- ${args.join(' ')}` : ''}`,
    starts: options.starts,
    rounds: options.rounds,
    seconds: options.seconds,
  };
}

/** The tables in Markdown. */
export interface Report {
  /** For README.md: one line a relay. */
  readonly brief: string;
  /** For docs/benchmarks.md and the terminal: one line a relay and number of connections. */
  readonly full: string;
}

const count = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const micro = (value: number) => (value < 100 ? value.toFixed(1) : count.format(value));
const latency = (us: number) => (us < 10_000 ? `${count.format(us)} µs` : `${(us / 1000).toFixed(1)} ms`);
const megabytes = (bytes: number) => count.format(bytes / 2 ** 20);
const percent = (share: number) => `${(share * 100).toFixed(0)} %`;
const plusMinus = (measured: Measured, figure: keyof Round) =>
  `±${(figures(measured, figure).plusMinus * 100).toFixed(0)} %`;

/** What a row's name begins with: the kind of its upstream, '' = HTTP with small answers. */
function prefixOf(name: string): string {
  return /^[^:]*: /.exec(name)?.[0] ?? '';
}

function title(name: string): string {
  const label = name.slice(prefixOf(name).length);
  if (label === 'mcp-proxy') return `mcp-proxy ${PEERS['mcp-proxy']}`;
  if (label === 'civic passthrough') return `@civic/passthrough-mcp-server ${PEERS['@civic/passthrough-mcp-server']}`;
  return label.startsWith('gateway') ? label.replace('gateway', '**Switchyard**') : label;
}

function fullTable(rows: readonly Measured[], all: readonly Measured[]): string {
  const lines = [
    '| calls through | connections | calls/s | ± | of direct | p50 | p99 | CPU per call | ± | upstream | wrk | RSS MB |',
    '| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |',
  ];
  for (const row of rows) {
    const base = `${prefixOf(row.name)}direct`;
    const direct = all.find(({ name, connections }) => name === base && connections === row.connections);
    const share =
      direct === undefined || row.wire !== 'http'
        ? ''
        : percent(middle(row, 'callsPerSecond') / middle(direct, 'callsPerSecond'));
    const relayed = title(row.name) !== 'direct';
    lines.push(
      `| ${[
        title(row.name),
        row.connections,
        count.format(middle(row, 'callsPerSecond')),
        plusMinus(row, 'callsPerSecond'),
        share,
        latency(middle(row, 'p50Us')),
        latency(middle(row, 'p99Us')),
        relayed ? `${micro(middle(row, 'relayCpuUs'))} µs` : '',
        relayed ? plusMinus(row, 'relayCpuUs') : '',
        `${micro(middle(row, 'upstreamCpuUs'))} µs`,
        `${micro(middle(row, 'generatorCpuUs'))} µs`,
        relayed ? megabytes(middle(row, 'rssBytes')) : '',
      ].join(' | ')} |`,
    );
  }
  return lines.join('\n');
}

function briefTable(rows: readonly Measured[]): string {
  const connections = [...new Set(rows.map((row) => row.connections))];
  const names = [...new Set(rows.map((row) => row.name))];
  const most = Math.max(...connections);
  const lines = [
    `| calls through | calls/s at ${connections.join(' · ')} connections | p50 | p99 | CPU per call at ${most} | RSS MB |`,
    '| --- | ---: | ---: | ---: | ---: | ---: |',
  ];
  for (const name of names) {
    const own = rows.filter((row) => row.name === name);
    const last = own.find((row) => row.connections === most)!;
    const relayed = title(name) !== 'direct';
    const each = (show: (row: Measured) => string) => own.map(show).join(' · ');
    lines.push(
      `| ${[
        title(name),
        each((row) => count.format(middle(row, 'callsPerSecond'))),
        each((row) => latency(middle(row, 'p50Us'))),
        each((row) => latency(middle(row, 'p99Us'))),
        relayed ? `${micro(middle(last, 'relayCpuUs'))} µs` : '',
        relayed ? megabytes(middle(last, 'rssBytes')) : '',
      ].join(' | ')} |`,
    );
  }
  return lines.join('\n');
}

/** A first target and what was measured. */
interface Goal {
  readonly what: string;
  readonly goal: string;
  readonly measured: string;
  /** `met`, `missed`, or that one of its rows had no calm round. */
  readonly verdict: string;
}

function goals(all: readonly Measured[]): Goal[] {
  const most = Math.max(...all.map((row) => row.connections));
  const find = (name: string) => all.find((row) => row.name === name && row.connections === most);
  const result: Goal[] = [];
  const compare = (
    what: string,
    [name, other]: readonly [string, string],
    figure: keyof Round,
    limit: number,
    sense: 'at most' | 'at least',
    show: (ratio: number) => string,
  ) => {
    const row = find(name);
    const base = find(other);
    if (row === undefined || base === undefined) return;
    const measuredRatio = middle(row, figure) / middle(base, figure);
    const met = sense === 'at most' ? measuredRatio <= limit : measuredRatio >= limit;
    const verdict = !wasCalm(row) || !wasCalm(base) ? 'not judged: the machine was busy' : met ? 'met' : 'missed';
    result.push({ what, goal: `${sense} ${show(limit)}`, measured: show(measuredRatio), verdict });
  };
  const times = (ratio: number) => `${ratio.toFixed(ratio < 10 ? 2 : 1)} times`;
  const full = 'gateway, all policy on';
  const stdio = `stdio: ${full}`;
  compare('CPU per relayed HTTP call against nginx', [full, 'nginx'], 'relayCpuUs', 2.2, 'at most', times);
  compare('calls/s against direct', [full, 'direct'], 'callsPerSecond', 0.35, 'at least', percent);
  compare(
    'calls/s against @civic/passthrough-mcp-server',
    [full, 'civic passthrough'],
    'callsPerSecond',
    25,
    'at least',
    times,
  );
  compare(
    'calls/s against mcp-proxy, stdio upstream',
    [stdio, 'stdio: mcp-proxy'],
    'callsPerSecond',
    12,
    'at least',
    times,
  );
  return result;
}

function goalTable(all: readonly Measured[]): string {
  const rows = goals(all);
  if (rows.length === 0) return '';
  return [
    'First targets, for the gateway with all policy on, at the most connections:',
    '',
    '| what | goal | measured | |',
    '| --- | ---: | ---: | --- |',
    ...rows.map(({ what, goal, measured, verdict }) => `| ${what} | ${goal} | ${measured} | ${verdict} |`),
    '',
  ].join('\n');
}

/** CPU per call of this build as a share of the other one's, where a run has both. */
function comparisonTable(all: readonly Measured[]): string {
  const lines = all.flatMap((row) => {
    const other = all.find(
      ({ name, connections }) => name.startsWith(`${row.name} @`) && connections === row.connections,
    );
    if (other === undefined) return [];
    const { median, plusMinus } = ratio(row, other, 'relayCpuUs');
    const cells = [`${prefixOf(row.name)}${title(row.name)}`, row.connections, other.name.slice(row.name.length + 2)];
    return [`| ${[...cells, median.toFixed(2), `±${(plusMinus * 100).toFixed(0)} %`].join(' | ')} |`];
  });
  if (lines.length === 0) return '';
  return [
    'CPU per call as a share of another commit, the median of the ratios slice by slice:',
    '',
    '| calls through | connections | of commit | share | ± |',
    '| --- | ---: | --- | ---: | ---: |',
    ...lines,
    '',
  ].join('\n');
}

function headline(description: Description): string {
  const { date, version, node, cpu, memoryGiB, kernel, command, starts, rounds, seconds } = description;
  return (
    `Measured ${date.slice(0, 10)} with \`${command}\`: Switchyard ${version}, Node ${node}, ${description.cpus} × ${cpu}, ` +
    `${memoryGiB} GiB, Linux ${kernel}; median of ${rounds * starts} interleaved rounds of ${seconds} s in ${starts} fresh start${starts === 1 ? '' : 's'}. ` +
    'Upstream, relay and load generator share the machine.\n'
  );
}

function scalingTable({ what, rows }: Scaling): string {
  return [
    `| ${what} | calls/s | ± | p50 | p99 | CPU per call | ± | RSS MB |`,
    '| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |',
    ...rows.map((row) => {
      const cells = [
        row.name,
        count.format(middle(row, 'callsPerSecond')),
        plusMinus(row, 'callsPerSecond'),
        latency(middle(row, 'p50Us')),
        latency(middle(row, 'p99Us')),
        `${micro(middle(row, 'relayCpuUs'))} µs`,
        plusMinus(row, 'relayCpuUs'),
        megabytes(middle(row, 'rssBytes')),
      ];
      return `| ${cells.join(' | ')} |`;
    }),
    '',
  ].join('\n');
}

/** The line above the rows of a kind of upstream. */
const SECTIONS: Readonly<Record<string, string>> = {
  '': 'HTTP upstream:',
  'stdio: ': 'stdio upstream (CPU of the relay alone, without its child):',
  'translated: ': 'HTTP upstream of 2026-07-28, legacy clients: calls and answers are translated by the gateway:',
  '17 KB: ': 'HTTP upstream, answers of 17 KB:',
  'translated 17 KB: ': 'HTTP upstream of 2026-07-28, legacy clients, answers of 17 KB:',
};
/** The kinds in README.md. */
const BRIEF = new Set(['', 'stdio: ']);

/** Renders the tables of a run. */
export function renderReport(
  description: Description,
  measured: readonly Measured[],
  scalings: readonly Scaling[],
): Report {
  const prefixes = [...new Set(measured.map((row) => prefixOf(row.name)))];
  const busiest = Math.max(0, ...measured.map((row) => middle(row, 'foreignCpus')));
  const noise =
    busiest < 0.05
      ? ''
      : `Other programs kept up to ${busiest.toFixed(2)} CPUs busy during a row: the figures are worse than on a quiet machine.\n`;
  const sections = (table: (rows: readonly Measured[]) => string, shown = prefixes) =>
    shown
      .flatMap((prefix) => [
        SECTIONS[prefix] ?? `${prefix.slice(0, -2)}:`,
        '',
        table(measured.filter((row) => prefixOf(row.name) === prefix)),
        '',
      ])
      .join('\n');
  const targets = goalTable(measured);
  const growth = scalings.map((scaling) => `${scaling.title}:\n\n${scalingTable(scaling)}`);
  return {
    brief: [
      sections(
        briefTable,
        prefixes.filter((prefix) => BRIEF.has(prefix)),
      ),
      headline(description),
    ].join('\n'),
    full: [
      headline(description),
      noise,
      sections((rows) => fullTable(rows, measured)),
      comparisonTable(measured),
      targets,
      ...growth,
    ].join('\n'),
  };
}

/** Writes the tables into README.md and docs/benchmarks.md. */
export function writeDocuments(report: Report): string[] {
  return [
    writeBetween('README.md', 'bench', report.brief),
    writeBetween('docs/benchmarks.md', 'bench:load', report.full),
  ];
}
