import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { formatOf } from '../config/load.js';
import { type Command, EXIT, type ExitCode, oneFile, readArguments } from './console/command.js';
import { printError, printLine } from './console/print.js';
import { fileOfFolder } from './files/config-file.js';
import { starterFile } from './files/starter.js';

const DEFAULT_FILE = 'switchyard.json';

const FAULTS: Readonly<Record<string, string>> = {
  EEXIST: 'the file exists already; nothing was written',
  ENOENT: 'its folder does not exist; nothing was written',
  ENOTDIR: 'its folder does not exist; nothing was written',
  EACCES: 'this user may not write there; nothing was written',
  EROFS: 'the file system is read-only; nothing was written',
};

async function run(args: readonly string[]): Promise<ExitCode> {
  const { files } = readArguments(args, {});
  const file = oneFile(undefined, files) ?? DEFAULT_FILE;
  const text = starterFile(formatOf(file));
  try {
    // "wx" creates the file or fails, so that no existing file is overwritten, not even one made at this moment.
    const handle = await open(file, 'wx', 0o600);
    try {
      await handle.writeFile(text);
    } finally {
      await handle.close();
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    printError(`${file}: ${FAULTS[code] ?? `the file cannot be written (${code})`}`);
    return EXIT.failed;
  }
  const isFound = dirname(file) === '.' && fileOfFolder() === file;
  printLine(`${file} written. Next: switchyard start${isFound ? '' : ` --config ${file}`}`);
  return EXIT.ok;
}

/** `switchyard init`. */
export const init: Command = {
  name: 'init',
  summary: 'write a commented starter configuration',
  usage: ['[FILE]'],
  about: `Writes a commented starter configuration; ${DEFAULT_FILE} when no file is named.
The extension decides the format: .json and .jsonc (JSON with comments), .yaml, .yml, .toml.
A file that exists is never overwritten.`,
  options: {},
  notes: '',
  examples: ['switchyard init', 'switchyard init switchyard.yaml', 'switchyard init config/gateway.toml'],
  run,
};
