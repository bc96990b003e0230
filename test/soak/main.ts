/**
 * A soak: clients of both families come, go, cancel, listen and are asked, while one upstream after the other is killed
 * and comes back. No answer may be lost or reach somebody else, and the gateway must not grow.
 *
 *     npm run soak -- [--minutes 10] [--clients 24] [--seed N]
 *
 * Exit code 0 = nothing of the kind was seen.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { soak } from './soak.js';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    clients: { type: 'string', default: '24' },
    seed: { type: 'string', default: String(Date.now() % 100_000) },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log('usage: npm run soak -- [--minutes 10] [--clients 24] [--seed N]');
  process.exit(0);
}

const outcome = await soak({
  minutes: Number(values.minutes),
  clients: Number(values.clients),
  seed: Number(values.seed),
  say: (line) => console.log(line),
  look: (pid) => ({
    rssBytes: Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024,
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
  }),
});
console.log(outcome.report);
process.exit(outcome.failed ? 1 : 0);
