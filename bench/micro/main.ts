/**
 * `npm run bench`: the stages of a request one by one, each case in a process of its own, so that the type
 * feedback of one case does not change the code of another.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { decoderKind } from '../../native/index.js';
import { packageRoot, packageVersion } from '../../src/package-root.js';
import { writeBetween } from '../documents.js';
import { cases } from './cases/index.js';
import { type Case, type Result, runCase } from './runner.js';

const HELP = `npm run bench -- [options]
  --only PATTERN    cases whose name holds this (regular expression, without case)
  --check           exit code 1 when a goal is missed by more than the tolerance
  --tolerance N     per cent (25)
  --write-readme    write the table into docs/benchmarks.md
`;

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    check: { type: 'boolean', default: false },
    tolerance: { type: 'string', default: '25' },
    case: { type: 'string' },
    'write-readme': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

function nanoseconds(value: number): string {
  if (value < 100) return value.toFixed(1);
  return Math.round(value).toLocaleString('en-US');
}

function row(subject: Case, result: Result): string {
  const { goalNs } = subject;
  const verdict = goalNs === undefined ? '' : result.nsPerOperation <= goalNs ? 'met' : 'missed';
  const cells = [
    subject.what,
    nanoseconds(result.nsPerOperation),
    `±${(result.plusMinus * 100).toFixed(1)} %`,
    goalNs === undefined ? '' : nanoseconds(goalNs),
    verdict,
    result.notes,
  ];
  return `| ${cells.join(' | ')} |`;
}

const HEAD = '| stage: operation | ns | ± | goal ns | | |\n| --- | ---: | ---: | ---: | --- | --- |';

/** Runs one case in a new process. */
async function isolated(subject: Case): Promise<Result> {
  const args = ['--expose-gc', fileURLToPath(import.meta.url), '--case', subject.name];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 60_000 });
  return JSON.parse(stdout) as Result;
}

async function main(): Promise<number> {
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  if (values.case !== undefined) {
    const subject = cases.find(({ name }) => name === values.case);
    if (subject === undefined) throw new Error(`no case ${values.case}`);
    process.stdout.write(`${JSON.stringify(await runCase(subject))}\n`);
    return 0;
  }

  const selected = new RegExp(values.only ?? '', 'i');
  const lines = [HEAD];
  process.stdout.write(`${HEAD}\n`);
  const results: Result[] = [];
  let missed = 0;
  let failed = 0;
  for (const subject of cases.filter(({ name }) => selected.test(name))) {
    let result: Result;
    try {
      result = await isolated(subject);
    } catch (error) {
      // The other cases are measured even if one fails.
      failed++;
      process.stderr.write(`${subject.name} failed: ${(error as Error).message}\n`);
      continue;
    }
    results.push(result);
    const limit = (subject.goalNs ?? Number.POSITIVE_INFINITY) * (1 + Number(values.tolerance) / 100);
    if (result.nsPerOperation > limit) missed++;
    lines.push(row(subject, result));
    process.stdout.write(`${lines.at(-1)}\n`);
  }

  const date = new Date().toISOString();
  const headline =
    `Measured ${date.slice(0, 10)} with \`npm run bench\`: Switchyard ${packageVersion}, Node ${process.version}, ` +
    `${decoderKind} decoder, ${cpus()[0]?.model.trim() ?? 'unknown CPU'}; each case in its own process, median of at least ` +
    '128 samples or 0.8 s, ± is half the interquartile range.';
  process.stdout.write(`\n${headline}\n`);
  const folder = join(packageRoot, 'bench/results');
  mkdirSync(folder, { recursive: true });
  const record = { date, version: packageVersion, node: process.version, decoder: decoderKind, results };
  writeFileSync(join(folder, `micro-${date.replaceAll(/[:.]/g, '-')}.json`), `${JSON.stringify(record, null, 2)}\n`);
  if (values['write-readme']) {
    process.stderr.write(
      `${writeBetween('docs/benchmarks.md', 'bench:micro', `${headline}\n\n${lines.join('\n')}`)}\n`,
    );
  }
  if (missed > 0) process.stderr.write(`${missed} goals missed by more than ${values.tolerance} %\n`);
  return failed > 0 || (values.check && missed > 0) ? 1 : 0;
}

process.exit(await main());
