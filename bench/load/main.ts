/**
 * `npm run bench:load`: calls through the gateway beside calls straight to the upstream, through nginx and through
 * other relays, all in one run. See docs/benchmarks.md.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { packageRoot } from '../../src/package-root.js';
import { openClients } from './client.js';
import { installPeers, installTools } from './install.js';
import { type Measured, measure, type Row } from './measure.js';
import { describeRun, renderReport, writeDocuments } from './report.js';
import {
  type GatewayOptions,
  type Place,
  startCivic,
  startGateway,
  startMcpProxy,
  startNginx,
  startUpstream,
  type Target,
} from './targets.js';
import { writeRequests } from './wrk.js';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    connections: { type: 'string' },
    'write-readme': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) {
  process.stdout.write(`npm run bench:load -- [options]
  --quick              about a minute: one round of one second, no scaling rows
  --only PATTERN       rows whose name holds this (regular expression, without case)
  --rounds N           interleaved rounds (3)
  --seconds N          seconds a row a round (4)
  --connections LIST   (1,32,64)
  --write-readme       write the tables into README.md and docs/benchmarks.md
`);
  process.exit(0);
}

const rounds = Number(values.rounds ?? (values.quick ? 1 : 3));
const seconds = Number(values.seconds ?? (values.quick ? 1 : 4));
const connections = (values.connections ?? '1,32,64').split(',').map(Number);
const only = values.only === undefined ? /(?:)/ : new RegExp(values.only, 'i');
const log = (line: string) => process.stderr.write(`${line}\n`);

const place: Place = {
  scratch: mkdtempSync(join(tmpdir(), 'switchyard-bench-')),
  build: resolve(import.meta.dirname, '../..'),
};
process.on('exit', () => rmSync(place.scratch, { recursive: true, force: true }));

/** Targets of the main table in its order; each is started only if a row of it is wanted. */
function plan(upstream: Target): { name: string; start: () => Promise<Target> }[] {
  const gateway = (name: string, options: Omit<GatewayOptions, 'name' | 'upstream'>) => ({
    name,
    start: () => startGateway(place, { ...options, name, upstream }),
  });
  const here = existsSync(join(place.build, 'src/cli/main.js'));
  if (!here) log('the gateway is not built here: its rows are left out');
  const gateways = here
    ? [
        gateway('gateway, minimal', { variant: 'minimal', wire: 'http' }),
        gateway('gateway, all policy on', { variant: 'full', wire: 'http' }),
        gateway('gateway, every verdict from a worker', { variant: 'forced', wire: 'http' }),
        gateway('stdio: gateway, minimal', { variant: 'minimal', wire: 'stdio' }),
        gateway('stdio: gateway, all policy on', { variant: 'full', wire: 'stdio' }),
        gateway('stdio: gateway, every verdict from a worker', { variant: 'forced', wire: 'stdio' }),
      ]
    : [];
  return [
    { name: 'direct', start: async () => upstream },
    { name: 'nginx', start: () => startNginx(place, upstream) },
    ...gateways.slice(0, 3),
    { name: 'civic passthrough', start: () => startCivic(upstream) },
    ...gateways.slice(3),
    { name: 'stdio: mcp-proxy', start: () => startMcpProxy(place, 10) },
  ];
}

async function rowsOf(target: Target): Promise<Row[]> {
  const clients = await openClients(target, Math.max(...connections));
  return connections.map((count) => {
    const requests = join(place.scratch, `requests-${target.pid}-${count}`);
    const used = clients.slice(0, count);
    writeRequests(requests, used, target.tools);
    return { target, connections: count, clients: used, requests };
  });
}

async function run(): Promise<void> {
  installTools(log);
  const upstream = await startUpstream(place, 10);
  const planned = plan(upstream).filter(({ name }) => only.test(name));
  if (planned.some(({ name }) => /civic|mcp-proxy/.test(name))) installPeers(log);

  const rows: Row[] = [];
  const targets = new Set<Target>([upstream]);
  for (const { name, start } of planned) {
    log(`starting ${name}`);
    const target = await start();
    targets.add(target);
    rows.push(...(await rowsOf(target)));
  }
  // The first calls of a process are its slowest: code not yet compiled, pools not yet filled.
  for (const row of rows)
    if (row.connections === Math.max(...connections)) await measure(row, upstream, values.quick ? 1 : 2);

  const measured: Measured[] = rows.map(({ target, connections: count }) => ({
    name: target.name,
    wire: target.wire,
    connections: count,
    rounds: [],
  }));
  for (let round = 0; round < rounds; round++) {
    for (const [index, row] of rows.entries()) {
      const result = await measure(row, upstream, seconds);
      measured[index]!.rounds.push(result);
      log(
        `round ${round + 1}/${rounds}  ${row.target.name} at ${row.connections}: ` +
          `${Math.round(result.callsPerSecond)} calls/s, p50 ${result.p50Us} us, ` +
          `CPU ${result.relayCpuUs.toFixed(1)} us, others busy ${result.foreignCpus.toFixed(2)}`,
      );
    }
  }
  for (const target of targets) await target.stop();

  const description = describeRun({ rounds, seconds, connections, arguments: process.argv.slice(2) });
  const report = renderReport(description, measured);
  process.stdout.write(report.full);
  const folder = join(packageRoot, 'bench/results');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `load-${description.date.replaceAll(/[:.]/g, '-')}.json`);
  writeFileSync(file, `${JSON.stringify({ ...description, measured }, null, 2)}\n`);
  log(`written: ${file}`);
  if (values['write-readme']) for (const line of writeDocuments(report)) log(line);
}

await run();
process.exit(0);
