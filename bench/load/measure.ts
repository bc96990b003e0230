import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, verify } from './client.js';
import { machineCpuSeconds, treeUse, waitedCpuSeconds } from './processes.js';
import { STDIO_UPSTREAM, type Target } from './targets.js';
import { runWrk } from './wrk.js';

/** A row of the tables: one target under one load. */
export interface Row {
  readonly target: Target;
  /** The HTTP upstream behind the target (or the target itself). */
  readonly upstream: Target;
  readonly connections: number;
  readonly clients: readonly Client[];
  /** File of prepared requests (call.lua). */
  readonly requests: string;
}

/** The result of one run of one row. CPU figures are microseconds of one CPU per call, all threads added. */
export interface Round {
  /** Number of the slice within the run: rounds of one slice were measured one after the other. */
  readonly slice: number;
  readonly callsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  /** The relay, stdio children not included; 0 for `direct`. */
  readonly relayCpuUs: number;
  /** The HTTP upstream or the stdio children. */
  readonly upstreamCpuUs: number;
  readonly generatorCpuUs: number;
  /** Memory of the relay's processes after the run. */
  readonly rssBytes: number;
  /** CPUs that other programs kept busy during the run: 0.1 = a tenth of one CPU. */
  readonly foreignCpus: number;
}

/** Answers on the wire may differ from the sample by this share (chunking, event ids). */
const SIZE_TOLERANCE = 0.03;

/**
 * Runs one row once: checks answers, loads, checks again.
 *
 * @throws when any answer of the samples is wrong, any status is not 2xx, any socket failed, or the answers under
 *   load are not as long as a right answer is
 */
export async function measure(row: Row, seconds: number, slice = 0): Promise<Round> {
  const { target, upstream } = row;
  const isDirect = target.pid === upstream.pid;
  const sampleBytes = await verify(target, row.clients, target.tools);

  const before = treeUse(target.pid, STDIO_UPSTREAM);
  const upstreamBefore = treeUse(upstream.pid).relay.cpuSeconds;
  const generatorBefore = waitedCpuSeconds();
  const ownBefore = process.cpuUsage();
  const machineBefore = machineCpuSeconds();
  const result = await runWrk(target.url, row.requests, row.connections, seconds);
  const machine = machineCpuSeconds() - machineBefore;
  const own = process.cpuUsage(ownBefore);
  const generator = waitedCpuSeconds() - generatorBefore;
  const upstreamCpu = treeUse(upstream.pid).relay.cpuSeconds - upstreamBefore;
  const after = treeUse(target.pid, STDIO_UPSTREAM);

  const label = `${target.name} at ${row.connections}`;
  if (result.requests === 0) throw new Error(`${label}: no call was answered`);
  if (result.non2xx > 0 || result.socketErrors > 0) {
    throw new Error(`${label}: ${result.non2xx} answers not 2xx, ${result.socketErrors} socket errors`);
  }
  const bytes = result.bytes / result.requests;
  if (result.requests > 500 && Math.abs(bytes / sampleBytes - 1) > SIZE_TOLERANCE) {
    throw new Error(`${label}: answers under load have ${bytes.toFixed(1)} bytes, a right one ${sampleBytes}`);
  }
  await verify(target, row.clients, target.tools);

  const relayCpu = isDirect ? 0 : after.relay.cpuSeconds - before.relay.cpuSeconds;
  const childCpu = after.children.cpuSeconds - before.children.cpuSeconds;
  const behind = target.wire === 'stdio' ? childCpu : upstreamCpu;
  const elapsed = result.durationUs / 1e6;
  const accounted = relayCpu + childCpu + upstreamCpu + generator + (own.user + own.system) / 1e6;
  const perCall = (cpuSeconds: number) => (cpuSeconds * 1e6) / result.requests;
  return {
    slice,
    callsPerSecond: result.requests / elapsed,
    p50Us: result.p50Us,
    p99Us: result.p99Us,
    p999Us: result.p999Us,
    relayCpuUs: perCall(relayCpu),
    upstreamCpuUs: perCall(behind),
    generatorCpuUs: perCall(generator),
    rssBytes: after.relay.rssBytes,
    foreignCpus: Math.max(0, (machine - accounted) / elapsed),
  };
}

