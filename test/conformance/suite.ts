/** The official conformance suite, in a version of its own: it needs a newer Node than the project, so both live in the cache. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/package-root.js';
import { npm, runToEnd } from '../support/registry.js';

/** What is installed, and where below `.cache`. The suite runs no install scripts; Node's package fetches its binary in one. */
const PARTS = {
  suite: {
    folder: 'conformance',
    name: '@modelcontextprotocol/conformance',
    version: '0.2.0-alpha.12',
    flags: ['--ignore-scripts'],
  },
  node: { folder: 'node24', name: 'node', version: '24', flags: [] },
} as const;

/** The sets of required scenarios that the suite froze when a revision was released. */
export const REVISIONS = ['2026-07-28', '2025-11-25'] as const;
export type Revision = (typeof REVISIONS)[number];

/** A scenario that did not pass, with the first thing that was wrong. */
export interface Failure {
  readonly scenario: string;
  readonly message: string;
}

/** What one run against one endpoint gave. */
export interface SuiteRun {
  /** Required scenarios that passed. */
  readonly passed: number;
  /** Required scenarios in all. */
  readonly required: number;
  readonly failures: readonly Failure[];
}

const cached = (...path: string[]): string => join(packageRoot, '.cache', ...path);
/** The oldest Node that the suite runs on. */
const SUITE_NODE = 22;
const ownNodeDoes = Number(process.versions.node.split('.')[0]) >= SUITE_NODE;
const NODE = ownNodeDoes ? process.execPath : cached(PARTS.node.folder, 'node_modules/.bin/node');
const SUITE = cached(PARTS.suite.folder, 'node_modules', PARTS.suite.name, 'dist/index.js');

function installed({ folder, name, version }: (typeof PARTS)[keyof typeof PARTS]): boolean {
  const manifest = cached(folder, 'node_modules', name, 'package.json');
  if (!existsSync(manifest)) return false;
  const { version: found } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
  return found === version || found.startsWith(`${version}.`);
}

/**
 * Installs what is missing, from the npm registry.
 *
 * @throws RegistryUnreachable without a network, Error when npm fails otherwise
 */
export async function installSuite(log: (line: string) => void): Promise<void> {
  for (const part of Object.values(PARTS)) {
    if (installed(part) || (part === PARTS.node && ownNodeDoes)) continue;
    log(`installing ${part.name}@${part.version} into .cache/${part.folder}`);
    mkdirSync(cached(part.folder), { recursive: true });
    writeFileSync(cached(part.folder, 'package.json'), '{"private":true}\n');
    await npm(cached(part.folder), ['install', ...part.flags, `${part.name}@${part.version}`]);
    if (!installed(part)) throw new Error(`${part.name}@${part.version} was installed and is not there`);
  }
}

/**
 * Runs the required scenarios of a revision against an endpoint.
 *
 * @param results a folder for the suite's own records, emptied first
 * @throws when the suite prints no summary: it did not run
 */
export async function runSuite(url: string, revision: Revision, results: string): Promise<SuiteRun> {
  rmSync(results, { recursive: true, force: true });
  mkdirSync(results, { recursive: true });
  const { output } = await runToEnd(NODE, [SUITE, 'server', '--url', url, '--requirements', revision, '-o', results]);
  writeFileSync(join(results, 'output.txt'), output);
  return readRun(output, (scenario) => firstProblem(results, scenario));
}

/**
 * Runs a program as the client of the suite's own servers, for each scenario that the revision requires of clients and that
 * `applies`. One after the other: all at once, as the suite would run them, starts more gateways than a small machine has time for.
 *
 * @param program a JavaScript file, started with the URL of a server as its last argument
 * @throws when the suite lists no scenario of that kind: it did not run
 */
export async function runClient(
  program: string,
  revision: Revision,
  results: string,
  applies: (scenario: string) => boolean,
): Promise<SuiteRun> {
  rmSync(results, { recursive: true, force: true });
  mkdirSync(results, { recursive: true });
  const scenarios = clientScenarios((await runToEnd(NODE, [SUITE, 'list', '--requirements', revision])).output).filter(
    applies,
  );
  if (scenarios.length === 0) throw new Error(`the conformance suite lists no client scenarios of ${revision}`);
  const failures: Failure[] = [];
  const command = `"${process.execPath}" "${program}"`;
  for (const scenario of scenarios) {
    const args = [SUITE, 'client', '--command', command, '--scenario', scenario, '--spec-version', revision];
    const { code, output } = await runToEnd(NODE, [...args, '-o', results]);
    writeFileSync(join(results, `${scenario.replace(/\W+/g, '-')}.txt`), output);
    if (code !== 0) failures.push({ scenario, message: firstProblem(results, scenario) });
  }
  return { passed: scenarios.length - failures.length, required: scenarios.length, failures };
}

/** The scenarios for clients in the suite's list of what a revision requires. */
export function clientScenarios(list: string): string[] {
  const section = list.split(/^Client scenarios.*$/m)[1] ?? '';
  const [own = ''] = section.split(/^\S/m);
  return [...own.matchAll(/^\s+- (\S+)/gm)].map(([, name = '']) => name);
}

/** Reads what the suite prints at its end. `explain` gives the reason of a failure by the scenario's name. */
export function readRun(output: string, explain: (scenario: string) => string): SuiteRun {
  const summary = output.split('=== SUMMARY ===')[1];
  if (summary === undefined) throw new Error(`the conformance suite gave no summary:\n${output.slice(-2000)}`);
  const [scored = '', unscored = ''] = summary.split(/^Not scored for /m);
  const optional = new Set([...unscored.matchAll(/^\s+[✓✗] (\S+) \(/gm)].map(([, name]) => name));
  const required = [...scored.matchAll(/^([✓✗]) (\S+):/gm)].filter(([, , name]) => !optional.has(name));
  const failures = required
    .filter(([, mark]) => mark === '✗')
    .map(([, , scenario = '']) => ({ scenario, message: explain(scenario) }));
  return { passed: required.length - failures.length, required: required.length, failures };
}

interface Check {
  readonly id: string;
  readonly status: string;
  readonly errorMessage?: string;
}

function firstProblem(results: string, scenario: string): string {
  const folder = readdirSync(results).find((name) => {
    const stem = name.replace(/-\d{4}-\d\d-\d\dT.*$/, '');
    return stem !== name && (stem === scenario || stem === `server-${scenario}`);
  });
  if (folder === undefined) return 'no record';
  const checks = JSON.parse(readFileSync(join(results, folder, 'checks.json'), 'utf8')) as Check[];
  const failed = checks.filter(({ status }) => status === 'FAILURE');
  return failed.map(({ id, errorMessage }) => `${id}: ${errorMessage ?? 'failed'}`).join(' | ') || 'no failed check';
}
