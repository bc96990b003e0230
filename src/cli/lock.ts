import { randomBytes } from 'node:crypto';
import { rename, unlink, writeFile } from 'node:fs/promises';
import { relative } from 'node:path';
import { deviationsOf, type ListedTool } from '../catalog/pinning/compare.js';
import { LockError, lockText, pinFor, readLock } from '../catalog/pinning/lockfile.js';
import { inLines } from '../catalog/pinning/words.js';
import { lockPath } from '../config/compile/lock.js';
import { loadConfigFile } from '../config/load.js';
import type { LoadedConfig } from '../config/loaded.js';
import type { Lock, PinnedTools } from '../config/snapshot/pinning.js';
import { ConfigError } from '../errors.js';
import { Scrubber } from '../secrets/scrub.js';
import type { Count } from '../units.js';
import { type Command, EXIT, type ExitCode, type Options, oneFile, readArguments } from './console/command.js';
import { maskWith, printError, printLine, printWarning } from './console/print.js';
import { requiredFile } from './files/config-file.js';

const OPTIONS = {
  config: { type: 'string', short: 'c', value: 'FILE', help: 'the file; also without the flag' },
  check: { type: 'boolean', help: 'write nothing, and end with 1 when a tool is not as the lockfile says' },
} as const satisfies Options;

const NO_PINS: PinnedTools = new Map();

/** By name of the server. */
type ListedTools = ReadonlyMap<string, readonly ListedTool[]>;

async function run(args: readonly string[]): Promise<ExitCode> {
  const { flags, files } = readArguments(args, OPTIONS);
  const file = requiredFile(oneFile(flags.config, files), 'lock');
  const loaded = await loadConfigFile(file);
  maskWith(loaded);
  for (const warning of loaded.warnings) printWarning(warning);
  // There is a file, so there is a path.
  const path = lockPath(loaded) as string;
  const shown = loaded.mask(relative(process.cwd(), path));
  const before = lockBefore(loaded, path, flags.check === true);
  // Loaded here: help and problems of the configuration do not wait for the gateway.
  const [{ runTrial }, { toolsOf }] = await Promise.all([import('./trial.js'), import('./files/listed-tools.js')]);
  const result = await runTrial(loaded, true, true);
  if (result === null) return EXIT.failed;
  const down = result.servers.filter(({ isUp }) => !isUp);
  for (const { name, endpoints } of down) {
    printError(`${name}: ${endpoints.find(({ reason }) => reason !== '')?.reason ?? 'its lists did not come in time'}`);
  }
  if (down.length > 0) {
    // Without its tools a lockfile would refuse them.
    if (flags.check !== true) printError('the lockfile is not written while a server is down');
    return EXIT.failed;
  }
  const listed = toolsOf(result.lists, result.snapshot.servers);
  const scrubber = new Scrubber(result.snapshot.secrets);
  const lines = report(before, listed);
  for (const line of lines) printLine(scrubber.scrub(line));
  const count = [...listed.values()].reduce((sum, tools) => sum + tools.length, 0);
  if (flags.check === true) return verdict(shown, count, lines.length > 0);
  const servers = new Map<string, PinnedTools>();
  for (const [server, tools] of listed) {
    const isSecret = (text: string): boolean => scrubber.scrub(text) !== text;
    servers.set(server, new Map(tools.map((tool) => [tool.name, pinFor(tool, isSecret)])));
  }
  const text = lockText(servers);
  if (Buffer.byteLength(text) > loaded.config.limits.maxManifestBytes) {
    printError('the lockfile is not written, since it would be larger than limits.maxManifestBytes');
    return EXIT.failed;
  }
  await replace(path, text);
  printLine(`${shown} holds ${counted(count, 'tool')}, of ${counted(servers.size, 'server')}.`);
  return EXIT.ok;
}

/** @param isRequired to be compared with; otherwise one that cannot be used is written anew */
function lockBefore(loaded: LoadedConfig, path: string, isRequired: boolean): Lock | null {
  try {
    return readLock(path, loaded.config.limits.maxManifestBytes);
  } catch (error) {
    if (!(error instanceof LockError)) throw error;
    if (isRequired) throw new ConfigError([loaded.mask(error.message)]);
    return null;
  }
}

/** What differs; nothing where there was no lockfile. */
function report(before: Lock | null, listed: ListedTools): string[] {
  if (before === null) return [];
  return [...new Set([...before.servers.keys(), ...listed.keys()])].flatMap((server) => {
    const pins = before.servers.get(server) ?? NO_PINS;
    const tools = listed.get(server) ?? [];
    return deviationsOf(pins, tools).flatMap((deviation) => {
      return inLines(deviation, server, pins, tools[deviation.position]?.definition ?? null);
    });
  });
}

function verdict(lockfile: string, count: Count, differs: boolean): ExitCode {
  if (!differs) {
    printLine(`${counted(count, 'tool')} ${count === 1 ? 'is' : 'are'} as ${lockfile} says.`);
    return EXIT.ok;
  }
  printError(`not all tools are as ${lockfile} says; \`switchyard lock\` approves of them`);
  return EXIT.failed;
}

function counted(count: Count, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

/** Readers see the old file or the new one. */
async function replace(path: string, text: string): Promise<void> {
  const draft = `${path}.${process.pid}.${randomBytes(6).toString('hex')}`;
  try {
    await writeFile(draft, text, { flag: 'wx' });
    await rename(draft, path);
  } catch (error) {
    await unlink(draft).catch(() => {});
    throw new ConfigError([`${path} cannot be written (${(error as NodeJS.ErrnoException).code ?? String(error)})`]);
  }
}

/** `switchyard lock`. */
export const lock: Command = {
  name: 'lock',
  summary: 'approve of the tools of all servers, or compare them with what was approved of',
  usage: ['[FILE] [--check]'],
  about: `Starts or connects to every server of a configuration and writes a lockfile with the definition of each tool, which a
gateway with catalog.pinning compares with what the servers list. Shows what is not as the lockfile before said.
Without a file it takes that of the working folder.`,
  options: OPTIONS,
  notes:
    'Exit codes: 0 written, or all tools are as the lockfile says; 1 a tool is not, or a server is down; 78 the configuration or the lockfile cannot be used.',
  examples: ['switchyard lock switchyard.yaml', 'switchyard lock --check switchyard.yaml'],
  run,
};