/** Median and half the range of a figure over rounds. */
export interface Spread {
  readonly median: number;
  /** Half of (largest - smallest), as a share of the median. */
  readonly plusMinus: number;
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const [low = Number.NaN, high = low] = sorted.slice((sorted.length - 1) >> 1, (sorted.length >> 1) + 1);
  const median = (low + high) / 2;
  const range = Math.max(...sorted) - Math.min(...sorted);
  return { median, plusMinus: median === 0 ? 0 : range / 2 / median };
}

/** A row with the rounds it was measured in. */
export interface Measured {
  readonly name: string;
  readonly wire: Target['wire'];
  readonly connections: number;
  readonly rounds: Round[];
}

/** A round is calm while other programs keep less than this many CPUs busy. */
const CALM_CPUS = 0.15;

/** One figure over the calm rounds of a row, or over all when none was calm. */
export function figures(measured: Measured, figure: keyof Round): Spread {
  const calm = measured.rounds.filter((round) => round.foreignCpus < CALM_CPUS);
  return spread((calm.length > 0 ? calm : measured.rounds).map((round) => round[figure]));
}

/** Whether any round of a row was calm, so that its figures can be judged. */
export function wasCalm(measured: Measured): boolean {
  return measured.rounds.some((round) => round.foreignCpus < CALM_CPUS);
}

/**
 * Median and spread of the ratios of one figure of two rows, slice by slice: what disturbs a slice disturbs both. Slices in
 * which another program kept the machine busy count only if there are no others.
 */
export function ratio(measured: Measured, base: Measured, figure: keyof Round): Spread {
  const pairs = measured.rounds.flatMap((round) => {
    const other = base.rounds.find(({ slice }) => slice === round.slice);
    return other === undefined ? [] : [{ round, other }];
  });
  const calm = pairs.filter(({ round, other }) => Math.max(round.foreignCpus, other.foreignCpus) < CALM_CPUS);
  return spread((calm.length > 0 ? calm : pairs).map(({ round, other }) => round[figure] / other[figure]));
}

/** Median of one figure of a row. */
export function middle(measured: Measured, figure: keyof Round): number {
  return figures(measured, figure).median;
}

/** How long the machine is watched to see whether it is busy (ms). */
const WATCH_MS = 250;

/** Waits until the machine is calm, at most `patienceMs`. */
async function untilCalm(patienceMs: number): Promise<void> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const before = machineCpuSeconds();
    await sleep(WATCH_MS);
    if ((machineCpuSeconds() - before) / (WATCH_MS / 1000) < CALM_CPUS || Date.now() > deadline) return;
  }
}

export interface Course {
  /** Calm rounds of each row, within one start of the targets. */
  readonly rounds: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  /** How long a round waits for a calm machine (ms). */
  readonly patienceMs: number;
  readonly log: (line: string) => void;
}

/**
 * Measures all rows, interleaved: each once before any again. Rounds that were not calm are repeated, in at most as many
 * extra turns as there are rounds.
 *
 * @param firstSlice number of the first slice; those of one start of the targets follow those of the start before
 */
export async function measureAll(rows: readonly Row[], course: Course, firstSlice = 0): Promise<Measured[]> {
  const { rounds, seconds, log } = course;
  // The first calls of a process are its slowest: code not yet compiled, pools not yet filled.
  const warmed = new Set<Target>();
  for (const row of [...rows].reverse()) {
    if (!warmed.has(row.target)) await measure(row, course.warmUpSeconds);
    warmed.add(row.target);
  }
  const results = rows.map((row) => ({ row, done: [] as Round[] }));
  for (let turn = 1; turn <= rounds * 2; turn++) {
    for (const { row, done } of results) {
      if (turn > rounds && done.filter((round) => round.foreignCpus < CALM_CPUS).length >= rounds) continue;
      await untilCalm(course.patienceMs);
      const result = await measure(row, seconds, firstSlice + turn);
      done.push(result);
      log(
        `turn ${turn}  ${row.target.name} at ${row.connections}: ${Math.round(result.callsPerSecond)} calls/s, ` +
          `p50 ${result.p50Us} us, CPU ${result.relayCpuUs.toFixed(1)} us, others ${result.foreignCpus.toFixed(2)} CPUs`,
      );
    }
  }
  return results.map(({ row: { target, connections }, done }) => ({
    name: target.name,
    wire: target.wire,
    connections,
    rounds: done,
  }));
}

/** The rounds of several starts of the same rows, together. */
export function joinStarts(starts: readonly (readonly Measured[])[]): Measured[] {
  const [first = []] = starts;
  return first.map((row, index) => ({ ...row, rounds: starts.flatMap((rows) => rows[index]?.rounds ?? []) }));
}
