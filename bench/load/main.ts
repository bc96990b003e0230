/**
 * `npm run bench:load`: calls through the gateway beside calls straight to the upstream, through nginx and through
 * other relays, all in one run. See docs/benchmarks.md.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { packageRoot } from '../../src/package-root.js';
import { openClients } from './client.js';
import type { GatewayVariant } from './gateway-config.js';
import { installPeers, installTools } from './install.js';
import { type Course, joinStarts, type Measured, measureAll, type Row } from './measure.js';
import { summariseProfiles } from './profile.js';
import { describeRun, renderReport, writeDocuments } from './report.js';
import { buildRevision, type Revision } from './revision.js';
import { measureScaling, type Scaling } from './scaling.js';
import {
  OTHER_KINDS,
  PLAIN,
  type Place,
  startCivic,
  startGateway,
  startMcpProxy,
  startNginx,
  startUpstream,
  type Target,
  type UpstreamKind,
  type Wire,
} from './targets.js';
import { writeRequests } from './wrk.js';

const HELP = `npm run bench:load -- [options]
  --quick              about a minute: one round of one second, no scaling rows
  --only PATTERN       rows whose name holds this (regular expression, without case), for example
                       'nginx|gateway', '^stdio', 'scaling tools'
  --starts N           fresh starts of everything; two starts of one build differ more than two rounds (3)
  --rounds N           calm interleaved rounds of each row in a start (4)
  --seconds N          seconds of a row in a round (1)
  --connections LIST   (1,32,64)
  --patience SECONDS   how long a round waits for other programs to leave the machine alone (10)
  --compare REVISION   also the gateway of that commit, built below .cache/, and a table of the ratios
  --profile            CPU profiles of the gateway's rows into bench/results/profiles/, the functions with the most
                       time of their own on the terminal; the figures of such a run are worse
  --write-readme       write the tables into README.md and docs/benchmarks.md
`;

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    starts: { type: 'string' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    connections: { type: 'string' },
    patience: { type: 'string' },
    compare: { type: 'string' },
    profile: { type: 'boolean', default: false },
    'write-readme': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const starts = Number(values.starts ?? (values.quick ? 1 : 3));
const log = (line: string) => process.stderr.write(`${line}\n`);
const connections = (values.connections ?? '1,32,64').split(',').map(Number);
const selected = values.only === undefined ? /(?:)/ : new RegExp(values.only, 'i');
const course: Course = {
  rounds: Number(values.rounds ?? (values.quick ? 1 : 4)),
  seconds: Number(values.seconds ?? 1),
  warmUpSeconds: values.quick ? 1 : 2,
  patienceMs: Number(values.patience ?? (values.quick ? 1 : 10)) * 1000,
  log,
};

const RESULTS = join(packageRoot, 'bench/results');
const PROFILES = join(RESULTS, 'profiles');

interface Planned {
  readonly name: string;
  start(): Promise<Target>;
}

const VARIANTS: readonly [GatewayVariant, string][] = [
  ['minimal', 'gateway, minimal'],
  ['full', 'gateway, all policy on'],
  ['forced', 'gateway, every verdict from a worker'],
];

/** The gateway's rows over one kind of upstream, of this build and of the revision it is compared with. */
function planGateways(
  place: Place,
  upstream: Target,
  wire: Wire,
  revision: Revision | undefined,
  prefix: string,
  variants = VARIANTS,
): Planned[] {
  const builds = [
    { build: place.build, suffix: '' },
    ...(revision === undefined ? [] : [{ build: revision.build, suffix: ` @${revision.id}` }]),
  ].filter(({ build }) => existsSync(join(build, 'src/cli/main.js')));
  return variants.flatMap(([variant, label]) =>
    builds.map(({ build, suffix }) => {
      const name = `${prefix}${label}${suffix}`;
      const profiles = join(PROFILES, name.replaceAll(/\W+/g, '-'));
      const options = { name, variant, wire, upstream, build, ...(values.profile ? { profiles } : {}) };
      return { name, start: () => startGateway(place, options) };
    }),
  );
}

