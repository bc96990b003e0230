/** The command line: a command and its arguments, help and version. */
import { nearest } from '../config/nearest.js';
import { quoteKey } from '../config/source/index.js';
import { ConfigError } from '../errors.js';
import { packageVersion } from '../package-root.js';
import { COMMANDS } from './commands.js';
import { EXIT, type ExitCode, UsageError } from './console/command.js';
import { printError, printLine } from './console/print.js';
import { helpOf, usage } from './help.js';

/** What other programs call these commands. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  convert: 'migrate',
  doctor: 'check',
  import: 'migrate',
  inspect: 'tools',
  lint: 'validate',
  list: 'tools',
  ls: 'tools',
  run: 'start',
  serve: 'start',
  status: 'check',
  test: 'check',
  up: 'start',
};

/** Runs one command line; gives the exit code. */
async function run(args: readonly string[]): Promise<ExitCode> {
  const [name, ...rest] = args;
  if (name === undefined || name === '-h' || name === '--help' || name === 'help') {
    const topic = COMMANDS.find((command) => name === 'help' && command.name === rest[0]);
    const text = topic === undefined ? usage() : helpOf(topic);
    if (name === undefined) process.stderr.write(`${text}\n`);
    else printLine(text);
    return name === undefined ? EXIT.failed : EXIT.ok;
  }
  if (name === '-v' || name === '-V' || name === '--version' || name === 'version') {
    printLine(packageVersion);
    return EXIT.ok;
  }
  const command = COMMANDS.find((known) => known.name === name);
  if (command === undefined) {
    const likely =
      OTHER_NAMES[name] ??
      nearest(
        name,
        COMMANDS.map((known) => known.name),
      );
    const advice = likely === null ? 'see switchyard --help' : `did you mean ${quoteKey(likely)}?`;
    throw new UsageError(`there is no command ${quoteKey(name)}; ${advice}`);
  }
  const flags = rest.includes('--') ? rest.slice(0, rest.indexOf('--')) : rest;
  if (flags.includes('--help') || flags.includes('-h')) {
    printLine(helpOf(command));
    return EXIT.ok;
  }
  return command.run(rest);
}

/**
 * Runs one command line to its end and gives its exit code; what it prints may still be on its way (`flushOutput`).
 * Nothing is thrown: errors are sentences on standard error.
 */
export async function runCommandLine(args: readonly string[]): Promise<ExitCode> {
  try {
    return await run(args);
  } catch (error) {
    if (error instanceof ConfigError) {
      for (const problem of error.problems) printError(problem);
      return EXIT.config;
    }
    if (error instanceof UsageError) printError(error.message);
    else printError(error instanceof Error ? (error.stack ?? error.message) : String(error));
    return EXIT.failed;
  }
}
