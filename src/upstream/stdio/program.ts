import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join, resolve } from 'node:path';
import type { StdioEndpointSnapshot } from '../../config/snapshot/index.js';
import { quoteKey } from '../../config/source/index.js';
import type { Count } from '../../units.js';

/** Reason of the launcher's status 127. */
export const NOT_FOUND = 'cannot be started (command not found)';

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
export function findProgram(endpoint: StdioEndpointSnapshot): Program {
  const { command, env, cwd, shownCommand } = endpoint;
  if (cwd !== null && !isFolder(cwd))
    return { problem: `its working directory ("cwd") ${quoteKey(cwd)} does not exist` };
  const shown = quoteKey(firstWord(shownCommand));
  if (command.includes('/') || isAbsolute(command)) {
    const file = resolve(cwd ?? process.cwd(), command);
    return isProgram(file) ? { file } : { problem: `there is no program ${shown}${splitAdvice(command)}` };
  }
  for (const folder of searchPath(env).split(delimiter)) {
    const file = resolve(cwd ?? process.cwd(), join(folder, command));
    if (folder !== '' && isProgram(file)) return { file };
  }
  return { problem: `there is no program ${shown} on PATH${splitAdvice(command)}` };
}

/** Only the first word of a command is shown: the rest may be arguments, which can hold secrets. */
function firstWord(shownCommand: string): string {
  return shownCommand.split(/\s/, 1)[0] ?? '';
}

function searchPath(env: StdioEndpointSnapshot['env']): string {
  return env['PATH'] ?? process.env['PATH'] ?? '';
}

/** Characters of PATH in a reason. */
const MAX_PATH: Count = 1_000;

/**
 * Why a child could not be started, with the PATH that was searched.
 *
 * @param reason what is known without looking for the program
 */
export function startFault(endpoint: StdioEndpointSnapshot, reason: string): string {
  const program = findProgram(endpoint);
  // The launcher ends with the same status when it finds no program, and when the program itself ends with it.
  if ('file' in program) return reason === NOT_FOUND ? 'exited with code 127' : reason;
  const { command, cwd, env, shownCommand } = endpoint;
  if (cwd !== null && !isFolder(cwd)) return `cannot be started: ${program.problem}`;
  const path = searchPath(env);
  const searched = command.includes('/')
    ? ''
    : ` (PATH ${path.length > MAX_PATH ? `${path.slice(0, MAX_PATH)}...` : path})`;
  return `cannot be started: spawn ${firstWord(shownCommand)} ENOENT${searched}${splitAdvice(command)}`;
}

function splitAdvice(command: string): string {
  return /\s/.test(command) ? '; "command" is not split at spaces: put the arguments into "args"' : '';
}