/** Targets of the main table in its order; only the selected ones are started. */
function planPlain(place: Place, upstream: Target, revision: Revision | undefined): Planned[] {
  return [
    { name: 'direct', start: async () => upstream },
    { name: 'nginx', start: () => startNginx(place, upstream) },
    ...planGateways(place, upstream, 'http', revision, ''),
    { name: 'civic passthrough', start: () => startCivic(upstream) },
    ...planGateways(place, upstream, 'stdio', revision, 'stdio: '),
    { name: 'stdio: mcp-proxy', start: () => startMcpProxy(place, 10) },
  ];
}

/** Targets of another kind of answers. */
function planOther(place: Place, upstream: Target, revision: Revision | undefined, prefix: string): Planned[] {
  return [
    { name: `${prefix}direct`, start: async () => upstream },
    { name: `${prefix}nginx`, start: () => startNginx(place, upstream, prefix) },
    ...planGateways(place, upstream, 'http', revision, prefix, VARIANTS.slice(0, 1)),
  ];
}

/** Starts the targets of one kind of upstream that are selected. */
async function startKind(place: Place, kind: UpstreamKind, revision: Revision | undefined): Promise<Row[]> {
  const upstream = await startUpstream(place, 10, kind);
  const planned = (
    kind === PLAIN ? planPlain(place, upstream, revision) : planOther(place, upstream, revision, kind.prefix)
  ).filter(({ name }) => selected.test(name));
  if (planned.some(({ name }) => /civic|mcp-proxy/.test(name))) installPeers(log);
  const rows: Row[] = [];
  for (const { name, start } of planned) {
    log(`starting ${name}`);
    rows.push(...(await rowsOf(place, await start(), upstream)));
  }
  if (rows.length === 0) await upstream.stop();
  return rows;
}

async function rowsOf(place: Place, target: Target, upstream: Target): Promise<Row[]> {
  const clients = await openClients(target, Math.max(...connections));
  return connections.map((count) => {
    const requests = join(place.scratch, `requests-${target.pid}-${count}`);
    const used = clients.slice(0, count);
    writeRequests(requests, used, target.tools);
    return { target, upstream, connections: count, clients: used, requests };
  });
}

async function measureRelays(place: Place): Promise<Measured[]> {
  const revision = values.compare === undefined ? undefined : buildRevision(values.compare, log);
  const measured: Measured[][] = [];
  for (let turn = 1; turn <= starts; turn++) {
    log(`start ${turn} of ${starts}`);
    const rows: Row[] = [];
    for (const kind of [PLAIN, ...OTHER_KINDS]) rows.push(...(await startKind(place, kind, revision)));
    measured.push(await measureAll(rows, course, turn * 1000));
    const targets = new Set(rows.flatMap(({ target, upstream }) => [target, upstream]));
    for (const target of [...targets].reverse()) await target.stop();
  }
  return joinStarts(measured);
}

async function main(): Promise<void> {
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  installTools(log);
  const place: Place = {
    scratch: mkdtempSync(join(tmpdir(), 'switchyard-bench-')),
    build: resolve(import.meta.dirname, '../..'),
  };
  process.on('exit', () => rmSync(place.scratch, { recursive: true, force: true }));
  if (values.profile) rmSync(PROFILES, { recursive: true, force: true });
  const built = existsSync(join(place.build, 'src/cli/main.js'));
  if (!built) log('the gateway is not built here: its rows are left out');

  const measured = await measureRelays(place);
  const scalings: Scaling[] = built && !values.quick ? await measureScaling(place, course, selected) : [];
  const { rounds, seconds } = course;
  const description = describeRun({ starts, rounds, seconds, arguments: process.argv.slice(2) });
  const report = renderReport(description, measured, scalings);
  process.stdout.write(report.full);

  mkdirSync(RESULTS, { recursive: true });
  const file = join(RESULTS, `load-${description.date.replaceAll(/[:.]/g, '-')}.json`);
  writeFileSync(file, `${JSON.stringify({ ...description, measured, scalings }, null, 2)}\n`);
  log(`written: bench/results/${file.slice(RESULTS.length + 1)}`);
  if (values.profile && existsSync(PROFILES)) {
    for (const name of readdirSync(PROFILES)) log(`\n${name}\n${summariseProfiles(join(PROFILES, name))}`);
  }
  if (values['write-readme']) for (const line of writeDocuments(report)) log(line);
}

await main();
process.exit(0);
