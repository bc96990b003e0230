/** The texts of `--help`, from the tables of the commands; docs/cli.md is made from the same tables (scripts/cli-page.mjs). */

import { COMMANDS } from './commands.js';
import type { Command, Option } from './console/command.js';

/** Columns of an option before its text; longer ones have a line of their own. */
const HEAD_COLUMNS = 26;

/** The help of the whole program. */
export function usage(): string {
  const width = Math.max(...COMMANDS.map(({ name }) => name.length));
  const list = COMMANDS.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`).join('\n');
  return `Usage: switchyard COMMAND [ARGUMENTS]

Many MCP servers behind one endpoint.

Commands:
${list}

Options:
  -h, --help     show help; also of a command: switchyard start --help
  -V, --version  show the version

Examples:
  switchyard init switchyard.yaml           write a starter file
  switchyard validate switchyard.yaml       check it
  switchyard start --config switchyard.yaml run it
  switchyard proxy https://example.com/mcp  one remote server on standard input and output`;
}

/** The help of one command. */
export function helpOf({ name, usage: forms, about, options, notes, examples }: Command): string {
  const rows = Object.entries(options).map(([option, row]) => optionLines(option, row));
  return [
    forms.map((form, i) => `${i === 0 ? 'Usage:' : '      '} switchyard ${name} ${form}`).join('\n'),
    about,
    ...(rows.length === 0 ? [] : [`Options:\n${rows.join('\n')}`]),
    ...(notes === '' ? [] : [notes]),
    `Examples:\n${examples.map((line) => `  ${line}`).join('\n')}`,
  ].join('\n\n');
}

function optionLines(name: string, { short, value, help }: Option): string {
  const long = value === undefined ? `--${name}` : `--${name} ${value}`;
  const head = `${short === undefined ? '    ' : `-${short}, `}${long}`;
  const text = help.replaceAll('`', '');
  return head.length > HEAD_COLUMNS
    ? `  ${head}\n  ${' '.repeat(HEAD_COLUMNS)} ${text}`
    : `  ${head.padEnd(HEAD_COLUMNS)} ${text}`;
}
