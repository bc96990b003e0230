import { existsSync } from 'node:fs';
import { UsageError } from '../console/command.js';
import { printWarning } from '../console/print.js';

/** The configuration files of a folder, the first one first. */
const FILES = ['switchyard.yaml', 'switchyard.yml', 'switchyard.toml', 'switchyard.json', 'switchyard.jsonc'];

/** Their names in sentences. */
export const FILE_NAMES = 'switchyard.{yaml,yml,toml,json,jsonc}';

/** The configuration file of the working folder, where none was named; undefined = it has none. Warns of a second one. */
export function fileOfFolder(): string | undefined {
  const [file, ...others] = FILES.filter((name) => existsSync(name));
  if (others.length > 0) printWarning(`${others.join(', ')} is not read beside ${file}; name it with --config`);
  return file;
}

/** The file that was named, else that of the working folder. @throws UsageError when there is none */
export function requiredFile(named: string | undefined, command: string): string {
  const file = named ?? fileOfFolder();
  if (file !== undefined) return file;
  throw new UsageError(`this folder has no ${FILE_NAMES}; name the configuration file: switchyard ${command} FILE`);
}
