/** The shape of a command of the command line, and the reading of its arguments. */
import { parseArgs } from 'node:util';
import { nearest } from '../../config/nearest.js';
import { LOG_LEVELS } from '../../config/schema/index.js';
import { quoteKey } from '../../config/source/index.js';

/**
 * Exit codes: 0 done, 1 failed, 2 arguments or a configuration that cannot be used where 1 is an answer, 78 a configuration that
 * cannot be used (EX_CONFIG of sysexits.h).
 */
export const EXIT = { ok: 0, failed: 1, unusable: 2, config: 78 } as const;
/** One of {@link EXIT}. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** One option of a command. */
export interface Option {
  readonly type: 'string' | 'boolean';
  /** One letter. */
  readonly short?: string;
  /** Whether each occurrence counts; otherwise the last one does. */
  readonly multiple?: boolean;
  /** The value in the help: `FILE`, `'NAME: VALUE'`; a switch has none. */
  readonly value?: string;
  /** What it does, in Markdown of one line: `--help` and docs/cli.md show it. */
  readonly help: string;
}

/** The options of a command by name, in the order of the help. */
export type Options = Readonly<Record<string, Option>>;

/** One command of the command line. */
export interface Command {
  readonly name: string;
  readonly summary: string;
  /** What follows the name, one line for each form. */
  readonly usage: readonly string[];
  /** The help before the options. */
  readonly about: string;
  readonly options: Options;
  /** The help behind the options; '' = none. */
  readonly notes: string;
  readonly examples: readonly string[];
  /** Runs the command and gives the exit code. */
  run(args: readonly string[]): Promise<ExitCode>;
}

/** Arguments that cannot be used: one sentence on standard error, exit code 1. */
export class UsageError extends Error {}

/** The value of each option that was given; a switch is true. */
export type Flags<T extends Options> = {
  readonly [K in keyof T]?: T[K]['type'] extends 'boolean' ? boolean : string;
};

/** The arguments of one command. */
export interface Arguments<T extends Options> {
  readonly flags: Flags<T>;
  readonly files: readonly string[];
  /** All values of each option in order; `flags` has the last one. */
  readonly repeated: Readonly<Record<keyof T, readonly string[]>>;
}

/**
 * Reads the arguments of one command.
 * @throws UsageError for an unknown option (with the nearest known one), or a missing value.
 */
export function readArguments<T extends Options>(args: readonly string[], options: T): Arguments<T> {
  const { tokens } = parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true });
  const flags: Record<string, string | boolean> = {};
  const files: string[] = [];
  const repeated = {} as Record<keyof T, string[]>;
  for (const name of Object.keys(options) as (keyof T)[]) repeated[name] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') files.push(token.value);
    if (token.kind !== 'option') continue;
    const option = options[token.name];
    if (option === undefined) throw unknownOption(token.rawName, options);
    if (option.type === 'boolean') {
      if (token.value !== undefined) throw new UsageError(`${token.rawName} takes no value`);
      flags[token.name] = true;
    } else {
      if (token.value === undefined || (!token.inlineValue && /^--?[a-z]/.test(token.value))) {
        throw new UsageError(`${token.rawName} needs a value`);
      }
      // `--config="$FILE"` of a script whose variable is not set.
      if (token.value === '') {
        throw new UsageError(`the value of ${token.rawName} is empty; write ${token.rawName} ${option.value}`);
      }
      flags[token.name] = token.value;
      repeated[token.name as keyof T].push(token.value);
    }
  }
  return { flags: flags as Flags<T>, files, repeated };
}

function unknownOption(written: string, options: Options): UsageError {
  const likely = nearest(written, Object.keys(options));
  const advice = likely === null ? '' : `; did you mean --${likely}?`;
  return new UsageError(`there is no option ${quoteKey(written)}${advice}`);
}

/** A whole number within bounds. @throws UsageError otherwise. */
export function numberFlag(name: string, text: string | undefined, min: number, max: number): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) throw new UsageError(`--${name} must be a whole number from ${min} to ${max}`);
  return value;
}

/** One of a few words. @throws UsageError otherwise. */
export function choiceFlag<const T extends string>(
  name: string,
  text: string | undefined,
  choices: readonly T[],
): T | undefined {
  if (text === undefined || (choices as readonly string[]).includes(text)) return text as T | undefined;
  throw new UsageError(`--${name} must be one of ${choices.join(', ')}`);
}

/** Names of log levels in other programs. */
const LEVEL_NAMES: Readonly<Record<string, string>> = { warning: 'warn', critical: 'fatal' };

/** A level of the log in any case, also by the names `warning` and `critical`. @throws UsageError otherwise. */
export function levelFlag(text: string | undefined): (typeof LOG_LEVELS)[number] | undefined {
  const level = text?.toLowerCase();
  return choiceFlag('log-level', level === undefined ? undefined : (LEVEL_NAMES[level] ?? level), LOG_LEVELS);
}

/** The one file of a command, given as --config or without a flag. @throws UsageError for several. */
export function oneFile(config: string | undefined, files: readonly string[]): string | undefined {
  const all = config === undefined ? files : [config, ...files];
  if (all.length > 1) throw new UsageError('give one configuration file');
  return all[0];
}

/** The words of {@link choiceFlag} in the help of an option. */
export function alternatives(words: readonly string[]): string {
  const shown = words.map((word) => `\`${word}\``);
  return `${shown.slice(0, -1).join(', ')} or ${shown.at(-1)}`;
}
