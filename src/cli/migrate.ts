import { basename } from 'node:path';
import { readConfigFile } from '../config/load.js';
import { lineOf } from '../config/problems.js';
import { quoteKey } from '../config/source/index.js';
import { type Command, EXIT, type ExitCode, oneFile, readArguments, UsageError } from './console/command.js';
import { printLine, printWarning } from './console/print.js';

async function run(args: readonly string[]): Promise<ExitCode> {
  const { files } = readArguments(args, {});
  const file = oneFile(undefined, files);
  if (file === undefined) throw new UsageError('name the file: switchyard migrate FILE');
  const { value, warnings } = await readConfigFile(file);
  // Loaded here: the library for YAML is needed only for its text.
  const { yamlText } = await import('../config/yaml-text.js');
  for (const warning of warnings) printWarning(lineOf(file, warning));
  printLine(`# From ${quoteKey(basename(file))}\n${yamlText(value, warnings).trimEnd()}`);
  return EXIT.ok;
}

/** `switchyard migrate`. */
export const migrate: Command = {
  name: 'migrate',
  summary: 'print the file of another program as a configuration',
  usage: ['FILE'],
  about: `Prints the equivalent configuration as YAML: of the file of a client or of another gateway, which the other
commands take as it is, too. Variables and secrets are printed as the file has them. What has no counterpart yet is named in a
comment where it stood, and on standard error.`,
  options: {},
  notes: '',
  examples: ['switchyard migrate config.json > switchyard.yaml', 'switchyard migrate mcp-proxy.toml'],
  run,
};
