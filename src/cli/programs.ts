import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join, resolve } from 'node:path';
import type { EndpointSnapshot } from '../config/snapshot.js';
import { quoteKey } from '../config/source/index.js';

type StdioEndpoint = Extract<EndpointSnapshot, { transport: 'stdio' }>;

/** The program file of a stdio endpoint, or why there is none. */
export type Program = { readonly file: string } | { readonly problem: string };

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

function isFolder(file: string): boolean {
  try {
    return statSync(file).isDirectory();
  } catch {
    return false;
  }
}

/** Finds the program as execvp(3) does: a name with a slash is a path, any other is searched on PATH. */
export function findProgram(endpoint: StdioEndpoint): Program {
  const { command, env, cwd, shownCommand } = endpoint;
  if (cwd !== null && !isFolder(cwd))
    return { problem: `its working directory ("cwd") ${quoteKey(cwd)} does not exist` };
  // Only the first word is shown: the rest may be arguments, which can hold secrets.
  const shown = quoteKey(shownCommand.split(/\s/, 1)[0] as string);
  if (command.includes('/') || isAbsolute(command)) {
    const file = resolve(cwd ?? process.cwd(), command);
    return isProgram(file) ? { file } : { problem: `there is no program ${shown}${splitAdvice(command)}` };
  }
  for (const folder of (env['PATH'] ?? process.env['PATH'] ?? '').split(delimiter)) {
    const file = resolve(cwd ?? process.cwd(), join(folder, command));
    if (folder !== '' && isProgram(file)) return { file };
  }
  return { problem: `there is no program ${shown} on PATH${splitAdvice(command)}` };
}

function splitAdvice(command: string): string {
  return /\s/.test(command) ? '; "command" is not split at spaces: put the arguments into "args"' : '';
}
