import { loadConfigFile } from '../config/load.js';
import { type Command, EXIT, type ExitCode, type Options, oneFile, readArguments } from './console/command.js';
import { maskWith, printError, printLine, printWarning, table } from './console/print.js';
import { requiredFile } from './files/config-file.js';

const OPTIONS = {
  config: { type: 'string', short: 'c', value: 'FILE', help: 'the file; also without the flag' },
  all: { type: 'boolean', short: 'a', help: 'prompts, resources and templates, too' },
  json: { type: 'boolean', help: 'the items as one JSON document' },
} as const satisfies Options;

/** Longest part of a description in a row. */
const MAX_DESCRIPTION = 80;

async function run(args: readonly string[]): Promise<ExitCode> {
  const { flags, files } = readArguments(args, OPTIONS);
  const file = requiredFile(oneFile(flags.config, files), 'tools');
  const loaded = await loadConfigFile(file);
  maskWith(loaded);
  for (const warning of loaded.warnings) printWarning(warning);
  // Loaded here: help and problems of the configuration do not wait for the gateway.
  const { runTrial } = await import('./trial.js');
  const result = await runTrial(loaded, false);
  if (result === null) return EXIT.failed;
  const items = result.items.filter(({ list }) => flags.all === true || list === 'tools');
  if (flags.json) printLine(JSON.stringify(items, null, 2));
  else {
    const rows = items.map(({ list, name, description }) => [...(flags.all ? [list] : []), name, brief(description)]);
    for (const line of table(rows)) printLine(line);
  }
  const down = result.servers.filter(({ isUp }) => !isUp);
  for (const { name, endpoints } of down) {
    printError(`${name}: ${endpoints.find(({ reason }) => reason !== '')?.reason ?? 'its lists did not come in time'}`);
  }
  return down.length === 0 ? EXIT.ok : EXIT.failed;
}

/** The first line of a description, without control characters. */
function brief(description: string): string {
  const [line = ''] = description.trim().split(/\r?\n/, 1);
  const clean = line.replaceAll(/\p{C}/gu, ' ');
  return clean.length > MAX_DESCRIPTION ? `${clean.slice(0, MAX_DESCRIPTION - 3)}...` : clean;
}

/** `switchyard tools`. */
export const tools: Command = {
  name: 'tools',
  summary: 'list the tools that clients get',
  usage: ['[FILE] [--all] [--json]'],
  about: `Starts or connects to every server of a configuration and lists the tools under the names that clients get.
Without a file it takes that of the working folder.`,
  options: OPTIONS,
  notes: 'Exit codes: 0 all servers are ready, 1 one is not, 78 the configuration cannot be used.',
  examples: ['switchyard tools switchyard.yaml', 'switchyard tools --all --json claude_desktop_config.json'],
  run,
};
