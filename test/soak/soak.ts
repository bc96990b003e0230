/** One run of the soak; see main.ts. */
import { fileURLToPath } from 'node:url';
import { startGateway } from '../support/gateway.js';
import { eventually, freePort, type RunningProcess, startProcess, type TestScope } from '../support/process.js';
import { modernRpc } from '../support/rpc.js';
import { play } from './clients.js';
import { Counts, growth, mib, type Sample } from './counts.js';

export interface SoakOptions {
  readonly minutes: number;
  /** Clients at once. */
  readonly clients: number;
  readonly seed: number;
  say(line: string): void;
  /** Memory and descriptors of a process. */
  look(pid: number): Omit<Sample, 'seconds'>;
  /** Between two kills, milliseconds; default 8,000. */
  readonly killMs?: number;
}

export interface SoakOutcome {
  readonly failed: boolean;
  readonly report: string;
  readonly counts: Counts;
}

const serverFile = fileURLToPath(new URL('./server.js', import.meta.url));
const HTTP = ['modernhttp', 'legacyhttp'] as const;
const SAMPLE_MS = 5_000;
/** For what is under way at the end. */
const SETTLE_MS = 50_000;

/** Runs clients, kills upstreams, looks at the gateway. @throws when it cannot be set up */
export async function soak(options: SoakOptions): Promise<SoakOutcome> {
  const cleanups: (() => unknown)[] = [];
  const scope: TestScope = { after: (cleanup: () => unknown) => void cleanups.push(cleanup) } as TestScope;
  try {
    return await run(scope, options);
  } finally {
    for (const cleanup of cleanups.reverse()) await cleanup();
  }
}

async function run(scope: TestScope, options: SoakOptions): Promise<SoakOutcome> {
  const random = generator(options.seed);
  const https = new Map<string, { port: number; process: RunningProcess }>();
  const startHttp = async (name: (typeof HTTP)[number], port: number): Promise<void> => {
    const family = name === 'modernhttp' ? 'modern' : 'legacy';
    const env = { PORT: String(port) };
    const started = startProcess(scope, process.execPath, [serverFile, 'http', family, name], { env });
    await started.waitForLine(/^listening on/);
    https.set(name, { port, process: started });
  };
  for (const name of HTTP) await startHttp(name, await freePort());
  const stdio = (family: string, name: string): object => ({
    command: process.execPath,
    args: [serverFile, 'stdio', family, name],
  });
  const gateway = await startGateway(scope, {
    log: { level: 'error' },
    sessions: { ttlSeconds: 60 },
    mcpServers: {
      modernhttp: { url: `http://127.0.0.1:${https.get('modernhttp')!.port}/mcp` },
      legacyhttp: { url: `http://127.0.0.1:${https.get('legacyhttp')!.port}/mcp` },
      modernstdio: stdio('modern', 'modernstdio'),
      legacystdio: {
        ...stdio('legacy', 'legacystdio'),
        isolation: 'principal',
        maxDedicated: 32,
        dedicatedIdleMs: 5_000,
      },
    },
  });
  const servers = ['modernhttp', 'legacyhttp', 'modernstdio', 'legacystdio'];
  await eventually('every server is listed', async () => {
    const { message } = await modernRpc(gateway.url, 'tools/list');
    const names: string[] = message.result.tools.map(({ name }: { name: string }) => name);
    return servers.every((server) => names.includes(`${server}__echo`));
  });

  const counts = new Counts();
  const until = performance.now() + options.minutes * 60_000;
  const over = (): boolean => performance.now() > until;
  const ground = { url: gateway.url, counts, servers, asking: servers, random, over };
  const pid = gateway.process.pid;
  const samples: Sample[] = [];
  const began = performance.now();
  const sampling = setInterval(() => {
    const seconds = Math.round((performance.now() - began) / 1000);
    const sample = { seconds, ...options.look(pid) };
    samples.push(sample);
    if (samples.length % 6 === 0) {
      const parts = [`${seconds} s`, `${counts.total('answered')} answered`, `${counts.total('retryable')} retryable`];
      parts.push(`${counts.total('notified')} notified`, `${counts.faultCount} faults`, mib(sample.rssBytes));
      options.say(parts.join(', '));
    }
  }, SAMPLE_MS);
  const players = Array.from({ length: options.clients }, () => play(ground));
  const killer = kill(startHttp, https, gateway.adminUrl, random, over, options.killMs ?? 8_000);
  await Promise.all([...players, killer]);
  clearInterval(sampling);

  // Clients that left without a word leave calls behind; all of them end by themselves.
  await eventually(
    'nothing is left in the gateway',
    async () => {
      const stats = (await (await fetch(`${gateway.adminUrl}/stats`)).json()) as { requests: { inFlight: number } };
      return stats.requests.inFlight === 0;
    },
    SETTLE_MS,
  ).catch(() => counts.fault('requests were still in flight after the end'));
  if (gateway.process.child.exitCode !== null) counts.fault('the gateway has ended');
  for (const sentence of growth(samples)) counts.fault(sentence);
  const [first, last] = [samples[Math.floor(samples.length / 3)], samples.at(-1)];
  const sizes =
    first === undefined || last === undefined
      ? 'no samples'
      : `memory ${mib(first.rssBytes)} after a third, ${mib(last.rssBytes)} at the end; descriptors ${first.descriptors} and ${last.descriptors}`;
  const report = [
    counts.table(),
    sizes,
    ...counts.faults,
    counts.faultCount === 0 ? 'no fault' : `${counts.faultCount} faults (seed ${options.seed})`,
  ].join('\n');
  return { failed: counts.faultCount > 0, report, counts };
}

/** Kills one upstream after the other; HTTP servers are started again, children by the gateway. */
async function kill(
  startHttp: (name: (typeof HTTP)[number], port: number) => Promise<void>,
  https: ReadonlyMap<string, { port: number; process: RunningProcess }>,
  adminUrl: string,
  random: () => number,
  over: () => boolean,
  killMs: number,
): Promise<void> {
  for (let turn = 0; !over(); turn += 1) {
    await new Promise((resolve) => setTimeout(resolve, killMs * (0.5 + random())));
    if (over()) return;
    const name = HTTP[turn % 4];
    if (name !== undefined) {
      const { port, process: victim } = https.get(name)!;
      await victim.stop('SIGKILL');
      await startHttp(name, port);
      continue;
    }
    const stats = (await (await fetch(`${adminUrl}/stats`)).json()) as {
      upstreams: { name: string; endpoints: { pid?: number | null }[] }[];
    };
    const wanted = turn % 4 === 2 ? 'modernstdio' : 'legacystdio';
    const child = stats.upstreams.find((upstream) => upstream.name === wanted)?.endpoints[0]?.pid;
    if (typeof child === 'number') process.kill(child, 'SIGKILL');
  }
}

/** Mulberry32: small, and the same from run to run. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
